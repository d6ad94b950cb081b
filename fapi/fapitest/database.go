package fapitest

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"countersign/internal/postgrestest"
	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// database is a PostgreSQL server for the tests that need one.
var database postgrestest.Cluster

// migrated is a SQLite database with the schema and nothing else.
var migrated = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "countersign-fapi-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "countersign.db")
	if _, err := sqlite.Migrate(context.Background(), sqlite.Config{File: file}); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// newDatabase makes an empty SQLite database that ends with the test. It is in memory where Linux has a place for that:
// what a disk loses is for the tests of the store.
func newDatabase(t *testing.T) string {
	t.Helper()
	content, err := migrated()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("/dev/shm", "countersign-fapi-")
	if err != nil {
		folder = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	file := filepath.Join(folder, "countersign.db")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func openSQLite(t *testing.T, file string, now func() time.Time) store.Store {
	t.Helper()
	opened, err := sqlite.Open(context.Background(), sqlite.Config{File: file, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, opened)
	return opened
}

// NewPostgresWorld starts a world whose nodes share a PostgreSQL database, and returns the database's URL; change, if it is not
// nil, alters how a node connects.
func NewPostgresWorld(t *testing.T, change func(*postgres.Config), options ...Option) (w *World, url string) {
	t.Helper()
	url = database.Database(t)
	if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	var database func() time.Time
	return newWorldOn(t, func(now func() time.Time) store.Store {
		if database == nil {
			database = now // the world's clock, which comes first, is the database's
		}
		config := postgres.Config{URL: url, Now: now, DatabaseNow: database, MaxConnections: 8}
		if change != nil {
			change(&config)
		}
		return OpenPostgres(t, config)
	}, options...), url
}

// OpenPostgres opens a PostgreSQL store until the test ends.
func OpenPostgres(t *testing.T, config postgres.Config) *postgres.Store {
	t.Helper()
	opened, err := postgres.Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, opened)
	return opened
}

func closeAtEnd(t *testing.T, open io.Closer) {
	t.Cleanup(func() {
		if err := open.Close(); err != nil {
			t.Error(err)
		}
	})
}
