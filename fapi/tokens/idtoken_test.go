package tokens_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// Covers: OC-01, RULE-35. The claims of an ID token, for each algorithm.
func TestOC01IDToken(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	p.Is("sub-alice", fapitest.ACRKey)
	leftHalf := map[string]func(string) []byte{
		"PS256": func(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:16] },
		"ES256": func(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:16] },
		"EdDSA": func(s string) []byte { d := sha512.Sum512([]byte(s)); return d[:32] },
	}
	for alg, half := range fapitest.Sorted(leftHalf) {
		t.Run("accepts every claim with "+alg, func(t *testing.T) {
			c := w.Register("client-"+alg, fapitest.SetMember("id_token_signed_response_alg", alg))
			now := float64(w.Clock.Now().Unix())
			issued := c.TokensFor(fapitest.Set("max_age", "600"))
			header, body := w.Verify(issued.Text("id_token"))
			want := map[string]any{
				"iss": w.Issuer, "sub": "sub-alice", "aud": c.ID, "iat": now, "exp": now + 300, "auth_time": now, "nonce": "nonce-1",
				"acr": fapitest.ACRKey, "amr": []any{"pwd", "hwk"},
				"at_hash": base64.RawURLEncoding.EncodeToString(half(issued.Text("access_token"))),
			}
			if diff := cmp.Diff(want, body); diff != "" || header.Algorithm != alg {
				t.Errorf("signed with %s (-want +got):\n%s", header.Algorithm, diff)
			}
		})
	}
	for name, member := range map[string]fapitest.ClientOption{
		"sends the browser to sign out": fapitest.SetMember("post_logout_redirect_uris", []string{"https://client.example/out"}),
		"is told of sessions that end":  fapitest.Told("https://client.example/told"),
	} {
		t.Run("accepts a sid for a client that "+name, func(t *testing.T) {
			c := w.Register("client-"+fapitest.RandomString(), member)
			if sid, _ := fapitest.UnverifiedClaims(t, c.Tokens().Text("id_token"))["sid"].(string); len(sid) != 43 {
				t.Errorf("sid %q", sid)
			}
		})
	}
	c := w.Register("client-1", fapitest.AllScopes)
	t.Run("accepts a request without a nonce, which then is not in it", func(t *testing.T) {
		if body := fapitest.UnverifiedClaims(t, c.TokensFor(fapitest.Unset("nonce")).Text("id_token")); body["nonce"] != nil {
			t.Errorf("nonce %v", body["nonce"])
		}
	})
	t.Run("accepts the time of the sign-in, not of the request", func(t *testing.T) {
		b, before := w.Browser(), float64(w.Clock.Now().Unix())
		c.AuthorizeIn(b, nil)
		w.Clock.Advance(time.Minute)
		if body := fapitest.UnverifiedClaims(t, c.TokensIn(b, nil).Text("id_token")); body["auth_time"] != before || body["iat"] != before+60 {
			t.Errorf("auth_time %v, iat %v, signed in at %v", body["auth_time"], body["iat"], before)
		}
	})
	t.Run("refuses an ID token where openid was not asked for", func(t *testing.T) {
		if r := c.TokensFor(fapitest.Set("scope", "accounts")); r.Body["id_token"] != nil {
			t.Errorf("answered %s", r.Raw)
		}
	})
	t.Run("refuses an ID token as an access token", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/userinfo", c.Tokens().Text("id_token"), nil), 401, "invalid_token")
	})
}

// Covers: RULE-35, OC-01. An ID token has the registered algorithm and the hash of its access token, and opens nothing.
func TestRule35IDToken(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for alg, half := range map[string]int{"PS256": 22, "ES256": 22, "EdDSA": 43} { // base64url of 16 and 32 bytes
		c := w.Register("client-"+alg, fapitest.SetMember("id_token_signed_response_alg", alg))
		issued := c.Tokens()
		t.Run("accepts "+alg+" as registered, with at_hash", func(t *testing.T) {
			header, id := w.Verify(issued.Text("id_token"))
			hash, _ := id["at_hash"].(string)
			if header.Algorithm != alg || len(hash) != half || id["aud"] != c.ID || id["iss"] != w.Issuer || id["nonce"] != "nonce-1" {
				t.Errorf("%+v %v", header, id)
			}
		})
		t.Run("refuses it as an access token, "+alg, func(t *testing.T) {
			fapitest.WantError(t, c.Get("/userinfo", issued.Text("id_token"), nil), 401, "invalid_token")
		})
		t.Run("refuses it as a refresh token, "+alg, func(t *testing.T) {
			fapitest.WantError(t, c.Refresh(issued.Text("id_token"), nil), 400, "invalid_grant")
		})
		t.Run("refuses it as a client assertion, "+alg, func(t *testing.T) {
			fapitest.WantError(t, c.Push(fapitest.Set("client_assertion", issued.Text("id_token"))), 401, "invalid_client")
		})
	}
	fapitest.TryRegistration(t, "an ID token signed with RS256", fapitest.SetClaim("id_token_signed_response_alg", "RS256"), "id_token_signed_response_alg")
}

// Covers: SP-40. Who the user is, the client learns from an ID token, if it asked for openid.
func TestSP40IdentityByIDToken(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	t.Run("accepts openid with an ID token", func(t *testing.T) {
		if _, id := w.Verify(c.Tokens().Text("id_token")); id["sub"] != "sub-alice" || id["aud"] != c.ID {
			t.Errorf("%v", id)
		}
	})
	plain := c.Redeem(c.Redirected(t, fapitest.Set("scope", "accounts")).Query().Get("code"), nil)
	t.Run("refuses one without openid", func(t *testing.T) {
		if plain.Status != http.StatusOK || plain.Body["id_token"] != nil || strings.Contains(plain.Raw, "sub-alice") {
			t.Errorf("%d %s", plain.Status, plain.Raw)
		}
	})
	t.Run("refuses claims without openid", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/userinfo", plain.Text("access_token"), nil), 403, "insufficient_scope")
	})
}
