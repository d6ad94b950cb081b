package fapi_test

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
)

// Covers: ATTACK-38. Nobody's telephone is flooded, by one client or by many; who is known cannot be told from who is not,
// by shape, by limits or by the work that is done.
func TestAttack38Flooding(t *testing.T) {
	t.Run("refuses one client more than a few requests to one person", func(t *testing.T) {
		w := newWorld(t, offersBackchannel(func(b *fapi.Backchannel) { b.PersonBurst, b.PersonPerMinute = 3, 1 }))
		w.addUser("sub-bob", "bob", `{}`)
		c, other := w.register("client-1", asks), w.register("client-2", asks)
		for _, person := range []string{"alice", "nobody"} {
			for range 3 {
				w.decideIfShown(c.asked(set("login_hint", person)))
			}
			r := c.ask(set("login_hint", person))
			wantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
			if r.header.Get("Retry-After") != "60" {
				t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
			}
		}
		c.asked(set("login_hint", "bob")) // one person's limit is not another's
		other.asked(nil)                  // and one client's not another's
		w.clock.Advance(time.Minute)
		c.asked(nil)
	})
	for name, limits := range map[string]struct{ person, client, clients, fit int }{
		"one client": {5, 3, 1, 3}, "many clients": {5, 3, 4, 5},
	} {
		t.Run("refuses more than a few that wait at once, of "+name, func(t *testing.T) {
			w := newWorld(t, offersBackchannel(func(b *fapi.Backchannel) { b.PendingPerPerson, b.PendingPerClient = limits.person, limits.client }))
			var clients []*client
			for i := range limits.clients {
				clients = append(clients, w.register(fmt.Sprint("client-", i), asks))
			}
			for _, person := range []string{"alice", "nobody"} {
				var taken atomic.Int64
				var asking sync.WaitGroup
				for i := range 24 {
					asking.Go(func() {
						r := clients[i%len(clients)].ask(set("login_hint", person))
						if r.status == http.StatusOK {
							taken.Add(1)
						} else if r.status != http.StatusTooManyRequests {
							t.Errorf("answered %d %s", r.status, r.raw)
						}
					})
				}
				asking.Wait()
				if int(taken.Load()) != limits.fit {
					t.Errorf("%s: %d wait, want %d", person, taken.Load(), limits.fit)
				}
			}
			if waiting := w.pendingOf("sub-alice"); len(waiting) != limits.fit {
				t.Errorf("alice is shown %d", len(waiting))
			}
		})
	}
	t.Run("accepts known and unknown people alike", func(t *testing.T) {
		w := newWorld(t, offersBackchannel())
		w.addUser("sub-bob", "bob", `{}`)
		w.disable("sub-bob", true)
		plain, coded := w.register("client-1", asks), w.register("client-2", all(asks, member("backchannel_user_code_parameter", true)))
		for _, c := range []*client{plain, coded} {
			shapes := map[string][]string{}
			for _, person := range []string{"alice", "bob", "nobody", strings.Repeat("x", 300), "new\nline"} {
				w.spans.Reset()
				r := c.ask(both(set("login_hint", person), set("user_code", "wrong code")))
				poll := c.fetch(r.text("auth_req_id"), nil)
				r.body["auth_req_id"], r.body["correlation_id"], poll.body["correlation_id"] = len(r.text("auth_req_id")), nil, nil
				if told := r.text("error_description"); told != "" {
					r.body["error_description"] = strings.ReplaceAll(told, r.header.Get("X-Correlation-Id"), "")
				}
				shape := fmt.Sprint(r.status, r.body, poll.status, poll.body, r.header.Get("Content-Length"))
				var verbs []string
				for _, span := range w.spans.GetSpans() {
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

// decideIfShown has alice answer what she is shown.
func (w *world) decideIfShown(authReqID string) {
	w.t.Helper()
	for _, view := range w.pendingOf("sub-alice") {
		if view.Reference == fapi.BackchannelReference(authReqID) {
			w.decide(authReqID, false)
		}
	}
}

// Covers: ATTACK-39. No text deceives whoever compares it; what is accepted is shown as it was sent.
func TestAttack39BindingMessage(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c := w.register("client-1", asks)
	for name, message := range map[string]string{
		"an override of direction": "Pay \u202e05 EUR", "an isolate": "Pay \u2066x\u2069", "an invisible space": "Pay\u200b5", "a joiner": "Pa\u200dy", "a soft hyphen": "Pa\u00ady",
		"letters that look alike": "P\u0430yPal", "letters of full width": "\uff30ay", "mathematical letters": "\U0001d5d7ay", "heaps of marks": "Z\u0300\u0301\u0302\u0303a", "a line break": "Pay\r\n5",
		"a NUL": "Pay\x00", "spaces only": "   ", "a variation": "1\ufe0f\u20e3", "tags": "Pay\U000e0041", "too much": strings.Repeat("9", 101), "a filler": "\u3164",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			r := c.ask(set("binding_message", message))
			if r.status != 400 || r.text("error") != "invalid_binding_message" && r.text("error") != "invalid_request" {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		})
	}
	for name, message := range map[string]string{
		"code": "W4-K2", "German": "Überweisung über 12,50 €", "Cyrillic": "Оплата 500", "Japanese": "支払い 500円", "markup, as text": `<b onload="x">&amp;</b>`,
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			id := c.asked(set("binding_message", message))
			if waiting := w.pendingOf("sub-alice"); len(waiting) != 1 || waiting[0].Message != message {
				t.Errorf("shown %+v", waiting)
			}
			w.decide(id, false)
		})
	}
}

// Covers: ATTACK-09, CI-08. Of polls and decisions that race, each request ends in one answer, and in one token when it was
// allowed. `make torture-ciba` does the same a hundred thousand times, on PostgreSQL.
func TestAttack09BackchannelRace(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	nodes := []*fapi.Server{w.server}
	second, err := fapi.New(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	nodes = append(nodes, second)
	c := w.register("client-1", all(withCertificate, asks))
	for round := range 10 {
		id := c.asked(nil)
		var tokens, refusals, decisions atomic.Int64
		var racing sync.WaitGroup
		for i := range 16 {
			racing.Go(func() {
				if i%4 == 0 {
					if nodes[i/4%2].DecideBackchannel(context.Background(), w.byAlice(id, (i/4+round)%2 == 0)) == nil {
						decisions.Add(1)
					}
					return
				}
				switch r := c.fetch(id, nil); r.text("error") {
				case "":
					tokens.Add(1)
				case "access_denied":
					refusals.Add(1)
				}
			})
		}
		racing.Wait()
		last := c.post("/token", url.Values{"grant_type": {cibaGrant}, "auth_req_id": {id}}, nil)
		if last.status == http.StatusOK {
			tokens.Add(1)
		}
		denied := last.text("error") == "access_denied"
		if decisions.Load() != 1 || !denied && (tokens.Load() != 1 || refusals.Load() != 0) || denied && tokens.Load() != 0 {
			t.Fatalf("round %d: %d decisions, %d tokens, %d refusals, then %s", round, decisions.Load(), tokens.Load(), refusals.Load(), last.raw)
		}
	}
	t.Run("accepts one answer", func(t *testing.T) {
		id := c.asked(nil)
		w.decide(id, true)
		wantActive(t, c.fetch(id, nil))
	})
	t.Run("refuses a second", func(t *testing.T) {
		id := c.asked(nil)
		w.decide(id, true)
		c.fetch(id, nil)
		wantError(t, c.fetch(id, nil), 400, "invalid_grant")
	})
}
