// Package dbfile is what is done with a SQLite database as a file: to make it and its schema, to back it up and restore it, and to
// read it as a whole.
package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"countersign/internal/pause"
	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/sqlite/internal/connection"
)

// File is a database file and the schema that it has to have.
type File struct {
	// Name is the file's.
	Name   string
	Schema backend.Schema
}

// Migrate brings the schema up to the program's, making the file if there is none, and returns the steps that it applied.
// Processes that migrate at once wait for each other.
func (f File) Migrate(ctx context.Context) ([]store.Migration, error) {
	if err := connection.Built(); err != nil {
		return nil, err
	}
	if err := create(f.Name); err != nil {
		return nil, err
	}
	return withDatabase(f.Name, func(db *sql.DB) ([]store.Migration, error) {
		if err := f.Schema.Check(ctx, db); err == nil {
			return nil, nil
		}
		unlock, err := lockDirectory(ctx, filepath.Dir(f.Name))
		if err != nil {
			return nil, err
		}
		defer unlock()
		return f.Schema.Up(ctx, db)
	})
}

// Status lists the program's steps, and any others that the file has. It changes nothing.
func (f File) Status(ctx context.Context) ([]store.Migration, error) {
	if err := connection.Built(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(f.Name); errors.Is(err, fs.ErrNotExist) {
		return f.Schema.Known()
	}
	return withDatabase(f.Name, func(db *sql.DB) ([]store.Migration, error) { return f.Schema.Status(ctx, db) })
}

// DSN is the data source name of file with the settings that every connection needs and some of its own.
func DSN(file string, settings ...string) string {
	query := url.Values{
		"mode":          {"rw"},
		"_busy_timeout": {"5000"},
		"_synchronous":  {"FULL"},
		"_txlock":       {"immediate"},
	}
	for i := 0; i < len(settings); i += 2 {
		query.Set(settings[i], settings[i+1])
	}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.Clean(file), RawQuery: query.Encode()}).String()
}

// Protect makes the file readable by its owner only; SQLite gives its companion files the same mode. The file
// is not opened for this: closing it would drop the locks that this process holds on it.
func Protect(file string) error {
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sqlite: protect the database: %w", err)
		}
	}
	return nil
}

func withDatabase(file string, work func(*sql.DB) ([]store.Migration, error)) (_ []store.Migration, err error) {
	db, err := sql.Open("sqlite3", DSN(file, "_journal_mode", "WAL"))
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
		return Protect(file)
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
		if err := pause.For(ctx, 20*time.Millisecond); err != nil {
			return nil, errors.Join(fmt.Errorf("sqlite: lock for migration: %w", err), directory.Close())
		}
	}
}
