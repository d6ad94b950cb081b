package postgres_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/store/postgres"
)

func TestMigrate(t *testing.T) {
	config := postgres.Config{URL: cluster.Database(t)}
	status, err := postgres.MigrationStatus(t.Context(), config)
	if err != nil || len(status) == 0 || !status[0].AppliedAt.IsZero() {
		t.Fatalf("status of an empty database: %v, %v", status, err)
	}
	applied, err := postgres.Migrate(t.Context(), config)
	if err != nil || len(applied) != len(status) || applied[0].Name != "initial" {
		t.Fatalf("got %v, %v", applied, err)
	}
	if age := time.Since(applied[0].AppliedAt); age < -time.Minute || age > time.Minute {
		t.Errorf("applied at %v", applied[0].AppliedAt)
	}
	if again, err := postgres.Migrate(t.Context(), config); err != nil || len(again) != 0 {
		t.Fatalf("second time: got %v, %v", again, err)
	}
}

// TestMigrateAtOnce: of several nodes that migrate one applies the steps, and the others do not fail.
func TestMigrateAtOnce(t *testing.T) {
	config := postgres.Config{URL: cluster.Database(t)}
	applied, failures := make([]int, 4), make([]error, 4)
	var running sync.WaitGroup
	for i := range applied {
		running.Go(func() {
			steps, err := postgres.Migrate(t.Context(), config)
			applied[i], failures[i] = len(steps), err
		})
	}
	running.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
	migrated := 0
	for _, n := range applied {
		if n > 0 {
			migrated++
		}
	}
	if migrated != 1 {
		t.Errorf("%d of %d applied the steps", migrated, len(applied))
	}
}

func TestOpenRefuses(t *testing.T) {
	database := cluster.Database(t)
	refused := func(url, want string) {
		t.Helper()
		s, err := postgres.Open(t.Context(), postgres.Config{URL: url})
		if err == nil {
			t.Fatalf("opened; close: %v", s.Close())
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %q, want one line with %q", err, want)
		}
	}
	refused(database, "schema version 0 and this program needs ")
	migrated(t, database)
	refused(database+"&synchronous_commit=off", "synchronous_commit is off")
	execute(t, database, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)")
	refused(database, "schema version 99, which is newer than this program")
	_, err := postgres.Migrate(t.Context(), postgres.Config{URL: database})
	var schema *postgres.SchemaError
	if !errors.As(err, &schema) || schema.Have != 99 || schema.Want < 4 {
		t.Errorf("migrating a newer database: %v", err)
	}
}

// TestPasswordStaysSecret: no failure to parse, to connect or to migrate shows the password of the URL.
func TestPasswordStaysSecret(t *testing.T) {
	address, err := url.Parse(cluster.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	socket := url.QueryEscape(address.Query().Get("host"))
	for _, password := range []string{"s3cret", "s3cret/x", "s3cret%zz", "s3cret x", "s3cret@x", "s3cret:x", "s3cret?x#y", "s3cret'x"} {
		for _, address := range []string{
			"postgres://user:" + password + "@/database?host=" + socket,
			"postgres://user:" + url.QueryEscape(password) + "@/database?host=" + socket,
			"postgres://user:" + url.QueryEscape(password) + "@127.0.0.1:1/database?connect_timeout=1",
			"postgres://user:" + password + "@[::1/database",
			"postgres://user:" + password + "@localhost/database?sslmode=perhaps",
			"postgres://user:" + password + "@localhost:port/database",
			"postgres://localhost:1/database?user=user&password=" + url.QueryEscape(password) + "&connect_timeout=1",
			"host=localhost port=1 user=user connect_timeout=1 password=" + password,
			"host=localhost port=one user=user password=" + password,
			"host=" + address.Query().Get("host") + " user=nobody database=none password='" + password + "'",
			password,
		} {
			config := postgres.Config{URL: address}
			_, openErr := postgres.Open(t.Context(), config)
			_, migrateErr := postgres.Migrate(t.Context(), config)
			_, statusErr := postgres.MigrationStatus(t.Context(), config)
			for _, err := range []error{openErr, migrateErr, statusErr} {
				if err == nil {
					t.Errorf("%s: no error", address)
				} else if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: %v", address, err)
				}
			}
		}
	}
}

// TestLocked: a verb that meets a lock gives up after a time instead of waiting without limit.
func TestLocked(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s, err := postgres.Open(t.Context(), postgres.Config{URL: database + "&lock_timeout=100ms"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	holder := lock(t, database, "LOCK TABLE grants IN ACCESS EXCLUSIVE MODE")
	err = s.RevokeGrant(t.Context(), "grant", "operator", nil)
	if err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Errorf("got %v", err)
	}
	holder()
}
