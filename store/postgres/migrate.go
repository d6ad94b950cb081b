package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/pool"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration = store.Migration

// SchemaError reports that the database's schema is older or newer than the program.
type SchemaError = store.SchemaError

// ChangedError reports that a step of the schema is not the one that was applied.
type ChangedError = store.ChangedError

func schema() backend.Schema {
	return backend.Schema{
		System:      "postgresql",
		Dialect:     goose.DialectPostgres,
		Files:       migrations,
		HasVersions: "SELECT to_regclass('goose_db_version') IS NOT NULL",
		HasSteps:    "SELECT to_regclass('schema_steps') IS NOT NULL",
	}
}

// Migrate brings the schema of the database up to the program's and returns the steps that it applied, none when
// there was nothing to do. Nodes that migrate at once wait for each other (an advisory lock).
func Migrate(ctx context.Context, config Config) ([]Migration, error) {
	return withDatabase(ctx, config, func(db *sql.DB, target *pool.Target) ([]Migration, error) {
		var locker lock.SessionLocker = pool.NewLock(target, lock.DefaultLockID)
		if !target.Pooled() {
			var err error
			if locker, err = lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300), lock.WithUnlockTimeout(1, 10)); err != nil {
				return nil, fmt.Errorf("postgresql: migrate: %w", err)
			}
		}
		schema := schema()
		schema.Options = []goose.ProviderOption{goose.WithSessionLocker(locker)}
		return schema.Up(ctx, db)
	})
}

// MigrationStatus lists the program's steps, and any others that the database has, with the time they were applied.
// It changes nothing.
func MigrationStatus(ctx context.Context, config Config) ([]Migration, error) {
	return withDatabase(ctx, config, func(db *sql.DB, _ *pool.Target) ([]Migration, error) { return schema().Status(ctx, db) })
}

func withDatabase(ctx context.Context, config Config, work func(*sql.DB, *pool.Target) ([]Migration, error)) (_ []Migration, err error) {
	// A step may take long, but it must not queue for a table's lock with everybody else behind it.
	target, err := pool.Find(ctx, config.direct, map[string]string{"application_name": "countersign migrate", "timezone": "UTC", "lock_timeout": "10s"})
	if err != nil {
		return nil, err
	}
	settings, err := target.Settings()
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*settings)
	defer func() { err = errors.Join(err, db.Close()) }()
	return work(db, target)
}
