package tokens_test

import (
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: F1-02, F1-03, F1-10, F1-11, F1-09. code id_token from end to end: the ID token beside the code is its signature, says
// nothing about the user but who it is, and fits the one from the token endpoint; the access token is bound.
func TestF110DetachedSignature(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	c := w.Register("client-1", fapitest.FAPI1Advanced)
	asked := fapitest.ChangeClaims(fapitest.SetClaim("response_type", "code id_token"), fapitest.SetClaim("claims", map[string]any{"id_token": map[string]any{"email": map[string]any{"essential": true}}}))
	for name, state := range map[string]any{"with a state": "state-1", "without": nil} {
		t.Run("accepts a request "+name, func(t *testing.T) {
			pushed := c.Push(c.Signing(fapitest.ChangeClaims(asked, fapitest.SetClaim("state", state))))
			_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
			q := fapitest.Fragment(t, sentTo)
			front := w.VerifyType(t, q.Get("id_token"), "JWT")
			if front["c_hash"] != fapitest.HalfHash(q.Get("code")) || front["nonce"] != "nonce-1" || front["iss"] != w.Issuer || front["aud"] != c.ID {
				t.Errorf("the ID token beside the code says %v", front)
			}
			if want := map[bool]any{true: fapitest.HalfHash("state-1"), false: nil}[state != nil]; front["s_hash"] != want || q.Has("state") != (state != nil) {
				t.Errorf("s_hash %v, want %v; state %q", front["s_hash"], want, q.Get("state"))
			}
			if front["email"] != nil || front["at_hash"] != nil || strings.Contains(sentTo.String(), "alice@") {
				t.Errorf("the browser is told %v", front)
			}
			issued := c.Redeem(q.Get("code"), nil)
			back := w.VerifyType(t, issued.Text("id_token"), "JWT")
			if back["sub"] != front["sub"] || back["iss"] != front["iss"] || back["nonce"] != "nonce-1" || back["email"] != "alice@example.com" {
				t.Errorf("the ID token of the token endpoint says %v", back)
			}
			if bound, _ := fapitest.UnverifiedClaims(t, issued.Text("access_token"))["cnf"].(map[string]any); bound["x5t#S256"] == nil || issued.Text("token_type") != "Bearer" {
				t.Errorf("bound to %v", bound)
			}
			fapitest.WantOK(t, c.Get("/accounts", issued.Text("access_token"), nil))
			fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
			fapitest.WantError(t, c.WithCertificate(nil).Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
		})
	}
	hybrid := fapitest.SetClaim("response_type", "code id_token")
	fapitest.TryAll(t, c.Push,
		fapitest.Good("the words of response_type in the other order", c.Signing(fapitest.SetClaim("response_type", "id_token code"))),
		fapitest.Bad("no PKCE, though pushed", c.Signing(fapitest.ChangeClaims(hybrid, fapitest.SetClaim("code_challenge", nil), fapitest.SetClaim("code_challenge_method", nil))), 400, "invalid_request"),
		fapitest.Bad("PKCE in plain", c.Signing(fapitest.ChangeClaims(hybrid, fapitest.SetClaim("code_challenge_method", "plain"))), 400, "invalid_request"),
		fapitest.Bad("no nonce", c.Signing(fapitest.ChangeClaims(hybrid, fapitest.SetClaim("nonce", nil))), 400, "invalid_request"),
		fapitest.Bad("no openid", c.Signing(fapitest.ChangeClaims(hybrid, fapitest.SetClaim("scope", "accounts"))), 400, "invalid_request"),
		fapitest.Bad("query", c.Signing(fapitest.ChangeClaims(hybrid, fapitest.SetClaim("response_mode", "query"))), 400, "invalid_request"),
		fapitest.Bad("query.jwt", c.Signing(fapitest.ChangeClaims(hybrid, fapitest.SetClaim("response_mode", "query.jwt"))), 400, "invalid_request"),
		fapitest.Bad("code alone", c.Signing(nil), 400, "unsupported_response_type"),
	)
	fapitest.WantRegistrationRefused(t, "fapi1-advanced", map[string]any{"id_token_signed_response_alg": "EdDSA"})
	fapitest.WantRegistrationRefused(t, "fapi1-advanced", map[string]any{"token_endpoint_auth_method": "none"})
	fapitest.WantRegistrationRefused(t, "fapi1-advanced", map[string]any{"dpop_bound_access_tokens": true, "tls_client_certificate_bound_access_tokens": false})
	fapitest.WantRegistrationRefused(t, "fapi2-message-signing", map[string]any{"response_types": []string{"code id_token"}})
}
