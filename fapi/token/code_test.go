package token_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: ATTACK-09, RULE-29. Of many redemptions of one code at once one wins, and because the others are reuse, what
// it issued is revoked.
func TestAttack09CodeReplayRace(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	replies := make([]fapitest.Reply, 16)
	var wait sync.WaitGroup
	for i := range replies {
		wait.Go(func() { replies[i] = c.Redeem(code, nil) })
	}
	wait.Wait()
	var winners, losers []fapitest.Reply
	for _, r := range replies {
		if r.Status == http.StatusOK {
			winners = append(winners, r)
		} else {
			losers = append(losers, r)
		}
	}
	t.Run("accepts one of 16", func(t *testing.T) {
		if len(winners) != 1 {
			t.Fatalf("%d", len(winners))
		}
	})
	t.Run("refuses the rest", func(t *testing.T) {
		for _, r := range losers {
			fapitest.WantError(t, r, 400, "invalid_grant")
		}
	})
	t.Run("refuses what the one issued", func(t *testing.T) {
		for _, r := range winners {
			fapitest.WantError(t, c.Get("/accounts", r.Text("access_token"), nil), 401, "invalid_token")
			fapitest.WantError(t, c.Refresh(r.Text("refresh_token"), nil), 400, "invalid_grant")
		}
	})
}

// Covers: SP-21, RULE-29. A code lives 60 seconds, even where more was configured.
func TestSP21CodeLifetime(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.CodeLifetime = 10 * time.Minute })
	c := w.Register("client-1", nil)
	early, late := c.Authorize(), c.Authorize()
	w.Clock.Advance(59 * time.Second)
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply { return c.Redeem(early, nil) }, fapitest.Good("a code after 59 seconds", nil))
	w.Clock.Advance(time.Second)
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply { return c.Redeem(late, nil) }, fapitest.Bad("a code after 60 seconds", nil, 400, "invalid_grant"))
	w.Clock.Advance(9 * time.Minute)
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply { return c.Redeem(late, nil) }, fapitest.Bad("a code after ten minutes", nil, 400, "invalid_grant"))
}

// Covers: SP-33, RULE-29, BC-04, AM-07, ATTACK-08. A code works once, for its own client and key; its second use ends what
// the first one issued.
func TestSP33CodeOnce(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c, stranger := w.Register("client-1", nil), w.Register("client-2", nil)
	code := c.Authorize()
	issued := c.Redeem(code, nil)
	works := func(t *testing.T) {
		t.Helper()
		fapitest.Good("", nil).Check(t, c.Get("/accounts", issued.Text("access_token"), nil))
		fapitest.Good("", nil).Check(t, c.Refresh(issued.Text("refresh_token"), nil))
	}
	t.Run("accepts the first use", func(t *testing.T) { works(t) })
	t.Run("refuses another client, which ends nothing", func(t *testing.T) {
		fapitest.WantError(t, stranger.Redeem(code, nil), 400, "invalid_grant")
		works(t)
	})
	t.Run("refuses the second use, and then what was issued", func(t *testing.T) {
		fapitest.WantError(t, c.Redeem(code, nil), 400, "invalid_grant")
		fapitest.WantError(t, c.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	otherKey := *c
	otherKey.ProofKey = fapitest.NewKey(t, jose.ES256)
	for name, redeem := range map[string]func(string) fapitest.Reply{
		"in another session, with that session's verifier": func(code string) fapitest.Reply {
			return c.Redeem(code, fapitest.Set("code_verifier", strings.Repeat("v", 43)))
		},
		"with another key": func(code string) fapitest.Reply { return otherKey.Redeem(code, nil) },
		"with another redirect_uri": func(code string) fapitest.Reply {
			return c.Redeem(code, fapitest.Set("redirect_uri", "https://client.example/other"))
		},
		"without a redirect_uri": func(code string) fapitest.Reply { return c.Redeem(code, fapitest.Unset("redirect_uri")) },
		"by another client":      func(code string) fapitest.Reply { return stranger.Redeem(code, nil) },
		"by another client in its own name": func(code string) fapitest.Reply {
			return stranger.Redeem(code, fapitest.Set("client_id", stranger.ID))
		},
	} {
		code := c.Authorize()
		t.Run("refuses a code "+name, func(t *testing.T) { fapitest.WantError(t, redeem(code), 400, "invalid_grant") })
		t.Run("accepts it afterwards as it should be, not "+name, func(t *testing.T) { fapitest.Good("", nil).Check(t, c.Redeem(code, nil)) })
	}
}

// TestRepetitionEndsNothing: a request that is sent twice, byte for byte, is refused and takes nothing along: only a
// request of its own can show that a code was used twice.
func TestRepetitionEndsNothing(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	var form url.Values
	var header http.Header
	first := c.Redeem(code, func(f url.Values, h http.Header) { form, header = f, h })
	if first.Status != http.StatusOK {
		t.Fatalf("answered %d %s", first.Status, first.Raw)
	}
	again := c.Redeem(code, func(f url.Values, h http.Header) {
		for name := range f {
			f[name] = form[name]
		}
		for name := range h {
			h[name] = header[name]
		}
	})
	fapitest.WantError(t, again, http.StatusUnauthorized, "invalid_client")
	if r := c.Refresh(first.Text("refresh_token"), nil); r.Status != http.StatusOK {
		t.Fatalf("the grant ended: %d %s", r.Status, r.Raw)
	}
	fapitest.WantError(t, c.Redeem(code, nil), http.StatusBadRequest, "invalid_grant")
	fapitest.WantError(t, c.Refresh(first.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
}

// TestCodeWearsOut shows that a code's own client cannot guess at it for ever.
func TestCodeWearsOut(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	for range 5 {
		fapitest.WantError(t, c.Redeem(code, func(f url.Values, _ http.Header) { f.Set("code_verifier", strings.Repeat("x", 43)) }), 400, "invalid_grant")
	}
	fapitest.WantError(t, c.Redeem(code, nil), 400, "invalid_grant")
}

// TestCodeReuse: the second use is refused and ends what the first one issued.
func TestCodeReuse(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	issued := c.Redeem(code, nil)
	if issued.Status != http.StatusOK {
		t.Fatal(issued.Raw)
	}
	// Another client that got hold of the consumed code revokes nothing.
	fapitest.WantError(t, w.Register("client-2", nil).Redeem(code, nil), 400, "invalid_grant")
	if r := c.Get("/accounts", issued.Text("access_token"), nil); r.Status != http.StatusOK {
		t.Fatalf("a stranger revoked the grant: %d %s", r.Status, r.Raw)
	}
	fapitest.WantError(t, c.Redeem(code, nil), 400, "invalid_grant")
	fapitest.WantError(t, c.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
	fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
}

// TestCodeRace redeems one code many times at once: one answer has tokens, and they are revoked.
func TestCodeRace(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	var wait sync.WaitGroup
	replies := make([]fapitest.Reply, 16)
	for i := range replies {
		wait.Go(func() { replies[i] = c.Redeem(code, nil) })
	}
	wait.Wait()
	var winners []fapitest.Reply
	for _, r := range replies {
		if r.Status == http.StatusOK {
			winners = append(winners, r)
		} else {
			fapitest.WantError(t, r, 400, "invalid_grant")
		}
	}
	if len(winners) != 1 {
		t.Fatalf("%d of %d redemptions of one code succeeded", len(winners), len(replies))
	}
	fapitest.WantError(t, c.Get("/accounts", winners[0].Text("access_token"), nil), 401, "invalid_token")
}

func TestCodeExpires(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	early, late := c.Authorize(), c.Authorize()
	w.Clock.Advance(59 * time.Second)
	if r := c.Redeem(early, nil); r.Status != http.StatusOK {
		t.Fatalf("after 59 s: %d %s", r.Status, r.Raw)
	}
	w.Clock.Advance(time.Second)
	fapitest.WantError(t, c.Redeem(late, nil), 400, "invalid_grant")
}
