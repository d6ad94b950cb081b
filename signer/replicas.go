package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign/internal/queue"
)

// Replica is one of several HSMs that hold the same keys.
type Replica struct {
	// Name is what logs and errors call it, such as its RFC 7512 address.
	Name    string
	Backend Backend
	// Holds reports whether a key is to be looked for here; nil means every key. That the key is the published one is
	// not taken from this: each signature is verified.
	Holds func(Record) bool
}

// Impatient is a [Backend] that can also say at once that it cannot sign just now.
type Impatient interface {
	Backend
	// SignNow is Sign, but it does not wait for a connection that is lost. The error is ErrUnavailable then, and the
	// connection is being made again.
	SignNow(ctx context.Context, key Record, message []byte) ([]byte, error)
}

// Expecter is a [Backend] that knows how long a signature that is asked for now would take.
type Expecter interface {
	Backend
	Expected() time.Duration
}

const (
	// breakAfter is how many signatures in a row may fail before a replica is left alone.
	breakAfter = 3
	// firstPause and longestPause are how long it is left alone, doubling with each probe that fails.
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second
	// wrongPause is how long a replica is left alone that made a wrong signature.
	wrongPause = time.Minute
	// probeTimeout bounds a probe.
	probeTimeout = 5 * time.Second
	// complainEvery bounds how often the log says that a replica lacks a key.
	complainEvery = time.Minute
)

// replica is a Replica with what is known of its health.
type replica struct {
	Replica
	log *slog.Logger
	now func() time.Time
	// busy counts the signatures under way.
	busy   atomic.Int64
	proofs proofs
	meter  Meter

	mu sync.Mutex
	// failures counts what failed in a row. From breakAfter on the replica is resting.
	failures int
	pause    time.Duration
	probeAt  time.Time
	probing  bool
	// complainedAt is when the log was last told of a missing key.
	complainedAt time.Time
}

// replicas signs with whichever HSM can.
type replicas struct {
	all []*replica
	// patience is how long one replica may take while there is another to ask.
	patience time.Duration
	turn     atomic.Uint64
}

func newReplicas(list []Replica, patience time.Duration, now func() time.Time, log *slog.Logger) *replicas {
	r := &replicas{patience: patience}
	if r.patience <= 0 {
		r.patience = 500 * time.Millisecond
	}
	for _, one := range list {
		r.all = append(r.all, &replica{Replica: one, now: now, log: log.With("hsm", one.Name)})
	}
	return r
}

// do has a task done and its outcome checked. It asks the healthy replicas one after the other, none for longer than
// the patience while another is left; when all have failed, it waits for any of them to come back, as long as ctx lets
// it. That more than one may have signed does no harm: only one signature leaves.
func (r *replicas) do(ctx context.Context, t task) ([]byte, error) {
	record := t.record
	holders := r.holders(record)
	switch len(holders) {
	case 0:
		return nil, fmt.Errorf("%w %s: no HSM that is configured has one of its addresses %q", ErrNoKey, record.ID, record.URIs)
	case 1:
		return holders[0].do(ctx, t, t.ask)
	}
	var busy error
	away := false
	for i, one := range holders {
		if one.resting(record) {
			continue
		}
		result, err := r.try(ctx, one, t, i == len(holders)-1)
		switch {
		case err == nil || !elsewhere(err) || ctx.Err() != nil:
			return result, err
		case errors.Is(err, ErrOverloaded):
			busy = err
		default:
			away = true
		}
	}
	if busy != nil && !away {
		return nil, busy // to have all of them try would only add to what they have to do
	}
	return r.wait(ctx, holders, t)
}

// holders are the replicas that may hold a key, the least busy first, and equals in turn.
func (r *replicas) holders(record Record) []*replica {
	if len(r.all) == 1 {
		if one := r.all[0]; one.Holds != nil && !one.Holds(record) {
			return nil
		}
		return r.all
	}
	first := int(r.turn.Add(1) % uint64(len(r.all)))
	found := make([]*replica, 0, len(r.all))
	for i := range r.all {
		one := r.all[(first+i)%len(r.all)]
		if one.Holds == nil || one.Holds(record) {
			found = append(found, one)
		}
	}
	slices.SortStableFunc(found, func(a, b *replica) int { return int(a.busy.Load() - b.busy.Load()) })
	return found
}

// try asks one replica without waiting for it to come back.
func (r *replicas) try(ctx context.Context, one *replica, t task, last bool) ([]byte, error) {
	if last {
		return one.do(ctx, t, t.askNow)
	}
	patience := r.patience
	if busy, ok := one.Backend.(Expecter); ok {
		patience += busy.Expected() // one with much to do is not one that hangs
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return one.do(limited, t, t.askNow)
}

// wait asks every replica at once and takes the first good outcome.
func (r *replicas) wait(ctx context.Context, holders []*replica, t task) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		result []byte
		err    error
	}
	outcomes := make(chan outcome, len(holders))
	for _, one := range holders {
		go func() {
			result, err := one.do(ctx, t, t.ask)
			outcomes <- outcome{result, err}
		}()
	}
	var problems []error
	for range holders {
		o := <-outcomes
		if o.err == nil {
			return o.result, nil
		}
		problems = append(problems, o.err)
	}
	return nil, errors.Join(problems...)
}

// elsewhere reports whether another replica may succeed where this error came from.
func elsewhere(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOverloaded) || errors.Is(err, ErrNoKey) || errors.Is(err, ErrWrongSignature)
}

// do asks one replica, checks what comes, and remembers how it went.
func (one *replica) do(ctx context.Context, t task, ask func(context.Context, Backend) ([]byte, error)) ([]byte, error) {
	one.busy.Add(1)
	began := one.now()
	result, err := ask(ctx, one.Backend)
	one.busy.Add(-1)
	if err == nil {
		err = t.check(result)
	}
	if one.meter != nil {
		one.meter.Used(ctx, Usage{Replica: one.Name, Algorithm: t.record.Algorithm, Use: t.use, Took: one.now().Sub(began), Err: err})
	}
	one.note(ctx, t.record, err)
	one.proofs.note(t.record.ID, one.now(), err)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// note remembers how a signature went.
func (one *replica) note(ctx context.Context, record Record, err error) {
	one.mu.Lock()
	defer one.mu.Unlock()
	switch {
	case err == nil:
		if one.failures >= breakAfter {
			one.log.InfoContext(ctx, "HSM signs again")
		}
		one.failures, one.pause = 0, 0
	case errors.Is(err, ErrWrongSignature):
		one.log.ErrorContext(ctx, "HSM made a wrong signature; not released", "kid", record.ID)
		one.failures, one.pause = breakAfter, wrongPause
		one.probeAt = one.now().Add(wrongPause)
	case errors.Is(err, ErrNoKey):
		if now := one.now(); now.Sub(one.complainedAt) >= complainEvery {
			one.complainedAt = now
			one.log.ErrorContext(ctx, "HSM lacks a signing key", "kid", record.ID, "error", err.Error())
		}
	case errors.Is(err, ErrUnavailable) && !errors.Is(err, context.Canceled):
		one.failures++
		if one.failures < breakAfter || one.now().Before(one.probeAt) {
			return
		}
		if one.failures == breakAfter {
			one.log.ErrorContext(ctx, "HSM signing fails; not asked until a probe succeeds", "error", err.Error())
		}
		one.pause = min(max(2*one.pause, firstPause), longestPause)
		one.probeAt = one.now().Add(one.pause)
	}
}

// resting reports whether a replica is to be left alone. When its pause is over, it is probed with a signature that
// nobody waits for.
func (one *replica) resting(record Record) bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.failures < breakAfter {
		return false
	}
	if !one.probing && !one.now().Before(one.probeAt) {
		one.probing = true
		go one.probe(record)
	}
	return true
}

// probe asks for a signature that decides whether the replica serves again.
func (one *replica) probe(record Record) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	_ = one.prove(ctx, record) // its outcome is noted like every other
	one.mu.Lock()
	defer one.mu.Unlock()
	one.probing = false
}

// prove has this HSM use a key, before the requests that wait for it.
func (one *replica) prove(ctx context.Context, record Record) error {
	try, err := trial(record)
	if err != nil {
		return err
	}
	_, err = one.do(queue.Urgent(ctx), try, try.ask)
	return err
}
