// Package ciba reads backchannel authentication requests (OpenID Connect CIBA Core 1.0, FAPI-CIBA) and notifies clients
// of decisions.
//
// A client asks at the backchannel authentication endpoint that a user be asked on another device. [Policy.Read] checks
// the parameters of such a request (CIBA Core §7.1, §7.2) and makes a [Request] of them:
//
//	policy := ciba.Policy{Lifetime: 2 * time.Minute, MaxLifetime: 10 * time.Minute}
//	request, err := policy.Read(form)
//
// The parameters of a signed request (CIBA Core §7.1.1, FAPI-CIBA §5.2.2) are inside a JWT. [ParseObject] takes it
// apart and believes nothing. [Rules.Check] verifies it with the client's keys and gives what [Policy.Read] takes, and the
// key under which the caller records its one use.
//
// A [Notifier] pings clients when a request has been decided (CIBA Core §10.2). The caller provides an [Outbox] that all
// nodes share, the client's endpoint, and an HTTP client that keeps within its own network rules. What a ping says are
// secrets of the client: a [Sealer] encrypts them while they wait in the outbox.
//
// Errors of reading are of type [*Error], with the code and a description that may be sent to the client (CIBA Core §13).
//
// The package does not authenticate the client, does not find the user that a hint names, stores no request, and issues no
// tokens. It does not push tokens: FAPI-CIBA §5.2.2 forbids that mode.
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
