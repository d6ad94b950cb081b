package config

import (
	"strings"
	"testing"
)

// Covers: FD-82. What an operator lets applications claim: never more than a password for those that came by one.
func TestFD82ApprovalApps(t *testing.T) {
	base := read(t, "testdata/good.toml")
	for settings, wrong := range map[string]string{
		`password_acr = "urn:countersign:acr:password"`:        "",
		`password_acr = ""`:                                    "",
		`password_acr = "urn:countersign:acr:passkey"`:         "approval_apps.password_acr",
		`password_acr = "urn:x"`:                               "approval_apps.password_acr",
		`password_amr = "pop swk kba otp"`:                     "",
		`password_amr = "pwd hwk"`:                             "approval_apps.password_amr",
		`password_amr = "mfa"`:                                 "approval_apps.password_amr",
		`password_amr = "FPT"`:                                 "approval_apps.password_amr",
		`passkey_acr = "urn:countersign:acr:password"`:         "",
		`passkey_acr = "urn:countersign:acr:better"`:           "approval_apps.passkey_acr",
		`passkey_amr = ""`:                                     "",
		`passkey_amr = "hwk, fpt"`:                             "approval_apps.passkey_amr",
		`passkey_amr = "hwk fpt"` + "\n" + `password_amr = ""`: "",
	} {
		_, err := parse("c.toml", []byte(strings.TrimRight(base, "\n")+"\n\n[approval_apps]\n"+settings+"\n"), false)
		if wrong == "" && err != nil || wrong != "" && (err == nil || !strings.Contains(err.Error(), wrong)) {
			t.Errorf("%q: %v", settings, err)
		}
	}
}
