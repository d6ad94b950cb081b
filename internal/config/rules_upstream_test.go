package config

import (
	"strings"
	"testing"
)

// Covers: KY-14. A provider that could not sign anybody in, or would do so weakly without its being said, stops the start by its key.
func TestKY14UpstreamRules(t *testing.T) {
	const (
		class = "\n[[login.classes]]\n" + `upstream = "1"` + "\n" + `acr = "urn:bank:sca"` + "\n" + `amr = "mfa"` + "\n"
		good  = `issuer = "https://id.bank.example/realms/customers"` + "\n" + `client_id = "countersign"` + "\n"
	)
	for _, test := range []struct{ name, keys, rest, problem string }{
		{"accepts a provider", good, class, ""},
		{"accepts what it lacks, by name", good + `weak = "no_par no_iss unannounced_pkce bearer rs256 token_endpoint_audience untyped_logout_token"`, class, ""},
		{"accepts a certificate", good + `issuer_authentication = "tls_client_auth"` + "\n" + `issuer_certificate_file = "x"` + "\n" + `issuer_key_file = "x"`, class, ""},
		{"accepts claims by other names", good + `claims = "name email=mail phone_number"`, class, ""},
		{"accepts the same acr with other methods", good, class + strings.Replace(class, `amr =`, `with = "hwk"`+"\namr =", 1), ""},
		{"refuses http", strings.Replace(good, "https", "http", 1), class, "login.issuer"},
		{"refuses a query", strings.Replace(good, "customers", "customers?a=b", 1), class, "login.issuer"},
		{"refuses itself", strings.Replace(good, "https://id.bank.example/realms/customers", "https://login.example/bank", 1), class, "is this server itself"},
		{"refuses no client", `issuer = "https://id.bank.example"`, class, "login.client_id"},
		{"refuses no class", good, "", "login.classes"},
		{"refuses two that are the same", good, class + class, "login.classes"},
		{"refuses a class of spaces", good, strings.Replace(class, "urn:bank:sca", "urn bank", 1), "login.classes"},
		{"refuses the class 0", good, strings.Replace(class, "urn:bank:sca", "0", 1), "login.classes"},
		{"refuses methods that are none", good, strings.Replace(class, `amr = "mfa"`, `amr = " "`, 1), "login.classes"},
		{"refuses a class without a name", good, strings.Replace(class, `acr = "urn:bank:sca"`+"\n", "", 1), "login.classes[0].acr"},
		{"refuses an address beside it", good + `address = "https://login.bank.example/"`, class, "login.address"},
		{"refuses classes of a login of one's own", good + `acr_values = "urn:bank:sca"`, class, "login.acr_values"},
		{"refuses a client secret", good + `weak = "client_secret"`, class, "private_key_jwt or tls_client_auth"},
		{"refuses to leave PKCE out", good + `weak = "no_pkce"`, class, "sends PKCE"},
		{"refuses a weakness that is none", good + `weak = "no_pushed"`, class, "login.weak"},
		{"refuses a claim that says what the server says", good + `claims = "acr"`, class, "login.claims"},
		{"refuses a claim twice", good + `claims = "email email=mail"`, class, "login.claims"},
		{"refuses no openid", good + `scopes = "profile"`, class, "login.scopes"},
		{"refuses a certificate that is not used", good + `issuer_certificate_file = "x"` + "\n" + `issuer_key_file = "x"`, class, "login.issuer_certificate_file"},
		{"refuses mutual TLS without a certificate", good + `issuer_authentication = "tls_client_auth"`, class, "login.issuer_certificate_file"},
		{"refuses a secret as the way to authenticate", good + `issuer_authentication = "client_secret_basic"`, class, "login.issuer_authentication"},
		{"refuses to ask on devices", good, class + "\n[ciba]\nenabled = true\n", "cannot be asked on their devices"},
		{"refuses confirmations", good + `confirmations = true`, class, "cannot be asked on their devices"},
		{"refuses what is no network", good + `issuer_networks = "10.0.0.1"`, class, "login.issuer_networks"},
		{"refuses its keys without it", `weak = "rs256"`, "", "has no meaning without login.issuer"},
		{"refuses classes without it", "", class, "has no meaning without login.issuer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			document := withMTLS(t, `address = "127.0.0.1:8444"`+"\n"+`url = "https://mtls.login.example"`+"\n")
			_, err := parse("c.toml", []byte(strings.TrimRight(document, "\n")+"\n\n[login]\n"+test.keys+"\n"+test.rest+"\n"), false)
			if test.problem == "" && err != nil || test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Count(err.Error(), "\n") > 3 {
				t.Errorf("more than one line: %v", err)
			}
		})
	}
}
