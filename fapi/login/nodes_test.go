package login_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: KE-13. Of two answers on two nodes at the same moment one counts, and of two returns one gets a code.
func TestKE13TwoNodes(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c, n := everybody(w, "client-1"), w.Node(nil)
	there := &bank{w, n.Client(b.caller)}
	const rounds = 20
	answers, codes := 0, 0
	for range rounds {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		message := b.message(t, handle)
		replies := fapitest.Concurrently(
			func() fapitest.Reply { return b.answer(handle, message) },
			func() fapitest.Reply {
				return there.answer(handle, with(message, fapitest.Claims{"subject": "sub-bob"}))
			},
		)
		returnTo := ""
		for _, r := range replies {
			if r.Status == http.StatusOK {
				answers++
				returnTo = r.Text("return_to")
				continue
			}
			refused(t, r, http.StatusConflict, "answered already")
		}
		if returnTo == "" {
			t.Fatal("no answer counts")
		}
		back := func(in *fapitest.Browser) func() fapitest.Reply {
			return func() fapitest.Reply {
				_, _, sentTo := in.Visit(returnTo)
				if sentTo == nil || sentTo.Query().Get("code") == "" {
					return fapitest.Reply{Status: http.StatusBadRequest}
				}
				return fapitest.Reply{Status: http.StatusOK}
			}
		}
		for _, r := range fapitest.Concurrently(back(browser), back(n.Browser(browser)), back(browser), back(n.Browser(browser))) {
			if r.Status == http.StatusOK {
				codes++
			}
		}
	}
	t.Run("accepts one answer and one return of each", func(t *testing.T) {
		if answers < rounds || codes < rounds {
			t.Errorf("%d answers, %d codes of %d", answers, codes, rounds)
		}
	})
	t.Run("refuses each a second one", func(t *testing.T) {
		if answers > rounds || codes > rounds {
			t.Errorf("%d answers, %d codes of %d", answers, codes, rounds)
		}
	})
	t.Run("accepts that one node reads what another began, and a third step on the first", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		wantCode(t, n.Browser(browser), there.done(t, handle, b.message(t, handle)))
	})
}
