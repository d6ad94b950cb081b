package main

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"countersign/store"
)

// outage is one failure of the database as the nodes' clients live it.
type outage struct {
	failure
	// promoted is when the database itself said again that it takes writes, and answered when a write was acknowledged.
	promoted, answered time.Time
}

// total is how long no write was acknowledged, and recovery how much of it came after the promotion: what the nodes add.
func (o outage) total() time.Duration    { return o.answered.Sub(o.at) }
func (o outage) recovery() time.Duration { return max(0, o.answered.Sub(o.promoted)) }

// monitor writes something new every few milliseconds, as a node that never ends, and notes when that worked.
type monitor struct {
	store store.Store
	mu    sync.Mutex
	// acknowledged are the writes that were, with the moments at which they began and were done.
	acknowledged [][2]time.Time
}

const monitorEvery = 10 * time.Millisecond

func (m *monitor) watch(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		if m.store.ConsumeOneTime(ctx, store.OneTime{Kind: "torture", Key: store.DigestOf(rand.Text()), Until: began.Add(memory)}) == nil {
			m.mu.Lock()
			m.acknowledged = append(m.acknowledged, [2]time.Time{began, time.Now()})
			m.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-time.After(monitorEvery):
		}
	}
}

// firstAfter is when the first write was acknowledged that began after a moment; zero if none was yet.
func (m *monitor) firstAfter(moment time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	var first time.Time
	for _, write := range slices.Backward(m.acknowledged) {
		if write[0].Before(moment) {
			break
		}
		first = write[1]
	}
	return first
}

// observe does a failure and follows it until a write is acknowledged again.
func (m *monitor) observe(ctx context.Context, d database) (outage, error) {
	f, promoted, err := d.fail(ctx)
	if err != nil {
		return outage{}, err
	}
	o := outage{failure: f, promoted: promoted}
	for range 12000 {
		if o.answered = m.firstAfter(o.at); !o.answered.IsZero() || !pause(ctx, monitorEvery) {
			return o, ctx.Err()
		}
	}
	return o, errors.New("no write is acknowledged any more")
}
