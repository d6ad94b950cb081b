// Package delivery sends what an outbox has due: the loop that claims it, how much of it goes to one receiver at once, and how long
// a failed try waits for the next. What is sent, and what becomes of it, is the user's.
package delivery

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Loop claims what is due when it is woken, and every now and then. The zero value is ready to use.
type Loop struct {
	once sync.Once
	bell chan struct{}
}

func (l *Loop) woken() chan struct{} {
	l.once.Do(func() { l.bell = make(chan struct{}, 1) })
	return l.bell
}

// Wake says that something is due now. Without it that is found the next time that [Run] looks.
func (l *Loop) Wake() {
	select {
	case l.woken() <- struct{}{}:
	default:
	}
}

// Work is what a [Loop] does.
type Work[T any] struct {
	// AtOnce is how many are sent at once, and Every how often it is looked for what others have left, or is due again.
	AtOnce int
	Every  time.Duration
	// Claim hands out at most limit that are due, and keeps them from other nodes for a while.
	Claim func(ctx context.Context, limit int) []T
	// Send sends one, and saves how that went. Its context does not end with that of Run.
	Send func(ctx context.Context, one T)
}

// Run sends what is due until ctx ends, and lets what is under way end.
func Run[T any](ctx context.Context, l *Loop, w Work[T]) {
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	var sending sync.WaitGroup
	defer sending.Wait()
	slots := make(chan struct{}, w.AtOnce)
	var more atomic.Bool // there may be more that is due than there were slots
	for {
		if free := w.AtOnce - len(slots); free > 0 {
			due := w.Claim(ctx, free)
			more.Store(len(due) == free)
			for _, one := range due {
				slots <- struct{}{}
				sending.Go(func() {
					w.Send(context.WithoutCancel(ctx), one)
					<-slots
					if more.Load() {
						l.Wake()
					}
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-l.woken():
		}
	}
}

// Shares bounds what is sent to one receiver at once, so that one that is slow leaves places to others. The zero value is ready to
// use.
type Shares struct {
	mu      sync.Mutex
	sending map[string]int
}

// Begin counts one more for a receiver, unless it has as many as it may.
func (s *Shares) Begin(receiver string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[receiver] >= most {
		return false
	}
	if s.sending == nil {
		s.sending = map[string]int{}
	}
	s.sending[receiver]++
	return true
}

// BeginSoon is Begin for one that may wait a little: quick receivers are done with one before the next has to wait. It does not
// begin, and waits no longer, once refused reports true.
func (s *Shares) BeginSoon(receiver string, most int, wait time.Duration, refused func() bool) bool {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	again := time.NewTicker(wait / 200)
	defer again.Stop()
	for last := false; ; {
		begun := s.Begin(receiver, most)
		if refused() {
			if begun {
				s.End(receiver)
			}
			return false
		}
		if begun || last {
			return begun
		}
		select {
		case <-enough.C:
			last = true
		case <-again.C:
		}
	}
}

// End ends what Begin has begun.
func (s *Shares) End(receiver string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[receiver]--; s.sending[receiver] == 0 {
		delete(s.sending, receiver)
	}
}

// Receivers returns how many receivers something is being sent to.
func (s *Shares) Receivers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sending)
}

// RetryAfter is the wait after an attempt, of which the first is 1: first, and twice as long after each later one, up to last.
func RetryAfter(attempt int, first, last time.Duration) time.Duration {
	wait := first
	for range min(attempt-1, 20) {
		wait = min(2*wait, last)
	}
	return wait
}
