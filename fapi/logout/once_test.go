package logout_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: LO-07. The page that asks is answered once, also on two nodes at the same moment: a second answer, by the back button or a
// double click, gets a page that says what is, and ends nothing.
func TestLO07Once(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told("", afterwards)))
	begin := func(t *testing.T) *fapitest.Browser {
		t.Helper()
		b := w.Browser()
		fapitest.WantOK(t, c.TokensIn(b, nil))
		return b
	}
	ask := url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {afterwards}}
	t.Run("refuses to sign out by the page on which the user stayed", func(t *testing.T) {
		b := begin(t)
		page := b.EndSession(t, ask)
		b.Answer(t, page, "stay")
		for _, action := range []string{"sign-out", "stay"} { // the back button, and then another one
			again := b.Answer(t, page, action)
			if again.Status != http.StatusOK || again.SentTo != nil || !strings.Contains(again.Body, "You have already answered this") ||
				!strings.Contains(again.Body, `id="sign-out" href="/end-session"`) {
				t.Errorf("%s: %d %v %s", action, again.Status, again.SentTo, again.Body)
			}
		}
		if signedOut(t, c, b) {
			t.Error("the session has ended")
		}
		fresh := b.EndSession(t, nil) // where the link leads
		if !fresh.Asks() || fresh.Address == page.Address {
			t.Fatalf("%d %s", fresh.Status, fresh.Body)
		}
		b.Answer(t, fresh, "sign-out")
		if !signedOut(t, c, b) {
			t.Error("the session goes on")
		}
	})
	t.Run("accepts a double click: both end where the first one leads", func(t *testing.T) {
		n := w.Node(nil)
		for range 10 {
			b := begin(t)
			page := b.EndSession(t, ask)
			pages := make(chan fapitest.SignOutPage, 2)
			press := func(in *fapitest.Browser) func() fapitest.Reply {
				return func() fapitest.Reply {
					pages <- in.Answer(t, page, "sign-out")
					return fapitest.Reply{}
				}
			}
			events := w.NewEvents(t, func() { fapitest.Concurrently(press(b), press(n.Browser(b))) })
			for range 2 {
				// While the first one is at it, the second finds the session still there.
				if got := <-pages; got.SentTo == nil && !strings.Contains(got.Body, "You have already answered this") || got.Status >= 400 {
					t.Errorf("%d %v %s", got.Status, got.SentTo, got.Body)
				}
			}
			ended := 0
			for _, e := range events {
				if e.Detail["event"] == "signed_out" {
					ended++
				}
			}
			if ended != 1 || !signedOut(t, c, b) {
				t.Errorf("ended %d times", ended)
			}
		}
	})
	t.Run("accepts the same press again when the session has ended", func(t *testing.T) {
		b := begin(t)
		page := b.EndSession(t, ask)
		for range 2 {
			if left := b.Answer(t, page, "sign-out"); left.SentTo == nil || left.SentTo.String() != afterwards {
				t.Errorf("%d %v %s", left.Status, left.SentTo, left.Body)
			}
		}
	})
	t.Run("accepts the same question of two browsers in the same second, each by itself", func(t *testing.T) {
		one, other := begin(t), begin(t)
		first, second := one.EndSession(t, ask), other.EndSession(t, ask)
		if first.Address == second.Address {
			t.Error("the addresses are the same")
		}
		one.Answer(t, first, "sign-out")
		other.Answer(t, second, "sign-out")
		if !signedOut(t, c, one) || !signedOut(t, c, other) {
			t.Error("a session goes on")
		}
	})
}

// Covers: LO-08. The page that says that the user is signed out leads to the sign-in of the user's own account.
func TestLO08ToAccount(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithDevices)
	t.Run("accepts the link", func(t *testing.T) {
		b := w.DeviceBrowser(t)
		page := b.Visit("/end-session")
		page.Has(t, http.StatusOK, "You are signed out", "Sign in to your account")
		b.Visit(page.One(t, `id="account" href="([^"]+)"`)).Has(t, http.StatusOK, `name="password"`)
	})
}
