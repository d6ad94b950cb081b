package fapi_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"countersign/store"
)

// Covers: ATTACK-02. Two nodes that get one assertion at the same moment accept it once between them, wherever it is
// sent, and its time is over before either has forgotten it.
func TestAttack02TwoNodes(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", wide)
	there := w.node(nil).here(c)
	const rounds = 200
	accepted := 0
	for range rounds {
		same := set("client_assertion", c.clientAssertion(nil))
		accepted += len(won(t, atOnce(
			func() reply { return c.push(same) },
			func() reply { return there.push(same) },
			func() reply { return c.revoke("unknown", same) },
			func() reply { return there.revoke("unknown", same) },
		), 400, "invalid_request"))
	}
	t.Run("accepts each of 200 assertions", func(t *testing.T) {
		if accepted < rounds {
			t.Errorf("%d", accepted)
		}
	})
	t.Run("refuses each a second time", func(t *testing.T) {
		if accepted > rounds {
			t.Errorf("%d", accepted)
		}
	})
}

// Covers: ATTACK-05. Of two browsers that answer one request on two nodes at the same moment, one gets a code.
func TestAttack05TwoBrowsers(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	n := w.node(nil)
	codes, spent := 0, true
	for range 20 {
		address := w.authorizeURL(c.id, c.push(nil).text("request_uri"))
		open := func(b *browser) func() reply {
			return func() reply {
				_, _, sentTo := b.visit(address)
				if sentTo == nil || sentTo.Query().Get("code") == "" {
					return reply{status: http.StatusBadRequest}
				}
				return reply{status: http.StatusOK}
			}
		}
		for _, r := range atOnce(open(w.browser()), open(n.browser(w.browser())), open(w.browser())) {
			if r.status == http.StatusOK {
				codes++
			}
		}
		_, _, again := n.browser(w.browser()).visit(address)
		spent = spent && again != nil && again.Query().Get("error") == "invalid_request_uri"
	}
	t.Run("accepts one answer to each of 20 requests", func(t *testing.T) {
		if codes < 20 {
			t.Errorf("%d codes", codes)
		}
	})
	t.Run("refuses a second answer", func(t *testing.T) {
		if codes > 20 || !spent {
			t.Errorf("%d codes, spent %v", codes, spent)
		}
	})
}

// Covers: ATTACK-09. Of many redemptions of one code on two nodes at the same moment at most one wins, and its tokens are
// worth nothing on either.
func TestAttack09TwoNodes(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	there := w.node(nil).here(c)
	const rounds = 15
	var winners []reply
	for range rounds {
		code := c.authorize()
		one, other := func() reply { return c.redeem(code, nil) }, func() reply { return there.redeem(code, nil) }
		got := won(t, atOnce(one, other, one, other), 400, "invalid_grant")
		if len(got) > 1 {
			t.Fatalf("%d redemptions of one code won", len(got))
		}
		winners = append(winners, got...)
	}
	t.Run("accepts one redemption of each code", func(t *testing.T) {
		if len(winners) != rounds {
			t.Errorf("%d of %d", len(winners), rounds)
		}
	})
	t.Run("refuses what the one bought, on both nodes", func(t *testing.T) {
		for _, r := range winners {
			for _, at := range []*client{c, there} {
				wantError(t, at.get("/accounts", r.text("access_token"), nil), 401, "invalid_token")
				wantError(t, at.refresh(r.text("refresh_token"), nil), 400, "invalid_grant")
			}
		}
	})
}

// Covers: ATTACK-10, ATTACK-53. While a grant is refreshed on two nodes it is revoked: every refresh that ended before
// succeeds, every one that began afterwards is refused, and no token that any of them bought outlives the grant.
func TestAttack10RefreshAndRevoke(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	there := w.node(nil).here(c)
	var before, after, odd []string
	for range 5 {
		issued := c.tokens()
		refreshToken := issued.text("refresh_token")
		var revoking, revoked atomic.Bool
		type outcome struct {
			began, ended bool // whether revocation had ended when it began, and begun when it ended
			reply
		}
		outcomes := make(chan outcome, 64)
		calls := []func() reply{func() reply {
			// Some refreshes are to be over first, and some under way.
			for range 6 {
				one := outcome{reply: there.refresh(refreshToken, nil)}
				outcomes <- one
			}
			revoking.Store(true)
			r := there.revoke(refreshToken, nil)
			revoked.Store(true)
			return r
		}}
		for _, at := range []*client{c, there, c, there} {
			calls = append(calls, func() reply {
				for range 8 {
					one := outcome{began: revoked.Load()}
					one.reply = at.refresh(refreshToken, nil)
					one.ended = revoking.Load()
					outcomes <- one
				}
				return reply{status: http.StatusOK}
			})
		}
		if r := atOnce(calls...)[0]; r.status != http.StatusOK {
			t.Fatalf("the revocation answered %d %s", r.status, r.raw)
		}
		close(outcomes)
		bought := []string{issued.text("access_token")}
		for one := range outcomes {
			switch {
			case one.status == http.StatusOK && one.began:
				after = append(after, one.raw)
			case one.status == http.StatusOK:
				before = append(before, one.raw)
				bought = append(bought, one.text("access_token"))
			case one.text("error") != "invalid_grant" || !one.ended:
				odd = append(odd, one.raw)
			}
		}
		for _, token := range bought {
			for _, at := range []*client{c, there} {
				wantError(t, at.get("/accounts", token, nil), 401, "invalid_token")
			}
		}
		wantError(t, c.refresh(refreshToken, nil), 400, "invalid_grant")
		wantError(t, there.refresh(refreshToken, nil), 400, "invalid_grant")
	}
	t.Run("accepts every refresh before the revocation", func(t *testing.T) {
		if len(before) < 30 || len(odd) > 0 {
			t.Errorf("%d succeeded; refused early or oddly: %q", len(before), odd)
		}
	})
	t.Run("refuses every refresh after it", func(t *testing.T) {
		if len(after) > 0 {
			t.Errorf("%d succeeded", len(after))
		}
	})
}

// Covers: ATTACK-12. A proof that one node took is refused by the other to the last second of its window, however often
// the nodes tidy up, and is no better at another address.
func TestAttack12TwoNodes(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	n := w.node(nil)
	there := n.here(c)
	token := c.tokens().text("access_token")
	start := w.clock.Now()
	pushing := func(at *client, proof string) reply { return at.push(setHeader("DPoP", proof)) }
	reading := func(at *client, proof string) reply {
		return at.get("/accounts", token, func(h http.Header) { h.Set("DPoP", proof) })
	}
	used, usedToRead := c.proof("POST", w.issuer+"/par", "", nil), c.proof("GET", w.issuer+"/accounts", token, nil)
	wantActive(t, reading(c, usedToRead))
	good("", nil).check(t, pushing(c, used))
	for _, path := range []string{"/token", "/revoke", "/introspect"} {
		t.Run("refuses one for PAR at "+path+" of the other node", func(t *testing.T) {
			forPAR := setHeader("DPoP", c.proof("POST", w.issuer+"/par", "", nil))
			wantError(t, there.post(path, c.request(), forPAR), 400, "invalid_dpop_proof")
		})
	}
	t.Run("refuses one for a resource at another of the other node", func(t *testing.T) {
		forAccounts := c.proof("GET", w.issuer+"/accounts", token, nil)
		wantError(t, there.get("/userinfo", token, func(h http.Header) { h.Set("DPoP", forAccounts) }), 401, "invalid_dpop_proof")
	})
	late := func(after time.Duration) {
		n.at(start.Add(after))
		for _, database := range []store.Store{w.store, n.store} {
			if _, err := database.Purge(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, after := range []time.Duration{0, time.Second, 59 * time.Second, 60 * time.Second, 61 * time.Second, 99 * time.Second, 100 * time.Second, 2 * time.Minute} {
		late(after)
		pushCode := "invalid_request"
		if after > time.Minute {
			pushCode = "invalid_dpop_proof" // its window is over
		}
		for name, at := range map[string]*client{"the node that took it": c, "the other node": there} {
			t.Run("refuses it "+after.String()+" later at "+name, func(t *testing.T) {
				wantError(t, pushing(at, used), 400, pushCode)
				wantError(t, reading(at, usedToRead), 401, "invalid_dpop_proof")
			})
		}
		t.Run("accepts a new one "+after.String()+" later", func(t *testing.T) {
			good("", nil).check(t, pushing(there, there.proof("POST", w.issuer+"/par", "", nil)))
			wantActive(t, reading(there, there.proof("GET", w.issuer+"/accounts", token, nil)))
		})
	}
	t.Run("accepts an unused one to the end of its window", func(t *testing.T) {
		proof := c.proof("POST", w.issuer+"/par", "", claim("iat", w.clock.Now().Add(-time.Minute).Unix()))
		good("", nil).check(t, pushing(there, proof))
	})
	t.Run("refuses an unused one after it", func(t *testing.T) {
		proof := c.proof("POST", w.issuer+"/par", "", claim("iat", w.clock.Now().Add(-61*time.Second).Unix()))
		wantError(t, pushing(there, proof), 400, "invalid_dpop_proof")
	})
}

// Covers: ATTACK-13. Whoever had the key for a moment and made proofs for the hour to come can use them until the nonce
// has changed twice, and on no node longer.
func TestAttack13ProofsMadeInAdvance(t *testing.T) {
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.RequireDPoPNonce = true })
	c := w.register("client-1", nil)
	n := w.node(nil)
	there := n.here(c)
	nonce := c.push(nil).header.Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("no nonce is offered")
	}
	start := w.clock.Now()
	type made struct {
		at          time.Time
		here, there string
	}
	var hour []made
	for minute := range 60 {
		at := start.Add(time.Duration(minute) * time.Minute)
		forThen := func() string {
			return c.proof("POST", w.issuer+"/par", "", func(body claims) { body["nonce"], body["iat"] = nonce, at.Unix() })
		}
		hour = append(hour, made{at, forThen(), forThen()})
	}
	last, worked, refused := time.Duration(-1), 0, 0
	for _, one := range hour {
		n.at(one.at)
		for _, r := range []reply{c.push(setHeader("DPoP", one.here)), there.push(setHeader("DPoP", one.there))} {
			if r.status == http.StatusCreated {
				worked++
				last = one.at.Sub(start)
				continue
			}
			wantError(t, r, 400, "use_dpop_nonce")
			refused++
			if next := r.header.Get("DPoP-Nonce"); next == "" || next == nonce {
				t.Errorf("offered %q", next)
			}
		}
	}
	t.Run("accepts the nonce on both nodes while it is fresh", func(t *testing.T) {
		if worked < 2 {
			t.Errorf("%d proofs worked", worked)
		}
	})
	t.Run("refuses the proofs made in advance from the fourth minute on", func(t *testing.T) {
		if last >= 4*time.Minute || worked+refused != 120 {
			t.Errorf("the last that worked was used after %s; %d worked, %d were refused", last, worked, refused)
		}
	})
	t.Run("accepts one node's nonce on the other", func(t *testing.T) {
		fresh := c.push(nil).header.Get("DPoP-Nonce")
		good("", nil).check(t, there.push(c.proving("/par", claim("nonce", fresh))))
	})
	t.Run("refuses a nonce of another issuer's server", func(t *testing.T) {
		other := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.RequireDPoPNonce = true })
		foreign := other.register("client-1", nil).push(nil).header.Get("DPoP-Nonce")
		wantError(t, there.push(c.proving("/par", claim("nonce", foreign))), 400, "use_dpop_nonce")
	})
}
