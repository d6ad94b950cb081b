package repeat

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	period   = 10 * time.Second
	capacity = 2000
)

// written collects what is written.
type written struct {
	mu    sync.Mutex
	lines []string
}

func (w *written) line(name string) func(int) {
	return func(repeated int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, fmt.Sprintf("%s %d", name, repeated))
	}
}

func (w *written) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.lines
	w.lines = nil
	slices.Sort(taken)
	return taken
}

func newLines(now func() time.Time) (*Lines, *written) {
	w := &written{}
	return New(Options{Now: now, Period: period, Kinds: capacity, More: func(count int) { w.line("more")(count) }}), w
}

// Covers: FD-122.
func TestRepeated(t *testing.T) {
	now := time.Unix(1000, 0)
	l, w := newLines(func() time.Time { return now })
	want := func(t *testing.T, lines ...string) {
		t.Helper()
		if got := w.take(); !slices.Equal(got, lines) {
			t.Errorf("wrote %q, want %q", got, lines)
		}
	}
	send := func(name string, count, first int) {
		for range count {
			l.Write(name, first, w.line(name))
		}
	}
	t.Run("accepts the first lines of a kind", func(t *testing.T) {
		send("a", 5, 1)
		send("b", 3, 3)
		want(t, "a 0", "b 0", "b 0", "b 0")
		l.Flush(false)
		want(t)
	})
	t.Run("refuses more than one a period, which has the number", func(t *testing.T) {
		now = now.Add(period)
		l.Flush(false)
		want(t, "a 4")
		send("a", 1000, 1)
		send("b", 1, 3)
		want(t, "b 0")
		now = now.Add(period)
		l.Flush(false)
		want(t, "a 1000")
	})
	t.Run("accepts the first line after a period without any", func(t *testing.T) {
		now = now.Add(period)
		l.Flush(false)
		send("a", 2, 1)
		want(t, "a 0")
	})
	t.Run("refuses to lose what is counted at the end", func(t *testing.T) {
		l.Flush(true)
		want(t, "a 1")
	})
}

// Covers: FD-122. Who sends ever new kinds fills neither the memory nor the log.
func TestBeyond(t *testing.T) {
	now := time.Unix(1000, 0)
	l, w := newLines(func() time.Time { return now })
	for i := range 3 * capacity {
		l.Write(fmt.Sprint(i), 1, w.line("x"))
	}
	if got := w.take(); len(got) != capacity || len(l.kinds) != capacity {
		t.Errorf("wrote %d lines, remembers %d kinds", len(got), len(l.kinds))
	}
	now = now.Add(period)
	l.Flush(false)
	if got := w.take(); !slices.Equal(got, []string{fmt.Sprintf("more %d", 2*capacity)}) || len(l.kinds) != 0 {
		t.Errorf("wrote %q, remembers %d", got, len(l.kinds))
	}
}

// TestConcurrent: nothing is lost or counted twice (run with the race detector).
func TestConcurrent(t *testing.T) {
	l, w := newLines(time.Now)
	total := 0
	var each sync.WaitGroup
	for range 8 {
		each.Go(func() {
			for range 1000 {
				l.Write("a", 1, w.line("a"))
			}
		})
	}
	each.Go(func() {
		for range 100 {
			l.Flush(true)
		}
	})
	each.Wait()
	l.Flush(true)
	for _, line := range w.take() {
		count := 0
		if _, err := fmt.Sscanf(line, "a %d", &count); err != nil {
			t.Fatal(err)
		}
		total += max(count, 1) // a line of its own has 0
	}
	if total != 8000 {
		t.Errorf("%d lines are told", total)
	}
}
