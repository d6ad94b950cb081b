package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Covers: OC-02, RULE-36. Single claims are asked for by name, wished for or essential, with values; an essential acr that
// is not reached is an error.
func TestOC02ClaimsParameter(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", plainOpenID)
	asking := func(text string) change { return set("claims", text) }
	for name, test := range inOrder(map[string]struct {
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
			issued := c.tokensFor(asking(test.claims))
			want := map[string]any{"sub": "sub-alice"}
			for claim, value := range test.allowed {
				want[claim] = value
			}
			if diff := cmp.Diff(want, c.get("/userinfo", issued.text("access_token"), nil).body); diff != "" {
				t.Errorf("UserInfo (-want +got):\n%s", diff)
			}
			id := claimsIn(t, issued.text("id_token"))
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
	t.Run("accepts to show the person what is asked for beside the scopes", func(t *testing.T) {
		c.tokensFor(asking(`{"userinfo":{"email":null},"id_token":{"name":null}}`))
		if diff := cmp.Diff([]string{"email", "name"}, p.sees().claims); diff != "" {
			t.Errorf("shown (-want +got): %s", diff)
		}
	})
	t.Run("accepts the parameter without openid, and does nothing with it", func(t *testing.T) {
		plain := w.register("client-2", nil)
		r := plain.tokensFor(changes(set("scope", "accounts"), asking(`{"userinfo":{"email":null}}`)))
		if claims := p.sees().claims; len(claims) > 0 {
			t.Errorf("the person was asked for %v", claims)
		}
		wantError(t, plain.get("/userinfo", r.text("access_token"), nil), 403, "insufficient_scope")
	})
	many := strings.TrimSuffix(strings.Repeat(`"a",`, 21), ",")
	tryAll(t, func(alter change) reply { return c.push(alter) },
		bad("text that is no JSON", asking("email"), 400, "invalid_request"),
		bad("an array", asking(`["email"]`), 400, "invalid_request"),
		bad("a claim that is a text", asking(`{"userinfo":{"email":"yes"}}`), 400, "invalid_request"),
		bad("essential that is a text", asking(`{"userinfo":{"email":{"essential":"yes"}}}`), 400, "invalid_request"),
		bad("values that are no list", asking(`{"userinfo":{"email":{"values":"a"}}}`), 400, "invalid_request"),
		bad("the same member twice", asking(`{"userinfo":{"email":null,"email":null}}`), 400, "invalid_request"),
		bad("deep nesting", asking(`{"userinfo":{"email":`+strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200)+"}}"), 400, "invalid_request"),
		bad("too many values", asking(`{"userinfo":{"email":{"values":[`+many+`]}}}`), 400, "invalid_request"),
		bad("too much", asking(`{"x":"`+strings.Repeat("x", 17<<10)+`"}`), 400, "invalid_request"),
		bad("the parameter twice", func(f url.Values, _ http.Header) { f["claims"] = []string{"{}", "{}"} }, 400, "invalid_request"),
		bad("an essential acr that nobody can reach", asking(`{"id_token":{"acr":{"essential":true,"value":"urn:example:none"}}}`), 400, "unmet_authentication_requirements"),
		good("an acr that nobody can reach, if it is only wished for", asking(`{"id_token":{"acr":{"value":"urn:example:none"}}}`)),
		good("an essential acr of which one can be reached", asking(`{"id_token":{"acr":{"essential":true,"values":["urn:example:none","`+byKey+`"]}}}`)),
	)
	essential := asking(`{"id_token":{"acr":{"essential":true,"values":["` + byKey + `"]}}}`)
	t.Run("accepts a sign-in that reaches an essential acr", func(t *testing.T) {
		p.is("sub-alice", byKey)
		if body := claimsIn(t, c.tokensFor(essential).text("id_token")); body["acr"] != byKey {
			t.Errorf("acr %v", body["acr"])
		}
	})
	p.is("sub-alice", byPassword)
	t.Run("refuses a sign-in that does not reach an essential acr", func(t *testing.T) {
		wantSent(t, c.through(w.browser(), essential), "unmet_authentication_requirements")
	})
	t.Run("refuses to take an older, weaker sign-in for an essential acr", func(t *testing.T) {
		b := w.browser()
		c.through(b, nil)
		p.asked()
		p.is("sub-alice", byKey)
		if body := claimsIn(t, c.granted(b, essential).text("id_token")); body["acr"] != byKey {
			t.Errorf("acr %v", body["acr"])
		}
		if signIns, _ := p.asked(); signIns != 1 {
			t.Errorf("%d sign-ins, want one more", signIns)
		}
		wantSent(t, c.through(w.browser(), changes(essential, set("prompt", "none"))), "login_required")
		p.is("sub-alice", byPassword)
	})
	t.Run("refuses another person than the one whose sub was asked for", func(t *testing.T) {
		p.is("sub-bob", byPassword)
		defer p.is("sub-alice", byPassword)
		wantSent(t, c.through(w.browser(), asking(`{"id_token":{"sub":{"value":"sub-alice"}}}`)), "unmet_authentication_requirements")
	})
}
