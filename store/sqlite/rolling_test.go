package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"

	"countersign/store/sqlite"
	"countersign/store/storetest"
)

// TestRollingUpgrade: nodes of this release go on with a database that a later one has migrated, when that says that they can,
// and not otherwise.
func TestRollingUpgrade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	config := sqlite.Config{File: file}
	database := file
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	execute(t, database, "INSERT INTO schema_steps (version, digest, compatible) VALUES (99, 'later', 3)")
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatalf("with a compatible later step: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if applied, err := sqlite.Migrate(t.Context(), config); err != nil || len(applied) != 0 {
		t.Errorf("migrating it with the older release: %v, %v", applied, err)
	}
	execute(t, database, "UPDATE schema_steps SET compatible = 99 WHERE version = 99")
	_, err = sqlite.Open(t.Context(), config)
	if schema, ok := errors.AsType[*sqlite.SchemaError](err); !ok || schema.Have != 99 {
		t.Errorf("with one that is not compatible: %v", err)
	}
	if _, err := sqlite.Migrate(t.Context(), config); err == nil {
		t.Error("migrated a database that is too new")
	}
}

// TestChangedStep: a step that is not the one that was applied is named.
func TestChangedStep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	config := sqlite.Config{File: file}
	database := file
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	execute(t, database, "UPDATE schema_steps SET digest = 'another' WHERE version = 2")
	_, openErr := sqlite.Open(t.Context(), config)
	_, migrateErr := sqlite.Migrate(t.Context(), config)
	for _, err := range []error{openErr, migrateErr} {
		if changed, ok := errors.AsType[*sqlite.ChangedError](err); !ok || changed.Version != 2 {
			t.Errorf("got %v", err)
		}
	}
}

// Covers: FD-83. What a node of the release before enrols is not taken for more than a password.
func TestFD83EnrolledBefore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store.db")
	config := sqlite.Config{File: file}
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.EnrolledBefore(t, s, func(statement string) { execute(t, file, statement) },
		`INSERT INTO enrolments (id, subject, created_at, expires_at)
			VALUES (x'0101010101010101010101010101010101010101010101010101010101010101', 'subject',
				unixepoch() * 1000000, unixepoch() * 1000000 + 3600000000)
			ON CONFLICT (subject) DO UPDATE SET id = excluded.id, created_at = excluded.created_at, expires_at = excluded.expires_at`,
		`INSERT INTO devices (id, subject, name, jkt, created_at, used_at) VALUES ('old', 'subject', 'old', 'old', unixepoch() * 1000000, NULL)`)
}
