package fapi_test

import (
	"net/http"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// apart is one issuer on two nodes whose clocks differ: the world's is slow and the node's is fast by the same time.
// Clients know the right time.
type apart struct {
	*fapitest.World
	slow   *fapitest.Clock
	fast   *fapitest.Node
	stores []store.Store
}

func clocksApart(t *testing.T, by time.Duration, change fapitest.Option) apart {
	t.Helper()
	servers := fapitest.NewWorld(t, change)
	outside := *servers // as clients see it
	outside.Clock = fapitest.NewClock(servers.Clock.Now())
	a := apart{&outside, servers.Clock, servers.Node(nil), nil}
	a.stores = []store.Store{servers.Store, a.fast.Store}
	a.slow.Advance(-by)
	a.fast.Clock.Advance(by)
	return a
}

// pass lets time go by everywhere, and has the nodes tidy up.
func (a apart) pass(d time.Duration) {
	a.T.Helper()
	for _, each := range []*fapitest.Clock{a.Clock, a.slow, a.fast.Clock} {
		each.Advance(d)
	}
	for _, each := range a.stores {
		if _, err := each.Purge(a.T.Context(), 1000); err != nil {
			a.T.Fatal(err)
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
func patient(c *fapitest.Config) {
	c.RequestURILifetime = 3 * time.Minute
}

// Covers: ATTACK-50. With the clocks of two nodes a minute apart a flow still gets through, and nothing that works once
// works twice.
func TestAttack50ClocksApart(t *testing.T) {
	t.Parallel()
	a := clocksApart(t, halfMinute, patient)
	c := a.Register("client-1", nil)
	there := a.fast.Client(c)
	for name, order := range map[string]struct{ pushed, redeemed, used *fapitest.Client }{
		"pushed and redeemed at the slow node": {c, c, there},
		"pushed at the fast node":              {there, c, there},
	} {
		t.Run("accepts a flow "+name, func(t *testing.T) {
			_, _, sentTo := a.Browser().Visit(a.AuthorizeURL(c.ID, order.pushed.Push(nil).Text("request_uri")))
			if sentTo == nil || sentTo.Query().Get("code") == "" {
				t.Fatalf("sent to %v", sentTo)
			}
			issued := order.redeemed.Redeem(sentTo.Query().Get("code"), nil)
			if issued.Status != http.StatusOK {
				t.Fatalf("%d %s", issued.Status, issued.Raw)
			}
			fapitest.WantOK(t, order.used.Get("/accounts", issued.Text("access_token"), nil))
			fapitest.WantOK(t, there.Refresh(issued.Text("refresh_token"), nil))
		})
	}
	t.Run("accepts a client's proofs and assertions on both", func(t *testing.T) {
		for _, at := range []*fapitest.Client{c, there} {
			fapitest.Good("", nil).Check(t, at.Push(nil))
		}
	})
	for name, took := range map[string]*fapitest.Client{"the slow node": c, "the fast node": there} {
		assertion := c.ClientAssertion(nil)
		t.Run("refuses an assertion that "+name+" took, to its end and on either", func(t *testing.T) {
			fapitest.Good("", nil).Check(t, took.Push(fapitest.Set("client_assertion", assertion)))
			for after := time.Duration(0); after < 5*time.Minute; after += time.Second {
				for _, at := range []*fapitest.Client{c, there} {
					if r := at.Push(fapitest.Set("client_assertion", assertion)); r.Status == http.StatusCreated {
						t.Fatalf("accepted again after %s", after)
					}
				}
				a.pass(time.Second)
			}
		})
		proof := c.Proof("POST", a.Issuer+"/par", "", nil)
		t.Run("refuses a proof that "+name+" took, to its end and on either", func(t *testing.T) {
			fapitest.Good("", nil).Check(t, took.Push(fapitest.SetHeader("DPoP", proof)))
			for after := time.Duration(0); after < 5*time.Minute; after += time.Second {
				for _, at := range []*fapitest.Client{c, there} {
					if r := at.Push(fapitest.SetHeader("DPoP", proof)); r.Status == http.StatusCreated {
						t.Fatalf("accepted again after %s", after)
					}
				}
				a.pass(time.Second)
			}
		})
		code := c.Authorize()
		other := map[*fapitest.Client]*fapitest.Client{c: there, there: c}[took]
		t.Run("refuses a code that was redeemed at the slow node, presented again at "+name, func(t *testing.T) {
			if r := c.Redeem(code, nil); r.Status != http.StatusOK {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			for _, at := range []*fapitest.Client{took, other} {
				fapitest.WantError(t, at.Redeem(code, nil), 400, "invalid_grant")
			}
		})
	}
}

// Covers: ATTACK-50. What has a lifetime outlives it by no more than the clocks differ.
func TestAttack50Lifetimes(t *testing.T) {
	t.Parallel()
	const minute = time.Minute // what lies between the clocks
	a := clocksApart(t, halfMinute, patient)
	c := a.Register("client-1", nil)
	there := a.fast.Client(c)
	refreshToken := c.Tokens().Text("refresh_token")
	within := func(t *testing.T, got, lifetime time.Duration) {
		t.Helper()
		if got < lifetime-minute-5*time.Second || got > lifetime+minute {
			t.Errorf("lasted %s, its lifetime is %s", got, lifetime)
		}
	}
	for name, at := range map[string]*fapitest.Client{"slow": c, "fast": there} {
		other := map[*fapitest.Client]*fapitest.Client{c: there, there: c}[at]
		t.Run("refuses an access token of the "+name+" node after its time", func(t *testing.T) {
			token := at.Refresh(refreshToken, nil).Text("access_token")
			within(t, a.lasts(func() bool { return other.Get("/accounts", token, nil).Status == http.StatusOK }), 5*minute)
		})
		t.Run("refuses a request of the "+name+" node after its time", func(t *testing.T) {
			b := map[*fapitest.Client]*fapitest.Browser{c: a.Browser(), there: a.fast.Browser(a.Browser())}[other]
			b.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			address := a.AuthorizeURL(c.ID, at.Push(nil).Text("request_uri"))
			within(t, a.lasts(func() bool {
				_, _, sentTo := b.Visit(address)
				return sentTo != nil && sentTo.Query().Get("error") == "" && !sentTo.Query().Has("code")
			}), 3*minute)
		})
	}
}
