//go:build cgo

package connection

import (
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"

	"countersign/store"
)

// Built is nil: this binary has SQLite.
func Built() error { return nil }

// ViolatesUniqueness reports whether a statement failed because the row exists.
func ViolatesUniqueness(err error) bool {
	failure, ok := errors.AsType[sqlite3.Error](err)
	return ok && (failure.ExtendedCode == sqlite3.ErrConstraintPrimaryKey || failure.ExtendedCode == sqlite3.ErrConstraintUnique)
}

// ViolatesNotNull reports whether a statement failed because a value is missing.
func ViolatesNotNull(err error) bool {
	failure, ok := errors.AsType[sqlite3.Error](err)
	return ok && failure.ExtendedCode == sqlite3.ErrConstraintNotNull
}

// StoreError maps failures that may be temporary to the store's errors. A verb that failed with one changed nothing.
func StoreError(err error) error {
	failure, ok := errors.AsType[sqlite3.Error](err)
	if !ok {
		return err
	}
	switch failure.Code {
	case sqlite3.ErrFull:
		return fmt.Errorf("%w: the disk is full: %w", store.ErrUnavailable, err)
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen, sqlite3.ErrReadonly:
		return fmt.Errorf("%w: the disk or the file's folder cannot be written or read: %w", store.ErrUnavailable, err)
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fmt.Errorf("%w: another process holds the file: %w", store.ErrOverloaded, err)
	}
	return err
}
