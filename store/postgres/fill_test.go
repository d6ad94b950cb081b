package postgres_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/sqlite"
	"countersign/store/storetest"
)

// outgrown makes an embedded database with something in each table.
func outgrown(t *testing.T) (sqlite.Config, *storetest.Everything) {
	t.Helper()
	config := sqlite.Config{File: filepath.Join(t.TempDir(), "store.db")}
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	everything := storetest.FillEverything(t, s)
	for i := range 2500 { // more than fits into one statement
		oneTime := store.OneTime{Kind: "dpop", Key: store.DigestOf(fmt.Sprint(i)), Until: time.Now().Add(time.Hour)}
		if err := s.ConsumeOneTime(t.Context(), oneTime); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return config, everything
}

// TestFill: everything is there afterwards, of every table, and nothing that was used can be used again.
func TestFill(t *testing.T) {
	config, everything := outgrown(t)
	target := postgres.Config{URL: migrated(t, cluster.Database(t))}
	source, err := sqlite.OpenSource(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenSource(t.Context(), config); err == nil {
		t.Error("a database that is being copied was opened again")
	}
	tables, err := source.Tables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	all, err := postgres.Fill(t.Context(), target, source, func(c postgres.Copied) { told = append(told, c.Table) })
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(told) != fmt.Sprint(tables) || len(all) != len(tables) {
		t.Errorf("copied %v, the schema has %v", told, tables)
	}
	for _, c := range all {
		if c.Rows == 0 {
			t.Errorf("nothing of %s was copied: storetest.FillEverything puts nothing into it, so nothing is shown", c.Table)
		}
	}
	if _, err := postgres.Fill(t.Context(), target, source, nil); !errors.Is(err, postgres.ErrNotEmpty) {
		t.Errorf("into a database with records: %v", err)
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	s, err := postgres.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	everything.Check(t, s)
	if err := s.ConsumeOneTime(t.Context(), store.OneTime{Kind: "dpop", Key: store.DigestOf("2499"), Until: time.Now().Add(30 * time.Minute)}); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("a value that was used: %v", err)
	}
}

// TestFillUndone: a copy that fails leaves the database empty, so that it can be tried again.
func TestFillUndone(t *testing.T) {
	config, everything := outgrown(t)
	database := migrated(t, cluster.Database(t))
	target := postgres.Config{URL: database}
	fill := func() error {
		source, err := sqlite.OpenSource(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		_, err = postgres.Fill(t.Context(), target, source, nil)
		return err
	}
	// users comes after uses, which is committed on its own.
	execute(t, database, `ALTER TABLE users ADD CONSTRAINT broken CHECK (subject <> 'subject')`)
	if err := fill(); err == nil || !strings.Contains(err.Error(), "copy users") {
		t.Errorf("got %v", err)
	}
	execute(t, database, `ALTER TABLE users DROP CONSTRAINT broken`)
	// What is changed on the way is noticed.
	execute(t, database, `CREATE FUNCTION forge() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.disabled := NOT NEW.disabled; RETURN NEW; END'`)
	execute(t, database, `CREATE TRIGGER forge BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION forge()`)
	if err := fill(); err == nil || !strings.Contains(err.Error(), "users is not what it was copied from") {
		t.Errorf("got %v", err)
	}
	execute(t, database, `DROP TRIGGER forge ON users`)
	execute(t, database, `CREATE TABLE another (id text)`)
	if err := fill(); err == nil || !strings.Contains(err.Error(), "has the tables") {
		t.Errorf("got %v", err)
	}
	execute(t, database, `DROP TABLE another`)
	if err := fill(); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	everything.Check(t, s)
}

// TestSourceInUse: a database that a server uses is not copied.
func TestSourceInUse(t *testing.T) {
	config, _ := outgrown(t)
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenSource(t.Context(), config); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	source, err := sqlite.OpenSource(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), config); err == nil {
		t.Error("a database that is being copied was opened by a server")
	}
	if err := source.Close(); err != nil {
		t.Error(err)
	}
	missing := sqlite.Config{File: filepath.Join(t.TempDir(), "none.db")}
	if _, err := sqlite.OpenSource(t.Context(), missing); err == nil || !strings.Contains(err.Error(), "there is no database") {
		t.Errorf("got %v", err)
	}
}
