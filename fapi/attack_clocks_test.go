package fapi_test

import (
	"net/http"
	"testing"
	"time"

	"countersign/store"
)

// apart is one issuer on two nodes whose clocks differ: the world's is slow and the node's is fast by the same time.
// Clients know the right time.
type apart struct {
	*world
	slow   *clock
	fast   *node
	stores []store.Store
}

func clocksApart(t *testing.T, by time.Duration, change option) apart {
	t.Helper()
	servers := newWorld(t, change)
	outside := *servers // as clients see it
	outside.clock = &clock{now: servers.clock.Now()}
	a := apart{&outside, servers.clock, servers.node(nil), nil}
	a.stores = []store.Store{servers.store, a.fast.store}
	a.slow.Advance(-by)
	a.fast.clock.Advance(by)
	return a
}

// pass lets time go by everywhere, and has the nodes tidy up.
func (a apart) pass(d time.Duration) {
	a.t.Helper()
	for _, each := range []*clock{a.clock, a.slow, a.fast.clock} {
		each.Advance(d)
	}
	for _, each := range a.stores {
		if _, err := each.Purge(a.t.Context(), 1000); err != nil {
			a.t.Fatal(err)
		}
	}
}

// lasts gives for how long something is accepted, in steps of five seconds up to ten minutes.
func (a apart) lasts(accepted func() bool) time.Duration {
	last := -time.Second
	for after := time.Duration(0); after <= 10*time.Minute; after += 5 * time.Second {
		if accepted() {
			last = after
		}
		a.pass(5 * time.Second)
	}
	return last
}

const halfMinute = 30 * time.Second

// patient gives requests the time that clocks a minute apart need.
func patient(c *fapiConfig, _ *autoInteractor) { c.RequestURILifetime = 3 * time.Minute }

// Covers: ATTACK-50. With the clocks of two nodes a minute apart a flow still gets through, and nothing that works once
// works twice.
func TestAttack50ClocksApart(t *testing.T) {
	a := clocksApart(t, halfMinute, patient)
	c := a.register("client-1", nil)
	there := a.fast.here(c)
	for name, order := range map[string]struct{ pushed, redeemed, used *client }{
		"pushed and redeemed at the slow node": {c, c, there},
		"pushed at the fast node":              {there, c, there},
	} {
		t.Run("accepts a flow "+name, func(t *testing.T) {
			_, _, sentTo := a.browser().visit(a.authorizeURL(c.id, order.pushed.push(nil).text("request_uri")))
			if sentTo == nil || sentTo.Query().Get("code") == "" {
				t.Fatalf("sent to %v", sentTo)
			}
			issued := order.redeemed.redeem(sentTo.Query().Get("code"), nil)
			if issued.status != http.StatusOK {
				t.Fatalf("%d %s", issued.status, issued.raw)
			}
			wantActive(t, order.used.get("/accounts", issued.text("access_token"), nil))
			wantActive(t, there.refresh(issued.text("refresh_token"), nil))
		})
	}
	t.Run("accepts a client's proofs and assertions on both", func(t *testing.T) {
		for _, at := range []*client{c, there} {
			good("", nil).check(t, at.push(nil))
		}
	})
	for name, took := range map[string]*client{"the slow node": c, "the fast node": there} {
		assertion := c.clientAssertion(nil)
		t.Run("refuses an assertion that "+name+" took, to its end and on either", func(t *testing.T) {
			good("", nil).check(t, took.push(set("client_assertion", assertion)))
			for after := time.Duration(0); after < 5*time.Minute; after += time.Second {
				for _, at := range []*client{c, there} {
					if r := at.push(set("client_assertion", assertion)); r.status == http.StatusCreated {
						t.Fatalf("accepted again after %s", after)
					}
				}
				a.pass(time.Second)
			}
		})
		proof := c.proof("POST", a.issuer+"/par", "", nil)
		t.Run("refuses a proof that "+name+" took, to its end and on either", func(t *testing.T) {
			good("", nil).check(t, took.push(setHeader("DPoP", proof)))
			for after := time.Duration(0); after < 5*time.Minute; after += time.Second {
				for _, at := range []*client{c, there} {
					if r := at.push(setHeader("DPoP", proof)); r.status == http.StatusCreated {
						t.Fatalf("accepted again after %s", after)
					}
				}
				a.pass(time.Second)
			}
		})
		code := c.authorize()
		other := map[*client]*client{c: there, there: c}[took]
		t.Run("refuses a code that was redeemed at the slow node, presented again at "+name, func(t *testing.T) {
			if r := c.redeem(code, nil); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.raw)
			}
			for _, at := range []*client{took, other} {
				wantError(t, at.redeem(code, nil), 400, "invalid_grant")
			}
		})
	}
}

// Covers: ATTACK-50. What has a lifetime outlives it by no more than the clocks differ.
func TestAttack50Lifetimes(t *testing.T) {
	const minute = time.Minute // what lies between the clocks
	a := clocksApart(t, halfMinute, patient)
	c := a.register("client-1", nil)
	there := a.fast.here(c)
	refreshToken := c.tokens().text("refresh_token")
	within := func(t *testing.T, got, lifetime time.Duration) {
		t.Helper()
		if got < lifetime-minute-5*time.Second || got > lifetime+minute {
			t.Errorf("lasted %s, its lifetime is %s", got, lifetime)
		}
	}
	for name, at := range map[string]*client{"slow": c, "fast": there} {
		other := map[*client]*client{c: there, there: c}[at]
		t.Run("refuses an access token of the "+name+" node after its time", func(t *testing.T) {
			token := at.refresh(refreshToken, nil).text("access_token")
			within(t, a.lasts(func() bool { return other.get("/accounts", token, nil).status == http.StatusOK }), 5*minute)
		})
		t.Run("refuses a request of the "+name+" node after its time", func(t *testing.T) {
			b := map[*client]*browser{c: a.browser(), there: a.fast.browser(a.browser())}[other]
			b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			address := a.authorizeURL(c.id, at.push(nil).text("request_uri"))
			within(t, a.lasts(func() bool {
				_, _, sentTo := b.visit(address)
				return sentTo != nil && sentTo.Query().Get("error") == "" && !sentTo.Query().Has("code")
			}), 3*minute)
		})
	}
}
