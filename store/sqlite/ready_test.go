package sqlite_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/sqlite"
)

// TestPingWrites: the file is well when it takes writes; one that another process keeps locked is not.
//
// Covers: FD-102.
func TestPingWrites(t *testing.T) {
	now := time.Now()
	config := sqlite.Config{File: filepath.Join(t.TempDir(), "store.db"), Now: func() time.Time { return now }}
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Ping(t.Context()); err != nil {
		t.Fatalf("accepts a file that is well: %v", err)
	}
	now = now.Add(2 * time.Second)
	db, err := sql.Open("sqlite3", config.File)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrOverloaded) {
		t.Errorf("refuses while another process holds the file: %v", err)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("accepts when it is free: %v", err)
	}
}
