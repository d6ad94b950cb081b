//go:build cgo

package sqlite

import (
	"errors"

	"github.com/mattn/go-sqlite3"
)

// built is nil: this binary has SQLite.
func built() error { return nil }

// breaksUniqueness tells whether a statement failed because the row exists.
func breaksUniqueness(err error) bool {
	failure, ok := errors.AsType[sqlite3.Error](err)
	return ok && (failure.ExtendedCode == sqlite3.ErrConstraintPrimaryKey || failure.ExtendedCode == sqlite3.ErrConstraintUnique)
}
