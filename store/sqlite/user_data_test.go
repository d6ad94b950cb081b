package sqlite_test

import (
	"slices"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/sqlite"
	"countersign/store/storetest"
)

// TestErasedEverywhere: of an erased user no table keeps anything but the two that have to. A new table with a column
// subject fails here until UserData and EraseUser know it.
func TestErasedEverywhere(t *testing.T) {
	config := migratedFile(t, "store.db")
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	storetest.FillEverything(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := personalRows(t, config)
	if s, err = sqlite.Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := s.EraseUser(t.Context(), "subject"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := personalRows(t, config)
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
func personalRows(t *testing.T, config sqlite.Config) map[string]int {
	t.Helper()
	source, err := sqlite.OpenSource(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	tables, err := source.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, table := range tables {
		columns, err := source.Columns(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(columns, "subject") {
			continue
		}
		counts[table] = 0
		if err := source.Rows(t.Context(), table, []string{"subject"}, func(row []any) error {
			if row[0] == "subject" {
				counts[table]++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}

func TestRetention(t *testing.T) {
	storetest.Retention(t, func(t *testing.T, now func() time.Time) store.Store {
		t.Helper()
		config := migratedFile(t, "store.db")
		config.Now, config.KeepGrants, config.KeepBackchannel = now, 3*time.Hour, 2*time.Hour
		s, err := sqlite.Open(t.Context(), config)
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
