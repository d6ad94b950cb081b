package request

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/scope"
	"countersign/internal/oauth"
)

// Covers: LP-06. A scope with a parameter is one that the client's own profile knows, of a client that has registered what stands
// behind it; any other is refused and not left out.
func TestLP06ScopesWithParameter(t *testing.T) {
	brazil, _ := profile.Lookup("brazil-openfinance")
	ksa, _ := profile.Lookup("ksa-sama")
	cdr, _ := profile.Lookup("au-cdr")
	plain, _ := profile.Lookup("fapi1-advanced")
	named := profile.Offered([]string{"brazil-openfinance", "ksa-sama", "au-cdr", "fapi1-advanced"}, profile.Offer{}).Scopes
	catalog, err := scope.New("https://as.example", []scope.Scope{{Name: "urn:own:thing"}}, named, []scope.ResourceServer{
		{Identifier: "https://accounts.example", Scopes: []string{"accounts"}}, {Identifier: "https://other.example", Scopes: []string{"payments"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &Checker{scopes: catalog}
	asks := func(p profile.Profile, registered []string, asked string) ([]string, error) {
		form, err := oauth.NewForm(url.Values{"scope": {strings.ReplaceAll(asked, "+", " ")}})
		if err != nil {
			t.Fatal(err)
		}
		return c.userScopes(input{client: &client.Client{Profile: p, Scopes: registered}, form: form}, false)
	}
	const consent = "consent:urn:bancoex:C1DD33123"
	for _, test := range []struct {
		name       string
		profile    profile.Profile
		registered []string
		asked      string
		want       []string
	}{
		{"a consent of Brazil", brazil, []string{"openid", "accounts", "consents"}, "openid+accounts+" + consent, []string{"openid", "accounts", consent}},
		{"a consent for payments alone", brazil, []string{"openid", "payments"}, "openid+payments+" + consent, []string{"openid", "payments", consent}},
		{"accounts of Saudi Arabia", ksa, []string{"openid", "accounts"}, "accounts:5f3b-1+openid", []string{"accounts:5f3b-1", "openid"}},
		{"a scope twice once", ksa, []string{"accounts"}, "accounts:1+accounts:1", []string{"accounts:1"}},
		{"plain scopes with colons", cdr, []string{"bank:payees:read"}, "bank:payees:read", []string{"bank:payees:read"}},
		{"plain ones that are not known here, left out", cdr, []string{"openid", "energy:billing:read"}, "openid+energy:billing:read", []string{"openid"}},
		{"one of the configuration with a colon", plain, []string{"urn:own:thing"}, "urn:own:thing", []string{"urn:own:thing"}},
		{"unknown ones without, left out", plain, []string{"openid"}, "openid+other", []string{"openid"}},
	} {
		t.Run("accepts "+test.name, func(t *testing.T) {
			got, err := asks(test.profile, test.registered, test.asked)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	for _, test := range []struct {
		name       string
		profile    profile.Profile
		registered []string
		asked      string
	}{
		{"one of another ecosystem", ksa, []string{"openid", "consents", "accounts"}, "openid+" + consent},
		{"one in no ecosystem", plain, []string{"openid", "accounts"}, "openid+accounts:1"},
		{"a malformed parameter", brazil, []string{"openid", "consents"}, "openid+consent:1"},
		{"an empty parameter", ksa, []string{"openid", "accounts"}, "openid+accounts:"},
		{"more after a parameter", ksa, []string{"openid", "accounts"}, "openid+accounts:1/2"},
		{"a client without the scope behind it", brazil, []string{"openid", "accounts"}, "openid+" + consent},
	} {
		t.Run("refuses "+test.name, func(t *testing.T) {
			got, err := asks(test.profile, test.registered, test.asked)
			if err == nil || oauth.AsError(err).Code != oauth.InvalidScope {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	if got := catalog.Filter([]string{"accounts:1", consent, "openid"}, []string{"https://accounts.example"}); !slices.Equal(got, []string{"accounts:1"}) {
		t.Errorf("at a resource server for accounts: %q", got)
	}
	if got := catalog.Filter([]string{consent}, []string{"https://other.example"}); !slices.Equal(got, []string{consent}) {
		t.Errorf("at a resource server for payments, by which consents are registered: %q", got)
	}
	if !catalog.Satisfied([]string{"accounts:1"}, "accounts") || catalog.Satisfied([]string{"accounts:1"}, "payments") {
		t.Error("accounts:1 is accounts, and nothing else")
	}
	for _, name := range catalog.Names() {
		if name == "consent" || name == "accounts:" {
			t.Errorf("the name %q of a family is among the plain scopes", name)
		}
	}
}
