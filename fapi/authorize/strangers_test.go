package authorize_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: FD-72. Error responses that strangers cause are signed a few times for each address, and none is evidence; the
// client's users get theirs beside.
func TestFD72SignedRefusals(t *testing.T) {
	t.Parallel()
	w, _ := newCountedWorld(t)
	c := w.Register("client-1", fapitest.All(fapitest.FAPI1Advanced, fapitest.SetMember("response_types", []string{"code"})))
	jarm := fapitest.ChangeClaims(fapitest.SetClaim("response_type", "code"), fapitest.SetClaim("response_mode", "jwt"))
	expired := c.ByValue(fapitest.ChangeClaims(jarm, fapitest.SetClaim("exp", w.Clock.Now().Unix())))
	signed := func(from, address string) bool {
		b := w.BrowserAt(from)
		defer b.HTTP.CloseIdleConnections()
		_, to := opened(t, b, address)
		return strings.Contains(to, "response=")
	}
	reply := c.Push(c.Signing(jarm))
	fapitest.Good("", nil).Check(t, reply)
	pushed := w.AuthorizeURL(c.ID, reply.Text("request_uri"))
	if _, body, to := w.Browser().Visit(pushed); to == nil || !to.Query().Has("response") {
		t.Fatalf("the pushed request was not answered: %s, sent to %v", body, to)
	}
	events := w.NewEvidence(t, func() {
		var answers int
		for i := range 300 {
			address := pushed // now it is used up
			if i%2 == 0 {
				address = expired
			}
			if signed("127.0.0.2", address) {
				answers++
			}
		}
		t.Run("refuses an address more than its burst", func(t *testing.T) {
			if answers == 0 || answers > 100 {
				t.Errorf("%d signed error responses", answers)
			}
		})
	})
	t.Run("refuses to make evidence of them", func(t *testing.T) {
		if len(events) != 0 {
			t.Errorf("recorded %d events", len(events))
		}
	})
	t.Run("accepts to sign another's", func(t *testing.T) {
		if !signed("127.0.0.1", expired) || !signed("127.0.0.1", pushed) {
			t.Error("not signed")
		}
	})
}

// Covers: FD-73. One request_uri begins one interaction in a browser and a few at an address; who saw it and floods the
// server with it keeps the user's browser from nothing.
func TestFD73Interactions(t *testing.T) {
	t.Parallel()
	w, made := newCountedWorld(t)
	w.User.Does("wait")
	c := w.Register("client-1", nil)
	open := func() string { return w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")) }
	t.Run("accepts a reload as the same interaction", func(t *testing.T) {
		address, b := open(), w.Browser()
		_, first := opened(t, b, address)
		if _, again := opened(t, b, address); again != first || !isInteraction(first) {
			t.Errorf("sent to %q, then to %q", first, again)
		}
	})
	t.Run("accepts the user's browser beside a stranger's flood", func(t *testing.T) {
		const users = 20
		addresses := make([]string, users)
		for i := range addresses {
			addresses[i] = open()
		}
		before := made.interactions.Load()
		var at atomic.Int64
		honestly := fapitest.Beside(t, 8, func(int) {
			b := w.BrowserAt("127.0.0.2")
			defer b.HTTP.CloseIdleConnections()
			opened(t, b, addresses[at.Load()])
		}, users, func(i int) {
			at.Store(int64(i))
			b := w.Browser()
			defer b.HTTP.CloseIdleConnections()
			if status, to := opened(t, b, addresses[i]); status != http.StatusSeeOther || !isInteraction(to) {
				t.Errorf("answered %d, sent to %q", status, to)
			}
		})
		if n := made.interactions.Load() - before; n > int64(users*20+honestly) {
			t.Errorf("%d interactions", n)
		}
	})
	t.Run("refuses an address more than twenty of one request", func(t *testing.T) {
		address := open()
		var accepted int
		for range 40 {
			if _, to := opened(t, w.BrowserAt("127.0.0.2"), address); isInteraction(to) {
				accepted++
			}
		}
		if accepted != 20 {
			t.Errorf("%d interactions", accepted)
		}
		w.User.Does("allow")
		if _, _, to := w.Browser().Visit(address); to == nil || to.Query().Get("code") == "" {
			t.Errorf("the user's browser was sent to %v", to)
		}
	})
	t.Run("accepts a sign-in elsewhere as another interaction", func(t *testing.T) {
		w.User.Does("wait")
		address, b := w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "consent")).Text("request_uri")), w.Browser()
		_, signedOut := opened(t, b, address)
		w.User.Does("allow")
		if _, _, to := b.Visit(open()); to == nil {
			t.Fatal("not signed in")
		}
		w.User.Does("wait")
		_, signedIn := opened(t, b, address)
		if signedIn == signedOut || !isInteraction(signedIn) {
			t.Errorf("sent to %q, then to %q", signedOut, signedIn)
		}
	})
}
