package resource_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/fapitest"
)

// Covers: ATTACK-53, RV-03. While a token is in use on two nodes it is revoked on one: no request that begins after the
// revocation was answered is let through anywhere. The bound is nought: nothing is cached.
func TestAttack53RevocationUnderLoad(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, self := w.Register("client-1", fapitest.AllScopes), w.ResourceServer("self", w.Issuer)
	n := w.Node(nil)
	there, selfThere := n.Client(c), n.Client(self)
	for name, revoke := range map[string]func(issued fapitest.Reply) fapitest.Reply{
		"the access token":  func(issued fapitest.Reply) fapitest.Reply { return c.Revoke(issued.Text("access_token"), nil) },
		"the refresh token": func(issued fapitest.Reply) fapitest.Reply { return c.Revoke(issued.Text("refresh_token"), nil) },
		"the code, by its second use": func(issued fapitest.Reply) fapitest.Reply {
			r := c.Redeem(issued.Text("code"), nil)
			return fapitest.Reply{Status: map[int]int{http.StatusBadRequest: http.StatusOK}[r.Status], Raw: r.Raw}
		},
	} {
		code := c.Authorize()
		issued := c.Redeem(code, nil)
		issued.Body["code"] = code
		token := issued.Text("access_token")
		var revoked atomic.Bool
		var mu sync.Mutex
		before, late := 0, 0
		var worst time.Duration
		var answeredAt time.Time
		use := func(asked func() bool) func() fapitest.Reply {
			return func() fapitest.Reply {
				for range 12 {
					began, start := revoked.Load(), time.Now()
					accepted := asked()
					mu.Lock()
					switch {
					case accepted && began:
						late++
						worst = max(worst, start.Sub(answeredAt))
					case accepted:
						before++
					}
					mu.Unlock()
				}
				return fapitest.Reply{Status: http.StatusOK}
			}
		}
		resource := func(at *fapitest.Client) func() bool {
			return func() bool { return at.Get("/accounts", token, nil).Status == http.StatusOK }
		}
		introspection := func(at *fapitest.Client) func() bool {
			return func() bool { return at.Introspect(token, nil).Body["active"] == true }
		}
		replies := fapitest.Concurrently(func() fapitest.Reply {
			for range 4 {
				c.Get("/accounts", token, nil) // a moment, so that there are requests before
			}
			r := revoke(issued)
			mu.Lock()
			answeredAt = time.Now()
			mu.Unlock()
			revoked.Store(true)
			return r
		}, use(resource(c)), use(resource(there)), use(introspection(self)), use(introspection(selfThere)))
		if replies[0].Status != http.StatusOK {
			t.Fatalf("%d %s", replies[0].Status, replies[0].Raw)
		}
		t.Run("accepts the token before the revocation of "+name, func(t *testing.T) {
			if before == 0 {
				t.Error("no request got through")
			}
		})
		t.Run("refuses it after the revocation of "+name, func(t *testing.T) {
			if late > 0 {
				t.Errorf("%d requests got through, the last one begun %s after the answer", late, worst)
			}
			for _, at := range []*fapitest.Client{c, there} {
				fapitest.WantError(t, at.Get("/accounts", token, nil), 401, "invalid_token")
				fapitest.WantInactive(t, map[*fapitest.Client]*fapitest.Client{c: self, there: selfThere}[at].Introspect(token, nil))
			}
		})
	}
}

// Covers: ATTACK-53. A client that an operator disables can do nothing at any node a second later, nor can its tokens; a
// user who is disabled is let in nowhere from that moment on.
func TestAttack53Disabled(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, self := w.Register("client-1", fapitest.AllScopes), w.ResourceServer("self", w.Issuer)
	n := w.Node(nil)
	there, selfThere := n.Client(c), n.Client(self)
	issued := c.Tokens()
	token, refreshToken := issued.Text("access_token"), issued.Text("refresh_token")
	disableClient := func(disabled bool) {
		record, err := w.Store.Client(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		record.Disabled = disabled
		record.Version++
		if err := w.Store.PutClient(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		n.SetTime(w.Clock.Now().Add(time.Second))
	}
	nodes := map[string]struct{ by, self *fapitest.Client }{"the node": {c, self}, "the other node": {there, selfThere}}
	all := func(title string, check func(t *testing.T, by, self *fapitest.Client)) {
		for name, at := range nodes {
			t.Run(title+" at "+name, func(t *testing.T) { check(t, at.by, at.self) })
		}
	}
	works := func(t *testing.T, by, self *fapitest.Client) {
		fapitest.Good("", nil).Check(t, by.Push(nil))
		fapitest.WantOK(t, by.Refresh(refreshToken, nil))
		fapitest.WantOK(t, by.Get("/accounts", token, nil))
		fapitest.WantOK(t, by.Get("/userinfo", token, nil))
		if r := self.Introspect(token, nil); r.Body["active"] != true {
			t.Errorf("introspection: %s", r.Raw)
		}
	}
	refusesTokens := func(t *testing.T, by, self *fapitest.Client) {
		fapitest.WantError(t, by.Get("/accounts", token, nil), 401, "invalid_token")
		fapitest.WantError(t, by.Get("/userinfo", token, nil), 401, "invalid_token")
		fapitest.WantInactive(t, self.Introspect(token, nil))
	}
	all("accepts a client and a user", works)
	disableClient(true)
	all("refuses a disabled client after a second", func(t *testing.T, by, _ *fapitest.Client) {
		fapitest.WantError(t, by.Push(nil), 401, "invalid_client")
		fapitest.WantError(t, by.Refresh(refreshToken, nil), 401, "invalid_client")
	})
	all("refuses a disabled client's tokens after a second", refusesTokens)
	disableClient(false)
	all("accepts the client again after another", works)
	codes := map[*fapitest.Client]string{c: c.Authorize(), there: c.Authorize()}
	w.Disable("sub-alice", true)
	all("refuses a disabled user's code and refresh token at once", func(t *testing.T, by, _ *fapitest.Client) {
		fapitest.WantError(t, by.Redeem(codes[by], nil), 400, "invalid_grant")
		fapitest.WantError(t, by.Refresh(refreshToken, nil), 400, "invalid_grant")
	})
	all("refuses a disabled user's tokens at once", refusesTokens)
	w.Disable("sub-alice", false)
	all("accepts the user again at once", func(t *testing.T, by, self *fapitest.Client) {
		works(t, by, self)
		fapitest.WantOK(t, by.Redeem(codes[by], nil))
	})
}

// Covers: RV-01, RULE-34. A client ends its own tokens by an authenticated POST; it cannot touch another's; one that is not
// known is as good as revoked.
func TestRV01Revocation(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, other := w.Register("client-1", nil), w.Register("client-2", nil)
	fresh := func(kind string) func(alter fapitest.Change) fapitest.Reply {
		return func(alter fapitest.Change) fapitest.Reply { return c.Revoke(c.Tokens().Text(kind), alter) }
	}
	for _, kind := range []string{"access_token", "refresh_token"} {
		fapitest.TryAll(t, fresh(kind),
			fapitest.Good("its own "+kind, nil),
			fapitest.Good("its own "+kind+" with the right hint", fapitest.Set("token_type_hint", kind)),
			fapitest.Good("its own "+kind+" with a wrong hint", fapitest.Set("token_type_hint", "id_token")),
			fapitest.Bad("no client authentication, "+kind, fapitest.Unset("client_assertion"), 401, "invalid_client"),
			fapitest.Bad("another method of authentication, "+kind, fapitest.SetHeader("Authorization", "Basic Y2xpZW50LTE6eA=="), 401, "invalid_client"),
			fapitest.Bad("the "+kind+" twice", func(f url.Values, _ http.Header) { f.Add("token", f.Get("token")) }, 400, "invalid_request"),
		)
	}
	fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return c.Revoke(fapitest.RandomString(), alter) },
		fapitest.Good("an unknown token", nil),
		fapitest.Good("what looks like a JWT", fapitest.Set("token", "a.b.c")),
		fapitest.Bad("no token", fapitest.Set("token", ""), 400, "invalid_request"),
	)
	t.Run("accepts a token that is revoked or expired already", func(t *testing.T) {
		issued := c.Tokens()
		for range 2 {
			if r := c.Revoke(issued.Text("access_token"), nil); r.Status != http.StatusOK || r.Raw != "" {
				t.Fatalf("answered %d %q", r.Status, r.Raw)
			}
		}
		w.Clock.Advance(time.Hour)
		if r := c.Revoke(issued.Text("access_token"), nil); r.Status != http.StatusOK {
			t.Fatalf("expired: %d %q", r.Status, r.Raw)
		}
	})
	t.Run("refuses another client's tokens, which stay as they are", func(t *testing.T) {
		issued := c.Tokens()
		fapitest.WantError(t, other.Revoke(issued.Text("access_token"), nil), 400, "invalid_grant")
		fapitest.WantError(t, other.Revoke(issued.Text("refresh_token"), nil), 400, "invalid_grant")
		fapitest.WantOK(t, c.Get("/accounts", issued.Text("access_token"), nil))
		fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
	})
	t.Run("refuses GET", func(t *testing.T) {
		if response, _ := w.Request(t, http.MethodGet, w.Issuer+"/revoke", nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses an assertion that was used before", func(t *testing.T) {
		token := c.Tokens().Text("access_token")
		again := fapitest.Set("client_assertion", c.ClientAssertion(nil))
		if r := c.Revoke("unknown", again); r.Status != http.StatusOK {
			t.Fatal(r.Raw)
		}
		fapitest.WantError(t, c.Revoke(token, again), 401, "invalid_client")
		fapitest.WantOK(t, c.Get("/accounts", token, nil))
	})
}

// Covers: RV-02, ATTACK-53. Revoking a refresh token ends everything of its grant; an access token goes alone; an ID token
// cannot be revoked.
func TestRV02WhatEnds(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c, self := w.Register("client-1", nil), w.ResourceServer("self", w.Issuer)
	ended := func(t *testing.T, token string) {
		t.Helper()
		fapitest.WantError(t, c.Get("/userinfo", token, nil), 401, "invalid_token")
		fapitest.WantInactive(t, self.Introspect(token, nil))
	}
	stands := func(t *testing.T, token string) {
		t.Helper()
		fapitest.WantOK(t, c.Get("/userinfo", token, nil))
		if r := self.Introspect(token, nil); r.Body["active"] != true {
			t.Fatalf("introspection: %s", r.Raw)
		}
	}
	t.Run("accepts a refresh token, which takes its grant along", func(t *testing.T) {
		b := w.Browser()
		issued, untouched := c.TokensIn(b, nil), c.Tokens()
		second := c.Refresh(issued.Text("refresh_token"), nil).Text("access_token")
		stands(t, issued.Text("access_token"))
		stands(t, second)
		if r := c.Revoke(issued.Text("refresh_token"), nil); r.Status != http.StatusOK || r.Raw != "" {
			t.Fatalf("answered %d %q", r.Status, r.Raw)
		}
		ended(t, issued.Text("access_token"))
		ended(t, second)
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
		stands(t, untouched.Text("access_token")) // another grant of the same client and user
		// What the user had allowed is forgotten with it.
		p.Asked()
		c.TokensIn(b, nil)
		if _, pages := p.Asked(); pages != 1 {
			t.Errorf("the user was asked %d times after the revocation, want once", pages)
		}
	})
	t.Run("accepts an access token, which goes alone", func(t *testing.T) {
		issued := c.Tokens()
		second := c.Refresh(issued.Text("refresh_token"), nil).Text("access_token")
		if r := c.Revoke(issued.Text("access_token"), nil); r.Status != http.StatusOK {
			t.Fatalf("answered %d %q", r.Status, r.Raw)
		}
		ended(t, issued.Text("access_token"))
		stands(t, second)
		stands(t, c.Refresh(issued.Text("refresh_token"), nil).Text("access_token"))
	})
	t.Run("refuses an ID token", func(t *testing.T) {
		issued := c.Tokens()
		fapitest.WantError(t, c.Revoke(issued.Text("id_token"), nil), 400, "unsupported_token_type")
		stands(t, issued.Text("access_token"))
	})
}

// Covers: RV-03, ATTACK-53. Revocation takes effect at once, on every node: the clock does not move in this test.
func TestRV03AtOnce(t *testing.T) {
	t.Parallel()
	var config fapitest.Config
	w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { config = *c })
	config.Interactor = &fapitest.User{}
	second, err := fapi.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	node := second.Handler()
	c := w.Register("client-1", nil)
	elsewhere := func(token string) int {
		request := httptest.NewRequest(http.MethodGet, w.Issuer+"/accounts", nil)
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", c.Proof(http.MethodGet, w.Issuer+"/accounts", token, nil))
		recorder := httptest.NewRecorder()
		node.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for _, kind := range []string{"access_token", "refresh_token"} {
		issued := c.Tokens()
		token := issued.Text("access_token")
		t.Run("accepts the token on another node until its "+kind+" is revoked", func(t *testing.T) {
			if status := elsewhere(token); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
		})
		t.Run("refuses it on another node at once when its "+kind+" is revoked", func(t *testing.T) {
			if r := c.Revoke(issued.Text(kind), nil); r.Status != http.StatusOK {
				t.Fatal(r.Raw)
			}
			if status := elsewhere(token); status != http.StatusUnauthorized {
				t.Fatalf("answered %d", status)
			}
			fapitest.WantError(t, c.Get("/accounts", token, nil), 401, "invalid_token")
		})
	}
}
