package rp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"countersign/internal/correlation"
	"countersign/internal/random"
	"countersign/rp/client"
	"countersign/rp/internal/challenge"
	"countersign/rp/session"
)

// Why a request is refused, besides the errors of package client and of package session; matched with [errors.Is].
var (
	// ErrLoginRequired is a request, or a call of a [Session], that needs a login.
	ErrLoginRequired = errors.New("a login is required")
	// ErrForbidden is a session that does not satisfy a [Requirement].
	ErrForbidden = errors.New("the session does not satisfy what is required")
	// ErrNoTransaction is a callback that this browser has begun no login for: an old address, one of another browser, or a browser without cookies.
	ErrNoTransaction = errors.New("this browser has not begun this login, or keeps no cookies")
	// ErrTransactionExpired is a callback that came too late.
	ErrTransactionExpired = errors.New("the login took too long")
	// ErrLoop is a browser that has signed in and does not keep the session.
	ErrLoop = errors.New("the browser does not keep the session")
	// ErrReturnTo is an address to return to that is not the application's.
	ErrReturnTo = errors.New("the address to return to is not of this application")
	// ErrCrossSite is a request that changes something and comes from another site.
	ErrCrossSite = errors.New("the request comes from another site")
	// ErrRefused is a login that [Hooks].AfterCallback refused.
	ErrRefused = errors.New("the application refused the login")
	// ErrNotFound is a path that the handler does not have, and ErrMethod one that is not asked by this method.
	ErrNotFound = errors.New("there is nothing at this address")
	ErrMethod   = errors.New("this address is not used like this")
	// ErrMalformed is a request that cannot be read.
	ErrMalformed = errors.New("the request cannot be read")
	// ErrSealed is a call that a session in cookies cannot answer.
	ErrSealed = errors.New("sessions that are sealed in cookies have no refresh token")
)

// Kind names an error for programs: it is "kind" in a problem document.
type Kind string

// The kinds.
const (
	KindLoginRequired Kind = "login_required"
	KindInsufficient  Kind = "insufficient_user_authentication"
	KindForbidden     Kind = "forbidden"
	KindTransaction   Kind = "login_not_begun"
	KindExpired       Kind = "login_expired"
	KindCookies       Kind = "cookies_not_kept"
	KindRequest       Kind = "invalid_request"
	KindNotFound      Kind = "not_found"
	KindDenied        Kind = "access_denied"
	KindProvider      Kind = "provider_refused"
	KindCheck         Kind = "provider_answer_refused"
	KindUnavailable   Kind = "temporarily_unavailable"
	KindEnded         Kind = "session_ended"
	KindInternal      Kind = "internal_error"
)

// Error is what a request came to. The session is as it was before.
type Error struct {
	Kind Kind
	// Status is the HTTP status of the answer.
	Status int
	// CorrelationID is on the page and in the log.
	CorrelationID string
	// RetryAfter is when it may work again; 0 is not known.
	RetryAfter time.Duration
	// Err is the cause. It is logged, and not shown.
	Err error
}

// Error is for the log.
func (e *Error) Error() string { return fmt.Sprintf("rp: %s: %v", e.Kind, e.Err) }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// newError finds the kind and the status of a cause.
func newError(ctx context.Context, cause error) *Error {
	e := &Error{CorrelationID: correlation.ID(ctx), Err: cause}
	if e.CorrelationID == "" {
		e.CorrelationID = random.UUID()
	}
	e.Kind, e.Status = classify(cause)
	if refused, ok := errors.AsType[*client.ProviderError](cause); ok {
		e.RetryAfter = refused.RetryAfter
	}
	if e.Status == http.StatusServiceUnavailable && e.RetryAfter == 0 {
		e.RetryAfter = defaultRetryAfter
	}
	return e
}

const defaultRetryAfter = 5 * time.Second

// sentinels are the kinds of the errors without a type.
var sentinels = []struct {
	err    error
	kind   Kind
	status int
}{
	{ErrLoginRequired, KindLoginRequired, http.StatusUnauthorized},
	{ErrForbidden, KindForbidden, http.StatusForbidden},
	{ErrRefused, KindForbidden, http.StatusForbidden},
	{ErrNoTransaction, KindTransaction, http.StatusBadRequest},
	{ErrTransactionExpired, KindExpired, http.StatusBadRequest},
	{ErrLoop, KindCookies, http.StatusBadRequest},
	{ErrReturnTo, KindRequest, http.StatusBadRequest},
	{ErrMalformed, KindRequest, http.StatusBadRequest},
	{ErrCrossSite, KindForbidden, http.StatusForbidden},
	{ErrNotFound, KindNotFound, http.StatusNotFound},
	{ErrMethod, KindRequest, http.StatusMethodNotAllowed},
	{session.ErrEnded, KindEnded, http.StatusForbidden},
	{session.ErrExpired, KindEnded, http.StatusForbidden},
	{context.Canceled, KindUnavailable, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, KindUnavailable, http.StatusServiceUnavailable},
}

func classify(cause error) (Kind, int) {
	if _, ok := errors.AsType[*InsufficientError](cause); ok {
		return KindInsufficient, http.StatusForbidden
	}
	if refused, ok := errors.AsType[*client.AuthorizationError](cause); ok {
		return classifyAuthorization(refused.Code)
	}
	if refused, ok := errors.AsType[*client.CheckError](cause); ok {
		if refused.What == "authorization response" { // it may be anybody's
			return KindCheck, http.StatusBadRequest
		}
		return KindCheck, http.StatusBadGateway
	}
	if _, ok := errors.AsType[*client.UnavailableError](cause); ok {
		return KindUnavailable, http.StatusServiceUnavailable
	}
	if refused, ok := errors.AsType[*client.ProviderError](cause); ok {
		if refused.Status >= http.StatusInternalServerError || refused.Status == http.StatusTooManyRequests {
			return KindUnavailable, http.StatusServiceUnavailable
		}
		return KindProvider, http.StatusBadGateway
	}
	if _, ok := errors.AsType[*storeError](cause); ok && !errors.Is(cause, session.ErrConflict) {
		return KindUnavailable, http.StatusServiceUnavailable
	}
	for _, each := range sentinels {
		if errors.Is(cause, each.err) {
			return each.kind, each.status
		}
	}
	return KindInternal, http.StatusInternalServerError
}

// classifyAuthorization is the kind of an error with which the provider sent the browser back (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
func classifyAuthorization(code string) (Kind, int) {
	switch code {
	case "access_denied":
		return KindDenied, http.StatusForbidden
	case "server_error", "temporarily_unavailable":
		return KindUnavailable, http.StatusServiceUnavailable
	case "unmet_authentication_requirements":
		return KindInsufficient, http.StatusForbidden
	}
	return KindProvider, http.StatusBadGateway
}

// InsufficientError is a login that was not strong enough, too long ago, or allowed too little: the user can help it by another
// (RFC 9470). A [Requirement] returns it, and [ParseChallenge] makes it of what an API answered.
type InsufficientError struct {
	// Reason says what is missing.
	Reason string
	// ACRValues are authentication contexts of which one is needed.
	ACRValues []string
	// MaxAge is how long ago the user may have signed in; nil is any time.
	MaxAge *time.Duration
	// Scopes are needed.
	Scopes []string
}

// Error says what is missing.
func (e *InsufficientError) Error() string { return e.Reason }

// Options are what a login has to ask for.
func (e *InsufficientError) Options() []LoginOption {
	var options []LoginOption
	if len(e.ACRValues) > 0 {
		options = append(options, WithACR(e.ACRValues...))
	}
	if e.MaxAge != nil {
		options = append(options, WithMaxAge(*e.MaxAge))
	}
	if len(e.Scopes) > 0 {
		options = append(options, WithMoreScopes(e.Scopes...))
	}
	return options
}

// demand is the error as a string, by which a login that did not help is known.
func (e *InsufficientError) demand() string {
	var age string
	if e.MaxAge != nil {
		age = e.MaxAge.String()
	}
	return strings.Join(e.ACRValues, " ") + "|" + age + "|" + strings.Join(e.Scopes, " ")
}

// ParseChallenge finds in the header of an API's answer what it asks of the login: error="insufficient_user_authentication" with acr_values and max_age (RFC 9470
// §3), or error="insufficient_scope" with scope (RFC 6750 §3.1), of the schemes Bearer and DPoP. Whatever is malformed asks for nothing.
func ParseChallenge(header http.Header) (*InsufficientError, bool) {
	demand, ok := challenge.Parse(header)
	if !ok {
		return nil, false
	}
	return &InsufficientError{Reason: demand.Reason, ACRValues: demand.ACRValues, MaxAge: demand.MaxAge, Scopes: demand.Scopes}, true
}
