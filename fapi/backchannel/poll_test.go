package backchannel

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/store"
)

// Held is how many polls are held now.
func (h *Handler) Held() int {
	h.polls.mu.Lock()
	defer h.polls.mu.Unlock()
	return h.polls.count
}

// oneRequest is a store with one request in it, which another node can decide.
type oneRequest struct {
	Store
	expiresAt time.Time
	decided   atomic.Bool
}

// BackchannelRequest implements [store.Backchannel].
func (s *oneRequest) BackchannelRequest(context.Context, store.Digest) (store.BackchannelRequest, error) {
	request := store.BackchannelRequest{ExpiresAt: s.expiresAt}
	if s.decided.Load() {
		request.DecidedAt = time.Now()
	}
	return request, nil
}

// holding runs a test of a poll that is held for 5 seconds at most. wait returns whether somebody has decided, and after what
// time.
func holding(t *testing.T, test func(h *Handler, records *oneRequest, wait func() (bool, time.Duration))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		records := &oneRequest{expiresAt: time.Now().Add(time.Minute)}
		h := &Handler{
			settings: Settings{LongPoll: 5 * time.Second}, store: records, now: time.Now, draining: func() bool { return false },
		}
		test(h, records, func() (bool, time.Duration) {
			began := time.Now()
			decided := h.AwaitDecision(t.Context(), store.Digest{})
			return decided, time.Since(began)
		})
		if h.Held() != 0 || len(h.polls.held) != 0 {
			t.Errorf("%d polls are still held", h.Held())
		}
	})
}

// Covers: CI-08. A poll that is held ends with the decision, or when its time is over.
func TestCI08HeldPoll(t *testing.T) {
	t.Parallel()
	t.Run("refuses to wait for ever", func(t *testing.T) {
		holding(t, func(_ *Handler, _ *oneRequest, wait func() (bool, time.Duration)) {
			if decided, took := wait(); decided || took != 5*time.Second {
				t.Errorf("%v after %s, want undecided after 5s", decided, took)
			}
		})
	})
	t.Run("accepts a decision here at once", func(t *testing.T) {
		holding(t, func(h *Handler, _ *oneRequest, wait func() (bool, time.Duration)) {
			time.AfterFunc(1500*time.Millisecond, func() { h.polls.wake(store.Digest{}) })
			if decided, took := wait(); !decided || took != 1500*time.Millisecond {
				t.Errorf("%v after %s, want decided after 1.5s", decided, took)
			}
		})
	})
	t.Run("accepts a decision on another node within a second", func(t *testing.T) {
		holding(t, func(_ *Handler, records *oneRequest, wait func() (bool, time.Duration)) {
			time.AfterFunc(1500*time.Millisecond, func() { records.decided.Store(true) })
			if decided, took := wait(); !decided || took != 2*time.Second {
				t.Errorf("%v after %s, want decided after 2s", decided, took)
			}
		})
	})
	t.Run("refuses to hold one while the server stops", func(t *testing.T) {
		holding(t, func(h *Handler, _ *oneRequest, wait func() (bool, time.Duration)) {
			h.draining = func() bool { return true }
			if decided, took := wait(); decided || took != time.Second {
				t.Errorf("%v after %s, want undecided after 1s", decided, took)
			}
		})
	})
	t.Run("refuses to hold more than so many", func(t *testing.T) {
		holding(t, func(h *Handler, _ *oneRequest, wait func() (bool, time.Duration)) {
			h.polls.count = maxHeldPolls
			if decided, took := wait(); decided || took != 0 {
				t.Errorf("%v after %s, want undecided at once", decided, took)
			}
			h.polls.count = 0
		})
	})
}
