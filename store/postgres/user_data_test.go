package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/storetest"
)

// TestErasedEverywhere: of an erased user no table keeps anything but the two that have to. A new table with a column
// subject fails here until UserData and EraseUser know it.
func TestErasedEverywhere(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.FillEverything(t, s)
	before := personalRows(t, database)
	if err := s.EraseUser(t.Context(), "subject"); err != nil {
		t.Fatal(err)
	}
	after := personalRows(t, database)
	stay := []string{"users", "grants"} // without what they held
	for table, rows := range before {
		if rows == 0 {
			t.Errorf("no record of the user is in %s: storetest.FillEverything lacks it", table)
		}
		if after[table] != 0 && !slices.Contains(stay, table) {
			t.Errorf("%d records of an erased user are in %s", after[table], table)
		}
	}
	if len(before) < 9 {
		t.Errorf("only %d tables hold personal data", len(before))
	}
}

// personalRows counts the records of the user in each table that has a subject.
func personalRows(t *testing.T, database string) map[string]int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	found, err := conn.Query(t.Context(), `SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attname = 'subject'`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, table := range tables {
		var rows int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM `+pgx.Identifier{table}.Sanitize()+` WHERE subject = 'subject'`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		counts[table] = rows
	}
	return counts
}

func TestRetention(t *testing.T) {
	storetest.Retention(t, func(t *testing.T, now func() time.Time) store.Store {
		t.Helper()
		s, err := postgres.Open(t.Context(), postgres.Config{URL: migrated(t, cluster.Database(t)), Now: now, DatabaseNow: now, KeepGrants: 3 * time.Hour, KeepBackchannel: 2 * time.Hour})
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
