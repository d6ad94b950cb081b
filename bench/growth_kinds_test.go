package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// TestGrowthKinds: each kind is made from what is there, in as many rows as were asked for, in both kinds of databases; and the store
// reads what was made as its own.
func TestGrowthKinds(t *testing.T) {
	const many = 50
	tables := map[string]string{"people": "users", "clients": "clients", "audit lines": "audit_log"}
	there := func(now string, no string) string {
		return fmt.Sprintf(`INSERT INTO users (subject, username, password, claims, disabled, created_at, updated_at) VALUES ('s', 'alice', 'hash', '{}', %[2]s, %[1]s, %[1]s);
			INSERT INTO clients (id, profile, metadata, disabled, version, created_at, updated_at) VALUES ('bench', 'fapi2-security', '{}', %[2]s, 1, %[1]s, %[1]s);`, now, no)
	}
	file := filepath.Join(t.TempDir(), "test.db")
	if _, err := sqlite.Migrate(t.Context(), sqlite.Config{File: file}); err != nil {
		t.Fatal(err)
	}
	url := cluster.Database(t)
	if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	connection, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	for name, database := range map[string]struct {
		dialect dialect
		no      string
		do      func(text string) (string, error)
	}{
		"SQLite": {sqliteDialect(time.Now()), "0", func(text string) (string, error) { return shell(t.Context(), file, text) }},
		"PostgreSQL": {postgresDialect(), "false", func(text string) (string, error) {
			if !strings.HasPrefix(text, "SELECT") {
				_, err := connection.Exec(t.Context(), text)
				return "", err
			}
			var answer string
			err := connection.QueryRow(t.Context(), text).Scan(&answer)
			return answer, err
		}},
	} {
		if _, err := database.do(there(database.dialect.now, database.no)); err != nil {
			t.Fatal(err)
		}
		for _, k := range kinds() {
			if k.fill == nil {
				continue
			}
			t.Run(name+" "+k.name, func(t *testing.T) {
				if _, err := database.do(k.fill(database.dialect, many)); err != nil {
					t.Fatal(err)
				}
				query := "SELECT CAST(count(*) AS text) FROM " + tables[k.name] + " WHERE " + map[bool]string{true: "chain = 'grown'", false: "created_at = created_at"}[k.name == "audit lines"]
				want := map[bool]string{true: fmt.Sprint(many), false: fmt.Sprint(many + 1)}[k.name == "audit lines"]
				if got, err := database.do(query); err != nil || strings.TrimSpace(got) != want {
					t.Errorf("%q rows, want %s: %v", got, want, err)
				}
			})
		}
	}
	s, err := sqlite.Open(t.Context(), sqlite.Config{File: file, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if user, err := s.UserByName(t.Context(), "grown-50"); err != nil || user.Subject != "grown-50" || user.Password != "hash" {
		t.Errorf("%+v, %v", user, err)
	}
	if client, err := s.Client(t.Context(), "grown-50"); err != nil || client.Profile != "fapi2-security" {
		t.Errorf("%+v, %v", client, err)
	}
}
