package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/sqlite"
)

func use(name string) store.OneTime {
	return store.OneTime{Kind: "test", Key: store.DigestOf(name), Until: time.Now().Add(time.Hour)}
}

func open(t *testing.T) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{File: backend.Create(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestTogether: verbs that share a transaction fail each for itself, whatever the reason.
func TestTogether(t *testing.T) {
	s := open(t)
	if err := s.ConsumeOneTime(t.Context(), use("seen")); err != nil {
		t.Fatal(err)
	}
	const verbs = 40
	results := make([]error, verbs)
	release := s.Hold()
	var running sync.WaitGroup
	for i := range verbs {
		running.Go(func() {
			own := use(fmt.Sprint(i))
			switch i % 4 {
			case 0: // fails after a change
				results[i] = s.ConsumeOneTime(t.Context(), own, use("seen"))
			case 1: // fails before a change
				results[i] = s.ConsumeOneTime(t.Context(), use("seen"), own)
			case 2: // fails for a reason that is no answer: NULL in a column that must not be
				results[i] = s.Push(t.Context(), store.Request{ID: own.Key}, own)
			case 3:
				results[i] = s.ConsumeOneTime(t.Context(), own)
			}
		})
	}
	time.Sleep(50 * time.Millisecond) // for all to queue up; if some do not, the test only shows less
	release()
	running.Wait()
	for i, err := range results {
		again := s.ConsumeOneTime(t.Context(), use(fmt.Sprint(i)))
		switch i % 4 {
		case 0, 1:
			if !errors.Is(err, store.ErrReplayed) || again != nil {
				t.Errorf("%d: got %v, then %v", i, err, again)
			}
		case 2:
			if err == nil || errors.Is(err, store.ErrReplayed) || again != nil {
				t.Errorf("%d: got %v, then %v", i, err, again)
			}
		case 3:
			if err != nil || !errors.Is(again, store.ErrReplayed) {
				t.Errorf("%d: got %v, then %v", i, err, again)
			}
		}
	}
}

// TestGoneAway: a caller cancelled while waiting for the writer has consumed nothing.
func TestGoneAway(t *testing.T) {
	s := open(t)
	release := s.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.ConsumeOneTime(ctx, use("a")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	release()
	if err := s.ConsumeOneTime(t.Context(), use("a")); err != nil {
		t.Error(err)
	}
}
