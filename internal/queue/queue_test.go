package queue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// clock stops unless moved.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func enter(t *testing.T, q *Queue, ctx context.Context) *Place {
	t.Helper()
	p, err := q.Enter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestExpectedWait: the estimate is the number ahead times the recent time for each, learned only while all places are
// taken, and grows while nobody is served.
//
// Covers: FD-100.
func TestExpectedWait(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	q := New(Config{Places: 1, Waiting: 100, Patience: 10 * time.Second, Now: c.Now})
	serve := func(each time.Duration) {
		p := enter(t, q, t.Context())
		c.advance(each)
		p.Leave(t.Context(), true)
		c.advance(time.Hour) // idle: nothing is learned of that
	}
	if e := q.Expected(); e != 0 {
		t.Errorf("expects %s before anything is known", e)
	}
	for range memory {
		serve(100 * time.Millisecond)
	}
	if e := q.Expected(); e != 100*time.Millisecond {
		t.Errorf("expects %s, want 100ms", e)
	}
	p := enter(t, q, t.Context())
	if e := q.Expected(); e != 200*time.Millisecond {
		t.Errorf("with one ahead: %s, want 200ms", e)
	}
	c.advance(3 * time.Second)
	if e := q.Expected(); e != 6*time.Second {
		t.Errorf("with one that takes 3s: %s, want 6s", e)
	}
	p.Leave(t.Context(), false)
	if e := q.Expected(); e != 100*time.Millisecond {
		t.Errorf("after one that failed: %s, want 100ms: it tells nothing", e)
	}
	for range 4 * memory {
		serve(10 * time.Millisecond)
	}
	if e := q.Expected(); e > 12*time.Millisecond {
		t.Errorf("after becoming faster: %s, want about 10ms", e)
	}
}

// TestRefusedAtArrival: whoever would be served too late is refused at once and told when to come again, by its own
// deadline or the queue's patience, and whoever would not is admitted.
//
// Covers: FD-100.
func TestRefusedAtArrival(t *testing.T) {
	// busy makes a queue whose only place is taken, and which knows that a service takes a second.
	busy := func(t *testing.T) (*Queue, *Place) {
		t.Helper()
		q := New(Config{Places: 1, Waiting: 100, Patience: 10 * time.Second})
		for range memory {
			p := enter(t, q, t.Context())
			time.Sleep(time.Second)
			p.Leave(t.Context(), true)
		}
		return q, enter(t, q, t.Context())
	}
	refused := func(t *testing.T, q *Queue, ctx context.Context) {
		t.Helper()
		began := time.Now()
		_, err := q.Enter(ctx)
		r, ok := errors.AsType[*RefusedError](err)
		if !ok || r.RetryAfter() < leastRetry || r.Stalled || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	}
	// line has callers wait, as many as are served in time: the second to the eighth, which leaves something of 10 s. It
	// returns how to serve them all.
	line := func(t *testing.T, q *Queue, held *Place) (serve func()) {
		t.Helper()
		var all sync.WaitGroup
		for range 7 {
			all.Go(func() {
				p, err := q.Enter(t.Context())
				if err != nil {
					t.Errorf("a caller who is served in time: %v", err)
					return
				}
				time.Sleep(time.Second)
				p.Leave(t.Context(), true)
			})
			synctest.Wait()
		}
		return func() {
			time.Sleep(time.Second)
			held.Leave(t.Context(), true)
			all.Wait()
		}
	}
	t.Run("accepts callers who are served in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, held := busy(t)
			line(t, q, held)()
		})
	})
	t.Run("refuses a caller whose deadline is before the expected end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, held := busy(t)
			short, cancel := context.WithTimeout(t.Context(), 1900*time.Millisecond)
			defer cancel()
			refused(t, q, short)
			held.Leave(t.Context(), true)
		})
	})
	t.Run("refuses a caller behind eight others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q, held := busy(t)
			serve := line(t, q, held)
			refused(t, q, t.Context())
			serve()
		})
	})
}

// slowed is a resource that serves one caller at a time, in each.
func slowed(t *testing.T, q *Queue, callers int, each, deadline, during time.Duration) (served int64, longest time.Duration) {
	t.Helper()
	resource := make(chan struct{}, 1) // a mutex would stop the bubble's clock
	var done atomic.Int64
	var slowest atomic.Int64
	until := time.Now().Add(during)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for time.Now().Before(until) {
				ctx, cancel := context.WithTimeout(OneRequest(t.Context()), deadline)
				began := time.Now()
				p, err := q.Enter(ctx)
				if err == nil {
					resource <- struct{}{}
					time.Sleep(each)
					<-resource
					p.Leave(ctx, true)
					if ctx.Err() == nil && time.Now().Before(until) {
						done.Add(1)
					}
				}
				if took := int64(time.Since(began)); took > slowest.Load() {
					slowest.Store(took)
				}
				cancel()
				if err != nil {
					time.Sleep(time.Second)
				}
			}
		})
	}
	all.Wait()
	return done.Load(), time.Duration(slowest.Load())
}

// TestGoodputUnderOverload: of 400 callers of something that serves 8 a second, as many are served as it can, from the start,
// and no answer takes longer than the deadline.
//
// Covers: FD-100.
func TestGoodputUnderOverload(t *testing.T) {
	for name, config := range map[string]Config{
		"one at a time":           {Places: 1, Waiting: 256, Patience: 5 * time.Second},
		"sixteen begun, four are": {Places: 16, Least: 4, Waiting: 256, Patience: 5 * time.Second},
		"a long patience":         {Places: 16, Least: 4, Waiting: 256, Patience: time.Minute},
	} {
		t.Run("accepts as many as can be served: "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const deadline, during = 10 * time.Second, 40 * time.Second
				served, longest := slowed(t, New(config), 400, 125*time.Millisecond, deadline, during)
				t.Logf("%d served, the longest answer after %s", served, longest)
				if most := int64(8 * during / time.Second); served < most*9/10 {
					t.Errorf("%d of %d were served in time", served, most)
				}
				if longest > deadline {
					t.Errorf("an answer took %s, the deadline is %s", longest, deadline)
				}
			})
		})
	}
}

// TestShortQueueWhileOverloaded: a queue that does not become empty is kept short, so that whoever is served is served soon.
//
// Covers: FD-100.
func TestShortQueueWhileOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = 4 * time.Second
		q := New(Config{Places: 1, Waiting: 256, Patience: patience})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			slowed(t, q, 100, 100*time.Millisecond, time.Minute, 30*time.Second)
		}()
		time.Sleep(20 * time.Second)
		if e := q.Expected(); e > patience/shortened+300*time.Millisecond || e < 500*time.Millisecond {
			t.Errorf("after 20 s of overload a caller waits %s, want about %s", e, patience/shortened)
		}
		<-ended
	})
}

// TestSlowerMeansShorter: when serving becomes slower, those who cannot be served in time are refused as soon as that is
// seen, the last first.
//
// Covers: FD-100.
func TestSlowerMeansShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Places: 1, Waiting: 256, Patience: 10 * time.Second})
		for range memory {
			p := enter(t, q, t.Context())
			time.Sleep(10 * time.Millisecond)
			p.Leave(t.Context(), true)
		}
		held := enter(t, q, t.Context())
		var refused, served atomic.Int64
		var lastRefused time.Duration
		began := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				p, err := q.Enter(t.Context())
				if err != nil {
					refused.Add(1)
					lastRefused = time.Since(began)
					return
				}
				time.Sleep(time.Second)
				p.Leave(t.Context(), true)
				served.Add(1)
			})
		}
		synctest.Wait()
		time.Sleep(time.Second)
		held.Leave(t.Context(), true)
		all.Wait()
		if served.Load() < 8 || served.Load()+refused.Load() != 100 {
			t.Errorf("%d were served, %d refused; want about 9 of 100", served.Load(), refused.Load())
		}
		if lastRefused > 9*time.Second {
			t.Errorf("the last was refused after %s, long after it was clear", lastRefused)
		}
	})
}

// TestSecondOfARequest: a request that was served goes before others and is not refused for the expected wait.
//
// Covers: FD-101.
func TestSecondOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Places: 1, Waiting: 3, Patience: 3 * time.Second})
		request := OneRequest(t.Context())
		for range memory {
			p := enter(t, q, request)
			time.Sleep(time.Second)
			p.Leave(request, true)
		}
		held := enter(t, q, t.Context())
		order := make(chan string, 3)
		var all sync.WaitGroup
		defer all.Wait()
		wait := func(ctx context.Context, name string) {
			p, err := q.Enter(ctx)
			if err != nil {
				order <- "refused: " + name
				return
			}
			order <- name
			time.Sleep(time.Second)
			p.Leave(ctx, true)
		}
		all.Go(func() { wait(t.Context(), "other") })
		synctest.Wait()
		all.Go(func() { wait(request, "second") })
		synctest.Wait()
		all.Go(func() { wait(t.Context(), "third") })
		synctest.Wait()
		if got := <-order; got != "refused: third" {
			t.Errorf("%s, want the third refused", got)
		}
		held.Leave(t.Context(), true)
		if got := <-order; got != "second" {
			t.Errorf("%s came first", got)
		}
		if got := <-order; got != "other" {
			t.Errorf("%s came then", got)
		}
		urgent := Urgent(t.Context())
		if !servedBefore(urgent, q) || servedBefore(t.Context(), q) || servedBefore(OneRequest(t.Context()), q) {
			t.Error("what is urgent is not told from other requests")
		}
	})
}

// TestStalled: whoever waits while nobody is served learns that it is not for the queue's length.
//
// Covers: FD-100.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{Places: 1, Waiting: 2, Patience: 2 * time.Second})
		held := enter(t, q, t.Context())
		began := time.Now()
		_, err := q.Enter(t.Context())
		if r, ok := errors.AsType[*RefusedError](err); !ok || !r.Stalled || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %s, want a refusal after the patience", err, time.Since(began))
		}
		if _, err := q.Enter(t.Context()); time.Since(began) != 2*time.Second {
			t.Errorf("the next is refused at once, not after another patience: %v", err)
		} else if r, ok := errors.AsType[*RefusedError](err); !ok || !r.Stalled {
			t.Errorf("the next: %v, want one that says that nobody is served", err)
		}
		held.Leave(t.Context(), false)
		held = enter(t, q, t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if _, err := q.Enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the caller's own reason", err)
		}
		held.Leave(t.Context(), true)
		held.Leave(t.Context(), true) // giving it back twice is once
		for range 3 {
			enter(t, q, t.Context()).Leave(t.Context(), true)
		}
		if q.serving != 0 || q.waiting() != 0 || !q.standing.IsZero() || !q.fullSince.IsZero() {
			t.Errorf("something is left: %+v", q)
		}
	})
}

// TestManyComeAndGo: no place is lost and none given twice, whoever leaves when.
func TestManyComeAndGo(t *testing.T) {
	q := New(Config{Places: 3, Waiting: 50, Patience: 50 * time.Millisecond})
	var inside, most atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(OneRequest(t.Context()), time.Duration(i%20)*time.Millisecond)
			defer cancel()
			for range 20 {
				p, err := q.Enter(ctx)
				if err != nil {
					continue
				}
				if now := inside.Add(1); now > most.Load() {
					most.Store(now)
				}
				time.Sleep(100 * time.Microsecond)
				inside.Add(-1)
				p.Leave(ctx, i%3 > 0)
			}
		})
	}
	all.Wait()
	if most.Load() > 3 || q.serving != 0 || q.waiting() != 0 {
		t.Errorf("%d were served at once, %d are still, %d wait", most.Load(), q.serving, q.waiting())
	}
}

// Covers: NM-05. The state of a queue is what it does at the moment, and whom it refused.
func TestState(t *testing.T) {
	t.Run("accepts who leaves before a place is free", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := New(Config{Places: 1, Waiting: 1, Patience: time.Second})
			first := enter(t, q, t.Context())
			ctx, leave := context.WithCancel(t.Context())
			left := waits(ctx, q)
			if got := q.State(); got.Serving != 1 || got.Waiting != 1 || got.Refused != 0 {
				t.Errorf("%+v", got)
			}
			leave()
			<-left
			first.Leave(t.Context(), true)
			if got := q.State(); got.Serving != 0 || got.Waiting != 0 || got.Refused != 1 {
				t.Errorf("%+v", got)
			}
		})
	})
	t.Run("refuses one beyond the bound", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := New(Config{Places: 1, Waiting: 1, Patience: time.Second})
			first := enter(t, q, t.Context())
			ctx, leave := context.WithCancel(t.Context())
			left := waits(ctx, q)
			if _, err := q.Enter(t.Context()); err == nil {
				t.Error("admitted beyond the bound")
			}
			if got := q.State(); got.Serving != 1 || got.Waiting != 1 || got.Refused != 1 {
				t.Errorf("%+v", got)
			}
			leave()
			<-left
			first.Leave(t.Context(), true)
			if got := q.State(); got.Serving != 0 || got.Waiting != 0 || got.Refused != 2 {
				t.Errorf("%+v", got)
			}
		})
	})
}

// waits has one more wait in a queue, within a bubble; what came of it is sent.
func waits(ctx context.Context, q *Queue) <-chan error {
	left := make(chan error)
	go func() {
		_, err := q.Enter(ctx)
		left <- err
	}()
	synctest.Wait()
	return left
}
