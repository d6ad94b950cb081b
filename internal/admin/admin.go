// Package admin is what an operator does with clients, users, their devices and grants: it checks, changes the store and,
// over [Audited], leaves a record of each change. It prints nothing. Errors are for the operator, and name the command or
// flag that helps.
package admin

import (
	"fmt"
	"time"

	"countersign/store"
)

// Admin changes a store.
type Admin struct {
	Store store.Store
	Now   func() time.Time
}

// InputError is a problem in a file that the operator gave, of one or several lines.
type InputError struct{ Err error }

// Error implements error.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the problem.
func (e *InputError) Unwrap() error { return e.Err }

// UsageError is a flag or an argument that is wrong: nothing was tried.
type UsageError struct{ Err error }

// Error implements error.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the problem.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a [UsageError].
func Usagef(format string, arguments ...any) error {
	return &UsageError{fmt.Errorf(format, arguments...)}
}

func inInput(err error) error {
	if err == nil {
		return nil
	}
	return &InputError{err}
}
