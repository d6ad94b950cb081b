package database_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/database"
)

// TestSQLite: a database is opened only after its schema was made, and making it again changes nothing.
func TestSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "test.db")
	d, err := database.New(&config.Config{Store: config.Store{Driver: "sqlite", File: config.File(file)}}, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "sqlite, "+file {
		t.Errorf("the name is %q", d.Name)
	}
	if s, err := d.Open(t.Context()); err == nil || s != nil {
		t.Fatalf("opened %v without a schema (%v)", s, err)
	}
	applied, err := d.Migrate(t.Context())
	if err != nil || len(applied) == 0 {
		t.Fatalf("applied %v, %v", applied, err)
	}
	if again, err := d.Migrate(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("a second time applied %v, %v", again, err)
	}
	if steps, err := d.Status(t.Context()); err != nil || len(steps) != len(applied) {
		t.Errorf("%d steps, want %d (%v)", len(steps), len(applied), err)
	}
	s, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPostgresURL: the error names the key of the configuration and not the URL.
func TestPostgresURL(t *testing.T) {
	_, err := database.New(&config.Config{Store: config.Store{Driver: "postgres", URL: config.Secret(filepath.Join(t.TempDir(), "absent"))}}, time.Now, nil)
	if err == nil || !strings.HasPrefix(err.Error(), "store.url_file: ") {
		t.Errorf("a URL that cannot be read: %v", err)
	}
}
