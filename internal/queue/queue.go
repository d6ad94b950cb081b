// Package queue lets callers use something slow, such as an HSM, a few at a time, and refuses those who would be served too
// late: at once, before anything was done for them.
//
// A queue that is longer than its callers wait does nothing but work for callers who have left: with a queue of 256, an HSM
// that makes 8 signatures a second, and callers who wait 20 s, nobody is served in time. So a caller is admitted only if the
// expected wait, which is the number ahead times the recent time for each, ends before the caller's deadline; when
// the thing becomes slower, those at the end are refused as soon as that is seen. While a queue does not become empty, as
// under an overload that lasts, callers wait for a fraction of the patience only (controlled delay, CoDel): what is done in
// a second is the same, and the answers are younger.
package queue

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Config is what a [Queue] needs.
type Config struct {
	// Places is how many callers are served at once, at least 1.
	Places int
	// Least is how many of them also when each takes long: beyond these, only what is done within Ahead is begun, because what
	// was begun cannot be taken back. 0 means Places: whoever is served does not wait inside.
	Least int
	// Waiting is how many callers may wait.
	Waiting int
	// Patience bounds the time from the arrival of a caller to the end of its service, beside the caller's own deadline.
	Patience time.Duration
	// Now is the clock by which waits are estimated, the one of contexts' deadlines; nil means time.Now.
	Now func() time.Time
}

const (
	// ahead is how much work is begun beyond Config.Least.
	ahead = 100 * time.Millisecond
	// reserve is the part of a caller's time that is left over at its arrival: the estimate varies.
	reserve = 5
	// memory is how many services the recent time for each is an average of.
	memory = 16
	// shortened is the part of the patience that remains while a queue does not become empty.
	shortened = 4
	// stopped is the least time without anybody served after which what serves is said to have stopped.
	stopped = 500 * time.Millisecond
	// leastRetry and mostRetry bound what a refused caller is told to wait.
	leastRetry = time.Second
	mostRetry  = 30 * time.Second
	// spread is over how many times, up to one and a half of the wait, refused callers are spread.
	spread = 8
)

// RefusedError says that a caller is not served, and that nothing was done.
type RefusedError struct {
	// Wait is when trying again may help.
	Wait time.Duration
	// Stalled reports that nobody was served while the caller waited, or for too long before: what serves has stopped,
	// rather than being busy.
	Stalled bool

	cause error
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("no turn in time: %s", e.cause)
	}
	return fmt.Sprintf("the expected wait is longer than the request may take; retry in %s", e.Wait.Round(time.Millisecond))
}

// Unwrap gives the error of the caller's context, if that ended.
func (e *RefusedError) Unwrap() error { return e.cause }

// RetryAfter is Wait.
func (e *RefusedError) RetryAfter() time.Duration { return e.Wait }

// errFull and errPatience are causes of refusals.
var (
	errFull     = errors.New("the queue is full")
	errPatience = fmt.Errorf("waited for too long: %w", context.DeadlineExceeded)
)

// Queue is a queue. It is safe for concurrent use.
type Queue struct {
	config Config

	mu      sync.Mutex
	serving int
	// first are waiters who go before others: their request has been served already, and would be lost. Both are lists of
	// *waiter.
	first, others list.List
	// spacing is the recent time between two ends of service while all places were taken; samples is how many it is of.
	spacing time.Duration
	samples int
	// fullSince is when the places were taken, or the last end of service since; zero while a place is free.
	fullSince time.Time
	// standing is since when there have always been waiters; zero without any.
	standing time.Time
	// served counts ends of service, refused those who were refused.
	served, refused uint64
}

// waiter is one caller who waits.
type waiter struct {
	// deadline is when its service has to have ended.
	deadline time.Time
	// turn is closed when it is served or refused; refused is set before.
	turn    chan struct{}
	refused *RefusedError
	element *list.Element
	in      *list.List
}

// New makes a Queue.
func New(config Config) *Queue {
	if config.Now == nil {
		config.Now = time.Now
	}
	config.Places = max(config.Places, 1)
	if config.Least <= 0 || config.Least > config.Places {
		config.Least = config.Places
	}
	return &Queue{config: config}
}

// Place is a caller's permission to be served. [Place.Leave] gives it back.
type Place struct {
	queue *Queue
	once  sync.Once
	// Waited is how long the caller waited for it.
	Waited time.Duration
}

// Enter waits for a place. The error is a *[RefusedError]: at once when the expected wait is too long or the queue is full,
// and later when the caller cannot be served before its deadline any more, or ctx ends.
func (q *Queue) Enter(ctx context.Context) (*Place, error) {
	now := q.config.Now()
	before := servedBefore(ctx, q)
	q.mu.Lock()
	if q.serving < q.places() && q.waiting() == 0 {
		q.take(now)
		q.mu.Unlock()
		return &Place{queue: q}, nil
	}
	deadline := now.Add(q.patience(now))
	if before {
		deadline = now.Add(q.config.Patience)
	}
	if limit, ok := ctx.Deadline(); ok && limit.Before(deadline) {
		deadline = limit
	}
	line := &q.others
	if before {
		line = &q.first
	}
	if refused := q.refuse(now, deadline, line); refused != nil {
		q.mu.Unlock()
		return nil, refused
	}
	w := &waiter{deadline: deadline, turn: make(chan struct{}), in: line}
	w.element = line.PushBack(w)
	if q.standing.IsZero() {
		q.standing = now
	}
	served := q.served
	q.mu.Unlock()
	return q.wait(ctx, w, now, served)
}

// refuse says why a caller is not admitted; nil for one who is.
func (q *Queue) refuse(now, deadline time.Time, line *list.List) *RefusedError {
	expected := q.expected(now, q.waiting())
	most := q.config.Waiting
	if line == &q.first {
		most = max(most, q.config.Places) // as many as may have been served once
	}
	if line.Len() >= most {
		return &RefusedError{Wait: q.retry(expected), Stalled: q.stalled(now, q.config.Patience), cause: errFull}
	}
	if line == &q.first {
		return nil
	}
	if left := deadline.Sub(now); expected > left-left/reserve {
		return &RefusedError{Wait: q.retry(expected - left), Stalled: q.overdue(now)}
	}
	return nil
}

// stalled reports whether all places are taken and nobody was served for so long.
func (q *Queue) stalled(now time.Time, long time.Duration) bool {
	return !q.fullSince.IsZero() && now.Sub(q.fullSince) >= long
}

// overdue reports whether twice the time has passed in which all who are being served should have been, and time enough to
// tell what is slow from what has stopped.
func (q *Queue) overdue(now time.Time) bool {
	return q.stalled(now, min(q.config.Patience, max(stopped, 2*time.Duration(q.config.Places)*q.spacing)))
}

// wait waits for the turn of a waiter.
func (q *Queue) wait(ctx context.Context, w *waiter, since time.Time, served uint64) (*Place, error) {
	patience := time.NewTimer(w.deadline.Sub(since))
	defer patience.Stop()
	var cause error
	select {
	case <-w.turn:
	case <-ctx.Done():
		cause = context.Cause(ctx)
	case <-patience.C:
		cause = errPatience
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.config.Now()
	select {
	case <-w.turn: // perhaps only just now
		if w.refused != nil {
			return nil, w.refused
		}
		if cause == nil || !errors.Is(cause, context.Canceled) {
			return &Place{queue: q, Waited: now.Sub(since)}, nil
		}
		q.leave()
		q.admit(now)
		return nil, &RefusedError{Wait: leastRetry, cause: cause}
	default:
	}
	q.remove(w)
	return nil, &RefusedError{Wait: q.retry(q.expected(now, q.waiting())), Stalled: q.served == served, cause: cause}
}

// Trace is [Trace] of the time that the caller waited.
func (p *Place) Trace(ctx context.Context, name string) {
	now := p.queue.config.Now()
	Trace(ctx, "countersign/queue", name, now.Add(-p.Waited), now)
}

// Trace records a span for the time that a caller waited, if it did, below the span of ctx: so that what takes long can be
// told from a long queue for it. tracer names the package that waited.
func Trace(ctx context.Context, tracer, name string, from, until time.Time) {
	parent := trace.SpanFromContext(ctx)
	if !until.After(from) || !parent.IsRecording() {
		return
	}
	_, span := parent.TracerProvider().Tracer(tracer).Start(ctx, name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(until))
}

// Leave gives the place back. done says that the caller was served: only that tells how long serving takes.
func (p *Place) Leave(ctx context.Context, done bool) {
	p.once.Do(func() {
		q := p.queue
		q.mu.Lock()
		defer q.mu.Unlock()
		now := q.config.Now()
		if done {
			noteServed(ctx, q)
			q.note(now)
		}
		q.leave()
		q.shed(now)
		q.admit(now)
	})
}

// Expected is how long a caller who comes now would take until the end of its service, as far as is known.
func (q *Queue) Expected() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.expected(q.config.Now(), q.waiting())
}

// State is what a queue does at a moment.
type State struct {
	// Serving is how many callers are served, and Waiting how many wait.
	Serving, Waiting int
	// Expected is [Queue.Expected].
	Expected time.Duration
	// Refused counts those who were refused, or left before their turn.
	Refused uint64
}

// State returns at once.
func (q *Queue) State() State {
	q.mu.Lock()
	defer q.mu.Unlock()
	return State{Serving: q.serving, Waiting: q.waiting(), Expected: q.expected(q.config.Now(), q.waiting()), Refused: q.refused}
}

// places is how many callers are served at once just now.
func (q *Queue) places() int {
	if q.spacing <= 0 {
		return q.config.Places
	}
	return max(q.config.Least, min(q.config.Places, int(ahead/q.spacing)))
}

func (q *Queue) waiting() int { return q.first.Len() + q.others.Len() }

// patience is how long a caller may take who comes now.
func (q *Queue) patience(now time.Time) time.Duration {
	if q.standing.IsZero() || now.Sub(q.standing) <= q.config.Patience {
		return q.config.Patience
	}
	// No shorter than being served takes twice.
	return min(q.config.Patience, max(q.config.Patience/shortened, 2*q.expected(now, 0)))
}

// expected is how long it takes until a caller has been served who is behind so many waiters.
func (q *Queue) expected(now time.Time, behind int) time.Duration {
	each := q.spacing
	if !q.fullSince.IsZero() {
		// While nobody is served, each takes longer than it did.
		each = max(each, now.Sub(q.fullSince)/time.Duration(q.config.Places))
	}
	return time.Duration(q.serving+behind+1) * each
}

// take gives a place away.
func (q *Queue) take(now time.Time) {
	q.serving++
	if q.serving >= q.places() && q.fullSince.IsZero() {
		q.fullSince = now
	}
}

// leave takes a place back.
func (q *Queue) leave() {
	q.serving--
	if q.serving < q.places() && q.waiting() == 0 {
		q.fullSince = time.Time{}
	}
}

// note learns from an end of service.
func (q *Queue) note(now time.Time) {
	q.served++
	if q.fullSince.IsZero() {
		return // with places free, the time between two ends is that between arrivals
	}
	took := max(now.Sub(q.fullSince), 0)
	q.fullSince = now
	if took/time.Duration(q.config.Places) > q.spacing {
		q.samples = min(q.samples, memory/4) // it became slower, by more than places that end together explain
	}
	q.samples = min(q.samples+1, memory)
	q.spacing += (took - q.spacing) / time.Duration(q.samples)
}

// shed refuses waiters at the end of the queue who cannot be served in time, as is seen when serving becomes slower.
func (q *Queue) shed(now time.Time) {
	for q.others.Len() > 0 {
		w := q.others.Back().Value.(*waiter)
		expected, left := q.expected(now, q.waiting()-1), w.deadline.Sub(now)
		if expected <= left {
			return
		}
		q.turnAway(now, w, expected-left)
	}
}

// admit gives free places to those who wait longest and can still be served in time.
func (q *Queue) admit(now time.Time) {
	for q.serving < q.places() && q.waiting() > 0 {
		line := &q.first
		if line.Len() == 0 {
			line = &q.others
		}
		w := line.Front().Value.(*waiter)
		if line == &q.others {
			if needed, left := q.expected(now, 0), w.deadline.Sub(now); needed > left {
				q.turnAway(now, w, needed)
				continue
			}
		}
		q.remove(w)
		q.take(now)
		close(w.turn)
	}
}

// turnAway refuses a waiter.
func (q *Queue) turnAway(now time.Time, w *waiter, wait time.Duration) {
	q.remove(w)
	w.refused = &RefusedError{Wait: q.retry(wait), Stalled: q.overdue(now)}
	close(w.turn)
}

func (q *Queue) remove(w *waiter) {
	w.in.Remove(w.element)
	if q.waiting() == 0 {
		q.standing = time.Time{}
	}
}

// retry is what a refused caller is told: not the same to all, so that those who are refused together do not come again
// together.
func (q *Queue) retry(wait time.Duration) time.Duration {
	wait = min(max(wait, leastRetry), mostRetry)
	q.refused++
	return wait + time.Duration(q.refused%spread)*wait/(2*spread)
}
