package fapi_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"countersign/fapi"
)

// Covers: RV-01, RULE-34. A client ends its own tokens by an authenticated POST; it cannot touch another's; one that is not
// known is as good as revoked.
func TestRV01Revocation(t *testing.T) {
	w, _ := wholeWorld(t)
	c, other := w.register("client-1", nil), w.register("client-2", nil)
	fresh := func(kind string) func(alter change) reply {
		return func(alter change) reply { return c.revoke(c.tokens().text(kind), alter) }
	}
	for _, kind := range []string{"access_token", "refresh_token"} {
		tryAll(t, fresh(kind),
			good("its own "+kind, nil),
			good("its own "+kind+" with the right hint", set("token_type_hint", kind)),
			good("its own "+kind+" with a wrong hint", set("token_type_hint", "id_token")),
			bad("no client authentication, "+kind, unset("client_assertion"), 401, "invalid_client"),
			bad("another method of authentication, "+kind, setHeader("Authorization", "Basic Y2xpZW50LTE6eA=="), 401, "invalid_client"),
			bad("the "+kind+" twice", func(f url.Values, _ http.Header) { f.Add("token", f.Get("token")) }, 400, "invalid_request"),
		)
	}
	tryAll(t, func(alter change) reply { return c.revoke(random(), alter) },
		good("an unknown token", nil),
		good("what looks like a JWT", set("token", "a.b.c")),
		bad("no token", set("token", ""), 400, "invalid_request"),
	)
	t.Run("accepts a token that is revoked or expired already", func(t *testing.T) {
		issued := c.tokens()
		for range 2 {
			if r := c.revoke(issued.text("access_token"), nil); r.status != http.StatusOK || r.raw != "" {
				t.Fatalf("answered %d %q", r.status, r.raw)
			}
		}
		w.clock.Advance(time.Hour)
		if r := c.revoke(issued.text("access_token"), nil); r.status != http.StatusOK {
			t.Fatalf("expired: %d %q", r.status, r.raw)
		}
	})
	t.Run("refuses another client's tokens, which stay as they are", func(t *testing.T) {
		issued := c.tokens()
		wantError(t, other.revoke(issued.text("access_token"), nil), 400, "invalid_grant")
		wantError(t, other.revoke(issued.text("refresh_token"), nil), 400, "invalid_grant")
		wantActive(t, c.get("/accounts", issued.text("access_token"), nil))
		wantActive(t, c.refresh(issued.text("refresh_token"), nil))
	})
	t.Run("refuses GET", func(t *testing.T) {
		if response, _ := w.ask(t, http.MethodGet, w.issuer+"/revoke", nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses an assertion that was used before", func(t *testing.T) {
		token := c.tokens().text("access_token")
		again := set("client_assertion", c.clientAssertion(nil))
		if r := c.revoke("unknown", again); r.status != http.StatusOK {
			t.Fatal(r.raw)
		}
		wantError(t, c.revoke(token, again), 400, "invalid_request")
		wantActive(t, c.get("/accounts", token, nil))
	})
}

// Covers: RV-02, ATTACK-53. Revoking a refresh token ends everything of its grant; an access token goes alone; an ID token
// cannot be revoked.
func TestRV02WhatEnds(t *testing.T) {
	w, p := wholeWorld(t)
	c, self := w.register("client-1", nil), w.resourceServer("self", w.issuer)
	ended := func(t *testing.T, token string) {
		t.Helper()
		wantError(t, c.get("/userinfo", token, nil), 401, "invalid_token")
		wantInactive(t, self.introspect(token, nil))
	}
	stands := func(t *testing.T, token string) {
		t.Helper()
		wantActive(t, c.get("/userinfo", token, nil))
		if r := self.introspect(token, nil); r.body["active"] != true {
			t.Fatalf("introspection: %s", r.raw)
		}
	}
	t.Run("accepts a refresh token, which takes its grant along", func(t *testing.T) {
		b := w.browser()
		issued, untouched := c.granted(b, nil), c.tokens()
		second := c.refresh(issued.text("refresh_token"), nil).text("access_token")
		stands(t, issued.text("access_token"))
		stands(t, second)
		if r := c.revoke(issued.text("refresh_token"), nil); r.status != http.StatusOK || r.raw != "" {
			t.Fatalf("answered %d %q", r.status, r.raw)
		}
		ended(t, issued.text("access_token"))
		ended(t, second)
		wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
		stands(t, untouched.text("access_token")) // another grant of the same client and person
		// What the person had allowed is forgotten with it.
		p.asked()
		c.granted(b, nil)
		if _, pages := p.asked(); pages != 1 {
			t.Errorf("the person was asked %d times after the revocation, want once", pages)
		}
	})
	t.Run("accepts an access token, which goes alone", func(t *testing.T) {
		issued := c.tokens()
		second := c.refresh(issued.text("refresh_token"), nil).text("access_token")
		if r := c.revoke(issued.text("access_token"), nil); r.status != http.StatusOK {
			t.Fatalf("answered %d %q", r.status, r.raw)
		}
		ended(t, issued.text("access_token"))
		stands(t, second)
		stands(t, c.refresh(issued.text("refresh_token"), nil).text("access_token"))
	})
	t.Run("refuses an ID token", func(t *testing.T) {
		issued := c.tokens()
		wantError(t, c.revoke(issued.text("id_token"), nil), 400, "unsupported_token_type")
		stands(t, issued.text("access_token"))
	})
}

// Covers: RV-03, ATTACK-53. Revocation takes effect at once, on every node: the clock does not move in this test.
func TestRV03AtOnce(t *testing.T) {
	var config fapiConfig
	w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { config = *c })
	config.Interactor = &person{}
	second, err := fapi.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	node := second.Handler()
	c := w.register("client-1", nil)
	elsewhere := func(token string) int {
		request := httptest.NewRequest(http.MethodGet, w.issuer+"/accounts", nil)
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", c.proof(http.MethodGet, w.issuer+"/accounts", token, nil))
		recorder := httptest.NewRecorder()
		node.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for _, kind := range []string{"access_token", "refresh_token"} {
		issued := c.tokens()
		token := issued.text("access_token")
		t.Run("accepts the token on another node until its "+kind+" is revoked", func(t *testing.T) {
			if status := elsewhere(token); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
		})
		t.Run("refuses it on another node at once when its "+kind+" is revoked", func(t *testing.T) {
			if r := c.revoke(issued.text(kind), nil); r.status != http.StatusOK {
				t.Fatal(r.raw)
			}
			if status := elsewhere(token); status != http.StatusUnauthorized {
				t.Fatalf("answered %d", status)
			}
			wantError(t, c.get("/accounts", token, nil), 401, "invalid_token")
		})
	}
}
