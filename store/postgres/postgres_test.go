package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/postgrestest"
	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/storetest"
)

var cluster postgrestest.Cluster

var backend = storetest.Backend{
	Create: func(t *testing.T) string {
		t.Helper()
		return migrated(t, cluster.Database(t))
	},
	Open: func(ctx context.Context, url string, now func() time.Time) (store.Store, error) {
		return postgres.Open(ctx, postgres.Config{URL: url, Now: now, DatabaseNow: now, MaxConnections: 16})
	},
}

func TestMain(m *testing.M) {
	backend.Child()
	os.Exit(cluster.Run(m, &other, &crashing, &durable))
}

// TestContract gives each test a schema of one database: that takes a tenth of the time that a database takes.
func TestContract(t *testing.T) {
	database, tests := cluster.Database(t), 0
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		t.Helper()
		tests++
		name := fmt.Sprintf("test%d", tests)
		execute(t, database, "CREATE SCHEMA "+name)
		s, err := backend.Open(t.Context(), migrated(t, database+"&search_path="+name), now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

func TestProcesses(t *testing.T) { backend.Processes(t) }

func migrated(t *testing.T, url string) string {
	t.Helper()
	if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return url
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	executeAs(t.Context(), t, url, statement)
}

func executeAs(ctx context.Context, t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

// count counts the rows of a table.
func count(t *testing.T, url, table string) (rows int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

// lock runs a statement in a transaction that stays open until release is called.
func lock(t *testing.T, url, statement string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; "+statement); err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(t.Context()) }
}
