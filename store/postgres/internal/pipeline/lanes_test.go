package pipeline

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// entered is a statement that enters lanes in a goroutine of its own.
type entered struct {
	place    *Place[int]
	lead, ok bool
	done     chan struct{}
}

func enter(ctx context.Context, l *Lanes[int]) *entered {
	e := &entered{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.place, e.lead, e.ok = l.Enter(ctx, &Statement{}, time.Minute)
	}()
	return e
}

// waits enters statements one after the other, each of which has to wait.
func waits(t *testing.T, l *Lanes[int], n int) []*entered {
	t.Helper()
	_, before := l.Counts()
	all := make([]*entered, n)
	for i := range all {
		all[i] = enter(t.Context(), l)
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, waiting := l.Counts(); waiting == before+i+1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("statement %d does not wait", i)
			}
		}
	}
	return all
}

// leads enters a statement that leads at once.
func leads(t *testing.T, l *Lanes[int]) *Place[int] {
	t.Helper()
	place, lead, ok := l.Enter(t.Context(), &Statement{}, time.Minute)
	if !lead || !ok {
		t.Fatal("it does not lead")
	}
	return place
}

// TestLanes: who comes first leads, and so does a second; who comes then waits, is taken along in the order of coming, and is
// told what came of it.
func TestLanes(t *testing.T) {
	var ended atomic.Int64
	l := Lanes[int]{Waits: func(context.Context) func() { return func() { ended.Add(1) } }}
	first, second := leads(t, &l), leads(t, &l)
	others := waits(t, &l, 3)
	taken := l.Take(first)
	if len(taken) != 3 || ended.Load() != 3 {
		t.Fatalf("%d were taken along, %d wait no more", len(taken), ended.Load())
	}
	for i, p := range taken {
		p.Tell(i)
	}
	for i, other := range others {
		if <-other.done; other.lead || !other.ok || other.place.Outcome() != i {
			t.Errorf("statement %d: lead %t, ok %t, outcome %d", i, other.lead, other.ok, other.place.Outcome())
		}
	}
	if more := l.Take(second); len(more) != 0 {
		t.Errorf("%d were taken along twice", len(more))
	}
	l.Leave(first)
	l.Leave(second)
	if busy, waiting := l.Counts(); busy != 0 || waiting != 0 {
		t.Errorf("afterwards %d lanes are led, and %d wait", busy, waiting)
	}
}

// TestLanesHandedOver: who waits longest gets the lane of a leader who leaves.
func TestLanesHandedOver(t *testing.T) {
	var l Lanes[int]
	first, second := leads(t, &l), leads(t, &l)
	others := waits(t, &l, 2)
	l.Leave(first)
	if <-others[0].done; !others[0].lead || !others[0].ok {
		t.Fatal("who waited longest does not lead")
	}
	l.Leave(second)
	l.Leave(others[0].place)
	if <-others[1].done; !others[1].lead {
		t.Fatal("the other does not lead")
	}
	l.Leave(others[1].place)
}

// TestLanesGather: while a lane does more than a few statements, the others gather for it, until they are as many as a transaction
// takes; then another lane opens.
func TestLanesGather(t *testing.T) {
	var l Lanes[int]
	first, second := leads(t, &l), leads(t, &l)
	waiting := waits(t, &l, few)
	taken := l.Take(first)
	l.Leave(second)
	gathered := waits(t, &l, Most-1)
	third := leads(t, &l)
	along := l.Take(third)
	if len(along) != Most-1 {
		t.Errorf("%d were taken along, want %d", len(along), Most-1)
	}
	l.Leave(third)
	for _, p := range append(taken, along...) {
		p.Tell(0)
	}
	for _, e := range append(waiting, gathered...) {
		if <-e.done; e.lead || !e.ok {
			t.Errorf("lead %t, ok %t", e.lead, e.ok)
		}
	}
	late := waits(t, &l, 1)[0]
	l.Leave(first)
	if <-late.done; !late.lead {
		t.Error("who waited has no lane when all have left")
	}
}

// TestLanesWithdrawn: who waits for too long, or hangs up, is served by nobody afterwards; who was taken along is waited for.
func TestLanesWithdrawn(t *testing.T) {
	var l Lanes[int]
	first, second := leads(t, &l), leads(t, &l)
	if _, lead, ok := l.Enter(t.Context(), &Statement{}, time.Millisecond); lead || ok {
		t.Error("it was served after its time")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, lead, ok := l.Enter(ctx, &Statement{}, time.Minute); lead || ok {
		t.Error("it was served after it hung up")
	}
	if taken := l.Take(first); len(taken) != 0 {
		t.Errorf("%d were taken along who are gone", len(taken))
	}
	ctx, cancel = context.WithCancel(t.Context())
	e := enter(ctx, &l)
	for _, waiting := l.Counts(); waiting == 0; _, waiting = l.Counts() {
		time.Sleep(time.Millisecond)
	}
	taken := l.Take(first)
	cancel()
	select {
	case <-e.done:
		t.Error("it left while it was being served")
	case <-time.After(20 * time.Millisecond):
	}
	taken[0].Tell(7)
	if <-e.done; !e.ok || e.lead || e.place.Outcome() != 7 {
		t.Errorf("lead %t, ok %t, outcome %d", e.lead, e.ok, e.place.Outcome())
	}
	l.Leave(first)
	l.Leave(second)
}

// TestLanesRace: of many who come at once and hang up at random, each is served once or not at all, no transaction has more than
// its share, no more than the lanes are under way, and nobody is forgotten.
func TestLanesRace(t *testing.T) {
	var l Lanes[int]
	var leading, served, led, gone atomic.Int64
	var running sync.WaitGroup
	const callers, each = 100, 50
	for range callers {
		running.Go(func() {
			for range each {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.N(int64(3*time.Millisecond))))
				place, lead, ok := l.Enter(ctx, &Statement{}, time.Minute)
				switch {
				case !ok:
					gone.Add(1)
				case lead:
					led.Add(1)
					if n := leading.Add(1); n > lanes {
						t.Errorf("%d lanes are led", n)
					}
					along := l.Take(place)
					if len(along) >= Most {
						t.Errorf("%d were taken along", len(along))
					}
					time.Sleep(time.Duration(rand.N(int64(200 * time.Microsecond))))
					for _, p := range along {
						p.Tell(1)
					}
					leading.Add(-1)
					l.Leave(place)
				default:
					served.Add(int64(place.Outcome()))
				}
				cancel()
			}
		})
	}
	running.Wait()
	if all := served.Load() + led.Load() + gone.Load(); all != callers*each {
		t.Errorf("%d were served, led or gone, of %d", all, callers*each)
	}
	if busy, waiting := l.Counts(); busy != 0 || waiting != 0 {
		t.Errorf("afterwards %d lanes are led, and %d wait", busy, waiting)
	}
	if served.Load() == 0 {
		t.Error("nobody was taken along")
	}
	t.Logf("%d led, %d were taken along, %d had left", led.Load(), served.Load(), gone.Load())
}
