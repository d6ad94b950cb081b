package sqlstore_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mattn/go-sqlite3"

	"countersign/internal/postgrestest"
	"countersign/rp/session"
	"countersign/rp/session/sessiontest"
	"countersign/rp/session/sqlstore"
)

var cluster postgrestest.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

func open(t *testing.T, driver, address string, dialect sqlstore.Dialect) *sqlstore.Store {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := sqlstore.New(db, dialect)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// created makes the tables as two processes that start together do.
func created(t *testing.T, stores ...*sqlstore.Store) {
	t.Helper()
	var wait sync.WaitGroup
	for _, store := range stores {
		wait.Go(func() {
			for range 2 {
				if err := store.Create(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

// Covers: RP-45.
func TestRP45PostgreSQL(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T) (session.Store, session.Store) {
		address := cluster.Database(t)
		a, b := open(t, "pgx", address, sqlstore.PostgreSQL), open(t, "pgx", address, sqlstore.PostgreSQL)
		created(t, a, b)
		return a, b
	})
}

// Covers: RP-45.
func TestRP45SQLite(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T) (session.Store, session.Store) {
		address := "file:" + filepath.Join(t.TempDir(), "sessions.db") + "?_busy_timeout=10000&_journal_mode=WAL&_txlock=immediate"
		a, b := open(t, "sqlite3", address, sqlstore.SQLite), open(t, "sqlite3", address, sqlstore.SQLite)
		created(t, a) // the first connection turns the write-ahead log on, for which SQLite waits for nobody
		created(t, a, b)
		return a, b
	})
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := sqlstore.New(nil, 0); err == nil {
		t.Error("a store without a dialect was made")
	}
}
