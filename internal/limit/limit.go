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
	full times[string]
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
		full: times[string]{},
	}, nil
}

// Allow takes one event from key's allowance. When there is none, nothing is taken, and retryAfter says when there will
// be.
func (l *Limiter) Allow(key string) (ok bool, retryAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	full := l.full.fullAt(key, now, l.interval, l.tolerance)
	if ahead := full.Sub(now); ahead > l.tolerance {
		return false, ahead - l.tolerance
	}
	l.full.set(key, full.Add(l.interval), now, l.capacity)
	return true, 0
}

// Refund gives one event back that was taken of key's allowance.
func (l *Limiter) Refund(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full.refund(key, l.interval)
}

// times has for each key that is not at rest when its allowance will be whole again (or, in Shared, until when it is refused).
type times[K comparable] map[K]time.Time

// fullAt is when key's allowance will be whole again: now, for one at rest. A clock that was set back must not lock a
// key out for longer than its burst would have.
func (t times[K]) fullAt(key K, now time.Time, interval, tolerance time.Duration) time.Time {
	full := t[key]
	if full.Before(now) {
		return now
	}
	if most := now.Add(tolerance + interval); full.After(most) {
		t[key] = most
		return most
	}
	return full
}

// set notes when key's allowance will be whole again, and keeps at most capacity keys.
func (t times[K]) set(key K, full, now time.Time, capacity int) {
	if _, known := t[key]; !known && len(t) >= capacity {
		t.makeRoom(now, capacity)
	}
	t[key] = full
}

// refund gives back one event of key's allowance.
func (t times[K]) refund(key K, interval time.Duration) {
	if full, known := t[key]; known {
		t[key] = full.Add(-interval)
	}
}

// makeRoom evicts the keys at rest or, when there are not fewer than capacity then, the sooner half of the rest: an
// attacker with many keys must not free the one that is limited hardest.
func (t times[K]) makeRoom(now time.Time, capacity int) {
	for key, full := range t {
		if !full.After(now) {
			delete(t, key)
		}
	}
	if len(t) < capacity {
		return
	}
	var mean time.Duration
	for _, full := range t {
		mean += full.Sub(now) / time.Duration(len(t)) // a sum of times could overflow
	}
	for key, full := range t {
		if full.Sub(now) <= mean {
			delete(t, key)
		}
	}
}
