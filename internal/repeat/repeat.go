// Package repeat counts log lines that repeat instead of writing each: the first ones of a kind are written, and then, once for
// each period, one that says how many more there were. What is remembered, and with it what is written, is bounded: a flood must
// not fill the disk, whatever it is made of.
package repeat

import (
	"context"
	"sync"
	"time"
)

// Options say how much is written.
type Options struct {
	Now func() time.Time
	// Period is how long lines of a kind are counted before their number is written.
	Period time.Duration
	// Kinds is how many are told apart in a period.
	Kinds int
	// More writes, once for each period, how many lines were left out because there were too many kinds.
	More func(count int)
}

// Lines counts what repeats. It is safe for concurrent use.
type Lines struct {
	Options

	mu    sync.Mutex
	kinds map[string]*kind
	// beyond counts the lines of kinds that were too many.
	beyond int
}

// kind is the lines of one kind in a period.
type kind struct {
	ends    time.Time
	written int
	// held is how many were counted and not written, and last writes the last one of them with a number.
	held int
	last func(repeated int)
}

// New makes a counter.
func New(o Options) *Lines { return &Lines{Options: o, kinds: map[string]*kind{}} }

// Write writes a line of a kind, or counts it when there were first of them in this period. write is called with 0 for a line that
// is written at once, and at the end of the period with the number of those that were not; then it is the last one's.
// It returns whether the line was written.
func (l *Lines) Write(name string, first int, write func(repeated int)) bool {
	if !l.count(name, first, write) {
		return false
	}
	write(0)
	return true
}

// count reports whether a line is to be written now.
func (l *Lines) count(name string, first int, write func(repeated int)) bool {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	k, known := l.kinds[name]
	switch {
	case !known && len(l.kinds) >= l.Kinds:
		l.beyond++
		return false
	case !known:
		k = &kind{ends: now.Add(l.Period)}
		l.kinds[name] = k
	case k.held == 0 && !now.Before(k.ends):
		*k = kind{ends: now.Add(l.Period)}
	}
	if k.written < first {
		k.written++
		return true
	}
	k.held++
	k.last = write
	return false
}

// Flush writes the numbers of the periods that have ended; with all, of those that have not ended too.
func (l *Lines) Flush(all bool) {
	ended, beyond := l.ended(all)
	for _, k := range ended {
		k.last(k.held)
	}
	if beyond > 0 {
		l.More(beyond)
	}
}

// ended forgets the kinds whose period has ended, and returns those of which there is something to write. A kind that goes on
// begins its next period with no line of its own: its number is one.
func (l *Lines) ended(all bool) (write []kind, beyond int) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, k := range l.kinds {
		switch {
		case !all && now.Before(k.ends):
		case k.held == 0:
			delete(l.kinds, name)
		default:
			write = append(write, *k)
			k.ends, k.held, k.last = now.Add(l.Period), 0, nil
		}
	}
	beyond, l.beyond = l.beyond, 0
	return write, beyond
}

// Run writes the numbers as the periods end, until ctx ends, and then those that are left.
func (l *Lines) Run(ctx context.Context) {
	ticker := time.NewTicker(l.Period)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			l.Flush(true)
			return
		case <-ticker.C:
			l.Flush(false)
		}
	}
}
