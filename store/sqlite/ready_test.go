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
	t.Run("accepts a file that is well", func(t *testing.T) {
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
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
	t.Run("refuses while another process holds the file", func(t *testing.T) {
		if err := s.Ping(t.Context()); !errors.Is(err, store.ErrOverloaded) {
			t.Error(err)
		}
	})
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts when it is free", func(t *testing.T) {
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
