package fapi_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changes makes several changes to a request.
func changes(list ...change) change {
	return func(form url.Values, header http.Header) {
		for _, one := range list {
			one(form, header)
		}
	}
}

// Covers: OC-01, RULE-35. The claims of an ID token, for each algorithm.
func TestOC01IDToken(t *testing.T) {
	w, p := wholeWorld(t)
	p.is("sub-alice", byKey)
	leftHalf := map[string]func(string) []byte{
		"PS256": func(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:16] },
		"ES256": func(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:16] },
		"EdDSA": func(s string) []byte { d := sha512.Sum512([]byte(s)); return d[:32] },
	}
	for alg, half := range inOrder(leftHalf) {
		t.Run("accepts every claim with "+alg, func(t *testing.T) {
			c := w.register("client-"+alg, member("id_token_signed_response_alg", alg))
			now := float64(w.clock.Now().Unix())
			issued := c.tokensFor(set("max_age", "600"))
			header, body := w.decode(issued.text("id_token"))
			want := map[string]any{
				"iss": w.issuer, "sub": "sub-alice", "aud": c.id, "iat": now, "exp": now + 300, "auth_time": now, "nonce": "nonce-1",
				"acr": byKey, "amr": []any{"pwd", "hwk"},
				"at_hash": base64.RawURLEncoding.EncodeToString(half(issued.text("access_token"))),
			}
			if diff := cmp.Diff(want, body); diff != "" || header.Algorithm != alg {
				t.Errorf("signed with %s (-want +got):\n%s", header.Algorithm, diff)
			}
		})
	}
	c := w.register("client-1", wide)
	t.Run("accepts a request without a nonce, which then is not in it", func(t *testing.T) {
		if body := claimsIn(t, c.tokensFor(unset("nonce")).text("id_token")); body["nonce"] != nil {
			t.Errorf("nonce %v", body["nonce"])
		}
	})
	t.Run("accepts the time of the sign-in, not of the request", func(t *testing.T) {
		b, before := w.browser(), float64(w.clock.Now().Unix())
		c.through(b, nil)
		w.clock.Advance(time.Minute)
		if body := claimsIn(t, c.granted(b, nil).text("id_token")); body["auth_time"] != before || body["iat"] != before+60 {
			t.Errorf("auth_time %v, iat %v, signed in at %v", body["auth_time"], body["iat"], before)
		}
	})
	t.Run("refuses an ID token where openid was not asked for", func(t *testing.T) {
		if r := c.tokensFor(set("scope", "accounts")); r.body["id_token"] != nil {
			t.Errorf("answered %s", r.raw)
		}
	})
	t.Run("refuses an ID token as an access token", func(t *testing.T) {
		wantError(t, c.get("/userinfo", c.tokens().text("id_token"), nil), 401, "invalid_token")
	})
}

// Covers: OC-06, ATTACK-34. An error goes to the client only where an address of it is proven, and to a page otherwise.
func TestOC06WhereErrorsGo(t *testing.T) {
	w, p := wholeWorld(t)
	c, other := w.register("client-1", nil), w.register("client-2", func(c *client, m map[string]any) {
		c.redirectURI = "https://other.example/callback"
		m["redirect_uris"] = []string{c.redirectURI}
	})
	visit := func(query url.Values) (int, string, *url.URL) {
		return w.browser().visit(w.issuer + "/authorize?" + query.Encode())
	}
	spent := c.push(nil).text("request_uri")
	w.browser().visit(w.authorizeURL(c.id, spent))
	p.does("deny")
	t.Run("accepts the address of the pushed request", func(t *testing.T) {
		for code, requestURI := range map[string]string{"invalid_request_uri": spent, "access_denied": c.push(nil).text("request_uri")} {
			_, _, sentTo := visit(url.Values{"client_id": {c.id}, "request_uri": {requestURI}, "redirect_uri": {"https://evil.example/"}, "state": {"evil"}})
			if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.redirectURI+"?") || sentTo.Query().Get("state") != "state-1" {
				t.Fatalf("%s: sent to %v", code, sentTo)
			}
			wantSent(t, sentTo.Query(), code)
		}
	})
	t.Run("accepts a registered address in the query, for an error", func(t *testing.T) {
		_, _, sentTo := visit(url.Values{"client_id": {c.id}, "redirect_uri": {c.redirectURI}, "response_type": {"code"}})
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		wantSent(t, sentTo.Query(), "invalid_request")
	})
	live := func() []string { return []string{c.push(nil).text("request_uri")} }
	for name, query := range inOrder(map[string]url.Values{
		"an address that is not registered":    {"client_id": {c.id}, "redirect_uri": {"https://evil.example/"}},
		"an address that only begins so":       {"client_id": {c.id}, "redirect_uri": {c.redirectURI + "/x"}},
		"an address of another client":         {"client_id": {c.id}, "redirect_uri": {other.redirectURI}},
		"no address at all":                    {"client_id": {c.id}},
		"an unknown client with an address":    {"client_id": {"nobody"}, "redirect_uri": {c.redirectURI}},
		"no client":                            {"redirect_uri": {c.redirectURI}, "request_uri": live()},
		"a parameter twice":                    {"client_id": {c.id}, "redirect_uri": {c.redirectURI, c.redirectURI}},
		"another client's request":             {"client_id": {other.id}, "request_uri": live()},
		"another client's spent request":       {"client_id": {other.id}, "request_uri": {spent}},
		"an unknown request and a bad address": {"client_id": {c.id}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}, "redirect_uri": {"https://evil.example/"}},
	}) {
		t.Run("refuses to send the browser anywhere for "+name, func(t *testing.T) {
			status, body, sentTo := visit(query)
			if sentTo != nil || status < 400 || !strings.Contains(body, "invalid_") {
				t.Fatalf("answered %d %s, sent to %v", status, body, sentTo)
			}
			if strings.Contains(body, "evil.example") || strings.Contains(body, "state-1") {
				t.Errorf("the page repeats what it was given: %s", body)
			}
		})
	}
	t.Run("refuses a push in JSON, to the client itself", func(t *testing.T) {
		r := c.push(set("redirect_uri", "https://evil.example/"))
		if wantError(t, r, 400, "invalid_request"); r.header.Get("Location") != "" {
			t.Errorf("Location %q", r.header.Get("Location"))
		}
	})
}

// Covers: OC-07. What nobody knows is ignored, at every endpoint.
func TestOC07UnknownParameters(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", nil)
	unknown := changes(set("extra", "foobar"), set("vtr", "x"), set("purpose", "<script>"), set("id", "1"))
	tryAll(t, c.push, good("them at the PAR endpoint", unknown))
	t.Run("accepts them from the push to the resource", func(t *testing.T) {
		pushed := c.push(unknown).text("request_uri")
		_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed) + "&extra=foobar&dummy=1")
		if sentTo == nil || sentTo.Query().Get("code") == "" || sentTo.Query().Has("extra") {
			t.Fatalf("sent to %v", sentTo)
		}
		issued := c.redeem(sentTo.Query().Get("code"), unknown)
		wantActive(t, issued)
		wantActive(t, c.refresh(issued.text("refresh_token"), unknown))
		wantActive(t, c.get("/userinfo?extra=1", issued.text("access_token"), nil))
		wantActive(t, c.revoke(issued.text("access_token"), unknown))
	})
}

// Covers: OC-08, SP-19, ATTACK-11. A refresh keeps what the person allowed and when; it makes no new ID token (Core §12.2
// leaves that open), so that none can differ from the first.
func TestOC08Refresh(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", wide)
	issued := c.tokens()
	first := claimsIn(t, issued.text("access_token"))
	p.is("sub-bob", byKey) // whoever sits before a browser now changes nothing
	w.clock.Advance(24 * time.Hour)
	t.Run("accepts a refresh with the same person, client and sign-in", func(t *testing.T) {
		r := c.refresh(issued.text("refresh_token"), nil)
		wantActive(t, r)
		second := claimsIn(t, r.text("access_token"))
		for _, same := range []string{"iss", "sub", "aud", "client_id", "auth_time", "acr", "amr", "scope", "cnf"} {
			if diff := cmp.Diff(first[same], second[same]); diff != "" || first[same] == nil {
				t.Errorf("%s (-first +second): %s", same, diff)
			}
		}
		if r.body["id_token"] != nil || r.body["refresh_token"] != nil || second["jti"] == first["jti"] {
			t.Errorf("answered %s", r.raw)
		}
		if info := c.get("/userinfo", r.text("access_token"), nil); info.body["sub"] != "sub-alice" {
			t.Errorf("UserInfo %s", info.raw)
		}
	})
	t.Run("accepts a narrower scope, and all of it the next time", func(t *testing.T) {
		if r := c.refresh(issued.text("refresh_token"), set("scope", "openid accounts")); r.text("scope") != "openid accounts" {
			t.Errorf("answered %s", r.raw)
		}
		if r := c.refresh(issued.text("refresh_token"), nil); !slices.Equal(strings.Fields(r.text("scope")), strings.Fields(c.scope)) {
			t.Errorf("answered %s", r.raw)
		}
	})
	t.Run("accepts it without a browser, when the session is over", func(t *testing.T) {
		w.clock.Advance(48 * time.Hour)
		wantActive(t, c.refresh(issued.text("refresh_token"), nil))
	})
	little := c.tokensFor(set("scope", "openid accounts"))
	tryAll(t, func(alter change) reply { return c.refresh(little.text("refresh_token"), alter) },
		bad("more scope than was granted", set("scope", "openid accounts payments"), 400, "invalid_scope"),
		bad("an unknown scope", set("scope", "colour"), 400, "invalid_scope"),
		bad("an unknown refresh token", set("refresh_token", random()), 400, "invalid_grant"),
		bad("no refresh token", set("refresh_token", ""), 400, "invalid_request"),
		good("what was granted", set("scope", "accounts openid")),
	)
	t.Run("refuses another client", func(t *testing.T) {
		wantError(t, w.register("client-2", wide).refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a client that is not registered for it", func(t *testing.T) {
		short := w.register("client-3", func(_ *client, m map[string]any) { m["grant_types"] = []string{"authorization_code"} })
		r := short.tokens()
		if r.body["refresh_token"] != nil {
			t.Errorf("answered %s", r.raw)
		}
		wantError(t, short.refresh(issued.text("refresh_token"), nil), 400, "unauthorized_client")
	})
	t.Run("refuses a person who is disabled", func(t *testing.T) {
		w.disable("sub-alice", true)
		defer w.disable("sub-alice", false)
		wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a refresh token at the end of its grant", func(t *testing.T) {
		w.clock.Advance(90*24*time.Hour - 72*time.Hour - time.Second)
		wantActive(t, c.refresh(issued.text("refresh_token"), nil))
		w.clock.Advance(time.Second)
		wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
}
