package config

import (
	"strings"
	"testing"
)

// Covers: KF-19. The API of accounts has a scope that there is and clients that may use it, or neither; clients that register
// themselves do not get the scope.
func TestKF19Account(t *testing.T) {
	base := strings.TrimRight(read(t, "testdata/good.toml"), "\n") + "\n\n[[scopes]]\nname = \"own\"\ndescription = \"See and end what you gave\"\n"
	for settings, wrong := range map[string]string{
		"":          "",
		"[account]": "",
		"[account]\nscope = \"own\"\nclients = \"bank-app bank-web\"":                                            "",
		"[account]\nscope = \"own\"":                                                                             "account.clients",
		"[account]\nclients = \"bank-app\"":                                                                      "account.scope",
		"[account]\nscope = \"ow\"\nclients = \"bank-app\"":                                                      "account.scope",
		"[account]\nscope = \"own openid\"\nclients = \"bank-app\"":                                              "account.scope",
		"[account]\nscope = \"own\"\nclients = \"bank-app\"\n\n[registration]\nenabled = true\nscopes = \"own\"": "registration.scopes",
	} {
		name := "accepts " + settings
		if wrong != "" {
			name = "refuses " + settings
		}
		t.Run(name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(base+settings+"\n"), false)
			if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
				t.Errorf("%v", err)
			}
		})
	}
}
