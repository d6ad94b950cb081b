// Package fault has the kinds of errors of what operators do. Their texts are for operators.
package fault

import (
	"fmt"

	"countersign/store"
)

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

// InInput makes an [InputError] of an error; nil stays nil.
func InInput(err error) error {
	if err == nil {
		return nil
	}
	return &InputError{err}
}

// MissingError says that what is named does not exist. It is a [store.ErrNotFound].
type MissingError struct{ Err error }

// Error implements error.
func (e *MissingError) Error() string { return e.Err.Error() }

// Unwrap returns the problem, and what it is of the store.
func (e *MissingError) Unwrap() []error { return []error{e.Err, store.ErrNotFound} }

// Missingf makes a [MissingError].
func Missingf(format string, arguments ...any) error {
	return &MissingError{fmt.Errorf(format, arguments...)}
}

// RefusedError says that something cannot be done as things are: nothing is wrong with how it was asked for.
type RefusedError struct{ Err error }

// Error implements error.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the problem.
func (e *RefusedError) Unwrap() error { return e.Err }

// Refusedf makes a [RefusedError].
func Refusedf(format string, arguments ...any) error {
	return &RefusedError{fmt.Errorf(format, arguments...)}
}

// ChangedError says that somebody else changed something since it was read. It is a [store.ErrConflict].
type ChangedError struct{ Err error }

// Error implements error.
func (e *ChangedError) Error() string { return e.Err.Error() }

// Unwrap returns the problem, and what it is of the store.
func (e *ChangedError) Unwrap() []error { return []error{e.Err, store.ErrConflict} }

// InvalidError says that a value, such as a name, cannot be what it is to be.
type InvalidError struct{ Err error }

// Error implements error.
func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns the problem.
func (e *InvalidError) Unwrap() error { return e.Err }

// Invalidf makes an [InvalidError].
func Invalidf(format string, arguments ...any) error {
	return &InvalidError{fmt.Errorf(format, arguments...)}
}
