package config

import (
	"strings"
	"testing"
)

// Covers: KE-17. A login that nobody would find, or that could not authenticate, stops the start by its key.
func TestKE17LoginRules(t *testing.T) {
	const good = `address = "https://login.bank.example/sign-in"` + "\n" + `acr_values = "urn:bank:sca"` + "\n"
	const hints = `hints_address = "https://login.bank.example/hints"` + "\n" + `hints_certificate_file = "x"` + "\n" + `hints_key_file = "x"` + "\n"
	for _, test := range []struct{ name, mtls, keys, problem string }{
		{"accepts a certificate", "", good + `certificate_file = "x"`, ""},
		{"accepts a subject, with its authorities", `client_ca_file = "x"`, good + `certificate_dn = "CN=login"`, ""},
		{"accepts a client", "off", good + `client_id = "the-login"`, ""},
		{"accepts consent alone", "", `address = "https://login.bank.example/"` + "\n" + `hand_off = "consent"` + "\n" + `certificate_file = "x"`, ""},
		{"accepts none", "", `answer_within = "5m"`, ""},
		{"refuses http", "", strings.Replace(good, "https", "http", 1) + `certificate_file = "x"`, "login.address"},
		{"refuses a fragment", "", strings.Replace(good, "sign-in", "#top", 1) + `certificate_file = "x"`, "login.address"},
		{"refuses its own parameter", "", strings.Replace(good, "sign-in", "?handle=1", 1) + `certificate_file = "x"`, "login.address"},
		{"refuses a login that may claim nothing", "", `address = "https://login.bank.example/"` + "\n" + `certificate_file = "x"`, "login.acr_values"},
		{"refuses a class twice", "", strings.Replace(good, "sca", "sca urn:bank:sca", 1) + `certificate_file = "x"`, "login.acr_values"},
		{"refuses classes of consent alone", "", good + `hand_off = "consent"` + "\n" + `certificate_file = "x"`, "login.acr_values"},
		{"refuses another hand-off", "", good + `hand_off = "everything"` + "\n" + `certificate_file = "x"`, "login.hand_off"},
		{"refuses no way to authenticate", "", good, "login.certificate_file"},
		{"refuses two ways", "", good + `certificate_file = "x"` + "\n" + `client_id = "y"`, "in one way"},
		{"refuses a certificate without a listener", "off", good + `certificate_file = "x"`, "listen_mtls.address"},
		{"refuses a subject without authorities", "", good + `certificate_dn = "CN=login"`, "listen_mtls.client_ca_file"},
		{"refuses to confirm what nobody may ask", "", good + `certificate_file = "x"` + "\n" + `confirmations = true`, "login.confirmations"},
		{"accepts to confirm, with consent alone", "", good + `hand_off = "consent"` + "\n" + `certificate_file = "x"` + "\n" + `confirmations = true` + "\n\n[ciba]\nenabled = true", ""},
		{"accepts to resolve hints", "", good + `certificate_file = "x"` + "\n" + hints + "\n[ciba]\nenabled = true", ""},
		{"refuses hints without CIBA", "", good + `certificate_file = "x"` + "\n" + hints, "login.hints_address"},
		{"refuses hints without a certificate", "", good + `certificate_file = "x"` + "\n" + `hints_address = "https://login.bank.example/hints"` + "\n\n[ciba]\nenabled = true", "login.hints_certificate_file"},
		{"refuses hints over http", "", good + `certificate_file = "x"` + "\n" + strings.Replace(hints, "https", "http", 1) + "\n[ciba]\nenabled = true", "login.hints_address"},
		{"refuses networks of hints without an address", "", good + `certificate_file = "x"` + "\n" + `hints_networks = "10.0.0.0/8"`, "login.hints_networks"},
		{"refuses what is no network", "", good + `certificate_file = "x"` + "\n" + hints + "hints_networks = \"10.0.0.1\"\n\n[ciba]\nenabled = true", "login.hints_networks"},
		{"refuses to wait longer than the interaction", "", good + `answer_within = "11m"` + "\n" + `certificate_file = "x"`, "sessions.interaction_lifetime"},
		{"refuses an hour and more", "", good + `answer_within = "2h"` + "\n" + `certificate_file = "x"`, "login.answer_within"},
		{"refuses keys without an address", "", `client_id = "x"`, "login.client_id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			document := withMTLS(t, "")
			if test.mtls != "off" {
				document = withMTLS(t, `address = "127.0.0.1:8444"`+"\n"+`url = "https://mtls.login.example"`+"\n"+test.mtls+"\n")
			}
			_, err := parse("c.toml", []byte(strings.TrimRight(document, "\n")+"\n\n[login]\n"+test.keys+"\n"), false)
			if test.problem == "" && err != nil || test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Count(err.Error(), "\n") > 3 {
				t.Errorf("more than one line: %v", err)
			}
		})
	}
}
