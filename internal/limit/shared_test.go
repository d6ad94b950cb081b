package limit

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/store"
)

// counted is a store of allowances in memory, which can be away.
type counted struct {
	mu    sync.Mutex
	now   func() time.Time
	full  map[store.Digest]time.Time
	err   error
	asked int
}

func (c *counted) Allow(_ context.Context, rates ...store.Rate) ([]time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.err != nil {
		return nil, c.err
	}
	waits, any := make([]time.Duration, len(rates)), false
	for i, rate := range rates {
		ahead := max(0, c.full[rate.Key].Sub(c.now()))
		waits[i] = max(0, ahead-rate.Tolerance())
		any = any || waits[i] > 0
	}
	for _, rate := range rates {
		if !any {
			c.full[rate.Key] = c.now().Add(max(0, c.full[rate.Key].Sub(c.now())) + rate.Interval)
		}
	}
	return waits, nil
}

func (c *counted) Refund(_ context.Context, rates []store.Rate, whole ...store.Digest) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if c.err != nil {
		return c.err
	}
	for _, rate := range rates {
		c.full[rate.Key] = c.full[rate.Key].Add(-rate.Interval)
	}
	for _, key := range whole {
		delete(c.full, key)
	}
	return nil
}

// nodes are some that share a store.
func nodes(n int) ([]*Shared, *counted, *clock, *strings.Builder) {
	c, lines := &clock{time.Unix(1000, 0)}, &strings.Builder{}
	shared := &counted{now: c.Now, full: map[store.Digest]time.Time{}}
	made := make([]*Shared, n)
	for i := range made {
		made[i] = NewShared(shared, c.Now, slog.New(slog.NewTextHandler(lines, nil)))
	}
	return made, shared, c, lines
}

func minutely(key string, burst int) store.Rate {
	return store.Rate{Key: Key("test", key), Interval: time.Minute, Burst: burst}
}

func wantAllowed(t *testing.T, s *Shared, want bool, rates ...store.Rate) time.Duration {
	t.Helper()
	wait := s.Allow(t.Context(), rates...)
	if (wait == 0) != want {
		t.Fatalf("allowed is %t, want %t: to wait %s", !want, want, wait)
	}
	return wait
}

func TestSharedAllow(t *testing.T) {
	n, shared, _, _ := nodes(2)
	a, wide := minutely("a", 3), minutely("wide", 100)
	for i := range 3 {
		wantAllowed(t, n[i%2], true, a, wide)
	}
	for _, node := range n {
		if wait := wantAllowed(t, node, false, a, wide); wait != time.Minute {
			t.Errorf("to wait is %s, want a minute", wait)
		}
	}
	if ahead := shared.full[wide.Key].Sub(shared.now()); ahead != 3*time.Minute {
		t.Errorf("a refusal took something of the other allowance: %s", ahead)
	}
	n[0].Refund(t.Context(), []store.Rate{a})
	wantAllowed(t, n[0], true, a)
	n[0].Refund(t.Context(), nil, a.Key)
	for range 3 {
		wantAllowed(t, n[0], true, a)
	}
}

// TestSharedFlood: what is exhausted does not reach the store but once in a while, however many nodes' callers there are at
// once; and is allowed as soon as the store says so.
func TestSharedFlood(t *testing.T) {
	n, shared, c, _ := nodes(1)
	a := minutely("a", 1)
	wantAllowed(t, n[0], true, a)
	wantAllowed(t, n[0], false, a)
	if wait := wantAllowed(t, n[0], false, a); wait != time.Minute {
		t.Errorf("to wait is %s, want a minute, also when the node says it by itself", wait)
	}
	shared.asked = 0
	for range 30 { // 30 seconds of it
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { n[0].Allow(context.Background(), a) })
		}
		all.Wait()
		c.now = c.now.Add(time.Second)
	}
	if wait := wantAllowed(t, n[0], false, a); wait > 31*time.Second {
		t.Errorf("to wait is %s after half a minute", wait)
	}
	if shared.asked < 5 || shared.asked > 16 {
		t.Errorf("the store was asked %d times in 30 s, want once in two seconds", shared.asked)
	}
	if err := shared.Refund(t.Context(), nil, a.Key); err != nil { // an operator, on another node
		t.Fatal(err)
	}
	c.now = c.now.Add(known)
	wantAllowed(t, n[0], true, a)
}

// slow is a store that takes a while, and counts who asks at once.
type slow struct {
	*counted
	asking, most atomic.Int64
}

func (s *slow) Allow(ctx context.Context, rates ...store.Rate) ([]time.Duration, error) {
	s.most.Store(max(s.most.Load(), s.asking.Add(1)))
	defer s.asking.Add(-1)
	time.Sleep(10 * time.Millisecond)
	return s.counted.Allow(ctx, rates...)
}

// TestSharedAtOnce: those who come at once for one key ask one after the other, until one is told that it is exhausted; those of
// other keys do not wait for them; and whoever hangs up does not wait.
func TestSharedAtOnce(t *testing.T) {
	_, shared, c, _ := nodes(1)
	s := &slow{counted: shared}
	n := NewShared(s, c.Now, slog.New(slog.DiscardHandler))
	wide := minutely("wide", 1000)
	var all sync.WaitGroup
	var allowed atomic.Int64
	for i := range 50 {
		all.Go(func() {
			rates := []store.Rate{minutely("one", 3), wide}
			if i%2 == 0 {
				rates = []store.Rate{wide, minutely("one", 3)}
			}
			if n.Allow(context.Background(), rates...) == 0 {
				allowed.Add(1)
			}
		})
	}
	all.Wait()
	if allowed.Load() != 3 || s.most.Load() != 1 || shared.asked > 4 {
		t.Errorf("%d were allowed, %d asked at once and %d in all; want 3, 1 and 4", allowed.Load(), s.most.Load(), shared.asked)
	}
	for i := range 20 {
		all.Go(func() { n.Allow(context.Background(), minutely(strconv.Itoa(i), 3)) })
	}
	all.Wait()
	if s.most.Load() < 2 || len(n.asking) != 0 {
		t.Errorf("%d asked at once about different keys; %d are still asked about", s.most.Load(), len(n.asking))
	}
	n.begin([]store.Rate{wide})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Allow(ctx, wide)
	n.end([]store.Rate{wide})
	wantAllowed(t, n, true, wide)
}

// Covers: FD-67. While the store fails each node counts by itself, from what it has seen, and says so once.
func TestSharedAway(t *testing.T) {
	t.Run("accepts what is left and refuses the rest", sharedAway)
}

func sharedAway(t *testing.T) {
	n, shared, c, lines := nodes(2)
	a, b, theirs := minutely("a", 4), minutely("b", 2), minutely("theirs", 1)
	wantAllowed(t, n[0], true, a)
	wantAllowed(t, n[1], true, a)
	wantAllowed(t, n[1], true, theirs)
	wantAllowed(t, n[0], false, theirs)
	shared.err = errors.New("the cable was cut")
	c.now = c.now.Add(known + time.Millisecond)
	for range 3 {
		wantAllowed(t, n[0], true, a)
	}
	wantAllowed(t, n[0], false, a) // it had seen one
	wantAllowed(t, n[0], false, theirs)
	shared.asked = 0
	for range 2 {
		wantAllowed(t, n[0], true, b)
	}
	wantAllowed(t, n[0], false, b)
	n[0].Refund(t.Context(), []store.Rate{b})
	wantAllowed(t, n[0], true, b)
	if shared.asked != 0 {
		t.Errorf("a store that is away was asked %d times at once", shared.asked)
	}
	c.now = c.now.Add(away + time.Millisecond)
	n[0].Allow(t.Context(), minutely("c", 1))
	if reports := strings.Count(lines.String(), "limits not counted in the database"); shared.asked != 1 || reports != 1 {
		t.Errorf("the store was asked %d times, and there are %d log lines; want one of each", shared.asked, reports)
	}
	shared.err = nil
	c.now = c.now.Add(away + time.Millisecond)
	wantAllowed(t, n[0], true, a) // of the three that are left
}

// TestSharedClockSetBack: while the store fails, too, a key is never locked out for longer than one that used up its burst.
func TestSharedClockSetBack(t *testing.T) {
	n, shared, c, _ := nodes(1)
	shared.err = errors.New("the cable was cut")
	a := minutely("a", 2)
	for range 2 {
		wantAllowed(t, n[0], true, a)
	}
	c.now = c.now.Add(-time.Hour)
	if wait := wantAllowed(t, n[0], false, a); wait > time.Minute {
		t.Errorf("to wait is %s", wait)
	}
	c.now = c.now.Add(time.Minute)
	wantAllowed(t, n[0], true, a)
}

// TestSharedHangsUp: callers that give up are no fault of the store.
func TestSharedHangsUp(t *testing.T) {
	n, shared, _, lines := nodes(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	shared.err = context.Canceled
	n[0].Allow(ctx, minutely("a", 1))
	shared.err, shared.asked = nil, 0
	wantAllowed(t, n[0], true, minutely("b", 1))
	if shared.asked != 1 || lines.Len() > 0 {
		t.Errorf("afterwards the store was asked %d times; the log says %q", shared.asked, lines)
	}
}

// TestSharedCapacity: a node remembers a bounded number of keys, with intervals of whatever length.
func TestSharedCapacity(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	s := NewShared(&counted{err: errors.New("away")}, c.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for i := range sharedCapacity + 1000 {
		s.Allow(context.Background(), store.Rate{Key: store.Digest{byte(i), byte(i >> 8), byte(i >> 16)}, Interval: 365 * 24 * time.Hour, Burst: 100})
	}
	if len(s.here) > sharedCapacity {
		t.Errorf("%d keys are remembered", len(s.here))
	}
}
