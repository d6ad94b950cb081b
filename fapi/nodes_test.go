package fapi_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: ATTACK-02. Two nodes that get one assertion at the same moment accept it once between them, wherever it is
// sent, and its time is over before either has forgotten it.
func TestAttack02TwoNodes(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	there := w.Node(nil).Client(c)
	const rounds = 200
	accepted := 0
	for range rounds {
		same := fapitest.Set("client_assertion", c.ClientAssertion(nil))
		accepted += len(won(t, fapitest.Concurrently(
			func() fapitest.Reply { return c.Push(same) },
			func() fapitest.Reply { return there.Push(same) },
			func() fapitest.Reply { return c.Revoke("unknown", same) },
			func() fapitest.Reply { return there.Revoke("unknown", same) },
		), 401, "invalid_client"))
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	n := w.Node(nil)
	codes, consumed := 0, true
	for range 20 {
		address := w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))
		open := func(b *fapitest.Browser) func() fapitest.Reply {
			return func() fapitest.Reply {
				_, _, sentTo := b.Visit(address)
				if sentTo == nil || sentTo.Query().Get("code") == "" {
					return fapitest.Reply{Status: http.StatusBadRequest}
				}
				return fapitest.Reply{Status: http.StatusOK}
			}
		}
		for _, r := range fapitest.Concurrently(open(w.Browser()), open(n.Browser(w.Browser())), open(w.Browser())) {
			if r.Status == http.StatusOK {
				codes++
			}
		}
		_, _, again := n.Browser(w.Browser()).Visit(address)
		consumed = consumed && again != nil && again.Query().Get("error") == "invalid_request_uri"
	}
	t.Run("accepts one answer to each of 20 requests", func(t *testing.T) {
		if codes < 20 {
			t.Errorf("%d codes", codes)
		}
	})
	t.Run("refuses a second answer", func(t *testing.T) {
		if codes > 20 || !consumed {
			t.Errorf("%d codes, consumed %v", codes, consumed)
		}
	})
}

// Covers: ATTACK-09. Of many redemptions of one code on two nodes at the same moment at most one wins, and its tokens are
// worth nothing on either.
func TestAttack09TwoNodes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	there := w.Node(nil).Client(c)
	const rounds = 15
	var winners []fapitest.Reply
	for range rounds {
		code := c.Authorize()
		one, other := func() fapitest.Reply { return c.Redeem(code, nil) }, func() fapitest.Reply { return there.Redeem(code, nil) }
		got := won(t, fapitest.Concurrently(one, other, one, other), 400, "invalid_grant")
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
	t.Run("refuses what the one issued, on both nodes", func(t *testing.T) {
		for _, r := range winners {
			for _, at := range []*fapitest.Client{c, there} {
				fapitest.WantError(t, at.Get("/accounts", r.Text("access_token"), nil), 401, "invalid_token")
				fapitest.WantError(t, at.Refresh(r.Text("refresh_token"), nil), 400, "invalid_grant")
			}
		}
	})
}

// Covers: ATTACK-10, ATTACK-53. While a grant is refreshed on two nodes it is revoked: every refresh that ended before
// succeeds, every one that began afterwards is refused, and no token that any of them issued outlives the grant.
func TestAttack10RefreshAndRevoke(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	there := w.Node(nil).Client(c)
	var before, after, odd []string
	for range 5 {
		issued := c.Tokens()
		refreshToken := issued.Text("refresh_token")
		var revoking, revoked atomic.Bool
		type outcome struct {
			began, ended bool // whether revocation had ended when it began, and begun when it ended
			fapitest.Reply
		}
		outcomes := make(chan outcome, 64)
		calls := []func() fapitest.Reply{func() fapitest.Reply {
			// Some refreshes are to be over first, and some under way.
			for range 6 {
				one := outcome{Reply: there.Refresh(refreshToken, nil)}
				outcomes <- one
			}
			revoking.Store(true)
			r := there.Revoke(refreshToken, nil)
			revoked.Store(true)
			return r
		}}
		for _, at := range []*fapitest.Client{c, there, c, there} {
			calls = append(calls, func() fapitest.Reply {
				for range 8 {
					one := outcome{began: revoked.Load()}
					one.Reply = at.Refresh(refreshToken, nil)
					one.ended = revoking.Load()
					outcomes <- one
				}
				return fapitest.Reply{Status: http.StatusOK}
			})
		}
		if r := fapitest.Concurrently(calls...)[0]; r.Status != http.StatusOK {
			t.Fatalf("the revocation answered %d %s", r.Status, r.Raw)
		}
		close(outcomes)
		all := []string{issued.Text("access_token")}
		for one := range outcomes {
			switch {
			case one.Status == http.StatusOK && one.began:
				after = append(after, one.Raw)
			case one.Status == http.StatusOK:
				before = append(before, one.Raw)
				all = append(all, one.Text("access_token"))
			case one.Text("error") != "invalid_grant" || !one.ended:
				odd = append(odd, one.Raw)
			}
		}
		for _, token := range all {
			for _, at := range []*fapitest.Client{c, there} {
				fapitest.WantError(t, at.Get("/accounts", token, nil), 401, "invalid_token")
			}
		}
		fapitest.WantError(t, c.Refresh(refreshToken, nil), 400, "invalid_grant")
		fapitest.WantError(t, there.Refresh(refreshToken, nil), 400, "invalid_grant")
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	n := w.Node(nil)
	there := n.Client(c)
	token := c.Tokens().Text("access_token")
	start := w.Clock.Now()
	pushing := func(at *fapitest.Client, proof string) fapitest.Reply {
		return at.Push(fapitest.SetHeader("DPoP", proof))
	}
	reading := func(at *fapitest.Client, proof string) fapitest.Reply {
		return at.Get("/accounts", token, func(h http.Header) { h.Set("DPoP", proof) })
	}
	used, usedToRead := c.Proof("POST", w.Issuer+"/par", "", nil), c.Proof("GET", w.Issuer+"/accounts", token, nil)
	fapitest.WantOK(t, reading(c, usedToRead))
	fapitest.Good("", nil).Check(t, pushing(c, used))
	for _, path := range []string{"/token", "/revoke", "/introspect"} {
		t.Run("refuses one for PAR at "+path+" of the other node", func(t *testing.T) {
			forPAR := fapitest.SetHeader("DPoP", c.Proof("POST", w.Issuer+"/par", "", nil))
			fapitest.WantError(t, there.Post(path, c.AuthorizationForm(), forPAR), 400, "invalid_dpop_proof")
		})
	}
	t.Run("refuses one for a resource at another of the other node", func(t *testing.T) {
		forAccounts := c.Proof("GET", w.Issuer+"/accounts", token, nil)
		fapitest.WantError(t, there.Get("/userinfo", token, func(h http.Header) { h.Set("DPoP", forAccounts) }), 401, "invalid_dpop_proof")
	})
	late := func(after time.Duration) {
		n.SetTime(start.Add(after))
		for _, database := range []store.Store{w.Store, n.Store} {
			if _, err := database.Purge(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, after := range []time.Duration{0, time.Second, 59 * time.Second, 60 * time.Second, 61 * time.Second, 99 * time.Second, 100 * time.Second, 2 * time.Minute} {
		late(after)
		for name, at := range map[string]*fapitest.Client{"the node that took it": c, "the other node": there} {
			t.Run("refuses it "+after.String()+" later at "+name, func(t *testing.T) {
				fapitest.WantError(t, pushing(at, used), 400, "invalid_dpop_proof")
				fapitest.WantError(t, reading(at, usedToRead), 401, "invalid_dpop_proof")
			})
		}
		t.Run("accepts a new one "+after.String()+" later", func(t *testing.T) {
			fapitest.Good("", nil).Check(t, pushing(there, there.Proof("POST", w.Issuer+"/par", "", nil)))
			fapitest.WantOK(t, reading(there, there.Proof("GET", w.Issuer+"/accounts", token, nil)))
		})
	}
	t.Run("accepts an unused one to the end of its window", func(t *testing.T) {
		proof := c.Proof("POST", w.Issuer+"/par", "", fapitest.SetClaim("iat", w.Clock.Now().Add(-time.Minute).Unix()))
		fapitest.Good("", nil).Check(t, pushing(there, proof))
	})
	t.Run("refuses an unused one after it", func(t *testing.T) {
		proof := c.Proof("POST", w.Issuer+"/par", "", fapitest.SetClaim("iat", w.Clock.Now().Add(-61*time.Second).Unix()))
		fapitest.WantError(t, pushing(there, proof), 400, "invalid_dpop_proof")
	})
}

// Covers: ATTACK-13. Whoever had the key for a moment and made proofs for the hour to come can use them until the nonce
// has changed twice, and on no node longer.
func TestAttack13ProofsMadeInAdvance(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.RequireDPoPNonce = true })
	c := w.Register("client-1", nil)
	n := w.Node(nil)
	there := n.Client(c)
	nonce := c.Push(nil).Header.Get("DPoP-Nonce")
	if nonce == "" {
		t.Fatal("no nonce is offered")
	}
	start := w.Clock.Now()
	type made struct {
		at          time.Time
		here, there string
	}
	var hour []made
	for minute := range 60 {
		at := start.Add(time.Duration(minute) * time.Minute)
		forThen := func() string {
			return c.Proof("POST", w.Issuer+"/par", "", func(body fapitest.Claims) { body["nonce"], body["iat"] = nonce, at.Unix() })
		}
		hour = append(hour, made{at, forThen(), forThen()})
	}
	last, worked, refused := time.Duration(-1), 0, 0
	for _, one := range hour {
		n.SetTime(one.at)
		for _, r := range []fapitest.Reply{c.Push(fapitest.SetHeader("DPoP", one.here)), there.Push(fapitest.SetHeader("DPoP", one.there))} {
			if r.Status == http.StatusCreated {
				worked++
				last = one.at.Sub(start)
				continue
			}
			fapitest.WantError(t, r, 400, "use_dpop_nonce")
			refused++
			if next := r.Header.Get("DPoP-Nonce"); next == "" || next == nonce {
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
		fresh := c.Push(nil).Header.Get("DPoP-Nonce")
		fapitest.Good("", nil).Check(t, there.Push(c.ReplaceProof("/par", fapitest.SetClaim("nonce", fresh))))
	})
	t.Run("refuses a nonce of another issuer's server", func(t *testing.T) {
		t.Parallel()
		other := fapitest.NewWorld(t, func(c *fapitest.Config) { c.RequireDPoPNonce = true })
		foreign := other.Register("client-1", nil).Push(nil).Header.Get("DPoP-Nonce")
		fapitest.WantError(t, there.Push(c.ReplaceProof("/par", fapitest.SetClaim("nonce", foreign))), 400, "use_dpop_nonce")
	})
}

// won gives the answers that are no refusals, and checks that each of the others is the refusal named.
func won(t *testing.T, replies []fapitest.Reply, status int, code string) []fapitest.Reply {
	t.Helper()
	var winners []fapitest.Reply
	for _, r := range replies {
		if r.Status == http.StatusOK || r.Status == http.StatusCreated {
			winners = append(winners, r)
			continue
		}
		fapitest.WantError(t, r, status, code)
	}
	return winners
}

// pushedID is the digest of the request_uri of a new request.
func pushedID(w *fapitest.World, c *fapitest.Client, nonce string) store.Digest {
	w.T.Helper()
	return store.IssuedDigest(c.Push(c.ReplaceProof("/par", fapitest.SetClaim("nonce", nonce))).Text("request_uri"))
}

// sessionIn is the digest of the sign-in cookie that a browser has.
func sessionIn(w *fapitest.World, b *fapitest.Browser) store.Digest {
	w.T.Helper()
	for _, cookie := range b.HTTP.Jar.Cookies(fapitest.MustURL(w.T, w.Issuer)) {
		if cookie.Name == "__Host-countersign-session" {
			return store.DigestOf(cookie.Value)
		}
	}
	w.T.Fatal("the browser has no session")
	return store.Digest{}
}

// Covers: FD-131. What a removed client was granted ends on every node, and a second later no node knows the client.
func TestFD131RemovedOnAllNodes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c, other := w.Register("client-1", nil), w.Register("client-2", nil)
	n := w.Node(nil)
	there := n.Client(c)
	issued, kept := c.Tokens(), other.Tokens()
	pushed := c.Push(nil).Text("request_uri")
	code := c.Authorize()
	for _, at := range []*fapitest.Client{c, there} { // both nodes know it
		if r := at.Get("/accounts", issued.Text("access_token"), nil); r.Status != http.StatusOK {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
	}
	if err := w.Store.DeleteClient(t.Context(), c.ID, store.RevokedByOperator); err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]*fapitest.Client{"the node": c, "the other node": there} {
		t.Run("refuses its access token at once at "+name, func(t *testing.T) {
			fapitest.WantError(t, at.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
		})
	}
	w.Clock.Advance(2 * time.Second) // what a node has kept is looked at again
	n.Clock.Advance(2 * time.Second)
	for name, at := range map[string]*fapitest.Client{"the node": c, "the other node": there} {
		t.Run("refuses the client at "+name, func(t *testing.T) {
			fapitest.WantError(t, at.Refresh(issued.Text("refresh_token"), nil), 401, "invalid_client")
			fapitest.WantError(t, at.Redeem(code, nil), 401, "invalid_client")
			fapitest.WantError(t, at.Push(nil), 401, "invalid_client")
		})
	}
	t.Run("refuses to open its request", func(t *testing.T) {
		if status, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed)); sentTo != nil || status < 400 {
			t.Errorf("%d, %v", status, sentTo)
		}
	})
	t.Run("accepts what another client has", func(t *testing.T) {
		if r := other.Get("/accounts", kept.Text("access_token"), nil); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
		if r := n.Client(other).Refresh(kept.Text("refresh_token"), nil); r.Status != http.StatusOK {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}
