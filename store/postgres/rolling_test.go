package postgres_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"countersign/store/postgres"
	"countersign/store/storetest"
)

// TestRollingUpgrade: nodes of this release go on with a database that a later one has migrated, when that says that they can,
// and not otherwise.
func TestRollingUpgrade(t *testing.T) {
	database := cluster.Database(t)
	config := postgres.Config{URL: database}
	if _, err := postgres.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)")
	execute(t, database, "INSERT INTO schema_steps (version, digest, compatible) VALUES (99, 'later', 3)")
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatalf("with a compatible later step: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if applied, err := postgres.Migrate(t.Context(), config); err != nil || len(applied) != 0 {
		t.Errorf("migrating it with the older release: %v, %v", applied, err)
	}
	execute(t, database, "UPDATE schema_steps SET compatible = 99 WHERE version = 99")
	_, err = postgres.Open(t.Context(), config)
	if schema, ok := errors.AsType[*postgres.SchemaError](err); !ok || schema.Have != 99 {
		t.Errorf("with one that is not compatible: %v", err)
	}
	if _, err := postgres.Migrate(t.Context(), config); err == nil {
		t.Error("migrated a database that is too new")
	}
}

// TestChangedStep: a step that is not the one that was applied is named.
func TestChangedStep(t *testing.T) {
	database := cluster.Database(t)
	config := postgres.Config{URL: database}
	if _, err := postgres.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "UPDATE schema_steps SET digest = 'another' WHERE version = 2")
	_, openErr := postgres.Open(t.Context(), config)
	_, migrateErr := postgres.Migrate(t.Context(), config)
	for _, err := range []error{openErr, migrateErr} {
		if changed, ok := errors.AsType[*postgres.ChangedError](err); !ok || changed.Version != 2 {
			t.Errorf("got %v", err)
		}
	}
}

// TestPreviousRelease has nodes of the release before work beside nodes of this one on the schema of this one, as during a
// rolling upgrade, and race for the same things. The former release is its store as it was published (testdata), in
// processes of its own; what of it is beside the store, its endpoints, is not run.
func TestPreviousRelease(t *testing.T) {
	rolling := backend
	rolling.Previous = previousRelease(t)
	rolling.Rolling(t)
}

// previousRelease builds the program that is kept in testdata.
func previousRelease(t *testing.T) string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/release-20.txtar")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		archive.Files = append(archive.Files, txtar.File{Name: name, Data: text})
	}
	for _, file := range archive.Files {
		place := filepath.Join(folder, filepath.FromSlash(file.Name))
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(folder, "previous")
	build := exec.Command("go", "build", "-mod=mod", "-o", program, ".")
	build.Dir = folder
	build.Env = append(os.Environ(), "GOFLAGS=")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the release before: %v\n%s", err, output)
	}
	return program
}

// Covers: FD-83. What a node of the release before enrols is not taken for more than a password.
func TestFD83EnrolledBefore(t *testing.T) {
	database := cluster.Database(t)
	config := postgres.Config{URL: database}
	if _, err := postgres.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.EnrolledBefore(t, s, func(statement string) { execute(t, database, statement) },
		`INSERT INTO enrolments (id, subject, created_at, expires_at)
			VALUES (decode(repeat('01', 32), 'hex'), 'subject', now(), now() + interval '1 hour')
			ON CONFLICT (subject) DO UPDATE SET id = excluded.id, created_at = excluded.created_at, expires_at = excluded.expires_at`,
		`INSERT INTO devices (id, subject, name, jkt, created_at, used_at) VALUES ('old', 'subject', 'old', 'old', now(), NULL)`)
}
