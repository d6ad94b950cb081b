package metadata

import (
	"strings"
	"testing"
)

const issuer = "https://as.example/tenant"

// FuzzParse: a document is the issuer's, and its addresses are https, or it is refused.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://as.example/tenant","token_endpoint":"https://as.example/token","mtls_endpoint_aliases":{"token_endpoint":"https://m.as.example/"}}`))
	f.Add([]byte(`{"issuer":"https://as.example/tenant","jwks_uri":"http://as.example"}`))
	f.Add([]byte(`{"issuer":"https://as.example/tenant/"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Parse(raw, issuer)
		if err != nil {
			return
		}
		if d.Issuer != issuer {
			t.Errorf("the issuer is %q", d.Issuer)
		}
		d.UseAliases()
		for _, address := range []string{d.Token, d.PAR, d.UserInfo, d.Introspection, d.Revocation, d.Backchannel, d.Grant, d.JWKSURI, d.Authorization, d.EndSession} {
			if address != "" && !strings.HasPrefix(strings.ToLower(address), "https://") {
				t.Errorf("%q is an address", address)
			}
		}
		Needs{AuthMethod: "private_key_jwt", ResponseType: "code", Algorithms: []string{"PS256"}}.Lacks(d)
	})
}

// TestAddresses: where an issuer's metadata are.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ issuer, openid, oauth string }{
		{"https://as.example", "https://as.example/.well-known/openid-configuration", "https://as.example/.well-known/oauth-authorization-server"},
		{"https://as.example/", "https://as.example/.well-known/openid-configuration", "https://as.example/.well-known/oauth-authorization-server"},
		{"https://as.example/a/b", "https://as.example/a/b/.well-known/openid-configuration", "https://as.example/.well-known/oauth-authorization-server/a/b"},
		{"https://as.example/a/", "https://as.example/a/.well-known/openid-configuration", "https://as.example/.well-known/oauth-authorization-server/a"},
	} {
		got, err := Addresses(test.issuer)
		if err != nil || len(got) != 2 || got[0] != test.openid || got[1] != test.oauth {
			t.Errorf("%s: %v, %v", test.issuer, got, err)
		}
	}
	for _, wrong := range []string{"", "as.example", "http://as.example", "https://", "https://as.example?x", "https://as.example/#", "https://u:p@as.example", "https:as.example"} {
		if got, err := Addresses(wrong); err == nil {
			t.Errorf("%q: %v", wrong, got)
		}
	}
}

// TestRedirectURI: https, a scheme of an application's own, and http of this machine.
func TestRedirectURI(t *testing.T) {
	t.Parallel()
	for _, right := range []string{"https://app.example/cb?x=1", "com.example.app:/cb", "http://127.0.0.1:8080/cb", "http://[::1]/cb"} {
		if err := CheckRedirectURI(right); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
	for _, wrong := range []string{"", "/cb", "http://app.example/cb", "http://localhost/cb", "https://app.example/cb#x", "https://app.example/#", "http://127.0.0.1.attacker.example/"} {
		if CheckRedirectURI(wrong) == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
