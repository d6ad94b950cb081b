//go:build !cgo

package connection

import "errors"

// Built says that SQLite itself is missing: it is C, as is every PKCS#11 module.
func Built() error {
	return errors.New("sqlite: this binary was built without cgo and has no SQLite; build it with CGO_ENABLED=1 and a C compiler, or use PostgreSQL")
}

// ViolatesUniqueness has no error to look at: nothing can be opened.
func ViolatesUniqueness(error) bool { return false }

// ViolatesNotNull has no error to look at either.
func ViolatesNotNull(error) bool { return false }

// StoreError has no error to look at either.
func StoreError(err error) error { return err }
