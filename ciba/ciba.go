// Package ciba reads backchannel authentication requests (OpenID Connect CIBA Core 1.0, FAPI-CIBA) and tells clients
// when one has been decided.
//
// A signed request is taken apart by [ParseObject], which believes nothing, and verified by [Rules].Check, which gives the
// parameters inside. [Policy].Read then makes a [Request] of them. What a ping has to say is kept closed by a [Sealer]
// until a [Notifier] sends it. Who is asked, and what becomes of a request, is the business of package fapi.
package ciba

import "fmt"

// The codes of errors that only a backchannel authentication endpoint gives (CIBA Core §13).
const (
	InvalidRequest        = "invalid_request"
	InvalidScope          = "invalid_scope"
	MissingUserCode       = "missing_user_code"
	InvalidBindingMessage = "invalid_binding_message"
)

// Error is a request that is not valid. Its description may be shown to the client.
type Error struct {
	// Code is one of the codes of this package.
	Code string
	// Description says what is wrong and what would be right.
	Description string
	cause       error
}

func (e *Error) Error() string { return e.Code + ": " + e.Description }

func (e *Error) Unwrap() error { return e.cause }

func refuse(code, format string, arguments ...any) *Error {
	err := fmt.Errorf(format, arguments...)
	return &Error{Code: code, Description: err.Error(), cause: err}
}
