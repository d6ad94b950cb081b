package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/store/sqlite"
)

func TestMigrate(t *testing.T) {
	config := sqlite.Config{File: filepath.Join(t.TempDir(), "odd name?&#%20.db")}
	status, err := sqlite.MigrationStatus(t.Context(), config)
	if err != nil || len(status) == 0 || !status[0].AppliedAt.IsZero() {
		t.Fatalf("status of no database: %v, %v", status, err)
	}
	if _, err := os.Stat(config.File); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("asking for the status made a file: %v", err)
	}
	applied, err := sqlite.Migrate(t.Context(), config)
	if err != nil || len(applied) != len(status) || applied[0].Name != "initial" || applied[0].AppliedAt.IsZero() {
		t.Fatalf("got %v, %v", applied, err)
	}
	if again, err := sqlite.Migrate(t.Context(), config); err != nil || len(again) != 0 {
		t.Fatalf("second time: got %v, %v", again, err)
	}
	status, err = sqlite.MigrationStatus(t.Context(), config)
	if err != nil || len(status) != len(applied) || status[0].AppliedAt.IsZero() {
		t.Fatalf("got %v, %v", status, err)
	}
}

// TestMigrateAtOnce: of several that migrate one applies the steps, and the others do not fail.
func TestMigrateAtOnce(t *testing.T) {
	config := sqlite.Config{File: filepath.Join(t.TempDir(), "store.db")}
	applied, failures := make([]int, 8), make([]error, 8)
	var running sync.WaitGroup
	for i := range applied {
		running.Go(func() {
			steps, err := sqlite.Migrate(t.Context(), config)
			applied[i], failures[i] = len(steps), err
		})
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	migrated := 0
	for _, n := range applied {
		if n > 0 {
			migrated++
		}
	}
	if migrated != 1 {
		t.Errorf("%d of %d applied the steps", migrated, len(applied))
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	refused := func(want string) {
		t.Helper()
		s, err := sqlite.Open(t.Context(), sqlite.Config{File: file})
		if err == nil {
			t.Fatalf("opened; close: %v", s.Close())
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %q, want one line with %q", err, want)
		}
	}
	refused("there is no database")
	refused("countersign migrate up")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("schema version 0 and this program needs ")
	if _, err := sqlite.Migrate(t.Context(), sqlite.Config{File: file}); err != nil {
		t.Fatal(err)
	}
	execute(t, file, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	refused("schema version 99, which is newer than this program")
	_, err := sqlite.Migrate(t.Context(), sqlite.Config{File: file})
	var schema *sqlite.SchemaError
	if !errors.As(err, &schema) || schema.Have != 99 || schema.Want < 4 {
		t.Errorf("migrating a newer database: %v", err)
	}
	if err := os.WriteFile(file, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("not a database")
}

func execute(t *testing.T, file, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite3", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// TestMode: nobody but the owner reads the files, even if they were left open to others.
func TestMode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	config := sqlite.Config{File: file}
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.ConsumeOneTime(t.Context(), use("a")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(file + "*")
	if err != nil || len(files) != 3 {
		t.Fatalf("got %v, %v; want the database, its WAL and its index", files, err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode().Perm())
		}
	}
}

// TestDurability: the settings on which the survival of an acknowledged write depends.
func TestDurability(t *testing.T) {
	file := backend.Create(t)
	s, err := sqlite.Open(t.Context(), sqlite.Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2"} {
		got, err := s.WriterSetting(pragma)
		if err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
}

// TestSecondStart: migrating and opening a database that is up to date takes well under 200 ms.
func TestSecondStart(t *testing.T) {
	config := sqlite.Config{File: backend.Create(t)}
	fastest := time.Hour
	for range 5 {
		began := time.Now()
		if _, err := sqlite.Migrate(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		fastest = min(fastest, time.Since(began))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(fastest)
	if fastest > 200*time.Millisecond {
		t.Errorf("took %v", fastest)
	}
}
