package fapi_test

import (
	"testing"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: KB-10. A browser whose sessions are ended, or whose user is disabled, is signed in on no node from the next request
// on; enabling the user, after the sessions were ended, revives none.
func TestSignedOutOnAllNodes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	n := w.Node(nil)
	b := w.Browser()
	there := n.Browser(b)
	silent := fapitest.Set("prompt", "none")
	asked := func(t *testing.T, b *fapitest.Browser) string {
		t.Helper()
		return c.AuthorizeIn(b, silent).Get("error")
	}
	c.AuthorizeIn(b, nil)
	session := sessionIn(w, b)
	t.Run("accepts the session on both nodes before", func(t *testing.T) {
		for _, at := range []*fapitest.Browser{b, there} {
			if got := asked(t, at); got == "login_required" {
				t.Error(got)
			}
		}
	})
	user, err := w.Store.User(t.Context(), "sub-alice")
	if err != nil {
		t.Fatal(err)
	}
	put := func(disabled bool) {
		user.Disabled = disabled
		if err := w.Store.PutUser(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
	refusedOnBoth := func(t *testing.T) {
		t.Helper()
		for _, at := range []*fapitest.Browser{b, there} {
			if got := asked(t, at); got != "login_required" {
				t.Errorf("the answer is %q", got)
			}
		}
	}
	t.Run("refuses it while the user is disabled", func(t *testing.T) {
		put(true)
		refusedOnBoth(t)
	})
	t.Run("refuses it after its end, also when the user is enabled", func(t *testing.T) {
		if err := w.Store.EndSessions(t.Context(), "sub-alice"); err != nil {
			t.Fatal(err)
		}
		put(false)
		refusedOnBoth(t)
		if _, err := w.Store.Session(t.Context(), session); err != store.ErrNotFound {
			t.Errorf("%v", err)
		}
	})
}
