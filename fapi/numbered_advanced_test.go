package fapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"countersign/fapi"
)

// refusedRegistration demands that metadata is refused for a profile and would be right without the changes.
func refusedRegistration(t *testing.T, profile string, changes map[string]any) {
	t.Helper()
	base := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"jwks": keySet(newKey(t, "ES256").PublicJWK()), "tls_client_certificate_bound_access_tokens": true,
	}
	for _, with := range []map[string]any{nil, changes} {
		metadata := maps.Clone(base)
		maps.Copy(metadata, with)
		body, err := json.Marshal(metadata)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fapi.ParseClient("client-1", profile, body)
		if refused := err != nil; refused != (with != nil) {
			t.Errorf("%s with %v: %v", profile, with, err)
		}
		for name := range with {
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%q does not name %s", err, name)
			}
		}
	}
}

func half(value string) string {
	digest := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// Covers: F1-02, F1-03, F1-10, F1-11, F1-09. code id_token from end to end: the ID token beside the code is its signature, says
// nothing about the person but who it is, and fits the one from the token endpoint; the access token is bound.
func TestF110DetachedSignature(t *testing.T) {
	w := newWorld(t, offering)
	c := w.register("client-1", advanced)
	asked := claimed(claim("response_type", "code id_token"), claim("claims", map[string]any{"id_token": map[string]any{"email": map[string]any{"essential": true}}}))
	for name, state := range map[string]any{"with a state": "state-1", "without": nil} {
		t.Run("accepts a request "+name, func(t *testing.T) {
			pushed := c.push(c.signing(claimed(asked, claim("state", state))))
			_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed.text("request_uri")))
			q := fragment(t, sentTo)
			front := w.verified(t, q.Get("id_token"), "JWT")
			if front["c_hash"] != half(q.Get("code")) || front["nonce"] != "nonce-1" || front["iss"] != w.issuer || front["aud"] != c.id {
				t.Errorf("the ID token beside the code says %v", front)
			}
			if want := map[bool]any{true: half("state-1"), false: nil}[state != nil]; front["s_hash"] != want || q.Has("state") != (state != nil) {
				t.Errorf("s_hash %v, want %v; state %q", front["s_hash"], want, q.Get("state"))
			}
			if front["email"] != nil || front["at_hash"] != nil || strings.Contains(sentTo.String(), "alice@") {
				t.Errorf("the browser is told %v", front)
			}
			issued := c.redeem(q.Get("code"), nil)
			back := w.verified(t, issued.text("id_token"), "JWT")
			if back["sub"] != front["sub"] || back["iss"] != front["iss"] || back["nonce"] != "nonce-1" || back["email"] != "alice@example.com" {
				t.Errorf("the ID token of the token endpoint says %v", back)
			}
			if bound, _ := claimsIn(t, issued.text("access_token"))["cnf"].(map[string]any); bound["x5t#S256"] == nil || issued.text("token_type") != "Bearer" {
				t.Errorf("bound to %v", bound)
			}
			wantActive(t, c.get("/accounts", issued.text("access_token"), nil))
			wantActive(t, c.refresh(issued.text("refresh_token"), nil))
			wantError(t, c.showing(nil).get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
		})
	}
	hybrid := claim("response_type", "code id_token")
	tryAll(t, c.push,
		good("the words of response_type in the other order", c.signing(claim("response_type", "id_token code"))),
		bad("no PKCE, though pushed", c.signing(claimed(hybrid, claim("code_challenge", nil), claim("code_challenge_method", nil))), 400, "invalid_request"),
		bad("PKCE in plain", c.signing(claimed(hybrid, claim("code_challenge_method", "plain"))), 400, "invalid_request"),
		bad("no nonce", c.signing(claimed(hybrid, claim("nonce", nil))), 400, "invalid_request"),
		bad("no openid", c.signing(claimed(hybrid, claim("scope", "accounts"))), 400, "invalid_request"),
		bad("query", c.signing(claimed(hybrid, claim("response_mode", "query"))), 400, "invalid_request"),
		bad("query.jwt", c.signing(claimed(hybrid, claim("response_mode", "query.jwt"))), 400, "invalid_request"),
		bad("code alone", c.signing(nil), 400, "unsupported_response_type"),
	)
	refusedRegistration(t, "fapi1-advanced", map[string]any{"id_token_signed_response_alg": "EdDSA"})
	refusedRegistration(t, "fapi1-advanced", map[string]any{"token_endpoint_auth_method": "none"})
	refusedRegistration(t, "fapi1-advanced", map[string]any{"dpop_bound_access_tokens": true, "tls_client_certificate_bound_access_tokens": false})
	refusedRegistration(t, "fapi2-message-signing", map[string]any{"response_types": []string{"code id_token"}})
}

// Covers: F1-16, F1-06, SP-18. The two generations want opposite things of a client assertion, each of its own clients.
func TestF116AssertionAudience(t *testing.T) {
	w := newWorld(t, offering)
	first, second := w.register("first", advanced), w.register("second", ofProfile("fapi2-message-signing"))
	hybrid := claim("response_type", "code id_token")
	for name, audience := range map[string]any{
		"the token endpoint": w.issuer + "/token", "the token endpoint on the mTLS listener": w.mtls + "/token",
		"the PAR endpoint": w.issuer + "/par", "an array with the issuer": []string{w.issuer, "https://other.example"},
	} {
		tryAll(t, first.push, good(name+", of FAPI 1", both(first.signing(hybrid), first.asserting(claim("aud", audience)))))
		tryAll(t, second.push, bad(name+", of FAPI 2", both(second.signing(nil), second.asserting(claim("aud", audience))), 401, "invalid_client"))
	}
	tryAll(t, first.push,
		good("the issuer, of FAPI 1", both(first.signing(hybrid), first.asserting(nil))),
		bad("another endpoint, of FAPI 1", both(first.signing(hybrid), first.asserting(claim("aud", w.issuer+"/revoke"))), 401, "invalid_client"),
		bad("another server, of FAPI 1", both(first.signing(hybrid), first.asserting(claim("aud", []string{"https://other.example"}))), 401, "invalid_client"),
		bad("nobody, of FAPI 1", both(first.signing(hybrid), first.asserting(claim("aud", nil))), 401, "invalid_client"),
	)
	tryAll(t, second.push, good("the issuer, of FAPI 2", second.signing(nil)))
}

// Covers: F1-06, F1-08. Clients are held to a profile that the server offers, or to none.
func TestProfilesOffered(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", ofProfile("fapi2-message-signing"))
	tryAll(t, c.push, bad("a profile that is not offered", c.signing(nil), 401, "invalid_client"))
	plain := w.register("client-2", nil)
	tryAll(t, plain.push, good("a profile that is offered", nothing))
}
