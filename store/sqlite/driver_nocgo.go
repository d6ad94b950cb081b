//go:build !cgo

package sqlite

import "errors"

// built says that SQLite itself is missing: it is C, as is every PKCS#11 module.
func built() error {
	return errors.New("sqlite: this binary was built without cgo and has no SQLite; build it with CGO_ENABLED=1 and a C compiler, or use PostgreSQL")
}

// violatesUniqueness has no error to look at: nothing can be opened.
func violatesUniqueness(error) bool { return false }

// named has no error to look at either.
func named(err error) error { return err }
