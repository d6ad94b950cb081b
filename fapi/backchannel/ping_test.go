package backchannel_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/ciba"
	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: CI-09, FC-03. A client with ping sends a token of its own, is called once with it when the user has decided,
// and then fetches.
func TestCI09Ping(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	notifying(w)
	b := w.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
	c := w.Register("client-1", fapitest.CIBAPing(b.URL+"/ping"))
	fapitest.TryAll(t, c.Backchannel,
		fapitest.Good("a token", fapitest.WithNotificationToken),
		fapitest.Good("a token of 1024 characters", fapitest.Set("client_notification_token", strings.Repeat("a", 1024))),
		fapitest.Bad("no token", fapitest.Unset("client_notification_token"), 400, "invalid_request"),
		fapitest.Bad("a token of 1025 characters", fapitest.Set("client_notification_token", strings.Repeat("a", 1025)), 400, "invalid_request"),
		fapitest.Bad("a token that can be guessed", fapitest.Set("client_notification_token", "short"), 400, "invalid_request"),
		fapitest.Bad("a token that ends the header", fapitest.Set("client_notification_token", strings.Repeat("a", 22)+"\r\nX: 1"), 400, "invalid_request"),
	)
	for _, allowed := range []bool{true, false} {
		name := map[bool]string{true: "accepts to tell that it was allowed", false: "accepts to tell that it was denied"}[allowed]
		t.Run(name, func(t *testing.T) {
			before := len(b.Received())
			id := c.AuthReqID(fapitest.WithNotificationToken)
			fapitest.WantError(t, c.Poll(id, nil), 400, "authorization_pending") // it may poll, too
			w.Decide(id, allowed)
			rung := b.Await(t, before+1)[before]
			if rung.Authorization != "Bearer "+fapitest.NotificationToken || rung.ContentType != "application/json" || rung.Body != `{"auth_req_id":"`+id+`"}` {
				t.Errorf("told %+v", rung)
			}
			if allowed {
				fapitest.WantOK(t, c.Poll(id, nil))
			} else {
				fapitest.WantError(t, c.Poll(id, nil), 400, "access_denied")
			}
		})
	}
	t.Run("refuses to keep the token, or the auth_req_id, where they can be read", func(t *testing.T) {
		id := c.AuthReqID(fapitest.WithNotificationToken)
		record, err := w.Store.BackchannelRequest(t.Context(), store.DigestOf(id))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{id, fapitest.NotificationToken} {
			if strings.Contains(string(kept), secret) || strings.Contains(string(record.Ping), secret) || strings.Contains(w.Logs.String(), secret) {
				t.Errorf("%q is kept or logged", secret)
			}
		}
	})
	t.Run("refuses to serve ping without a key for it", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.Seals = nil }))
		c := w.Register("client-1", fapitest.CIBAPing("https://client.example/ping"))
		fapitest.WantError(t, c.Backchannel(fapitest.WithNotificationToken), 400, "unauthorized_client")
		if modes, _ := w.Document()["backchannel_token_delivery_modes_supported"].([]any); len(modes) != 1 || modes[0] != "poll" {
			t.Errorf("advertised %v", modes)
		}
	})
}

// Covers: CI-10, ATTACK-40. Only what passes by itself is tried again: no redirect is followed, no body believed, no refusal
// argued with, and an endpoint that hangs holds up nobody.
func TestCI10PingAnswers(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	// sends sends what is due, which must be so many pings.
	sends := func(t *testing.T, want int) {
		t.Helper()
		if tried, err := w.SendPings(); err != nil || tried != want {
			t.Errorf("%d pings were due, want %d: %v", tried, want, err)
		}
	}
	elsewhere := w.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
	answers := map[string]func(http.ResponseWriter){
		"accepts 204": fapitest.Answer(http.StatusNoContent),
		"accepts 200 with a body": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(strings.Repeat("x", 1<<20))) // the server hangs up
		},
		"refuses to follow a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"refuses to argue with 401": fapitest.Answer(http.StatusUnauthorized),
		"refuses to argue with 403": fapitest.Answer(http.StatusForbidden),
		"refuses to argue with 429": fapitest.Answer(http.StatusTooManyRequests),
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			b := w.NotificationEndpoint(answer)
			c := w.Register("client "+name, fapitest.CIBAPing(b.URL))
			id := c.AuthReqID(fapitest.WithNotificationToken)
			w.Decide(id, true)
			sends(t, 1)
			b.Await(t, 1)
			w.Clock.Advance(30 * time.Second) // when a second try would be due
			sends(t, 0)
			fapitest.WantOK(t, c.Poll(id, nil)) // whatever became of the ping
		})
	}
	if rung := elsewhere.Received(); len(rung) != 0 {
		t.Errorf("the redirect was followed: %+v", rung)
	}
	t.Run("accepts to try again after 503, later each time, as long as the request lives", func(t *testing.T) {
		b := w.NotificationEndpoint(fapitest.Answer(http.StatusServiceUnavailable))
		c := w.Register("client-503", fapitest.CIBAPing(b.URL))
		id := c.AuthReqID(fapitest.WithNotificationToken)
		w.Decide(id, true)
		sends(t, 1)
		w.Clock.Advance(time.Second)
		sends(t, 1)
		w.Clock.Advance(time.Second)
		sends(t, 0) // only two seconds after the second try
		w.Clock.Advance(time.Second)
		sends(t, 1)
		b.Await(t, 3)
		w.Clock.Advance(2 * time.Minute)
		sends(t, 0)
	})
	t.Run("accepts other clients' pings while one hangs", func(t *testing.T) {
		notifying(w)
		listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		hangs := w.Register("client-hangs", fapitest.CIBAPing("https://"+listener.Addr().String()))
		b := w.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
		c := w.Register("client-well", fapitest.CIBAPing(b.URL))
		stuck, id := hangs.AuthReqID(fapitest.WithNotificationToken), c.AuthReqID(fapitest.WithNotificationToken)
		w.Decide(stuck, true)
		began := time.Now()
		w.Decide(id, true)
		b.Await(t, 1)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("told after %s", took)
		}
	})
}

// Covers: CI-09. Of several nodes each ping is sent by one, and what a dead node has claimed is sent by another.
func TestCI09PingNodes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	b := w.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
	c := w.Register("client-1", fapitest.CIBAPing(b.URL))
	const number = 40
	for range number {
		w.Decide(c.AuthReqID(fapitest.WithNotificationToken), true)
	}
	// A node claims some and dies before it has sent them.
	dead, err := w.Store.ClaimPings(t.Context(), 5, 10*time.Second)
	if err != nil || len(dead) != 5 {
		t.Fatalf("%d claimed: %v", len(dead), err)
	}
	var nodes sync.WaitGroup
	for range 4 {
		nodes.Go(func() {
			for {
				sent, err := w.SendPings()
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
	t.Run("accepts each ping once", func(t *testing.T) { b.Await(t, number-len(dead)) })
	t.Run("accepts those of a dead node when its lease is over", func(t *testing.T) {
		w.Clock.Advance(30 * time.Second)
		if sent, err := w.SendPings(); err != nil || sent != len(dead) {
			t.Fatalf("%d sent: %v", sent, err)
		}
		seen := map[string]int{}
		for _, each := range b.Await(t, number) {
			seen[each.Body]++
		}
		if len(seen) != number {
			t.Errorf("%d different pings", len(seen))
		}
	})
	t.Run("refuses what was sealed for another request", func(t *testing.T) {
		var first, second store.Digest
		first[0], second[0] = 1, 2
		sealed, err := w.Config.Backchannel.Seals.Seal(first, ciba.Notification{AuthReqID: "a", Token: "b"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Config.Backchannel.Seals.Open(second, sealed); err == nil {
			t.Error("it was opened")
		}
	})
}

// notifying runs the sending of pings until the test ends.
func notifying(w *fapitest.World) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Server.RunPings(ctx)
	}()
	w.T.Cleanup(func() { stop(); <-done })
}
