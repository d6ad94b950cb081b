package config

import (
	"strings"
	"testing"
)

// TestCIBA: bounds that depend on each other, and names of files that need each other.
func TestCIBA(t *testing.T) {
	base := read(t, "testdata/good.toml")
	for settings, wrong := range map[string]string{
		"enabled = true\nlifetime = \"3m\"\nmax_lifetime = \"5m\"":       "",
		"enabled = true\nlifetime = \"6m\"\nmax_lifetime = \"5m\"":       "ciba.lifetime",
		"enabled = true\nlong_poll = \"16s\"":                            "ciba.long_poll",
		"enabled = true\ninterval = \"0s\"":                              "ciba.interval",
		"enabled = true\npending_per_person = 0":                         "ciba.pending_per_person",
		"enabled = true\npending_per_person = 2\npending_per_client = 3": "ciba.pending_per_client",
		"enabled = true\nbinding_message = \"never\"":                    "ciba.binding_message",
		"enabled = true\nlogin_hint = \"email\"":                         "ciba.login_hint",
		"enabled = true\nping_certificate_file = \"a.crt\"":              "ciba.ping_certificate_file",
		"enabled = true\nping_key_file = \"a.key\"":                      "ciba.ping_key_file",
		"push = true": "ciba.push",
	} {
		_, err := parse("c.toml", []byte(strings.TrimRight(base, "\n")+"\n\n[ciba]\n"+settings+"\n"), false)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%q: %v", settings, err)
		}
	}
}
