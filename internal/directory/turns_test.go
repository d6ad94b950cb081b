package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/internal/queue"
)

// Covers: FD-63. Those who wait from one address delay each other, and nobody else for more than a turn; known browsers go
// before strangers.
func TestQueueIsFair(t *testing.T) {
	for slots := 1; slots <= 8; slots++ {
		t.Run(fmt.Sprintf("accepts honest users at %d slots", slots), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { crowd(t, slots) })
		})
		t.Run(fmt.Sprintf("refuses most of a flood at %d slots", slots), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if refused, want := crowd(t, slots), 200-maxWaitingEach-max(1, slots-1); refused != want {
					t.Errorf("%d of the flood were sent away at once, want %d", refused, want)
				}
			})
		})
	}
}

// crowd has 200 from one place use a queue, and honest users beside them. It returns how many were sent away.
func crowd(t *testing.T, slots int) (refused int) {
	const work = 50 * time.Millisecond
	q := newTurns(slots)
	use := func(p place) (waited time.Duration, err error) {
		began := time.Now()
		if err := q.enter(t.Context(), p, 5*time.Second); err != nil {
			return 0, err
		}
		defer q.leave(p)
		waited = time.Since(began)
		time.Sleep(work)
		return waited, nil
	}
	var all sync.WaitGroup
	var lock sync.Mutex
	for range 200 {
		all.Go(func() {
			if _, err := use(place{name: "flood"}); err != nil {
				lock.Lock()
				defer lock.Unlock()
				refused++
			}
		})
	}
	synctest.Wait()
	known := work
	if slots > 1 {
		known = 0 // the slot that strangers leave
	}
	for _, honest := range []struct {
		place
		most time.Duration
	}{{place{name: "honest"}, 2 * work}, {place{name: "honest"}, 2 * work}, {place{name: "browser", known: true}, known}} {
		if waited, err := use(honest.place); err != nil || waited > honest.most {
			t.Errorf("%s waited %s, want %s at most: %v", honest.name, waited, honest.most, err)
		}
	}
	all.Wait()
	if q.strangers.running+q.known.running+q.waiting+len(q.strangers.lines)+len(q.strangers.turns) != 0 {
		t.Errorf("the queue is not empty: %+v", q)
	}
	return refused
}

// refused reports whether an error is a refusal of a queue that is too long.
func refused(err error) bool {
	_, is := errors.AsType[*queue.RefusedError](err)
	return is
}

// TestQueueIsBounded: however many addresses wait, the queue does not grow without end; and those who give up leave nothing.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(1)
		if err := q.enter(t.Context(), place{name: "working"}, time.Second); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		var lock sync.Mutex
		throttled, gone := 0, 0
		for i := range maxWaiting + 100 {
			all.Go(func() {
				err := q.enter(ctx, place{name: fmt.Sprint(i)}, time.Minute)
				lock.Lock()
				defer lock.Unlock()
				switch {
				case refused(err):
					throttled++
				case errors.Is(err, context.Canceled):
					gone++
				}
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if throttled != 100 || gone != maxWaiting || q.waiting != 0 || len(q.strangers.turns) != 0 {
			t.Errorf("%d were sent away and %d gave up; %d still wait", throttled, gone, q.waiting)
		}
		q.leave(place{name: "working"})
		if err := q.enter(t.Context(), place{name: "late"}, time.Second); err != nil {
			t.Error(err)
		}
	})
}
