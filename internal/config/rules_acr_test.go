package config

import (
	"strings"
	"testing"
)

// Covers: FD-86. A name of a class names one class and nothing else.
func TestFD86ACRNames(t *testing.T) {
	base := read(t, "testdata/good.toml")
	for settings, wrong := range map[string]string{
		`passkey = "urn:openbanking:psd2:sca urn:brasil:openbanking:loa3"`:          "",
		"passkey = \"urn:x:loa3\"\npassword = \"urn:x:loa2 https://a.example/acr\"": "",
		"passkey = \"urn:x:loa3\"\npassword = \"urn:x:loa3\"":                       "acr_names.password",
		`passkey = "urn:x urn:x"`:                  "acr_names.passkey",
		`password = "0"`:                           "acr_names.password",
		`password = "urn:countersign:acr:passkey"`: "acr_names.password",
		`passkey = "urn:countersign:acr:passkey"`:  "acr_names.passkey",
		`passkey = "loa\\3"`:                       "acr_names.passkey",
		`passkey = "sécurité"`:                     "acr_names.passkey",
		`loa3 = "urn:x"`:                           "acr_names.loa3",
	} {
		_, err := parse("c.toml", []byte(strings.TrimRight(base, "\n")+"\n\n[acr_names]\n"+settings+"\n"), false)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%q: %v", settings, err)
		}
	}
}
