package consent_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/consent/notify"
	"countersign/fapi/fapitest"
	"countersign/fapi/tokens"
	"countersign/store"
)

// hook is a webhook: it answers with a status, or with an error.
type hook struct {
	mu     sync.Mutex
	status int
	err    error
	got    chan received
}

type received struct {
	address, contentType, token string
}

func newHook() *hook { return &hook{status: http.StatusAccepted, got: make(chan received, 100)} }

func (h *hook) answers(status int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.err = status, err
}

func (h *hook) send(_ context.Context, address string, header http.Header, body []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got <- received{address, header.Get("Content-Type"), string(body)}
	return h.status, h.err
}

const hookAddress = "https://bank.example/consents"

// told has a server tell a webhook.
func (h *hook) told(c *fapitest.Config) {
	c.Consents.Webhook = &notify.Webhook{Address: hookAddress, Send: h.send}
}

// next waits for the next notice.
func (h *hook) next(t *testing.T) received {
	t.Helper()
	select {
	case r := <-h.got:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was told within 20 seconds")
	}
	return received{}
}

// run has a server end what is over and tell of changes while the test runs.
func run(t *testing.T, server interface{ RunConsents(context.Context) }) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); server.RunConsents(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
}

// change reads what a notice tells.
func (e *ecosystem) change(t *testing.T, r received) (claims, change map[string]any) {
	t.Helper()
	header, claims := e.Verify(r.token)
	events, _ := claims["events"].(map[string]any)
	change, _ = events[tokens.ConsentChanged].(map[string]any)
	if header.Type != "secevent+jwt" || r.contentType != "application/secevent+jwt" || r.address != hookAddress || claims["iss"] != e.Issuer ||
		claims["aud"] != hookAddress || claims["jti"] == "" || claims["exp"] != nil || claims["sub"] != nil || change == nil {
		t.Errorf("told %+v: %+v, %v", r, header, claims)
	}
	return claims, change
}

// Covers: LC-13. The operator is told of each change of a consent, by a signed security event token, whoever made it; again until it is
// acknowledged, with the same jti; and what became of it is evidence.
func TestWebhook(t *testing.T) {
	t.Parallel()
	h := newHook()
	e := newEcosystem(t, fapitest.WithAuditChain, h.told)
	c := e.uk
	lodge := func() consent.Consent { return e.lodge(c) }
	run(t, e.Server)
	t.Run("accepts an authorisation, and the end by the client", func(t *testing.T) {
		lodged := lodge()
		tokens := c.TokensFor(e.naming(c, lodged.ID))
		_, change := e.change(t, h.next(t))
		if change["consent_id"] != lodged.ID || change["status"] != "authorised" || change["client_id"] != c.ID || change["kind"] != kind || change["grant_id"] == "" {
			t.Errorf("told %v", change)
		}
		e.end(lodged.ID)
		if _, change = e.change(t, h.next(t)); change["status"] != "revoked" || change["ended_by"] != "client" || change["version"] != 3.0 {
			t.Errorf("told %v", change)
		}
		fapitest.WantError(t, c.Refresh(tokens.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("accepts the end of the grant by its user", func(t *testing.T) {
		lodged := lodge()
		c.TokensFor(e.naming(c, lodged.ID))
		h.next(t)
		if _, err := e.Store.EndAccess(t.Context(), store.Ending{Subject: "sub-alice", ClientID: c.ID, By: store.RevokedByUser}); err != nil {
			t.Fatal(err)
		}
		if _, change := e.change(t, h.next(t)); change["consent_id"] != lodged.ID || change["status"] != "revoked" || change["ended_by"] != "user" {
			t.Errorf("told %v", change)
		}
	})
	t.Run("refuses to lose one that was not acknowledged", func(t *testing.T) {
		h.answers(http.StatusInternalServerError, nil)
		lodged := lodge()
		e.end(lodged.ID)
		first, _ := e.change(t, h.next(t))
		h.answers(0, errors.New("away"))
		e.Clock.Advance(time.Minute)
		h.next(t)
		h.answers(http.StatusAccepted, nil)
		e.Clock.Advance(time.Minute)
		again, change := e.change(t, h.next(t))
		if first["jti"] != again["jti"] || change["consent_id"] != lodged.ID || change["status"] != "rejected" {
			t.Errorf("told %v, and then %v", first, again)
		}
	})
	t.Run("accepts what is over by its time", func(t *testing.T) {
		ends := e.Clock.Now().Add(time.Minute)
		lodged := e.lodge(c, func(c *consent.Consent) { c.EndsAt = ends })
		c.TokensFor(e.naming(c, lodged.ID))
		h.next(t)
		e.Clock.Advance(2 * time.Minute)
		if _, change := e.change(t, h.next(t)); change["consent_id"] != lodged.ID || change["status"] != "expired" || change["ended_by"] != "time" {
			t.Errorf("told %v", change)
		}
		e.wantStatus(t, lodged.ID, store.ConsentExpired)
	})
	delivered := 0
	for _, each := range e.Events(t) {
		if each.Detail["event"] == "consent_notice_delivered" {
			delivered++
		}
	}
	if delivered < 6 {
		t.Errorf("%d deliveries are evidence", delivered)
	}
}

// Covers: LC-14. A notice that nobody acknowledges is given up after a week, which is evidence.
func TestWebhookGivesUp(t *testing.T) {
	t.Parallel()
	h := newHook()
	h.answers(http.StatusInternalServerError, nil)
	e := newEcosystem(t, fapitest.WithAuditChain, h.told)
	run(t, e.Server)
	lodged := e.lodge(e.uk)
	e.end(lodged.ID)
	t.Run("accepts that it is tried within the week", func(t *testing.T) { h.next(t) })
	e.Clock.Advance(store.ConsentNoticesLast)
	deadline := time.Now().Add(20 * time.Second)
	t.Run("refuses to try it any more", func(t *testing.T) {
		for time.Now().Before(deadline) {
			for _, each := range e.Events(t) {
				if each.Detail["event"] == "consent_notice_not_delivered" && each.Detail["consent"] == lodged.ID {
					return
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Error("there is no evidence of it")
	})
}
