// Package oauth holds what every endpoint shares of the OAuth 2.0 wire format: errors with their one rendering,
// and request parameters without duplicates.
package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Error codes, each with the document that defines it.
const (
	InvalidRequest              = "invalid_request"                   // RFC 6749 §4.1.2.1, §5.2
	InvalidClient               = "invalid_client"                    // RFC 6749 §5.2
	InvalidGrant                = "invalid_grant"                     // RFC 6749 §5.2
	UnauthorizedClient          = "unauthorized_client"               // RFC 6749 §4.1.2.1, §5.2
	UnsupportedGrantType        = "unsupported_grant_type"            // RFC 6749 §5.2
	UnsupportedResponseType     = "unsupported_response_type"         // RFC 6749 §4.1.2.1
	InvalidScope                = "invalid_scope"                     // RFC 6749 §4.1.2.1, §5.2
	AccessDenied                = "access_denied"                     // RFC 6749 §4.1.2.1
	ServerError                 = "server_error"                      // RFC 6749 §4.1.2.1
	TemporarilyUnavailable      = "temporarily_unavailable"           // RFC 6749 §4.1.2.1
	InvalidToken                = "invalid_token"                     // RFC 6750 §3.1
	InsufficientScope           = "insufficient_scope"                // RFC 6750 §3.1
	InsufficientAuthentication  = "insufficient_user_authentication"  // RFC 9470 §3
	InvalidRequestObject        = "invalid_request_object"            // RFC 9101 §7
	InvalidRequestURI           = "invalid_request_uri"               // RFC 9101 §7
	RequestNotSupported         = "request_not_supported"             // OpenID Connect Core §3.1.2.6
	LoginRequired               = "login_required"                    // OpenID Connect Core §3.1.2.6
	ConsentRequired             = "consent_required"                  // OpenID Connect Core §3.1.2.6
	InteractionRequired         = "interaction_required"              // OpenID Connect Core §3.1.2.6
	UnmetAuthentication         = "unmet_authentication_requirements" // OpenID Connect Core Unmet Authentication Requirements §2
	InvalidTarget               = "invalid_target"                    // RFC 8707 §2
	InvalidGrantID              = "invalid_grant_id"                  // Grant Management for OAuth 2.0 §5.4
	InvalidAuthorizationDetails = "invalid_authorization_details"     // RFC 9396 §5
	InvalidDPoPProof            = "invalid_dpop_proof"                // RFC 9449 §5
	UseDPoPNonce                = "use_dpop_nonce"                    // RFC 9449 §8
	UnsupportedTokenType        = "unsupported_token_type"            // RFC 7009 §2.2.1
	InvalidRedirectURI          = "invalid_redirect_uri"              // RFC 7591 §3.2.2
	InvalidClientMetadata       = "invalid_client_metadata"           // RFC 7591 §3.2.2
	InvalidSoftwareStatement    = "invalid_software_statement"        // RFC 7591 §3.2.2
	UnapprovedSoftwareStatement = "unapproved_software_statement"     // RFC 7591 §3.2.2
	AuthorizationPending        = "authorization_pending"             // CIBA Core §11
	SlowDown                    = "slow_down"                         // CIBA Core §11
	ExpiredToken                = "expired_token"                     // CIBA Core §11
	ExpiredLoginHintToken       = "expired_login_hint_token"          // CIBA Core §13
	InvalidUserCode             = "invalid_user_code"                 // CIBA Core §13
	MissingUserCode             = "missing_user_code"                 // CIBA Core §13
	InvalidBindingMessage       = "invalid_binding_message"           // CIBA Core §13
)

// Error is a refusal that a client may read. Handlers return it; only [Write], the redirect to a client, and the
// error page render it.
type Error struct {
	// Code is one of the constants of this package.
	Code string
	// Description is for the client's developer: what is wrong and what would be right.
	Description string
	// Status is the HTTP status of a back-channel answer; 0 means 400 (401 for invalid_client).
	Status int
	// Challenge is the WWW-Authenticate header of a 401 answer, or empty.
	Challenge string
	// RetryAfter is sent with a 503 or 429 answer.
	RetryAfter time.Duration

	cause error
}

// Errorf makes an Error with a formatted description.
func Errorf(code, format string, arguments ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, arguments...)}
}

// Because returns a copy of e that wraps cause, which is logged and never sent.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.cause = cause
	return &with
}

// WithStatus returns a copy of e that is answered with an HTTP status.
func (e *Error) WithStatus(status int) *Error {
	with := *e
	with.Status = status
	return &with
}

// Error implements error; the text is for the log.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.Code + ": " + e.Description + ": " + e.cause.Error()
	}
	return e.Code + ": " + e.Description
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// HTTPStatus is the status that [Write] answers with.
func (e *Error) HTTPStatus() int {
	switch {
	case e.Status != 0:
		return e.Status
	case e.Code == InvalidClient:
		return http.StatusUnauthorized
	case e.Code == ServerError:
		return http.StatusInternalServerError
	case e.Code == TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// AsError finds the Error in err's chain. Anything else becomes server_error, with err as the hidden cause.
func AsError(err error) *Error {
	if found, ok := errors.AsType[*Error](err); ok {
		return found
	}
	return Errorf(ServerError, "the server could not answer; try again, and if it stays so give the operator the correlation id").Because(err)
}

// Write renders err as the JSON of RFC 6749 §5.2, with the correlation id that finds the request in the log.
func Write(w http.ResponseWriter, err error, correlationID string) {
	write(w, AsError(err), AsError(err).Description, correlationID)
}

// WriteBare is Write for an endpoint whose errors have no further members (CIBA Core §13): the correlation id is at the
// end of the description.
func WriteBare(w http.ResponseWriter, err error, correlationID string) {
	e := AsError(err)
	write(w, e, strings.TrimSpace(e.Description+" (correlation id "+correlationID+")"), "")
}

// SetRetryAfter says in a header when to try again, in whole seconds (RFC 9110 §10.2.3).
func SetRetryAfter(header http.Header, wait time.Duration) {
	header.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
}

func write(w http.ResponseWriter, e *Error, description, correlationID string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json")
	if e.Challenge != "" {
		header.Set("WWW-Authenticate", e.Challenge)
	}
	if e.RetryAfter > 0 {
		SetRetryAfter(header, e.RetryAfter)
	}
	w.WriteHeader(e.HTTPStatus())
	// Response already started; error ignored.
	_ = json.NewEncoder(w).Encode(struct {
		Code          string `json:"error"`
		Description   string `json:"error_description,omitempty"`
		CorrelationID string `json:"correlation_id,omitempty"`
	}{e.Code, Printable(description), correlationID})
}

// Printable replaces what RFC 6749 §5.2 does not allow in error_description (anything outside %x20-21, %x23-5B,
// %x5D-7E).
func Printable(description string) string {
	description = strings.ReplaceAll(description, "§", "section ")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, description)
}
