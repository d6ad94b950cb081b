package sqlite_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/sqlite"
)

// Covers: FD-112. A clock that is set forward and back again forgets nothing: a value that was removed in between is not taken again,
// in this process, another one, or after a restart. A small step back changes nothing, and even a year is over after a day.
func TestFD112ClockSetBack(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start
	clock := func() time.Time { return now }
	config := sqlite.Config{File: filepath.Join(t.TempDir(), "test.db"), Now: clock}
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	open := func() *sqlite.Store {
		t.Helper()
		s, err := sqlite.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s, other := open(), open()
	value := func(name string) store.OneTime {
		return store.OneTime{Kind: store.KindAssertion, Key: store.DigestOf(name), Until: now.Add(time.Minute)}
	}
	purge := func(t *testing.T, want error) {
		t.Helper()
		if _, err := s.Purge(t.Context(), 100); !errors.Is(err, want) {
			t.Errorf("purge: %v", err)
		}
	}
	used := value("used")
	if err := s.ConsumeOneTime(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts a step of a minute", func(t *testing.T) {
		now = start.Add(time.Minute)
		purge(t, nil)
		now = start
		purge(t, nil)
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.ConsumeOneTime(t.Context(), used); !errors.Is(err, store.ErrReplayed) {
			t.Error(err)
		}
		if err := s.ConsumeOneTime(t.Context(), value("after a step")); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses what was removed while it was ahead", func(t *testing.T) {
		now = start.Add(20 * time.Minute)
		purge(t, nil)
		now = start
		for name, each := range map[string]*sqlite.Store{"this process": s, "another": other, "after a restart": open()} {
			if err := each.ConsumeOneTime(t.Context(), used); !errors.Is(err, store.ErrClock) || !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			if err := each.Ping(t.Context()); !errors.Is(err, store.ErrClock) || !strings.Contains(err.Error(), "18m0s behind") {
				t.Errorf("%s: %v", name, err)
			}
			if err := each.Condition().Clock; !errors.Is(err, store.ErrClock) {
				t.Errorf("%s: %v", name, err)
			}
		}
		purge(t, store.ErrClock)
	})
	t.Run("accepts when it has caught up", func(t *testing.T) {
		now = start.Add(19 * time.Minute)
		if err := errors.Join(s.Ping(t.Context()), s.ConsumeOneTime(t.Context(), value("new"))); err != nil {
			t.Error(err)
		}
		purge(t, nil)
	})
	t.Run("refuses for a day after a year", func(t *testing.T) {
		right := now
		now = right.AddDate(1, 0, 0)
		purge(t, nil)
		now = right
		purge(t, store.ErrClock)
		now = right.Add(23 * time.Hour)
		purge(t, store.ErrClock)
		if err := s.ConsumeOneTime(t.Context(), value("within the day")); !errors.Is(err, store.ErrClock) {
			t.Error(err)
		}
	})
	t.Run("accepts after that", func(t *testing.T) {
		now = start.Add(25 * time.Hour)
		purge(t, nil)
		if err := errors.Join(s.Ping(t.Context()), s.ConsumeOneTime(t.Context(), value("after the day"))); err != nil {
			t.Error(err)
		}
	})
}
