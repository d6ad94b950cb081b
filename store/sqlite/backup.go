package sqlite

import (
	"context"

	"countersign/store/sqlite/internal/dbfile"
)

// ErrInUse reports that a database is open elsewhere.
var ErrInUse = dbfile.ErrInUse

// Backup writes a copy of config.File into a new file that only its owner can read. The server may be running: the
// copy is a consistent snapshot, is checked, and is synced to disk when Backup returns.
func Backup(ctx context.Context, config Config, to string) error {
	return config.file().Backup(ctx, to)
}

// Restore replaces config.File, which must not be open anywhere, with a backup; the former file is kept beside it, under
// the name that is returned, empty if there was none. One-time records are left out: a code or a request that was
// used after the backup was made could be used again. Users sign in again.
func Restore(ctx context.Context, config Config, from string) (kept string, err error) {
	return config.file().Restore(ctx, from)
}
