package backchannel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
)

// Covers: ATTACK-38. Nobody's telephone is flooded, by one client or by many; who is known cannot be told from who is not,
// by shape, by limits or by the work that is done.
func TestAttack38Flooding(t *testing.T) {
	t.Parallel()
	t.Run("refuses one client more than a few requests to one user", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.UserBurst, b.UserPerMinute = 3, 1 }))
		w.AddUser("sub-bob", "bob", `{}`)
		c, other := w.Register("client-1", fapitest.CIBAPoll), w.Register("client-2", fapitest.CIBAPoll)
		for _, person := range []string{"alice", "nobody"} {
			for range 3 {
				decideIfShown(w, c.AuthReqID(fapitest.Set("login_hint", person)))
			}
			r := c.Backchannel(fapitest.Set("login_hint", person))
			fapitest.WantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
			if r.Header.Get("Retry-After") != "60" {
				t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
			}
		}
		c.AuthReqID(fapitest.Set("login_hint", "bob")) // one user's limit is not another's
		other.AuthReqID(nil)                           // and one client's not another's
		w.Clock.Advance(time.Minute)
		c.AuthReqID(nil)
	})
	for name, limits := range map[string]struct{ person, client, clients, fit int }{
		"one client": {5, 3, 1, 3}, "many clients": {5, 3, 4, 5},
	} {
		t.Run("refuses more than a few that wait at once, of "+name, func(t *testing.T) {
			t.Parallel()
			w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.PendingPerUser, b.PendingPerClient = limits.person, limits.client }))
			var clients []*fapitest.Client
			for i := range limits.clients {
				clients = append(clients, w.Register(fmt.Sprint("client-", i), fapitest.CIBAPoll))
			}
			for _, person := range []string{"alice", "nobody"} {
				var taken atomic.Int64
				var asking sync.WaitGroup
				for i := range 24 {
					asking.Go(func() {
						r := clients[i%len(clients)].Backchannel(fapitest.Set("login_hint", person))
						if r.Status == http.StatusOK {
							taken.Add(1)
						} else if r.Status != http.StatusTooManyRequests {
							t.Errorf("answered %d %s", r.Status, r.Raw)
						}
					})
				}
				asking.Wait()
				if int(taken.Load()) != limits.fit {
					t.Errorf("%s: %d wait, want %d", person, taken.Load(), limits.fit)
				}
			}
			if waiting := pendingOf(w, "sub-alice"); len(waiting) != limits.fit {
				t.Errorf("alice is shown %d", len(waiting))
			}
		})
	}
	t.Run("accepts known and unknown users alike", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
		w.AddUser("sub-bob", "bob", `{}`)
		w.Disable("sub-bob", true)
		plain, coded := w.Register("client-1", fapitest.CIBAPoll), w.Register("client-2", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("backchannel_user_code_parameter", true)))
		for _, c := range []*fapitest.Client{plain, coded} {
			shapes := map[string][]string{}
			for _, person := range []string{"alice", "bob", "nobody", strings.Repeat("x", 300), "new\nline"} {
				w.Spans.Reset()
				r := c.Backchannel(fapitest.Changes(fapitest.Set("login_hint", person), fapitest.Set("user_code", "wrong code")))
				poll := c.Poll(r.Text("auth_req_id"), nil)
				r.Body["auth_req_id"], r.Body["correlation_id"], poll.Body["correlation_id"] = len(r.Text("auth_req_id")), nil, nil
				if told := r.Text("error_description"); told != "" {
					r.Body["error_description"] = strings.ReplaceAll(told, r.Header.Get("X-Correlation-Id"), "")
				}
				shape := fmt.Sprint(r.Status, r.Body, poll.Status, poll.Body, r.Header.Get("Content-Length"))
				var verbs []string
				for _, span := range w.Spans.GetSpans() {
					if strings.HasPrefix(span.Name, "store.") {
						verbs = append(verbs, span.Name)
					}
				}
				shapes[shape] = append(shapes[shape], person)
				if person == "alice" || person == "bob" || person == "nobody" {
					shapes[strings.Join(verbs, " ")] = append(shapes[strings.Join(verbs, " ")], person)
				}
			}
			for shape, people := range shapes {
				if len(people) != 3 && len(people) != 5 {
					t.Errorf("only %v: %s", people, shape)
				}
			}
		}
	})
}

// Covers: ATTACK-39. No text deceives whoever compares it; what is accepted is shown as it was sent.
func TestAttack39BindingMessage(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	for name, message := range map[string]string{
		"an override of direction": "Pay \u202e05 EUR", "an isolate": "Pay \u2066x\u2069", "an invisible space": "Pay\u200b5", "a joiner": "Pa\u200dy", "a soft hyphen": "Pa\u00ady",
		"letters that look alike": "P\u0430yPal", "letters of full width": "\uff30ay", "mathematical letters": "\U0001d5d7ay", "heaps of marks": "Z\u0300\u0301\u0302\u0303a", "a line break": "Pay\r\n5",
		"a NUL": "Pay\x00", "spaces only": "   ", "a variation": "1\ufe0f\u20e3", "tags": "Pay\U000e0041", "too much": strings.Repeat("9", 101), "a filler": "\u3164",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			r := c.Backchannel(fapitest.Set("binding_message", message))
			if r.Status != 400 || r.Text("error") != "invalid_binding_message" && r.Text("error") != "invalid_request" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		})
	}
	for name, message := range map[string]string{
		"code": "W4-K2", "German": "Überweisung über 12,50 €", "Cyrillic": "Оплата 500", "Japanese": "支払い 500円", "markup, as text": `<b onload="x">&amp;</b>`,
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			id := c.AuthReqID(fapitest.Set("binding_message", message))
			if waiting := pendingOf(w, "sub-alice"); len(waiting) != 1 || waiting[0].Message != message {
				t.Errorf("shown %+v", waiting)
			}
			w.Decide(id, false)
		})
	}
}

// Covers: ATTACK-09, CI-08. Of polls and decisions that race, each request ends in one answer, and in one token when it was
// allowed. `make torture-ciba` does the same a hundred thousand times, on PostgreSQL.
func TestAttack09BackchannelRace(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	nodes := []*fapi.Server{w.Server}
	second, err := fapi.New(t.Context(), w.Config)
	if err != nil {
		t.Fatal(err)
	}
	nodes = append(nodes, second)
	c := w.Register("client-1", fapitest.All(fapitest.TLSClientAuth, fapitest.CIBAPoll))
	for round := range 10 {
		id := c.AuthReqID(nil)
		var tokens, refusals, decisions atomic.Int64
		var racing sync.WaitGroup
		for i := range 16 {
			racing.Go(func() {
				if i%4 == 0 {
					if nodes[i/4%2].Backchannel().Decide(context.Background(), w.ByAlice(id, (i/4+round)%2 == 0)) == nil {
						decisions.Add(1)
					}
					return
				}
				switch r := c.Poll(id, nil); r.Text("error") {
				case "":
					tokens.Add(1)
				case "access_denied":
					refusals.Add(1)
				}
			})
		}
		racing.Wait()
		last := c.Post("/token", url.Values{"grant_type": {fapitest.CIBAGrant}, "auth_req_id": {id}}, nil)
		if last.Status == http.StatusOK {
			tokens.Add(1)
		}
		denied := last.Text("error") == "access_denied"
		if decisions.Load() != 1 || !denied && (tokens.Load() != 1 || refusals.Load() != 0) || denied && tokens.Load() != 0 {
			t.Fatalf("round %d: %d decisions, %d tokens, %d refusals, then %s", round, decisions.Load(), tokens.Load(), refusals.Load(), last.Raw)
		}
	}
	t.Run("accepts one answer", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		fapitest.WantOK(t, c.Poll(id, nil))
	})
	t.Run("refuses a second", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		c.Poll(id, nil)
		fapitest.WantError(t, c.Poll(id, nil), 400, "invalid_grant")
	})
}

// decideIfShown has alice answer what she is shown.
func decideIfShown(w *fapitest.World, authReqID string) {
	w.T.Helper()
	for _, view := range pendingOf(w, "sub-alice") {
		if view.Reference == fapitest.Reference(authReqID) {
			w.Decide(authReqID, false)
		}
	}
}
