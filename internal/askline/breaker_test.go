package askline

import (
	"testing"
	"time"
)

// Covers: KB-23. A source that does not answer is left alone, longer each time, and tried by one question at a time.
func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := &breaker{now: func() time.Time { return now }}
	ask := func(t *testing.T, how outcome) (paused time.Duration, recovered bool) {
		t.Helper()
		probe, wait := b.begin()
		if wait > 0 {
			t.Fatalf("not asked for %s", wait)
		}
		return b.end(probe, how)
	}
	t.Run("accepts failures with an answer between them", func(t *testing.T) {
		for range 3 * threshold {
			for range threshold - 1 {
				if paused, _ := ask(t, silent); paused > 0 {
					t.Fatalf("left alone for %s", paused)
				}
			}
			if _, recovered := ask(t, answered); recovered {
				t.Error("recovered from nothing")
			}
		}
	})
	t.Run("accepts questions that were not sent", func(t *testing.T) {
		for range 3 * threshold {
			ask(t, unknown)
		}
	})
	t.Run("refuses to ask after failures in a row", func(t *testing.T) {
		var paused time.Duration
		for range threshold {
			paused, _ = ask(t, silent)
		}
		if _, wait := b.begin(); paused != firstPause || wait != firstPause || b.wait() != firstPause {
			t.Errorf("left alone for %s, to wait %s, %s", paused, wait, b.wait())
		}
	})
	t.Run("refuses all but one question when the pause is over", func(t *testing.T) {
		now = now.Add(firstPause)
		probe, wait := b.begin()
		if _, others := b.begin(); !probe || wait != 0 || others != probeWait {
			t.Errorf("probe %v after %s, others wait %s", probe, wait, others)
		}
		if paused, _ := b.end(probe, silent); paused != 2*firstPause {
			t.Errorf("left alone for %s", paused)
		}
	})
	t.Run("refuses no longer than the longest pause", func(t *testing.T) {
		for range 10 {
			now = now.Add(b.wait())
			if paused, _ := ask(t, silent); paused > longestPause {
				t.Fatalf("left alone for %s", paused)
			}
		}
		if b.wait() != longestPause {
			t.Errorf("left alone for %s", b.wait())
		}
	})
	t.Run("accepts another try after one that was not sent", func(t *testing.T) {
		now = now.Add(b.wait())
		ask(t, unknown)
		if probe, wait := b.begin(); !probe || wait != 0 {
			t.Errorf("probe %v, wait %s", probe, wait)
		} else if _, recovered := b.end(probe, answered); !recovered || b.wait() != 0 {
			t.Errorf("recovered %v, wait %s", recovered, b.wait())
		}
	})
	t.Run("accepts a clock that is set back", func(t *testing.T) {
		for range threshold {
			ask(t, silent)
		}
		now = now.Add(-24 * time.Hour)
		if wait := b.wait(); wait != 0 {
			t.Errorf("left alone for %s", wait)
		}
	})
}

// Covers: KB-23. What began before the source was left alone changes nothing by failing, and by an answer ends it.
func TestBreakerLate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := &breaker{now: func() time.Time { return now }}
	var late []bool
	for range threshold + 2 {
		probe, _ := b.begin()
		late = append(late, probe)
	}
	for _, probe := range late[2:] {
		b.end(probe, silent)
	}
	if b.wait() != firstPause {
		t.Fatalf("left alone for %s", b.wait())
	}
	now = now.Add(firstPause / 2)
	t.Run("refuses to wait longer for a late failure", func(t *testing.T) {
		if paused, _ := b.end(late[0], silent); paused != 0 || b.wait() != firstPause/2 {
			t.Errorf("left alone for %s more, %s in all", paused, b.wait())
		}
	})
	t.Run("accepts a late answer", func(t *testing.T) {
		if _, recovered := b.end(late[1], answered); !recovered || b.wait() != 0 {
			t.Errorf("recovered %v, wait %s", recovered, b.wait())
		}
	})
}
