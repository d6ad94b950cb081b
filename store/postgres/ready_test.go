package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
)

// TestPingWrites: the database is well when it takes writes, into every table that requests write to. One whose tables are
// locked, or that only reads, is not, though it answers.
//
// Covers: FD-102.
func TestPingWrites(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database + "&lock_timeout=200ms"})
	ping := func(t *testing.T) error {
		time.Sleep(1100 * time.Millisecond) // what was written or failed before is not of the last second
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		return s.Ping(ctx)
	}
	t.Run("accepts a database that is well", func(t *testing.T) {
		if err := ping(t); err != nil {
			t.Error(err)
		}
	})
	for _, table := range []string{"uses", "requests", "grants"} {
		release := lock(t, database, "LOCK TABLE "+table+" IN SHARE MODE") // others may read
		t.Run("refuses while "+table+" is locked", func(t *testing.T) {
			began := time.Now()
			if err := ping(t); !errors.Is(err, store.ErrOverloaded) || time.Since(began) > 2*time.Second {
				t.Errorf("%v after %s", err, time.Since(began))
			}
		})
		release()
		t.Run("accepts when "+table+" is free again", func(t *testing.T) {
			if err := ping(t); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(1100 * time.Millisecond)
	if err := s.ConsumeOneTime(t.Context(), oneUse("one")); err != nil {
		t.Fatal(err)
	}
	release := lock(t, database, "LOCK TABLE requests IN SHARE MODE")
	defer release()
	t.Run("accepts what a request has written just now", func(t *testing.T) {
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses a database that only reads", func(t *testing.T) {
		readOnly := opened(t, postgres.Config{URL: database + "&default_transaction_read_only=on"})
		if err := readOnly.Ping(t.Context()); err == nil {
			t.Error("accepted")
		}
	})
}
