package pipeline

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// lanes is how many transactions of several statements are under way at once.
	lanes = 2
	// few is how many statements may be under way for a second lane to be opened at once. With more, those that come gather
	// for the lane that is busy, until they are as many as one transaction takes.
	few = 4
	// Capacity is how many statements are done at once, at most.
	Capacity = lanes * Most
)

// Lanes are a few places at which statements are done; O is what comes of one that was taken along. Whoever comes while one is
// free leads it at once, and does its own statement there; whoever comes while none is waits, until a leader takes its statement
// along or hands it the lane. So nobody waits for others to come, and what is done together is what came while the
// database was busy.
type Lanes[O any] struct {
	// Waits is called for a statement that has to wait for a lane or a leader, and what it returns when it has; may be nil.
	Waits func(context.Context) (waited func())

	mu sync.Mutex
	// busy is how many lanes are led, doing how many statements are done there.
	busy, doing int
	// waiting are those who wait, in their order. While there are any, a lane is busy.
	waiting []*Place[O]
}

// Place is a statement's place at the lanes, from [Lanes.Enter] to its end.
type Place[O any] struct {
	statement *Statement
	// turn is closed when the statement is done, or leads.
	turn chan struct{}
	// waited is called when it waits no more.
	waited func()
	// taken says that a leader does the statement, along how many statements a leader took along.
	taken bool
	along int
	// outcome is what the leader came to.
	outcome O
}

// Enter waits for a lane, for a leader who takes the statement along and does it, for ctx to end, or for a time. lead says that the caller
// has a lane, which [Lanes.Leave] gives back; ok is false for one whom nobody served, and for whom nothing was done.
func (l *Lanes[O]) Enter(ctx context.Context, s *Statement, patience time.Duration) (place *Place[O], lead, ok bool) {
	p := &Place[O]{statement: s, waited: func() {}}
	l.mu.Lock()
	if l.opens() {
		l.busy++
		l.doing++
		l.mu.Unlock()
		return p, true, true
	}
	p.turn = make(chan struct{})
	if l.Waits != nil {
		p.waited = l.Waits(ctx)
	}
	l.waiting = append(l.waiting, p)
	l.mu.Unlock()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	withdrawn := false
	select {
	case <-p.turn:
	case <-ctx.Done():
		withdrawn = l.withdraw(p)
	case <-limit.C:
		withdrawn = l.withdraw(p)
	}
	if !withdrawn {
		<-p.turn // what a leader has begun is not broken off with one of its callers
	}
	return p, !withdrawn && !p.taken, !withdrawn
}

// opens reports whether who comes now leads a lane.
func (l *Lanes[O]) opens() bool {
	switch {
	case l.busy == 0:
		return true
	case l.busy == lanes:
		return false
	}
	return l.doing+len(l.waiting) < few || len(l.waiting) >= Most-1
}

// withdraw takes back a place that still waits, and reports whether it did.
func (l *Lanes[O]) withdraw(p *Place[O]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i < 0 {
		return false
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	p.waited()
	return true
}

// Take has a leader take along those who wait, as many as fit into one transaction. Each has to be told its outcome by [Place.Tell].
func (l *Lanes[O]) Take(leader *Place[O]) []*Place[O] {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), Most-1)
	if n == 0 {
		return nil
	}
	along := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	for _, p := range along {
		p.taken = true
		p.waited()
	}
	leader.along = n
	l.doing += n
	return along
}

// Leave gives back a leader's lane. Who waits longest gets it, unless another lane is busy and those who wait are to gather for that.
func (l *Lanes[O]) Leave(leader *Place[O]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.doing -= 1 + leader.along
	if len(l.waiting) == 0 || !l.opens() {
		return
	}
	next := l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	l.busy++
	l.doing++
	next.waited()
	close(next.turn)
}

// Counts are how many lanes are led, and how many statements wait.
func (l *Lanes[O]) Counts() (busy, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy, len(l.waiting)
}

// Statement is what is to be done.
func (p *Place[O]) Statement() *Statement { return p.statement }

// Tell tells the outcome to a place that was taken along.
func (p *Place[O]) Tell(o O) {
	p.outcome = o
	close(p.turn)
}

// Outcome is what was told.
func (p *Place[O]) Outcome() O { return p.outcome }
