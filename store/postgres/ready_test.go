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
	ping := func() error {
		time.Sleep(1100 * time.Millisecond) // what was written or failed before is not of the last second
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		return s.Ping(ctx)
	}
	if err := ping(); err != nil {
		t.Fatalf("accepts a database that is well: %v", err)
	}
	for _, table := range []string{"uses", "requests", "grants"} {
		release := lock(t, database, "LOCK TABLE "+table+" IN SHARE MODE") // others may read
		began := time.Now()
		if err := ping(); !errors.Is(err, store.ErrOverloaded) || time.Since(began) > 2*time.Second {
			t.Errorf("refuses while %s is locked: %v after %s", table, err, time.Since(began))
		}
		release()
		if err := ping(); err != nil {
			t.Errorf("accepts when %s is free again: %v", table, err)
		}
	}
	time.Sleep(1100 * time.Millisecond)
	if err := s.ConsumeOneTime(t.Context(), oneUse("one")); err != nil {
		t.Fatal(err)
	}
	release := lock(t, database, "LOCK TABLE requests IN SHARE MODE")
	defer release()
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("accepts what a request has written just now: %v", err)
	}
	readOnly := opened(t, postgres.Config{URL: database + "&default_transaction_read_only=on"})
	if err := readOnly.Ping(t.Context()); err == nil {
		t.Error("accepts a database that only reads")
	}
}
