package fapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Covers: OC-04, SP-40, SP-41, ATTACK-15. UserInfo answers GET and POST for a token that has openid and is presented with
// its key, in the header; signed if the client registered so.
func TestOC04UserInfo(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", wide)
	token := c.tokens().text("access_token")
	all := map[string]any{"sub": "sub-alice", "name": "Alice Example", "email": "alice@example.com", "email_verified": true}
	posting := func(token string, body string, alter func(http.Header)) reply {
		header := http.Header{"Authorization": {"DPoP " + token}, "DPoP": {c.proof("POST", w.issuer+"/userinfo", token, nil)}, "Content-Type": {"application/x-www-form-urlencoded"}}
		if alter != nil {
			alter(header)
		}
		request, err := http.NewRequest(http.MethodPost, w.issuer+"/userinfo", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		return c.do(request)
	}
	t.Run("accepts GET and POST", func(t *testing.T) {
		for method, r := range map[string]reply{"GET": c.get("/userinfo", token, nil), "POST": posting(token, "", nil)} {
			if diff := cmp.Diff(all, r.body); diff != "" || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v (-want +got):\n%s", method, r.header, diff)
			}
		}
	})
	t.Run("accepts the same sub as in the ID token", func(t *testing.T) {
		issued := c.tokens()
		if r := c.get("/userinfo", issued.text("access_token"), nil); r.body["sub"] != claimsIn(t, issued.text("id_token"))["sub"] {
			t.Errorf("sub %v", r.body["sub"])
		}
	})
	t.Run("accepts only the claims of the scopes that were granted", func(t *testing.T) {
		for scope, want := range map[string]map[string]any{
			"openid": {"sub": "sub-alice"}, "openid profile": {"sub": "sub-alice", "name": "Alice Example"},
			"openid email": {"sub": "sub-alice", "email": "alice@example.com", "email_verified": true},
		} {
			if diff := cmp.Diff(want, c.get("/userinfo", c.tokensFor(set("scope", scope)).text("access_token"), nil).body); diff != "" {
				t.Errorf("%s (-want +got):\n%s", scope, diff)
			}
		}
	})
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		t.Run("accepts a client that wants it signed with "+alg, func(t *testing.T) {
			signed := w.register("client-"+alg, member("userinfo_signed_response_alg", alg))
			r := signed.get("/userinfo", signed.tokens().text("access_token"), nil)
			if r.header.Get("Content-Type") != "application/jwt" {
				t.Fatalf("answered %v %s", r.header, r.raw)
			}
			header, body := w.decode(r.raw)
			want := map[string]any{"iss": w.issuer, "aud": signed.id, "sub": "sub-alice", "name": "Alice Example", "email": "alice@example.com", "email_verified": true}
			if diff := cmp.Diff(want, body); diff != "" || header.Algorithm != alg || header.HasType("JWT") || header.HasType("at+jwt") {
				t.Errorf("header %+v (-want +got):\n%s", header, diff)
			}
			// It is no ID token.
			wantError(t, signed.push(set("id_token_hint", r.raw)), 400, "invalid_request")
			wantError(t, signed.get("/userinfo", r.raw, nil), 401, "invalid_token")
		})
	}
	t.Run("accepts a token that is bound to a certificate, with it", func(t *testing.T) {
		byCert := w.register("client-2", byCertificate)
		bound := byCert.tokens().text("access_token")
		wantActive(t, byCert.get("/userinfo", bound, nil))
		wantError(t, byCert.showing(nil).get("/userinfo", bound, nil), 401, "invalid_token")
		wantError(t, byCert.showing(ptr(w.clientCA.issue(t, byCert.id, w.clock.Now()))).get("/userinfo", bound, nil), 401, "invalid_token")
	})
	t.Run("refuses a token without openid", func(t *testing.T) {
		r := c.get("/userinfo", c.tokensFor(set("scope", "accounts profile")).text("access_token"), nil)
		wantError(t, r, 403, "insufficient_scope")
		if !strings.Contains(r.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			t.Errorf("WWW-Authenticate %q", r.header.Get("WWW-Authenticate"))
		}
	})
	t.Run("refuses a token of a client for itself", func(t *testing.T) {
		alone := w.register("machine", machine)
		wantError(t, alone.get("/userinfo", alone.clientCredentials(nil).text("access_token"), nil), 403, "insufficient_scope")
	})
	t.Run("refuses the token in the body or in the address", func(t *testing.T) {
		wantError(t, posting(token, "access_token="+token, func(h http.Header) { h.Del("Authorization") }), 401, "invalid_token")
		wantError(t, c.get("/userinfo?access_token="+token, token, nil), 400, "invalid_request")
	})
	t.Run("refuses a bound token as a bearer token", func(t *testing.T) {
		wantError(t, c.get("/userinfo", token, func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }), 401, "invalid_token")
	})
	t.Run("refuses another method", func(t *testing.T) {
		if response, _ := w.ask(t, http.MethodPut, w.issuer+"/userinfo", nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses a person who is disabled", func(t *testing.T) {
		w.disable("sub-alice", true)
		defer w.disable("sub-alice", false)
		wantError(t, c.get("/userinfo", token, nil), 401, "invalid_token")
	})
}
