// Package limit bounds how often something may happen for each of many keys, by the generic cell rate algorithm: one
// time for each key says when its allowance will be whole again.
package limit

import (
	"errors"
	"sync"
	"time"
)

// Limiter lets each key have a burst and then a steady rate. It is safe for concurrent use.
type Limiter struct {
	// interval is what one event costs, tolerance how far ahead of now a key may be.
	interval  time.Duration
	tolerance time.Duration
	capacity  int
	now       func() time.Time

	mu sync.Mutex
	// full holds, for each key that is not at rest, when its allowance will be whole again.
	full map[string]time.Time
}

// New makes a Limiter of perSecond events for each key, after a burst of at least 1. It remembers at most capacity keys:
// beyond that, those at rest are evicted, and if there are none, the keys that are nearest to rest.
func New(perSecond float64, burst int, capacity int, now func() time.Time) (*Limiter, error) {
	if perSecond <= 0 || perSecond > 1e6 || burst < 1 || capacity < 1 {
		return nil, errors.New("limit: the rate must be between 0 and a million a second, burst and capacity at least 1")
	}
	interval := time.Duration(float64(time.Second) / perSecond)
	return &Limiter{
		interval: interval, tolerance: interval * time.Duration(burst-1), capacity: capacity, now: now,
		full: map[string]time.Time{},
	}, nil
}

// Allow takes one event from key's allowance. When there is none, nothing is taken, and retryAfter says when there will
// be.
func (l *Limiter) Allow(key string) (ok bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	full := l.fullAt(key, now)
	if ahead := full.Sub(now); ahead > l.tolerance {
		return false, ahead - l.tolerance
	}
	if _, known := l.full[key]; !known && len(l.full) >= l.capacity {
		makeRoom(l.full, now, l.capacity)
	}
	l.full[key] = full.Add(l.interval)
	return true, 0
}

// Refund gives one event back that was taken of key's allowance.
func (l *Limiter) Refund(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, known := l.full[key]; known {
		l.full[key] = full.Add(-l.interval)
	}
}

// fullAt is when key's allowance will be whole again: now, for one at rest. A clock that was set back must not lock a
// key out for longer than its burst would have.
func (l *Limiter) fullAt(key string, now time.Time) time.Time {
	full := l.full[key]
	if full.Before(now) {
		return now
	}
	if most := now.Add(l.tolerance + l.interval); full.After(most) {
		l.full[key] = most
		return most
	}
	return full
}

// makeRoom evicts from full the keys at rest or, when there are fewer than capacity then, the sooner half of the rest: an
// attacker with many keys must not free the one that is limited hardest.
func makeRoom[K comparable](full map[K]time.Time, now time.Time, capacity int) {
	for key, at := range full {
		if !at.After(now) {
			delete(full, key)
		}
	}
	if len(full) < capacity {
		return
	}
	var mean time.Duration
	for _, at := range full {
		mean += at.Sub(now) / time.Duration(len(full)) // a sum of times could overflow
	}
	for key, at := range full {
		if at.Sub(now) <= mean {
			delete(full, key)
		}
	}
}
