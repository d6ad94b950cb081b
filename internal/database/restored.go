package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"countersign/internal/config"
	"countersign/store/sqlite"
)

const (
	// replayable is for how long after its use a client assertion or a proof can be valid, the difference of clocks included.
	replayable = 10*time.Minute + 30*time.Second
	// replayableCIBA is the same with signed backchannel requests, which live for up to an hour (FAPI-CIBA §5.2.2-9).
	replayableCIBA = time.Hour + 30*time.Second
)

// marker is the file that keeps a restored database from being served too soon.
func marker(c *config.Config) string { return c.Store.File.Path() + ".restored" }

// errOwnTools is for a store that has its own.
var errOwnTools = errors.New("the store is PostgreSQL: back it up with its own tools, such as pg_basebackup or pg_dump (SQLite only is backed up by this command)")

// embedded is the configured embedded store.
func embedded(c *config.Config, now func() time.Time) (sqlite.Config, error) {
	if c.Store.Driver == "postgres" {
		return sqlite.Config{}, errOwnTools
	}
	return sqlite.Config{File: c.Store.File.Path(), Now: now}, nil
}

// Backup writes a consistent copy of the configured embedded database into a new file while the server runs, and checks it. It
// returns the name of the database.
func Backup(ctx context.Context, c *config.Config, file string, now func() time.Time) (of string, err error) {
	settings, err := embedded(c, now)
	if err != nil {
		return "", err
	}
	return settings.File, sqlite.Backup(ctx, settings, file)
}

// Restored is a database that was replaced by a backup.
type Restored struct {
	File string
	// Kept is where what was there before is, or empty.
	Kept string
	// Until is before what time it must not be served; zero when it can be at once.
	Until time.Time
}

// Restore replaces the configured embedded database by a backup that [Backup] wrote.
func Restore(ctx context.Context, c *config.Config, file string, now func() time.Time) (Restored, error) {
	settings, err := embedded(c, now)
	if err != nil {
		return Restored{}, err
	}
	until, undo, err := beginRestore(c, now())
	if err != nil {
		return Restored{}, err
	}
	kept, err := sqlite.Restore(ctx, settings, file)
	if err != nil {
		return Restored{}, errors.Join(err, undo())
	}
	return Restored{settings.File, kept, until}, nil
}

// beginRestore notes, before an embedded database is replaced by a backup, until when it must not be served: what was used
// once after the backup is forgotten, and could be used again while it is valid. The time is zero when nothing is: the
// database that is replaced was last written long enough ago. undo takes the note back, when nothing was replaced.
func beginRestore(c *config.Config, now time.Time) (until time.Time, undo func() error, err error) {
	lastUse := now
	if info, err := os.Stat(c.Store.File.Path()); err == nil && info.ModTime().Before(now) {
		lastUse = info.ModTime()
	}
	// An earlier note counts: the database that is there now may never have been served.
	until, err = restedFrom(c)
	if err != nil {
		return time.Time{}, nil, err
	}
	before := until
	wait := replayable
	if c.CIBA.Enabled {
		wait = replayableCIBA
	}
	if end := lastUse.Add(wait); end.After(until) {
		until = end
	}
	if !until.After(now) {
		return time.Time{}, func() error { return nil }, nil
	}
	note := func(at time.Time) error {
		return os.WriteFile(marker(c), []byte(at.UTC().Format(time.RFC3339)+"\n"), 0o600)
	}
	undo = func() error {
		if before.IsZero() {
			return os.Remove(marker(c))
		}
		return note(before)
	}
	until = until.Add(time.Second).Truncate(time.Second)
	return until, undo, note(until)
}

// Rested reports that a restored database must not be served yet. Once it may be, the note of [Restore] is removed.
func Rested(c *config.Config, now time.Time) error {
	if c.Store.Driver == "postgres" {
		return nil
	}
	until, err := restedFrom(c)
	switch {
	case err != nil || until.IsZero():
		return err
	case now.Before(until):
		return fmt.Errorf("the database was restored: what clients have used since the backup could be used again until %s; start the server then, or remove %s if the server has been away for as long",
			until.UTC().Format(time.RFC3339), marker(c))
	}
	return os.Remove(marker(c))
}

// restedFrom reads the note; zero when there is none.
func restedFrom(c *config.Config) (time.Time, error) {
	text, err := os.ReadFile(marker(c))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	until, err := time.Parse(time.RFC3339, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: not a time: %w", marker(c), err)
	}
	return until, nil
}
