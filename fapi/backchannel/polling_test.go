package backchannel_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
)

// Covers: CI-07, CI-08, RULE-41. The acknowledgement, and what polling brings: pending, slow down, denied, expired; to the
// client that asked and to nobody else.
func TestCI08Polling(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c, other := w.Register("client-1", fapitest.CIBAPoll), w.Register("client-2", fapitest.CIBAPoll)
	t.Run("accepts a request with all that a client needs", func(t *testing.T) {
		r := c.Backchannel(fapitest.Set("requested_expiry", "3000"))
		if len(r.Text("auth_req_id")) != 43 || r.Body["expires_in"] != 600.0 || r.Body["interval"] != 5.0 || len(r.Body) != 3 {
			t.Errorf("answered %s", r.Raw)
		}
	})
	t.Run("refuses to be hurried", func(t *testing.T) {
		id := c.AuthReqID(nil)
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{0, "authorization_pending"}, {4 * time.Second, "slow_down"}, {9 * time.Second, "slow_down"}, {14900 * time.Millisecond, "authorization_pending"},
			{15 * time.Second, "authorization_pending"}, {time.Second, "slow_down"}, {20 * time.Second, "authorization_pending"},
		} {
			w.Clock.Advance(step.wait)
			fapitest.WantError(t, c.Poll(id, nil), 400, step.want)
		}
	})
	t.Run("accepts a poll that is early when there is a decision", func(t *testing.T) {
		id := c.AuthReqID(nil)
		fapitest.WantError(t, c.Poll(id, nil), 400, "authorization_pending")
		w.Decide(id, true)
		fapitest.WantOK(t, c.Poll(id, nil))
	})
	t.Run("refuses another client", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		fapitest.WantError(t, other.Poll(id, nil), 400, "invalid_grant")
		fapitest.WantOK(t, c.Poll(id, nil)) // nothing was changed by that
	})
	t.Run("refuses what was denied", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, false)
		fapitest.WantError(t, c.Poll(id, nil), 400, "access_denied")
	})
	t.Run("refuses what has expired, allowed or not", func(t *testing.T) {
		allowed, pending := c.AuthReqID(nil), c.AuthReqID(nil)
		w.Decide(allowed, true)
		w.Clock.Advance(2 * time.Minute)
		fapitest.WantError(t, c.Poll(allowed, nil), 400, "expired_token")
		fapitest.WantError(t, c.Poll(pending, nil), 400, "expired_token")
	})
	t.Run("refuses a key that is not the client's", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		fapitest.WantError(t, c.Poll(id, func(_ url.Values, h http.Header) { h.Del("DPoP") }), 400, "invalid_request")
		fapitest.WantOK(t, c.Poll(id, nil))
	})
}

// Covers: CI-08. A poll may be held until somebody decides; while it is held, it cannot be sent again.
func TestCI08LongPolling(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.LongPoll = 5 * time.Second }))
	c := w.Register("client-1", fapitest.CIBAPoll)
	t.Run("accepts a decision while it waits", func(t *testing.T) {
		id := c.AuthReqID(nil)
		answered := make(chan fapitest.Reply)
		assertion := c.ClientAssertion(nil)
		go func() { answered <- c.Poll(id, fapitest.Set("client_assertion", assertion)) }()
		awaitHeld(t, w)
		fapitest.WantError(t, c.Poll(id, nil), 400, "slow_down") // two at once are one too many
		fapitest.WantError(t, c.Poll(id, fapitest.Set("client_assertion", assertion)), 400, "slow_down")
		began := time.Now()
		w.Decide(id, true)
		fapitest.WantOK(t, <-answered)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the decision was told after %s", took)
		}
	})
	t.Run("accepts a decision on another node", func(t *testing.T) {
		id := c.AuthReqID(nil)
		answered := make(chan fapitest.Reply)
		go func() { answered <- c.Poll(id, nil) }()
		awaitHeld(t, w)
		node, err := fapi.New(t.Context(), w.Config)
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Backchannel().Decide(t.Context(), w.ByAlice(id, false)); err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, <-answered, 400, "access_denied")
	})
}

// awaitHeld waits until the server holds a poll.
func awaitHeld(t *testing.T, w *fapitest.World) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); w.Server.Backchannel().Held() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no poll is held")
		}
	}
}

// Covers: FC-05, CI-12. How the user was authenticated is in the tokens, and is what was asked for or better; what only
// belongs to push is not there.
func TestFC05Authentication(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	for asked, enough := range map[string][]string{
		fapitest.ACRKey: {fapitest.ACRKey}, fapitest.ACRPassword: {fapitest.ACRKey, fapitest.ACRPassword}, fapitest.ACRKey + " " + fapitest.ACRPassword: {fapitest.ACRKey, fapitest.ACRPassword}, "urn:unknown": {fapitest.ACRKey, fapitest.ACRPassword, ""}, "": {fapitest.ACRKey, fapitest.ACRPassword, ""},
	} {
		for _, reached := range []string{fapitest.ACRKey, fapitest.ACRPassword, ""} {
			fits := false
			for _, one := range enough {
				fits = fits || one == reached
			}
			title := map[bool]string{true: "accepts ", false: "refuses "}[fits]
			t.Run(title+"'"+reached+"' where '"+asked+"' is asked for", func(t *testing.T) {
				id := c.AuthReqID(fapitest.Set("acr_values", asked))
				answer := w.ByAlice(id, true)
				answer.Authentication.ACR = reached
				err := w.Server.Backchannel().Decide(t.Context(), answer)
				if !fits {
					if !errors.Is(err, backchannel.ErrStepUp) {
						t.Errorf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				body := fapitest.UnverifiedClaims(t, c.Poll(id, nil).Text("id_token"))
				if got, _ := body["acr"].(string); got != reached || body["at_hash"] == nil || body["auth_time"] != float64(w.Clock.Now().Unix()) {
					t.Errorf("the ID token says %v", body)
				}
				for name := range body {
					if strings.HasPrefix(name, "urn:openid:params:jwt:claim:") {
						t.Errorf("%s is in the ID token", name)
					}
				}
			})
		}
	}
}
