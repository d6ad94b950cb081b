package limit

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

// clock stops unless moved.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newLimiter(t testing.TB, perSecond float64, burst, capacity int, now func() time.Time) *Limiter {
	t.Helper()
	l, err := New(perSecond, burst, capacity, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAllow(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	l := newLimiter(t, 2, 3, 10, c.Now)
	for i := range 3 {
		if ok, _ := l.Allow("a"); !ok {
			t.Fatalf("event %d of the burst was refused", i+1)
		}
	}
	if ok, wait := l.Allow("a"); ok || wait != 500*time.Millisecond {
		t.Fatalf("the event after the burst: %t, %s; want a refusal for 500ms", ok, wait)
	}
	if ok, _ := l.Allow("b"); !ok {
		t.Fatal("another key was refused")
	}
	c.now = c.now.Add(499 * time.Millisecond)
	if ok, _ := l.Allow("a"); ok {
		t.Fatal("allowed 1 ms too soon")
	}
	c.now = c.now.Add(time.Millisecond)
	if ok, _ := l.Allow("a"); !ok {
		t.Fatal("refused after the time that it named")
	}
	if ok, _ := l.Allow("a"); ok {
		t.Fatal("allowed twice for one interval")
	}
}

// TestClockSetBack: a key is never locked out for longer than one that used up its burst.
func TestClockSetBack(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	l := newLimiter(t, 1, 5, 10, c.Now)
	for range 5 {
		l.Allow("a")
	}
	c.now = time.Unix(1000, 0)
	if ok, wait := l.Allow("a"); ok || wait > time.Second {
		t.Fatalf("after the clock was set back: %t, %s", ok, wait)
	}
	c.now = c.now.Add(time.Second)
	if ok, _ := l.Allow("a"); !ok {
		t.Fatal("refused a second later")
	}
}

// TestCapacity: memory is bounded, and the key that is limited hardest is not the one that is evicted.
func TestCapacity(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	l := newLimiter(t, 1, 10, 100, c.Now)
	for range 10 {
		l.Allow("hard")
	}
	for i := range 10_000 {
		l.Allow(strconv.Itoa(i))
		if len(l.full) > 100 {
			t.Fatalf("%d keys are remembered", len(l.full))
		}
	}
	if ok, _ := l.Allow("hard"); ok {
		t.Fatal("the limited key was freed by other keys")
	}
	c.now = c.now.Add(time.Minute)
	l.Allow("other")
	l.full.makeRoom(c.now, l.capacity)
	if len(l.full) != 1 {
		t.Fatalf("%d keys are remembered after all but one came to rest", len(l.full))
	}
}

func TestNew(t *testing.T) {
	for _, bad := range []struct {
		rate            float64
		burst, capacity int
	}{{0, 1, 1}, {-1, 1, 1}, {1e7, 1, 1}, {1, 0, 1}, {1, 1, 0}} {
		if _, err := New(bad.rate, bad.burst, bad.capacity, time.Now); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// TestRace: many at once get no more than the burst.
func TestRace(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	l := newLimiter(t, 1, 50, 10, c.Now)
	var mu sync.Mutex
	var allowed int
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if ok, _ := l.Allow("a"); ok {
				mu.Lock()
				allowed++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if allowed != 50 {
		t.Fatalf("%d of 200 were allowed, want 50", allowed)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := newLimiter(b, 1000, 1000, 1000, time.Now)
	for b.Loop() {
		l.Allow("client")
	}
}
