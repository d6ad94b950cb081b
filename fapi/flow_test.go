package fapi_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// TestFlow goes through the whole flow with each way to authenticate and each way to bind a token.
func TestFlow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change    func(*fapitest.Client, map[string]any)
		tokenType string
	}{
		"private_key_jwt and DPoP":        {nil, "DPoP"},
		"tls_client_auth and certificate": {fapitest.TLSClientAuth, "Bearer"},
		"tls_client_auth and DPoP": {func(c *fapitest.Client, m map[string]any) {
			fapitest.TLSClientAuth(c, m)
			delete(m, "tls_client_certificate_bound_access_tokens")
			m["dpop_bound_access_tokens"] = true
			c.DPoP = true
		}, "DPoP"},
		"private_key_jwt and certificate": {func(c *fapitest.Client, m map[string]any) {
			certificate := fapitest.Authority{}.Issue(c.World.T, c.ID, c.World.Clock.Now())
			c.Certificate, c.DPoP = &certificate, false
			delete(m, "dpop_bound_access_tokens")
			m["tls_client_certificate_bound_access_tokens"] = true
		}, "Bearer"},
		"self_signed_tls_client_auth and certificate": {fapitest.SelfSignedTLSClientAuth, "Bearer"},
		"PS256 for the client, EdDSA for the ID token": {func(c *fapitest.Client, m map[string]any) {
			c.Key = fapitest.NewKey(c.World.T, jose.PS256)
			m["jwks"] = json.RawMessage(`{"keys":[` + string(c.Key.PublicJWK()) + `]}`)
			m["id_token_signed_response_alg"] = "EdDSA"
		}, "DPoP"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fapitest.NewWorld(t)
			c := w.Register("client-1", test.change)
			issued := c.Tokens()
			if got := issued.Text("token_type"); got != test.tokenType {
				t.Errorf("token_type %q, want %q", got, test.tokenType)
			}
			if got := issued.Text("scope"); got != c.Scope {
				t.Errorf("scope %q, want %q", got, c.Scope)
			}
			header, access := w.Verify(issued.Text("access_token"))
			if header.Type != "at+jwt" || access["client_id"] != c.ID || access["sub"] != "sub-alice" || access["iss"] != w.Issuer || access["cnf"] == nil {
				t.Errorf("access token %+v %v", header, access)
			}
			_, id := w.Verify(issued.Text("id_token"))
			if id["aud"] != c.ID || id["nonce"] != "nonce-1" || id["sub"] != "sub-alice" || id["auth_time"] == nil || id["at_hash"] == nil {
				t.Errorf("ID token %v", id)
			}
			if r := c.Get("/accounts", issued.Text("access_token"), nil); r.Status != http.StatusOK || r.Text("owner") != "sub-alice" {
				t.Errorf("accounts: %d %s", r.Status, r.Raw)
			}
			if r := c.Get("/userinfo", issued.Text("access_token"), nil); r.Status != http.StatusOK || r.Text("email") != "alice@example.com" {
				t.Errorf("userinfo: %d %s", r.Status, r.Raw)
			}
			again := c.Refresh(issued.Text("refresh_token"), nil)
			if again.Status != http.StatusOK || again.Body["refresh_token"] != nil {
				t.Fatalf("refresh: %d %s (the refresh token must not rotate)", again.Status, again.Raw)
			}
			if r := c.Get("/accounts", again.Text("access_token"), nil); r.Status != http.StatusOK {
				t.Errorf("accounts after refresh: %d %s", r.Status, r.Raw)
			}
		})
	}
}
