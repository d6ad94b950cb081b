package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"countersign/internal/wholefile"
	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// ErrInUse reports that a database is open elsewhere.
var ErrInUse = errors.New("sqlite: the database is in use: stop the server first")

// Backup writes a copy into a new file that only its owner can read. The server may be running: the copy is a consistent
// snapshot, is checked, and is synced to disk.
func (f File) Backup(ctx context.Context, to string) error {
	if err := connection.Built(); err != nil {
		return err
	}
	return copied(ctx, f.Name, to, func(*sql.DB) error { return nil })
}

// Restore replaces the file, which must not be open anywhere, with a backup; the former file is kept beside it, under
// the name that is returned, empty if there was none. One-time records are left out: a code or a request that was
// used after the backup was made could be used again.
func (f File) Restore(ctx context.Context, from string) (kept string, err error) {
	if err := connection.Built(); err != nil {
		return "", err
	}
	if _, err := withDatabase(from, func(db *sql.DB) ([]store.Migration, error) { return nil, f.Schema.Check(ctx, db) }); err != nil {
		return "", fmt.Errorf("%s: %w", from, err)
	}
	exists, err := idle(f.Name)
	if err != nil {
		return "", err
	}
	made := f.Name + ".restoring"
	err = copied(ctx, from, made, func(db *sql.DB) error {
		for _, table := range leftOut() {
			if _, err := db.ExecContext(ctx, "DELETE FROM "+table); err != nil {
				return fmt.Errorf("sqlite: leave out what is short-lived: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if exists {
		kept = f.Name + ".replaced"
		if _, err := os.Stat(kept); err == nil {
			return "", errors.Join(fmt.Errorf("sqlite: %s is there from an earlier restoration: move it away first", kept), os.Remove(made))
		}
		if err := os.Rename(f.Name, kept); err != nil {
			return "", fmt.Errorf("sqlite: %w", err)
		}
	}
	if err := os.Rename(made, f.Name); err != nil {
		return kept, fmt.Errorf("sqlite: %w", err)
	}
	return kept, synced(filepath.Dir(f.Name))
}

// leftOut are the tables whose records a restoration leaves out: what may have been used after the backup, and could be used
// again.
func leftOut() []string {
	return []string{"interactions", "hand_offs", "requests", "codes", "sessions", "session_clients", "logouts", "backchannel_requests", "pings", "enrolments",
		"initial_tokens", "approvals", "lodged_consents WHERE status = 'awaiting' OR once"}
}

// idle reports whether a database is there, and refuses one that is open elsewhere: the last to close it removes its WAL.
func idle(file string) (exists bool, err error) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("sqlite: %w", err)
	}
	_, err = withDatabase(file, func(db *sql.DB) ([]store.Migration, error) {
		_, err := db.Exec("SELECT count(*) FROM sqlite_schema")
		return nil, err
	})
	if err != nil {
		return true, fmt.Errorf("sqlite: look whether %s is in use: %w", file, err)
	}
	if _, err := os.Stat(file + "-wal"); err == nil {
		return true, ErrInUse
	}
	return true, nil
}

// copied copies a database, changes the copy, checks it, and syncs it to disk. A copy that fails is removed.
func copied(ctx context.Context, from, to string, change func(*sql.DB) error) (err error) {
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: the copy: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("sqlite: the copy: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	source, err := sql.Open("sqlite3", DSN(from))
	if err != nil {
		return fmt.Errorf("sqlite: open %s: %w", from, err)
	}
	_, err = source.ExecContext(ctx, "VACUUM INTO ?", to) // into the empty file, whose mode stays
	if err := errors.Join(err, source.Close()); err != nil {
		return fmt.Errorf("sqlite: copy %s: %w", from, err)
	}
	_, err = withDatabase(to, func(db *sql.DB) ([]store.Migration, error) {
		if err := change(db); err != nil {
			return nil, err
		}
		var verdict string
		if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil || verdict != "ok" {
			return nil, errors.Join(fmt.Errorf("sqlite: the copy is damaged: %s", verdict), err)
		}
		return nil, nil
	})
	if err != nil {
		return err
	}
	return errors.Join(synced(to), synced(filepath.Dir(to)))
}

// synced syncs a file or a folder to disk.
func synced(name string) error {
	if err := wholefile.Sync(name); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}
