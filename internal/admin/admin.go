// Package admin is what an operator does with clients, users, their devices and grants: it checks, changes the store and,
// over [Audited], leaves a record of each change. It prints nothing. Errors are for the operator, and name the command or
// flag that helps.
package admin

import (
	"time"

	"countersign/internal/admin/fault"
	"countersign/store"
)

// Admin changes a store.
type Admin struct {
	Store store.Store
	Now   func() time.Time
}

// The kinds of errors; see package fault.
type (
	InputError   = fault.InputError
	UsageError   = fault.UsageError
	RefusedError = fault.RefusedError
	ChangedError = fault.ChangedError
)

// Usagef makes a [UsageError].
func Usagef(format string, arguments ...any) error { return fault.Usagef(format, arguments...) }
