package client

import (
	"errors"
	"time"
)

// ErrPending is a backchannel request that the user has not decided (CIBA Core §11: authorization_pending, slow_down).
var ErrPending = errors.New("the user has not decided yet")

// ConfigError is a [Config], or an option of a call, that cannot work. It is the caller's to correct.
type ConfigError struct {
	// Field is the field's name, such as "Auth".
	Field string
	// Reason says what is wrong and what would be right.
	Reason string
}

// WeakProviderError is a provider that offers less than the profile asks for.
type WeakProviderError struct {
	Issuer  string
	Profile Profile
	// Lacks is all that is missing, each with the [Weak] field that would let a [Plain] provider pass, if there is one.
	Lacks []string
}

// ProviderError is an error answer of one of the provider's endpoints (RFC 6749 §5.2, RFC 6750 §3). Its texts come from the provider,
// without control characters and bounded.
type ProviderError struct {
	// Endpoint is the endpoint's name in the metadata, such as "token_endpoint".
	Endpoint string
	// Status is the HTTP status.
	Status int
	// Code is the OAuth error, such as "invalid_grant"; empty if the answer was none.
	Code, Description, URI string
	// CorrelationID finds the request in the provider's log, if it said one (x-fapi-interaction-id, x-correlation-id).
	CorrelationID string
	// RetryAfter is how long the provider asks to wait; 0 if it does not.
	RetryAfter time.Duration
}

// AuthorizationError is an error with which the provider sent the browser back (RFC 6749 §4.1.2.1). It passed the checks of state,
// iss and, by JARM, of the signature. Its texts come from the provider, without control characters and bounded.
type AuthorizationError struct {
	// Code is the error, such as "access_denied", "login_required".
	Code, Description, URI string
}

// CheckError is an answer that failed a check: it is refused, and nothing in it is used.
type CheckError struct {
	// What is what was checked: "authorization response", "ID token", "token response", "UserInfo", "logout token", "introspection",
	// "metadata", "ping".
	What string
	// Check is the parameter, claim or header that was wrong: "state", "iss", "aud", "azp", "nonce", "exp", "iat", "alg", "kid",
	// "signature", "at_hash", "c_hash", "s_hash", "acr", "auth_time", "sub", "typ", "events", "jti", "token_type", "encryption", "malformed", …
	Check string
	// Reason says what is wrong.
	Reason string

	cause error
}

// UnavailableError is a provider that could not be reached, did not answer in time, or answered with something unusable, such as a
// redirect, too much, or no JSON. Nothing is known of whether it acted.
type UnavailableError struct {
	// Endpoint is the endpoint's name in the metadata, "metadata", or "jwks_uri".
	Endpoint string
	// Reason says what happened.
	Reason string

	cause error
}

func (e *ConfigError) Error() string        { panic("soon") }
func (e *WeakProviderError) Error() string  { panic("soon") }
func (e *ProviderError) Error() string      { panic("soon") }
func (e *AuthorizationError) Error() string { panic("soon") }
func (e *CheckError) Error() string         { panic("soon") }
func (e *CheckError) Unwrap() error         { return e.cause }
func (e *UnavailableError) Error() string   { panic("soon") }
func (e *UnavailableError) Unwrap() error   { return e.cause }
