package fapi_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Covers: ATTACK-53, RV-03. While a token is in use on two nodes it is revoked on one: no request that begins after the
// revocation was answered is let through anywhere. The bound is nought: nothing is cached.
func TestAttack53RevocationUnderLoad(t *testing.T) {
	w, _ := wholeWorld(t)
	c, self := w.register("client-1", wide), w.resourceServer("self", w.issuer)
	n := w.node(nil)
	there, selfThere := n.here(c), n.here(self)
	for name, revoke := range map[string]func(issued reply) reply{
		"the access token":  func(issued reply) reply { return c.revoke(issued.text("access_token"), nil) },
		"the refresh token": func(issued reply) reply { return c.revoke(issued.text("refresh_token"), nil) },
		"the code, by its second use": func(issued reply) reply {
			r := c.redeem(issued.text("code"), nil)
			return reply{status: map[int]int{http.StatusBadRequest: http.StatusOK}[r.status], raw: r.raw}
		},
	} {
		code := c.authorize()
		issued := c.redeem(code, nil)
		issued.body["code"] = code
		token := issued.text("access_token")
		var revoked atomic.Bool
		var mu sync.Mutex
		before, late := 0, 0
		var worst time.Duration
		var answeredAt time.Time
		use := func(asked func() bool) func() reply {
			return func() reply {
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
				return reply{status: http.StatusOK}
			}
		}
		resource := func(at *client) func() bool {
			return func() bool { return at.get("/accounts", token, nil).status == http.StatusOK }
		}
		introspection := func(at *client) func() bool {
			return func() bool { return at.introspect(token, nil).body["active"] == true }
		}
		replies := atOnce(func() reply {
			for range 4 {
				c.get("/accounts", token, nil) // a moment, so that there are requests before
			}
			r := revoke(issued)
			mu.Lock()
			answeredAt = time.Now()
			mu.Unlock()
			revoked.Store(true)
			return r
		}, use(resource(c)), use(resource(there)), use(introspection(self)), use(introspection(selfThere)))
		if replies[0].status != http.StatusOK {
			t.Fatalf("%d %s", replies[0].status, replies[0].raw)
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
			for _, at := range []*client{c, there} {
				wantError(t, at.get("/accounts", token, nil), 401, "invalid_token")
				wantInactive(t, map[*client]*client{c: self, there: selfThere}[at].introspect(token, nil))
			}
		})
	}
}

// Covers: ATTACK-53. A client that an operator disables can do nothing at any node a second later, nor can its tokens; a
// person who is disabled is let in nowhere from that moment on.
func TestAttack53Disabled(t *testing.T) {
	w, _ := wholeWorld(t)
	c, self := w.register("client-1", wide), w.resourceServer("self", w.issuer)
	n := w.node(nil)
	there, selfThere := n.here(c), n.here(self)
	issued := c.tokens()
	token, refreshToken := issued.text("access_token"), issued.text("refresh_token")
	disableClient := func(disabled bool) {
		record, err := w.store.Client(t.Context(), c.id)
		if err != nil {
			t.Fatal(err)
		}
		record.Disabled = disabled
		record.Version++
		if err := w.store.PutClient(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		n.at(w.clock.Now().Add(time.Second))
	}
	nodes := map[string]struct{ by, self *client }{"the node": {c, self}, "the other node": {there, selfThere}}
	all := func(title string, check func(t *testing.T, by, self *client)) {
		for name, at := range nodes {
			t.Run(title+" at "+name, func(t *testing.T) { check(t, at.by, at.self) })
		}
	}
	works := func(t *testing.T, by, self *client) {
		good("", nil).check(t, by.push(nil))
		wantActive(t, by.refresh(refreshToken, nil))
		wantActive(t, by.get("/accounts", token, nil))
		wantActive(t, by.get("/userinfo", token, nil))
		if r := self.introspect(token, nil); r.body["active"] != true {
			t.Errorf("introspection: %s", r.raw)
		}
	}
	refusesTokens := func(t *testing.T, by, self *client) {
		wantError(t, by.get("/accounts", token, nil), 401, "invalid_token")
		wantError(t, by.get("/userinfo", token, nil), 401, "invalid_token")
		wantInactive(t, self.introspect(token, nil))
	}
	all("accepts a client and a person", works)
	disableClient(true)
	all("refuses a disabled client after a second", func(t *testing.T, by, _ *client) {
		wantError(t, by.push(nil), 401, "invalid_client")
		wantError(t, by.refresh(refreshToken, nil), 401, "invalid_client")
	})
	all("refuses a disabled client's tokens after a second", refusesTokens)
	disableClient(false)
	all("accepts the client again after another", works)
	codes := map[*client]string{c: c.authorize(), there: c.authorize()}
	w.disable("sub-alice", true)
	all("refuses a disabled person's code and refresh token at once", func(t *testing.T, by, _ *client) {
		wantError(t, by.redeem(codes[by], nil), 400, "invalid_grant")
		wantError(t, by.refresh(refreshToken, nil), 400, "invalid_grant")
	})
	all("refuses a disabled person's tokens at once", refusesTokens)
	w.disable("sub-alice", false)
	all("accepts the person again at once", func(t *testing.T, by, self *client) {
		works(t, by, self)
		wantActive(t, by.redeem(codes[by], nil))
	})
}
