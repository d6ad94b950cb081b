package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"

	"countersign/store"
	"countersign/store/internal/backend"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration = store.Migration

// SchemaError reports that the file's schema is older or newer than the program.
type SchemaError = store.SchemaError

// ChangedError reports that a step of the schema is not the one that was applied.
type ChangedError = store.ChangedError

func schema() backend.Schema {
	return backend.Schema{
		System:      "sqlite",
		Dialect:     goose.DialectSQLite3,
		Files:       migrations,
		HasVersions: "SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'",
		HasSteps:    "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_steps'",
	}
}

// Migrate brings the schema of config.File up to the program's, making the file if there is none, and returns the
// steps that it applied, none when there was nothing to do. Processes that migrate at once wait for each other.
func Migrate(ctx context.Context, config Config) ([]Migration, error) {
	if err := built(); err != nil {
		return nil, err
	}
	if err := create(config.File); err != nil {
		return nil, err
	}
	applied, err := withDatabase(config.File, func(db *sql.DB) ([]Migration, error) {
		if err := schema().Check(ctx, db); err == nil {
			return nil, nil
		}
		unlock, err := lockDirectory(ctx, filepath.Dir(config.File))
		if err != nil {
			return nil, err
		}
		defer unlock()
		return schema().Up(ctx, db)
	})
	return applied, err
}

// MigrationStatus lists the program's steps, and any others that the file has, with the time they were applied.
// It changes nothing.
func MigrationStatus(ctx context.Context, config Config) ([]Migration, error) {
	if err := built(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(config.File); errors.Is(err, fs.ErrNotExist) {
		return schema().Known()
	}
	return withDatabase(config.File, func(db *sql.DB) ([]Migration, error) { return schema().Status(ctx, db) })
}

func withDatabase(file string, work func(*sql.DB) ([]Migration, error)) (_ []Migration, err error) {
	db, err := sql.Open("sqlite3", dsn(file, "_journal_mode", "WAL"))
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	return work(db)
}

// create makes an empty database that only its owner can read, unless the file exists.
func create(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return protect(file)
	}
	if err != nil {
		return fmt.Errorf("sqlite: create the database: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("sqlite: create the database: %w", err)
	}
	return nil
}

// lockDirectory waits until no other process migrates in the directory. The lock dies with the process. It is on
// the directory and not on the file because closing a second descriptor of the file would drop SQLite's own locks.
func lockDirectory(ctx context.Context, name string) (unlock func(), err error) {
	directory, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("sqlite: lock for migration: %w", err)
	}
	for {
		err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = directory.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("sqlite: lock for migration: %w", err), directory.Close())
		}
		if err := backend.Pause(ctx, 20*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("sqlite: lock for migration: %w", err), directory.Close())
		}
	}
}
