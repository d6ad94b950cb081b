package signer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// proofAge is how long a signature shows that its HSM and its key are well.
	proofAge = time.Second
	// idleKeyAge is how long it shows that of a key while its HSM signs with others: keys that are seldom used need not cost
	// a busy HSM a signature each second.
	idleKeyAge = 10 * time.Second
)

// ReplicaHealth is what is known of one HSM.
type ReplicaHealth struct {
	// Name is [Replica.Name].
	Name string
	// Err is what keeps it from signing, or nil.
	Err error
}

// proofs remembers the last uses of keys on one HSM.
type proofs struct {
	mu sync.Mutex
	// used is when each key was used with success, last when any was, and failed when each failed after that.
	used, failed map[string]time.Time
	last         time.Time
}

// note remembers how the use of a key went. That there was too much to do, or that a caller left, says nothing.
func (p *proofs) note(kid string, now time.Time, err error) {
	if err != nil && (errors.Is(err, ErrOverloaded) || errors.Is(err, ErrCiphertext) || errors.Is(err, context.Canceled)) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == nil {
		p.used, p.failed = map[string]time.Time{}, map[string]time.Time{}
	}
	if err != nil {
		p.failed[kid] = now
		return
	}
	p.used[kid], p.last = now, now
	delete(p.failed, kid)
}

// well reports whether a key was used lately, and did not fail since.
func (p *proofs) well(kid string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, failed := p.failed[kid]; failed {
		return false
	}
	age := now.Sub(p.used[kid])
	return age >= 0 && (age < proofAge || age < idleKeyAge && now.Sub(p.last) < proofAge && !p.last.Equal(p.used[kid]))
}

// Health reports whether every active key can be used, and which HSMs work. What requests have done in the last second
// counts; what they have not is tried, in each HSM with one key at least, before the requests that wait. The error joins
// what keeps keys from being used at all.
func (s *Signer) Health(ctx context.Context) ([]ReplicaHealth, error) {
	records, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	var active []Record
	for _, record := range records {
		if record.State == Active {
			active = append(active, record)
		}
	}
	keys, replicas := make([]error, len(active)), make([]ReplicaHealth, len(s.replicas.all))
	var all sync.WaitGroup
	for i, record := range active {
		if s.replicas.well(record.ID, s.now()) {
			continue
		}
		all.Go(func() {
			if err := s.prove(ctx, record); err != nil {
				keys[i] = fmt.Errorf("key %s (%s): %w", record.ID, record.Algorithm, err)
			}
		})
	}
	for i, one := range s.replicas.all {
		replicas[i].Name = one.Name
		if len(s.replicas.all) > 1 {
			all.Go(func() { replicas[i].Err = one.health(ctx, active) })
		}
	}
	all.Wait()
	if err := errors.Join(keys...); err != nil {
		if len(replicas) == 1 {
			replicas[0].Err = err
		}
		return replicas, err
	}
	return replicas, nil
}

// well reports whether any of the HSMs has used a key lately.
func (r *replicas) well(kid string, now time.Time) bool {
	for _, one := range r.all {
		if one.proofs.well(kid, now) {
			return true
		}
	}
	return false
}

// health reports what keeps one HSM from signing. One without any of the keys has nothing to do and is well.
func (one *replica) health(ctx context.Context, active []Record) error {
	var held []Record
	for _, record := range active {
		if one.Holds != nil && !one.Holds(record) {
			continue
		}
		if one.proofs.well(record.ID, one.now()) {
			return nil
		}
		held = append(held, record)
	}
	if len(held) == 0 {
		return nil
	}
	if one.resting(held[0]) {
		return fmt.Errorf("%w: it failed %d times in a row and is probed until it signs again", ErrUnavailable, breakAfter)
	}
	return one.prove(ctx, held[0])
}
