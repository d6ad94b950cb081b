package token_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: SP-15, RULE-26, BC-05. No access token leaves that is not bound to a key.
func TestSP15SenderConstrained(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for name, alter := range map[string]func(*fapitest.Client, map[string]any){"jkt": nil, "x5t#S256": fapitest.CertificateBound} {
		c := w.Register("client "+name, alter)
		issued := c.Tokens()
		for what, token := range map[string]string{"code": issued.Text("access_token"), "refresh token": c.Refresh(issued.Text("refresh_token"), nil).Text("access_token")} {
			t.Run("accepts a "+what+" for a token with cnf "+name, func(t *testing.T) {
				_, access := w.Verify(token)
				bound, _ := access["cnf"].(map[string]any)
				if text, _ := bound[name].(string); len(bound) != 1 || len(text) != 43 {
					t.Errorf("cnf %v", access["cnf"])
				}
			})
		}
	}
	c := w.Register("client-1", nil)
	noProof := func(_ url.Values, h http.Header) { h.Del("DPoP") }
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply {
		return c.Redeem(c.Redirected(t, noProof).Query().Get("code"), change)
	},
		fapitest.Good("a code with a proof", nil), fapitest.Bad("a code without a proof", noProof, 400, "invalid_request"))
	refreshToken := c.Tokens().Text("refresh_token")
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Refresh(refreshToken, change) },
		fapitest.Good("a refresh token with a proof", nil), fapitest.Bad("a refresh token without a proof", noProof, 400, "invalid_request"))
	bare := *w.Register("client-2", func(c *fapitest.Client, m map[string]any) {
		fapitest.CertificateBound(c, m)
	})
	code := bare.Authorize()
	bare.Certificate, bare.AtMTLS = nil, true
	bare.HTTP = w.Transport(&bare)
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return bare.Redeem(code, change) }, fapitest.Bad("a code without a certificate", nil, 400, "invalid_request"))
	fapitest.TryRegistration(t, "one way to bind", nil, "")
	fapitest.TryRegistration(t, "no way to bind", fapitest.SetClaim("dpop_bound_access_tokens", nil), "dpop_bound_access_tokens")
	fapitest.TryRegistration(t, "a denied way to bind", fapitest.SetClaim("dpop_bound_access_tokens", false), "dpop_bound_access_tokens")
	fapitest.TryRegistration(t, "two ways to bind", fapitest.SetClaim("tls_client_certificate_bound_access_tokens", true), "dpop_bound_access_tokens")
}

// Covers: SP-24, BC-05. What was not asked for is not granted, and what was not granted is not in the token.
func TestSP24LeastPrivilege(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	for _, scope := range []string{"openid", "accounts", "openid email"} {
		t.Run("accepts "+scope+" and grants no more", func(t *testing.T) {
			issued := c.Redeem(c.Redirected(t, fapitest.Set("scope", scope)).Query().Get("code"), nil)
			if _, access := w.Verify(issued.Text("access_token")); access["scope"] != scope || issued.Text("scope") != scope {
				t.Errorf("granted %v, said %q", access["scope"], issued.Text("scope"))
			}
			if got := c.Get("/accounts", issued.Text("access_token"), nil); (got.Status == http.StatusOK) != (scope == "accounts") {
				t.Errorf("accounts: %d", got.Status)
			}
		})
	}
	fapitest.TryAll(t, c.Push, fapitest.Bad("a scope that is not registered for the client", fapitest.Set("scope", "payments"), 400, "invalid_scope"),
		fapitest.Bad("one beside others", fapitest.Set("scope", "openid payments"), 400, "invalid_scope"))
	modest := w.Register("client-2", fapitest.SetMember("grant_types", []string{"authorization_code"}))
	t.Run("refuses a refresh token to a client that registered none", func(t *testing.T) {
		if issued := modest.Tokens(); issued.Body["refresh_token"] != nil {
			t.Error(issued.Raw)
		}
		fapitest.WantError(t, modest.Refresh(fapitest.RandomString(), nil), 400, "unauthorized_client")
	})
	t.Run("refuses claims of scopes that were not granted", func(t *testing.T) {
		issued := c.Redeem(c.Redirected(t, fapitest.Set("scope", "openid")).Query().Get("code"), nil)
		r := c.Get("/userinfo", issued.Text("access_token"), nil)
		if want := []string{"sub"}; r.Status != http.StatusOK || !slices.Equal(slices.Sorted(maps.Keys(r.Body)), want) {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}
