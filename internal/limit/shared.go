package limit

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"sync"
	"time"

	"countersign/store"
)

const (
	// known is how long a node refuses by itself what the store said to be exhausted. It is short, since an operator, or
	// another node, may have made the allowance whole again.
	known = 2 * time.Second
	// away is how long a node counts by itself after the store failed, before it asks again.
	away = time.Second
	// sharedCapacity bounds the keys that a node remembers.
	sharedCapacity = 100_000
)

// Store is the part of [store.Limits] that [Shared] uses.
type Store interface {
	Allow(ctx context.Context, rates ...store.Rate) ([]time.Duration, error)
	Refund(ctx context.Context, rates []store.Rate, whole ...store.Digest) error
}

// Shared counts events in the store, for all nodes together. In front of it each node remembers what is exhausted, and
// refuses that by itself, so that a flood does not reach the database: of a key that is exhausted, one event in two seconds
// does, and of those who come at once each waits for the one before. When the store fails, each node counts by itself, from what it has seen: the limit is then at most as many times as
// wide as there are nodes, and nobody is refused because of the fault. It is safe for concurrent use.
type Shared struct {
	store Store
	now   func() time.Time
	log   *slog.Logger

	mu sync.Mutex
	// here is what this node has seen, by key: when the allowance will be whole again.
	here times[store.Digest]
	// refused is until when this node refuses a key without asking.
	refused times[store.Digest]
	// asking are the keys about which the store is being asked; each channel is closed when it has answered.
	asking map[store.Digest]chan struct{}
	// awayUntil is until when the store is not asked, since it failed.
	awayUntil time.Time
	// reported is whether the log has been told.
	reported bool
}

// NewShared makes a Shared over a store.
func NewShared(s Store, now func() time.Time, log *slog.Logger) *Shared {
	return &Shared{
		store: s, now: now, log: log,
		here: times[store.Digest]{}, refused: times[store.Digest]{}, asking: map[store.Digest]chan struct{}{},
	}
}

// Key is the key of a value of some kind: of what is counted ("password-address"), and of whom. Names and addresses leave
// the node as digests only.
func Key(kind, value string) store.Digest { return sha256.Sum256([]byte(kind + "\x00" + value)) }

// Allow takes one event of each allowance and returns 0; or takes none, when one of them has no event left, and returns how
// long it is until all have. It never fails: see [Shared].
func (s *Shared) Allow(ctx context.Context, rates ...store.Rate) (retryAfter time.Duration) {
	for {
		asking := s.begin(rates)
		if asking == nil {
			break
		}
		select {
		case <-asking:
		case <-ctx.Done():
			return s.allowHere(rates) // nobody reads it
		}
	}
	defer s.end(rates)
	wait, ask := s.refusedHere(rates)
	if wait > 0 {
		return wait
	}
	if !ask {
		return s.allowHere(rates)
	}
	waits, err := s.store.Allow(ctx, rates...)
	if err != nil {
		s.failed(ctx, err)
		return s.allowHere(rates)
	}
	return s.answered(rates, waits)
}

// begin lets one caller at a time ask about a key, so that those who come at once do not hold a connection each to wait
// for the same record; what the first is told may answer the others. It returns what to wait for, or nil when it has begun.
func (s *Shared) begin(rates []store.Rate) (asking <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rate := range rates {
		if asking, ok := s.asking[rate.Key]; ok {
			return asking
		}
	}
	mine := make(chan struct{})
	for _, rate := range rates {
		s.asking[rate.Key] = mine
	}
	return nil
}

// end lets the next caller ask.
func (s *Shared) end(rates []store.Rate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, rate := range rates {
		if i == 0 {
			close(s.asking[rate.Key]) // one for all keys
		}
		delete(s.asking, rate.Key)
	}
}

// refusedHere returns how long to wait for what is known to be exhausted; otherwise, whether the store is to be asked. Of
// callers that come when what was known has become old, one asks.
func (s *Shared) refusedHere(rates []store.Rate) (wait time.Duration, ask bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, rate := range rates {
		if until := s.refused[rate.Key]; until.After(now) && !until.After(now.Add(known)) { // the clock may have been set back
			// Not until when it is refused here, but until when it will be by the store.
			wait = max(wait, time.Microsecond, s.fullAt(rate, now).Sub(now)-rate.Tolerance())
		}
	}
	if wait > 0 {
		return wait, false
	}
	for _, rate := range rates {
		if _, ok := s.refused[rate.Key]; ok {
			s.refused[rate.Key] = now.Add(known) // until the answer is here, others are refused
		}
	}
	return 0, now.After(s.awayUntil)
}

// answered remembers what the store said.
func (s *Shared) answered(rates []store.Rate, waits []time.Duration) (retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.reported = false
	for i, rate := range rates {
		if retryAfter = max(retryAfter, waits[i]); waits[i] == 0 {
			delete(s.refused, rate.Key)
			continue
		}
		s.refused.set(rate.Key, now.Add(min(waits[i], known)), now, sharedCapacity)
		s.here.set(rate.Key, now.Add(rate.Tolerance()+waits[i]), now, sharedCapacity) // what other nodes took, too
	}
	if retryAfter == 0 {
		s.take(rates, now)
	}
	return retryAfter
}

// allowHere is Allow by what this node has seen.
func (s *Shared) allowHere(rates []store.Rate) (retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, rate := range rates {
		delete(s.refused, rate.Key)
		retryAfter = max(retryAfter, s.fullAt(rate, now).Sub(now)-rate.Tolerance())
	}
	if retryAfter > 0 {
		return retryAfter
	}
	s.take(rates, now)
	return 0
}

// fullAt is when the allowance of a key will be whole again, by what this node has seen.
func (s *Shared) fullAt(rate store.Rate, now time.Time) time.Time {
	return s.here.fullAt(rate.Key, now, rate.Interval, rate.Tolerance())
}

// take notes an event of each allowance, which had one.
func (s *Shared) take(rates []store.Rate, now time.Time) {
	for _, rate := range rates {
		full := s.fullAt(rate, now)
		if most := now.Add(rate.Tolerance()); full.After(most) {
			full = most // it was made whole again elsewhere
		}
		s.here.set(rate.Key, full.Add(rate.Interval), now, sharedCapacity)
	}
}

// Refund gives back one event that was taken of each allowance, and makes those of the keys in whole whole again. When the
// store fails, they are given back on this node only: what was taken comes back with time.
func (s *Shared) Refund(ctx context.Context, rates []store.Rate, whole ...store.Digest) {
	s.giveBack(rates, whole)
	s.mu.Lock()
	ask := s.now().After(s.awayUntil)
	s.mu.Unlock()
	if !ask {
		return
	}
	// A caller that hangs up after it was served is still given back what it took.
	if err := s.store.Refund(context.WithoutCancel(ctx), rates, whole...); err != nil {
		s.failed(ctx, err)
	}
}

func (s *Shared) giveBack(rates []store.Rate, whole []store.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rate := range rates {
		s.here.refund(rate.Key, rate.Interval)
		delete(s.refused, rate.Key)
	}
	for _, key := range whole {
		delete(s.here, key)
		delete(s.refused, key)
	}
}

// failed notes that the store failed, unless the caller gave up.
func (s *Shared) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awayUntil = s.now().Add(away)
	if s.reported {
		return
	}
	s.reported = true
	s.log.WarnContext(ctx, "limits not counted in the database; counted on this node", "error", err.Error())
}
