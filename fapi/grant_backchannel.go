package fapi

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"countersign/internal/oauth"
	"countersign/store"
)

const (
	// maxWaiting bounds how many polls a node holds at once; those beyond are answered at once.
	maxWaiting = 1000
	// lookAgain is how often a held poll looks for a decision that was made on another node.
	lookAgain = time.Second
)

// fetch exchanges an auth_req_id for tokens (CIBA Core §10.1): validate, sign, claim, release.
func (s *Server) fetch(ctx context.Context, c *call, binding confirmation) (answer, error) {
	presented := c.form.Get("auth_req_id")
	if presented == "" {
		return answer{}, oauth.Errorf(oauth.InvalidRequest, "auth_req_id is missing")
	}
	digest := store.DigestOf(presented)
	grant, err := s.poll(ctx, c, digest)
	if err != nil {
		return answer{}, err
	}
	purchase, err := s.buy(ctx, c, grant, binding)
	if err != nil {
		return answer{}, err
	}
	if err := s.store.RedeemBackchannel(ctx, digest, purchase.bought, c.uses...); err != nil {
		if errors.Is(err, store.ErrExpired) {
			return answer{}, expiredRequest(err)
		}
		return answer{}, wasted("auth_req_id", err)
	}
	c.uses = nil
	return purchase.answer, nil
}

// poll gives what the person allowed, or the error that says that there is nothing yet, or will be nothing
// (CIBA Core §11).
func (s *Server) poll(ctx context.Context, c *call, id store.Digest) (store.Grant, error) {
	polled, err := s.store.PollBackchannel(ctx, id, c.client.ID)
	if err == nil && polled.Request.DecidedAt.IsZero() && !polled.Early && s.config.Backchannel.LongPoll > 0 {
		// Whoever sees this request must not be able to send it again while it is held.
		if err := s.claim(ctx, c); err != nil {
			return store.Grant{}, err
		}
		if s.waits.decided(ctx, s, id) {
			polled, err = s.store.PollBackchannel(ctx, id, c.client.ID)
		}
	}
	switch {
	case errors.Is(err, store.ErrExpired):
		return store.Grant{}, expiredRequest(err)
	case err != nil:
		return store.Grant{}, wasted("auth_req_id", err)
	case polled.Early:
		return store.Grant{}, oauth.Errorf(oauth.SlowDown, "this poll came too early; wait at least %d seconds before each from now on", seconds(polled.Request.Interval+pollTolerance))
	case polled.Request.DecidedAt.IsZero():
		return store.Grant{}, oauth.Errorf(oauth.AuthorizationPending, "the person has not decided yet")
	case polled.Grant == nil:
		return store.Grant{}, oauth.Errorf(oauth.AccessDenied, "the person refused")
	case !polled.Grant.RevokedAt.IsZero() || !s.now().Before(polled.Grant.ExpiresAt):
		return store.Grant{}, unusable("auth_req_id", store.ErrRevoked)
	}
	return *polled.Grant, nil
}

func expiredRequest(cause error) error {
	return oauth.Errorf(oauth.ExpiredToken, "the auth_req_id has expired; make a new authentication request").Because(cause)
}

// waits are the polls that are held until somebody decides. They hold no connection to the database.
type waits struct {
	mu      sync.Mutex
	waiting map[store.Digest][]chan struct{}
	count   int
}

// enter adds a poll, or tells that there are too many.
func (w *waits) enter(id store.Digest) (chan struct{}, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= maxWaiting {
		return nil, false
	}
	woken := make(chan struct{})
	if w.waiting == nil {
		w.waiting = map[store.Digest][]chan struct{}{}
	}
	w.waiting[id] = append(w.waiting[id], woken)
	w.count++
	return woken, true
}

func (w *waits) leave(id store.Digest, woken chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	w.waiting[id] = slices.DeleteFunc(w.waiting[id], func(each chan struct{}) bool { return each == woken })
	if len(w.waiting[id]) == 0 {
		delete(w.waiting, id)
	}
}

// wake ends the waiting for a request.
func (w *waits) wake(id store.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, woken := range w.waiting[id] {
		close(woken)
	}
	delete(w.waiting, id) // whoever waited leaves by itself
}

// decided holds a poll until somebody has decided, here or on another node, and tells whether somebody has.
func (w *waits) decided(ctx context.Context, s *Server, id store.Digest) bool {
	woken, ok := w.enter(id)
	if !ok {
		return false
	}
	defer w.leave(id, woken)
	end := time.NewTimer(s.config.Backchannel.LongPoll)
	defer end.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case <-woken:
			return true
		case <-end.C:
			return false
		case <-ctx.Done():
			return false
		case <-look.C:
		}
		if s.health.draining.Load() {
			return false
		}
		request, err := s.store.BackchannelRequest(ctx, id)
		if err != nil || !request.DecidedAt.IsZero() || !s.now().Before(request.ExpiresAt) {
			return err == nil
		}
	}
}
