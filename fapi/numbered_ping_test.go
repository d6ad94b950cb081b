package fapi_test

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/ciba"
	"countersign/fapi"
	"countersign/store"
)

// awaitRings waits until a bell has rung so often, and a moment longer.
func (b *bell) awaitRings(t *testing.T, number int) []ring {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	for len(b.rings()) < number && time.Now().Before(end) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if rung := b.rings(); len(rung) == number {
		return rung
	}
	t.Fatalf("rung %d times, want %d", len(b.rings()), number)
	return nil
}

// Covers: CI-09, FC-03. A client with ping sends a token of its own, is called once with it when the person has decided,
// and then fetches.
func TestCI09Ping(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	w.notifying()
	b := w.bell(answering(http.StatusNoContent))
	c := w.register("client-1", pingedAt(b.URL+"/ping"))
	tryAll(t, c.ask,
		good("a token", withBellToken),
		good("a token of 1024 characters", set("client_notification_token", strings.Repeat("a", 1024))),
		bad("no token", unset("client_notification_token"), 400, "invalid_request"),
		bad("a token of 1025 characters", set("client_notification_token", strings.Repeat("a", 1025)), 400, "invalid_request"),
		bad("a token that can be guessed", set("client_notification_token", "short"), 400, "invalid_request"),
		bad("a token that ends the header", set("client_notification_token", strings.Repeat("a", 22)+"\r\nX: 1"), 400, "invalid_request"),
	)
	for _, allowed := range []bool{true, false} {
		name := map[bool]string{true: "accepts to tell that it was allowed", false: "accepts to tell that it was denied"}[allowed]
		t.Run(name, func(t *testing.T) {
			before := len(b.rings())
			id := c.asked(withBellToken)
			wantError(t, c.fetch(id, nil), 400, "authorization_pending") // it may poll, too
			w.decide(id, allowed)
			rung := b.awaitRings(t, before+1)[before]
			if rung.authorization != "Bearer "+bellToken || rung.contentType != "application/json" || rung.body != `{"auth_req_id":"`+id+`"}` {
				t.Errorf("told %+v", rung)
			}
			if allowed {
				wantActive(t, c.fetch(id, nil))
			} else {
				wantError(t, c.fetch(id, nil), 400, "access_denied")
			}
		})
	}
	t.Run("refuses to keep the token, or the auth_req_id, where they can be read", func(t *testing.T) {
		id := c.asked(withBellToken)
		record, err := w.store.BackchannelRequest(t.Context(), store.DigestOf(id))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{id, bellToken} {
			if strings.Contains(string(kept), secret) || strings.Contains(string(record.Ping), secret) || strings.Contains(w.logs.String(), secret) {
				t.Errorf("%q is kept or logged", secret)
			}
		}
	})
	t.Run("refuses to serve ping without a key for it", func(t *testing.T) {
		w := newWorld(t, offersBackchannel(func(b *fapi.Backchannel) { b.Seals = nil }))
		c := w.register("client-1", pingedAt("https://client.example/ping"))
		wantError(t, c.ask(withBellToken), 400, "unauthorized_client")
		if modes, _ := w.document()["backchannel_token_delivery_modes_supported"].([]any); len(modes) != 1 || modes[0] != "poll" {
			t.Errorf("advertised %v", modes)
		}
	})
}

// Covers: CI-10, ATTACK-40. Only what passes by itself is tried again: no redirect is followed, no body believed, no refusal
// argued with, and an endpoint that hangs holds up nobody.
func TestCI10PingAnswers(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	w.notifying()
	elsewhere := w.bell(answering(http.StatusNoContent))
	answers := map[string]func(http.ResponseWriter){
		"accepts 204": answering(http.StatusNoContent),
		"accepts 200 with a body": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<20))) // the server hangs up
		},
		"refuses to follow a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"refuses to argue with 401": answering(http.StatusUnauthorized),
		"refuses to argue with 403": answering(http.StatusForbidden),
		"refuses to argue with 429": answering(http.StatusTooManyRequests),
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			b := w.bell(answer)
			c := w.register("client "+name, pingedAt(b.URL))
			id := c.asked(withBellToken)
			w.decide(id, true)
			b.awaitRings(t, 1)
			w.clock.Advance(30 * time.Second) // when a second try would be due
			time.Sleep(1200 * time.Millisecond)
			b.awaitRings(t, 1)
			wantActive(t, c.fetch(id, nil)) // whatever became of the ping
		})
	}
	if rung := elsewhere.rings(); len(rung) != 0 {
		t.Errorf("the redirect was followed: %+v", rung)
	}
	t.Run("accepts to try again after 503, later each time, as long as the request lives", func(t *testing.T) {
		b := w.bell(answering(http.StatusServiceUnavailable))
		c := w.register("client-503", pingedAt(b.URL))
		id := c.asked(withBellToken)
		w.decide(id, true)
		b.awaitRings(t, 1)
		w.clock.Advance(time.Second)
		b.awaitRings(t, 2)
		w.clock.Advance(time.Second)
		time.Sleep(1200 * time.Millisecond)
		b.awaitRings(t, 2) // only two seconds after the second try
		w.clock.Advance(time.Second)
		b.awaitRings(t, 3)
		w.clock.Advance(2 * time.Minute)
		time.Sleep(1200 * time.Millisecond)
		b.awaitRings(t, 3)
	})
	t.Run("accepts other clients' pings while one hangs", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		hangs := w.register("client-hangs", pingedAt("https://"+listener.Addr().String()))
		b := w.bell(answering(http.StatusNoContent))
		c := w.register("client-well", pingedAt(b.URL))
		stuck, id := hangs.asked(withBellToken), c.asked(withBellToken)
		w.decide(stuck, true)
		began := time.Now()
		w.decide(id, true)
		b.awaitRings(t, 1)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("told after %s", took)
		}
	})
}

// Covers: CI-09. Of several nodes each ping is sent by one, and what a dead node has claimed is sent by another.
func TestCI09PingNodes(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	b := w.bell(answering(http.StatusNoContent))
	c := w.register("client-1", pingedAt(b.URL))
	const number = 40
	for range number {
		w.decide(c.asked(withBellToken), true)
	}
	// A node claims some and dies before it has sent them.
	dead, err := w.store.ClaimPings(t.Context(), 5, 10*time.Second)
	if err != nil || len(dead) != 5 {
		t.Fatalf("%d claimed: %v", len(dead), err)
	}
	var nodes sync.WaitGroup
	for range 4 {
		nodes.Go(func() {
			for {
				sent, err := w.sendPings()
				if err != nil {
					t.Error(err)
				}
				if sent == 0 || err != nil {
					return
				}
			}
		})
	}
	nodes.Wait()
	t.Run("accepts each ping once", func(t *testing.T) { b.awaitRings(t, number-len(dead)) })
	t.Run("accepts those of a dead node when its lease is over", func(t *testing.T) {
		w.clock.Advance(30 * time.Second)
		if sent, err := w.sendPings(); err != nil || sent != len(dead) {
			t.Fatalf("%d sent: %v", sent, err)
		}
		seen := map[string]int{}
		for _, each := range b.awaitRings(t, number) {
			seen[each.body]++
		}
		if len(seen) != number {
			t.Errorf("%d different pings", len(seen))
		}
	})
	t.Run("refuses what was sealed for another request", func(t *testing.T) {
		var first, second store.Digest
		first[0], second[0] = 1, 2
		sealed, err := w.config.Backchannel.Seals.Seal(first, ciba.Notification{AuthReqID: "a", Token: "b"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.config.Backchannel.Seals.Open(second, sealed); err == nil {
			t.Error("it was opened")
		}
	})
}
