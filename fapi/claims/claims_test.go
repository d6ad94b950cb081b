package claims_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// Covers: OC-02, RULE-36. Single claims are asked for by name, wished for or essential, with values; an essential acr that
// is not reached is an error.
func TestOC02ClaimsParameter(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.PlainOpenID)
	asking := func(text string) fapitest.Change { return fapitest.Set("claims", text) }
	for name, test := range fapitest.Sorted(map[string]struct {
		claims           string
		idToken, allowed map[string]any // what the ID token and UserInfo hold beside the usual
	}{
		"a claim from UserInfo":            {`{"userinfo":{"email":null}}`, nil, map[string]any{"email": "alice@example.com"}},
		"an essential claim":               {`{"userinfo":{"email":{"essential":true}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"a claim in the ID token":          {`{"id_token":{"name":null}}`, map[string]any{"name": "Alice Example"}, map[string]any{}},
		"one here and one there":           {`{"id_token":{"name":null},"userinfo":{"email_verified":null}}`, map[string]any{"name": "Alice Example"}, map[string]any{"email_verified": true}},
		"a value that is the person's":     {`{"userinfo":{"email":{"value":"alice@example.com"}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"a value that is not":              {`{"userinfo":{"email":{"value":"bob@example.com"}}}`, nil, map[string]any{}},
		"one of several values":            {`{"userinfo":{"email":{"values":["bob@example.com","alice@example.com"]}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"none of several values":           {`{"userinfo":{"email":{"values":["bob@example.com"]}}}`, nil, map[string]any{}},
		"a claim that nobody knows":        {`{"userinfo":{"shoe_size":null},"id_token":{"http://example.com/x":{"essential":true}}}`, nil, map[string]any{}},
		"a claim that this person has not": {`{"userinfo":{"phone_number":{"essential":true}}}`, nil, map[string]any{}},
		"members that nobody knows":        {`{"verified_claims":{},"userinfo":{"email":{"purpose":"post"}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"nothing":                          {`{}`, nil, map[string]any{}},
		"the claims of the protocol":       {`{"id_token":{"auth_time":{"essential":true},"sub":null,"iss":null,"nonce":null,"acr":null}}`, nil, map[string]any{}},
		"the right person":                 {`{"id_token":{"sub":{"value":"sub-alice"}}}`, nil, map[string]any{}},
	}) {
		t.Run("accepts "+name, func(t *testing.T) {
			issued := c.TokensFor(asking(test.claims))
			want := map[string]any{"sub": "sub-alice"}
			for claim, value := range test.allowed {
				want[claim] = value
			}
			if diff := cmp.Diff(want, c.Get("/userinfo", issued.Text("access_token"), nil).Body); diff != "" {
				t.Errorf("UserInfo (-want +got):\n%s", diff)
			}
			id := fapitest.UnverifiedClaims(t, issued.Text("id_token"))
			for _, claim := range []string{"name", "email", "email_verified", "http://example.com/x"} {
				if diff := cmp.Diff(test.idToken[claim], id[claim]); diff != "" {
					t.Errorf("ID token, %s (-want +got): %s", claim, diff)
				}
			}
			if id["sub"] != "sub-alice" || id["nonce"] != "nonce-1" || id["auth_time"] == nil {
				t.Errorf("ID token %v", id)
			}
		})
	}
	t.Run("accepts to show the user what is asked for beside the scopes", func(t *testing.T) {
		c.TokensFor(asking(`{"userinfo":{"email":null},"id_token":{"name":null}}`))
		if diff := cmp.Diff([]string{"email", "name"}, p.Sees().Claims); diff != "" {
			t.Errorf("shown (-want +got): %s", diff)
		}
	})
	t.Run("accepts the parameter without openid, and does nothing with it", func(t *testing.T) {
		plain := w.Register("client-2", nil)
		r := plain.TokensFor(fapitest.Changes(fapitest.Set("scope", "accounts"), asking(`{"userinfo":{"email":null}}`)))
		if claims := p.Sees().Claims; len(claims) > 0 {
			t.Errorf("the user was asked for %v", claims)
		}
		fapitest.WantError(t, plain.Get("/userinfo", r.Text("access_token"), nil), 403, "insufficient_scope")
	})
	many := strings.TrimSuffix(strings.Repeat(`"a",`, 21), ",")
	fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return c.Push(alter) },
		fapitest.Bad("text that is no JSON", asking("email"), 400, "invalid_request"),
		fapitest.Bad("an array", asking(`["email"]`), 400, "invalid_request"),
		fapitest.Bad("a claim that is a text", asking(`{"userinfo":{"email":"yes"}}`), 400, "invalid_request"),
		fapitest.Bad("essential that is a text", asking(`{"userinfo":{"email":{"essential":"yes"}}}`), 400, "invalid_request"),
		fapitest.Bad("values that are no list", asking(`{"userinfo":{"email":{"values":"a"}}}`), 400, "invalid_request"),
		fapitest.Bad("the same member twice", asking(`{"userinfo":{"email":null,"email":null}}`), 400, "invalid_request"),
		fapitest.Bad("deep nesting", asking(`{"userinfo":{"email":`+strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200)+"}}"), 400, "invalid_request"),
		fapitest.Bad("too many values", asking(`{"userinfo":{"email":{"values":[`+many+`]}}}`), 400, "invalid_request"),
		fapitest.Bad("too much", asking(`{"x":"`+strings.Repeat("x", 17<<10)+`"}`), 400, "invalid_request"),
		fapitest.Bad("the parameter twice", func(f url.Values, _ http.Header) { f["claims"] = []string{"{}", "{}"} }, 400, "invalid_request"),
		fapitest.Bad("an essential acr that nobody can reach", asking(`{"id_token":{"acr":{"essential":true,"value":"urn:example:none"}}}`), 400, "unmet_authentication_requirements"),
		fapitest.Good("an acr that nobody can reach, if it is only wished for", asking(`{"id_token":{"acr":{"value":"urn:example:none"}}}`)),
		fapitest.Good("an essential acr of which one can be reached", asking(`{"id_token":{"acr":{"essential":true,"values":["urn:example:none","`+fapitest.ACRKey+`"]}}}`)),
	)
	essential := asking(`{"id_token":{"acr":{"essential":true,"values":["` + fapitest.ACRKey + `"]}}}`)
	t.Run("accepts a sign-in that reaches an essential acr", func(t *testing.T) {
		p.Is("sub-alice", fapitest.ACRKey)
		if body := fapitest.UnverifiedClaims(t, c.TokensFor(essential).Text("id_token")); body["acr"] != fapitest.ACRKey {
			t.Errorf("acr %v", body["acr"])
		}
	})
	p.Is("sub-alice", fapitest.ACRPassword)
	t.Run("refuses a sign-in that does not reach an essential acr", func(t *testing.T) {
		fapitest.WantRedirectError(t, c.AuthorizeIn(w.Browser(), essential), "unmet_authentication_requirements")
	})
	t.Run("refuses to take an older, weaker sign-in for an essential acr", func(t *testing.T) {
		b := w.Browser()
		c.AuthorizeIn(b, nil)
		p.Asked()
		p.Is("sub-alice", fapitest.ACRKey)
		if body := fapitest.UnverifiedClaims(t, c.TokensIn(b, essential).Text("id_token")); body["acr"] != fapitest.ACRKey {
			t.Errorf("acr %v", body["acr"])
		}
		if signIns, _ := p.Asked(); signIns != 1 {
			t.Errorf("%d sign-ins, want one more", signIns)
		}
		fapitest.WantRedirectError(t, c.AuthorizeIn(w.Browser(), fapitest.Changes(essential, fapitest.Set("prompt", "none"))), "login_required")
		p.Is("sub-alice", fapitest.ACRPassword)
	})
	t.Run("refuses another user than the one whose sub was asked for", func(t *testing.T) {
		p.Is("sub-bob", fapitest.ACRPassword)
		defer p.Is("sub-alice", fapitest.ACRPassword)
		fapitest.WantRedirectError(t, c.AuthorizeIn(w.Browser(), asking(`{"id_token":{"sub":{"value":"sub-alice"}}}`)), "unmet_authentication_requirements")
	})
}
