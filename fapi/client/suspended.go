package client

import (
	"errors"

	"countersign/store"
)

// SuspendedError is the error for a client that its directory of participants suspended. It matches [store.ErrNotFound]: to
// whoever does not ask for it, the client is gone.
type SuspendedError struct {
	// Reason says so in a sentence that the client's owner may read.
	Reason string
}

// Error implements error.
func (e *SuspendedError) Error() string { return e.Reason }

// Is reports whether target is [store.ErrNotFound].
func (e *SuspendedError) Is(target error) bool { return target == store.ErrNotFound }

// Gone returns what to say of a client that was not found: why it is suspended, if it is, and otherwise a text.
func Gone(err error, otherwise string) string {
	if suspended, ok := errors.AsType[*SuspendedError](err); ok {
		return suspended.Reason
	}
	return otherwise
}
