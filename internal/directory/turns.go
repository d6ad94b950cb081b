package directory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign/internal/queue"
)

const (
	// maxWaiting bounds those who wait in all, and maxWaitingEach those from one address.
	maxWaiting     = 2048
	maxWaitingEach = 32
)

// turns gives slots to those who wait, in turns by the address from which they come, so that many from one address delay each
// other and nobody else. Known browsers go before strangers, and have one slot for themselves where there are several.
type turns struct {
	mu      sync.Mutex
	slots   int
	waiting int
	// strangers and known are the lines of addresses and of browsers.
	strangers, known ring
}

// ring has a line of those who wait for each name. Names take turns.
type ring struct {
	turns []string
	lines map[string][]chan struct{}
	// running counts the slots that all have together.
	running int
}

// place is where somebody waits.
type place struct {
	name  string
	known bool
}

func newTurns(slots int) *turns {
	return &turns{slots: slots, strangers: newRing(), known: newRing()}
}

func newRing() ring { return ring{lines: map[string][]chan struct{}{}} }

func (q *turns) ring(p place) *ring {
	if p.known {
		return &q.known
	}
	return &q.strangers
}

// enter waits for a slot; leave it with [turns.leave]. Whoever finds the own line full gets [ErrThrottled]; whoever has
// waited for patience, or finds that too many others wait, a [*queue.RefusedError]: it is not who tries too often.
func (q *turns) enter(ctx context.Context, p place, patience time.Duration) error {
	q.mu.Lock()
	if len(q.ring(p).lines[p.name]) >= maxWaitingEach {
		q.mu.Unlock()
		return throttled{patience}
	}
	if q.waiting >= maxWaiting {
		q.mu.Unlock()
		return crowded(patience)
	}
	mine := make(chan struct{})
	q.ring(p).join(p.name, mine)
	q.waiting++
	q.next()
	q.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-mine:
		return nil
	case <-timer.C:
		return q.giveUp(p, mine, crowded(patience))
	case <-ctx.Done():
		return q.giveUp(p, mine, fmt.Errorf("directory: wait for a slot: %w", ctx.Err()))
	}
}

func crowded(patience time.Duration) error {
	return fmt.Errorf("directory: verify the password: %w", &queue.RefusedError{Wait: patience})
}

// giveUp leaves the line. A slot that came at the same moment goes to the next.
func (q *turns) giveUp(p place, mine chan struct{}, err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	r := q.ring(p)
	at := slices.Index(r.lines[p.name], mine)
	if at < 0 {
		q.release(p)
		return err
	}
	q.waiting--
	if r.lines[p.name] = slices.Delete(r.lines[p.name], at, at+1); len(r.lines[p.name]) == 0 {
		r.drop(p.name)
	}
	return err
}

// leave gives a slot back.
func (q *turns) leave(p place) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release(p)
}

func (q *turns) release(p place) {
	q.ring(p).running--
	q.next()
}

// next gives the free slots away.
func (q *turns) next() {
	for q.known.running+q.strangers.running < q.slots {
		mayStrangers := q.strangers.running < max(1, q.slots-1)
		if !q.known.serve() && !(mayStrangers && q.strangers.serve()) {
			return
		}
		q.waiting--
	}
}

func (r *ring) join(name string, mine chan struct{}) {
	if len(r.lines[name]) == 0 {
		r.turns = append(r.turns, name)
	}
	r.lines[name] = append(r.lines[name], mine)
}

func (r *ring) drop(name string) {
	delete(r.lines, name)
	r.turns = slices.DeleteFunc(r.turns, func(each string) bool { return each == name })
}

// serve lets in the first of the name whose turn it is, and reports whether there is one.
func (r *ring) serve() bool {
	if len(r.turns) == 0 {
		return false
	}
	name := r.turns[0]
	line := r.lines[name]
	close(line[0])
	r.running++
	r.turns = r.turns[1:]
	if r.lines[name] = line[1:]; len(line) > 1 {
		r.turns = append(r.turns, name)
	} else {
		delete(r.lines, name)
	}
	return true
}
