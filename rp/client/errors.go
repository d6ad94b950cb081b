package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"countersign/rp/internal/answer"
	"countersign/rp/internal/metadata"
	"countersign/rp/internal/parameter"
	"countersign/rp/internal/signed"
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

// Error names the field and the reason.
func (e *ConfigError) Error() string { return "client: " + e.Field + ": " + e.Reason }

// unsendable makes a [*ConfigError] of a parameter that cannot be sent.
func unsendable(err error) error {
	if failed, ok := errors.AsType[*parameter.Error](err); ok {
		return misconfigured(failed.Name, "%s", failed.Reason)
	}
	return err
}

func misconfigured(field, format string, arguments ...any) error {
	return &ConfigError{field, fmt.Sprintf(format, arguments...)}
}

// WeakProviderError is a provider that offers less than the profile asks for.
type WeakProviderError struct {
	Issuer  string
	Profile Profile
	// Lacks is all that is missing, each with the [Weak] field that would let a [Plain] provider pass, if there is one.
	Lacks []string
}

// Error lists all that is missing.
func (e *WeakProviderError) Error() string {
	return fmt.Sprintf("client: %s offers less than the %s asks for: %s", e.Issuer, e.Profile, strings.Join(e.Lacks, "; "))
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

// Error has all that the provider said.
func (e *ProviderError) Error() string {
	text := fmt.Sprintf("client: %s answered %d", e.Endpoint, e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.CorrelationID != "" {
		text += " (correlation id " + e.CorrelationID + ")"
	}
	return text
}

// Temporary reports whether the same request may succeed later: the provider is busy or broken, and has not refused it.
func (e *ProviderError) Temporary() bool {
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Code == "temporarily_unavailable" || e.Code == "server_error"
}

// AuthorizationError is an error with which the provider sent the browser back (RFC 6749 §4.1.2.1). It passed the checks of state,
// iss and, by JARM, of the signature. Its texts come from the provider, without control characters and bounded.
type AuthorizationError struct {
	// Code is the error, such as "access_denied", "login_required".
	Code, Description, URI string
}

// Error has the code and the description.
func (e *AuthorizationError) Error() string {
	text := "client: the provider answered " + e.Code
	if e.Description != "" {
		text += ": " + e.Description
	}
	return text
}

// CheckError is an answer that failed a check: it is refused, and nothing in it is used.
type CheckError struct {
	// What is what was checked: "authorization response", "ID token", "token response", "UserInfo", "logout token", "introspection",
	// "metadata", "ping", "pushed response", "backchannel response", "grant".
	What string
	// Check is the parameter, claim or header that was wrong: "state", "iss", "aud", "azp", "nonce", "exp", "nbf", "iat", "alg", "kid",
	// "signature", "at_hash", "c_hash", "s_hash", "acr", "auth_time", "sub", "typ", "events", "jti", "token_type", "encryption",
	// "malformed", or what is missing.
	Check string
	// Reason says what is wrong.
	Reason string

	cause error
}

// Error names what was checked, and what was wrong.
func (e *CheckError) Error() string {
	return "client: the " + e.What + " is refused: " + e.Check + ": " + e.Reason
}

// Unwrap is the error below, or nil.
func (e *CheckError) Unwrap() error { return e.cause }

func refuse(what, check, format string, arguments ...any) error {
	return &CheckError{What: what, Check: check, Reason: fmt.Sprintf(format, arguments...)}
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

// Error has both.
func (e *UnavailableError) Error() string { return "client: " + e.Endpoint + ": " + e.Reason }

// Unwrap is the error below, or nil: that of the context if it ended.
func (e *UnavailableError) Unwrap() error { return e.cause }

// Temporary is true: it may be otherwise later.
func (e *UnavailableError) Temporary() bool { return true }

// Temporary reports whether an error says that the provider is out of order rather than that it refused: an [*UnavailableError], or a
// [*ProviderError] of that kind. What was there before the call is as good as it was.
func Temporary(err error) bool {
	found, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && found.Temporary()
}

// unavailable makes one of an exchange's error.
func unavailable(endpoint string, err error) error {
	return &UnavailableError{Endpoint: endpoint, Reason: err.Error(), cause: err}
}

// verdict makes the error of a check of something out of the errors of the packages below.
func verdict(what string, err error) error {
	if failed, ok := errors.AsType[*signed.Error](err); ok {
		return &CheckError{What: what, Check: failed.Check, Reason: failed.Reason, cause: err}
	}
	if failed, ok := errors.AsType[*metadata.Error](err); ok {
		return &CheckError{What: what, Check: failed.Check, Reason: failed.Reason, cause: err}
	}
	if failed, ok := errors.AsType[*answer.Error](err); ok {
		return &CheckError{What: what, Check: failed.Check, Reason: failed.Reason, cause: err}
	}
	return unavailable("jwks_uri", err)
}
