package login_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: KE-48. Whatever ends all sign-ins of a user ends one whose answer waits for the browser, too: nobody is signed in and
// nothing is granted, also when that happens on another node at the same moment.
func TestKE48EndedBeforeReturn(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	signedIn := func(t *testing.T) bool {
		t.Helper()
		sessions, err := w.Store.ListSessions(t.Context(), "sub-alice", store.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		return len(sessions) > 0
	}
	t.Run("accepts a return that nothing overtakes", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		wantCode(t, browser, b.done(t, handle, b.message(t, handle)))
		if !signedIn(t) {
			t.Error("nobody is signed in")
		}
	})
	for name, end := range map[string]func(t *testing.T) error{
		"sign-ins that an operator or a password reset ended": func(t *testing.T) error { return w.Store.EndSessions(t.Context(), "sub-alice") },
		"sign-ins that the user ended everywhere": func(t *testing.T) error {
			_, err := w.Store.EndOtherSessions(t.Context(), "sub-alice", store.Digest{})
			return err
		},
		"a user who was disabled and enabled again": func(t *testing.T) error {
			w.Disable("sub-alice", true)
			err := w.Store.EndSessions(t.Context(), "sub-alice")
			w.Disable("sub-alice", false)
			return err
		},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			browser := w.Browser()
			handle := arrive(t, c, browser, nil)
			returnTo := b.done(t, handle, b.message(t, handle))
			if err := end(t); err != nil {
				t.Fatal(err)
			}
			nothingGranted(t, w, func() { wantError(t, browser, returnTo, "access_denied") })
			if signedIn(t) {
				t.Error("somebody is signed in")
			}
			next := arrive(t, c, browser, nil)
			wantCode(t, browser, b.done(t, next, b.message(t, next)))
		})
	}
	t.Run("refuses to keep a sign-in that another node ends at the same moment", func(t *testing.T) {
		n := w.Node(nil)
		for range 10 {
			browser := w.Browser()
			handle := arrive(t, c, browser, nil)
			returnTo := b.done(t, handle, b.message(t, handle))
			replies := fapitest.Concurrently(
				func() fapitest.Reply { browser.Visit(returnTo); return fapitest.Reply{Status: http.StatusOK} },
				func() fapitest.Reply {
					if err := n.Store.EndSessions(t.Context(), "sub-alice"); err != nil {
						t.Error(err)
					}
					return fapitest.Reply{Status: http.StatusOK}
				},
			)
			if len(replies) != 2 || signedIn(t) {
				t.Fatal("a session outlives the end of all sessions")
			}
		}
	})
}
