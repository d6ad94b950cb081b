package resource_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// Covers: OC-04, SP-40, SP-41, ATTACK-15. UserInfo answers GET and POST for a token that has openid and is presented with
// its key, in the header; signed if the client registered so.
func TestOC04UserInfo(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	token := c.Tokens().Text("access_token")
	all := map[string]any{"sub": "sub-alice", "name": "Alice Example", "email": "alice@example.com", "email_verified": true}
	posting := func(token string, body string, alter func(http.Header)) fapitest.Reply {
		header := http.Header{"Authorization": {"DPoP " + token}, "DPoP": {c.Proof("POST", w.Issuer+"/userinfo", token, nil)}, "Content-Type": {"application/x-www-form-urlencoded"}}
		if alter != nil {
			alter(header)
		}
		request, err := http.NewRequest(http.MethodPost, w.Issuer+"/userinfo", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		return c.Do(request)
	}
	t.Run("accepts GET and POST", func(t *testing.T) {
		for method, r := range map[string]fapitest.Reply{"GET": c.Get("/userinfo", token, nil), "POST": posting(token, "", nil)} {
			if diff := cmp.Diff(all, r.Body); diff != "" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v (-want +got):\n%s", method, r.Header, diff)
			}
		}
	})
	t.Run("accepts the same sub as in the ID token", func(t *testing.T) {
		issued := c.Tokens()
		if r := c.Get("/userinfo", issued.Text("access_token"), nil); r.Body["sub"] != fapitest.UnverifiedClaims(t, issued.Text("id_token"))["sub"] {
			t.Errorf("sub %v", r.Body["sub"])
		}
	})
	t.Run("accepts only the claims of the scopes that were granted", func(t *testing.T) {
		for scope, want := range map[string]map[string]any{
			"openid": {"sub": "sub-alice"}, "openid profile": {"sub": "sub-alice", "name": "Alice Example"},
			"openid email": {"sub": "sub-alice", "email": "alice@example.com", "email_verified": true},
		} {
			if diff := cmp.Diff(want, c.Get("/userinfo", c.TokensFor(fapitest.Set("scope", scope)).Text("access_token"), nil).Body); diff != "" {
				t.Errorf("%s (-want +got):\n%s", scope, diff)
			}
		}
	})
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		t.Run("accepts a client that wants it signed with "+alg, func(t *testing.T) {
			signed := w.Register("client-"+alg, fapitest.SetMember("userinfo_signed_response_alg", alg))
			r := signed.Get("/userinfo", signed.Tokens().Text("access_token"), nil)
			if r.Header.Get("Content-Type") != "application/jwt" {
				t.Fatalf("answered %v %s", r.Header, r.Raw)
			}
			header, body := w.Verify(r.Raw)
			want := map[string]any{"iss": w.Issuer, "aud": signed.ID, "sub": "sub-alice", "name": "Alice Example", "email": "alice@example.com", "email_verified": true}
			if diff := cmp.Diff(want, body); diff != "" || header.Algorithm != alg || header.HasType("JWT") || header.HasType("at+jwt") {
				t.Errorf("header %+v (-want +got):\n%s", header, diff)
			}
			// It is no ID token.
			fapitest.WantError(t, signed.Push(fapitest.Set("id_token_hint", r.Raw)), 400, "invalid_request")
			fapitest.WantError(t, signed.Get("/userinfo", r.Raw, nil), 401, "invalid_token")
		})
	}
	t.Run("accepts a token that is bound to a certificate, with it", func(t *testing.T) {
		byCert := w.Register("client-2", fapitest.CertificateBound)
		bound := byCert.Tokens().Text("access_token")
		fapitest.WantOK(t, byCert.Get("/userinfo", bound, nil))
		fapitest.WantError(t, byCert.WithCertificate(nil).Get("/userinfo", bound, nil), 401, "invalid_token")
		fapitest.WantError(t, byCert.WithCertificate(new(w.ClientCA.Issue(t, byCert.ID, w.Clock.Now()))).Get("/userinfo", bound, nil), 401, "invalid_token")
	})
	t.Run("refuses a token without openid", func(t *testing.T) {
		r := c.Get("/userinfo", c.TokensFor(fapitest.Set("scope", "accounts profile")).Text("access_token"), nil)
		fapitest.WantError(t, r, 403, "insufficient_scope")
		if !strings.Contains(r.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			t.Errorf("WWW-Authenticate %q", r.Header.Get("WWW-Authenticate"))
		}
	})
	t.Run("refuses a token of a client for itself", func(t *testing.T) {
		alone := w.Register("machine", fapitest.ClientCredentialsOnly)
		fapitest.WantError(t, alone.Get("/userinfo", alone.ClientCredentials(nil).Text("access_token"), nil), 403, "insufficient_scope")
	})
	t.Run("refuses the token in the body or in the address", func(t *testing.T) {
		fapitest.WantError(t, posting(token, "access_token="+token, func(h http.Header) { h.Del("Authorization") }), 401, "invalid_token")
		fapitest.WantError(t, c.Get("/userinfo?access_token="+token, token, nil), 400, "invalid_request")
	})
	t.Run("refuses a bound token as a bearer token", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/userinfo", token, func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }), 401, "invalid_token")
	})
	t.Run("refuses another method", func(t *testing.T) {
		if response, _ := w.Request(t, http.MethodPut, w.Issuer+"/userinfo", nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses a user who is disabled", func(t *testing.T) {
		w.Disable("sub-alice", true)
		defer w.Disable("sub-alice", false)
		fapitest.WantError(t, c.Get("/userinfo", token, nil), 401, "invalid_token")
	})
}
