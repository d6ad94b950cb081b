package rs

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/internal/oauth"
	"countersign/internal/presented"
)

// Reason is what was wrong with a request, for programs.
type Reason string

// The reasons.
const (
	// NoCredentials: no access token came along.
	NoCredentials Reason = "no credentials"
	// BadRequest: it cannot be judged, as when there are two tokens.
	BadRequest Reason = "bad request"
	// BadForm: the token is not of the form that it has to have.
	BadForm Reason = "form"
	// BadAlgorithm, BadType, BadIssuer, BadAudience and BadClaims: alg, typ, iss, aud, or a claim that is missing.
	BadAlgorithm Reason = "alg"
	BadType      Reason = "typ"
	BadIssuer    Reason = "iss"
	BadAudience  Reason = "aud"
	BadClaims    Reason = "claims"
	// BadSignature: no key of the issuer made it.
	BadSignature Reason = "signature"
	// Expired and NotYetValid: exp is over; nbf or iat is ahead.
	Expired     Reason = "exp"
	NotYetValid Reason = "nbf"
	// Inactive: the issuer says so (RFC 7662 §2.2).
	Inactive Reason = "inactive"
	// NotBound: a bearer token, where tokens have to be bound.
	NotBound Reason = "not bound"
	// WrongSender: the key or the certificate is not the one that the token is bound to.
	WrongSender Reason = "sender"
	// BadProof, BadNonce and Replayed: the DPoP proof (RFC 9449 §4.3, §9, §11.1).
	BadProof Reason = "proof"
	BadNonce Reason = "nonce"
	Replayed Reason = "replayed"
	// ForgedCertificate: a certificate header that is not of the ingress, or that cannot be read.
	ForgedCertificate Reason = "certificate"
	// MissingScope, MissingDetails and StepUp: the token is valid, and not enough.
	MissingScope   Reason = "scope"
	MissingDetails Reason = "authorization_details"
	StepUp         Reason = "authentication"
	// NotAllowed: a check of the API's own said no.
	NotAllowed Reason = "not allowed"
	// BadMessage: the HTTP message signature (RFC 9421).
	BadMessage Reason = "message signature"
	// BadInteractionID: x-fapi-interaction-id is missing or no UUID.
	BadInteractionID Reason = "x-fapi-interaction-id"
	// Unavailable: keys, introspection or the memory of proofs cannot be reached. The token may be good.
	Unavailable Reason = "unavailable"
)

// Error is a request that is refused. Its description is for the sender and holds no secret; what it wraps is for the operator.
type Error struct {
	// Status is the status of the answer: 400, 401, 403 or 503.
	Status int
	// Code is the error code (RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3); empty for a request without credentials.
	Code string
	// Description says what is wrong and what would be right.
	Description string
	Reason      Reason
	// Scopes are those that would have been enough (RFC 6750 §3).
	Scopes []string
	// ACRValues and MaxAge are the authentication that is needed (RFC 9470 §3); MaxAge is nil for any age.
	ACRValues []string
	MaxAge    *time.Duration
	// RetryAfter is when to try again, with 503.
	RetryAfter time.Duration
	// Challenges are the fields WWW-Authenticate of the answer.
	Challenges []string

	// scheme is how the token came, "" where there was none.
	scheme string
	cause  error
}

// Error is the text for the log.
func (e *Error) Error() string {
	text := "rs: " + string(e.Reason) + ": " + e.Description
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap is the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Refuse is the error with which a check of the API's own says no: 403 with insufficient_scope, and the description for the sender.
// Any other error of a check is answered with 503.
func Refuse(description string) error {
	return &Error{Status: http.StatusForbidden, Code: oauth.InsufficientScope, Reason: NotAllowed, Description: description}
}

func invalidToken(reason Reason, description string, cause error) *Error {
	return &Error{Status: http.StatusUnauthorized, Code: oauth.InvalidToken, Reason: reason, Description: description, cause: cause}
}

func badRequest(reason Reason, description string, cause error) *Error {
	return &Error{Status: http.StatusBadRequest, Code: oauth.InvalidRequest, Reason: reason, Description: description, cause: cause}
}

// unavailable is an error that is not the sender's.
func unavailable(description string, cause error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Code: oauth.TemporarilyUnavailable, Reason: Unavailable, Description: description,
		RetryAfter: 2 * time.Second, cause: cause,
	}
}

// asError makes an [*Error] of any.
func asError(err error) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		copied := *known
		return &copied
	}
	if wrong, ok := errors.AsType[*presented.Error](err); ok {
		return ofPresented(wrong)
	}
	return unavailable("the request could not be judged at the moment; try again shortly", err)
}

// ofPresented translates how a token was presented wrongly.
func ofPresented(wrong *presented.Error) *Error {
	switch wrong.Reason {
	case presented.Missing:
		return &Error{Status: http.StatusUnauthorized, Reason: NoCredentials, Description: wrong.Error()}
	case presented.Malformed:
		return badRequest(BadRequest, wrong.Error(), nil)
	case presented.UnknownScheme:
		return invalidToken(BadRequest, wrong.Error(), nil)
	case presented.Unbound, presented.WantsDPoP:
		return invalidToken(NotBound, wrong.Error(), nil)
	}
	return invalidToken(WrongSender, wrong.Error(), wrong.Unwrap())
}

// challenge fills in the fields WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1).
func (g *Guard) challenge(e *Error) {
	if e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden && e.Code != oauth.InvalidRequest {
		return
	}
	var parameters []string
	add := func(name, value string) { parameters = append(parameters, name+`="`+oauth.Printable(value)+`"`) }
	if e.Code != "" {
		add("error", e.Code)
		add("error_description", e.Description)
	}
	if len(e.Scopes) > 0 {
		add("scope", strings.Join(e.Scopes, " "))
	}
	if len(e.ACRValues) > 0 {
		add("acr_values", strings.Join(e.ACRValues, " "))
	}
	if e.MaxAge != nil {
		add("max_age", strconv.FormatInt(int64(*e.MaxAge/time.Second), 10))
	}
	if address := g.announced.Load(); address != nil {
		add("resource_metadata", *address)
	}
	for _, scheme := range []string{presented.DPoP, presented.Bearer} {
		if e.scheme != "" && e.scheme != scheme || e.scheme == "" && !slices.Contains(g.schemes(), scheme) {
			continue
		}
		all := parameters
		if scheme == presented.DPoP {
			all = append([]string{`algs="` + strings.Join(g.proofs.Algorithms, " ") + `"`}, parameters...)
		}
		e.Challenges = append(e.Challenges, strings.TrimSpace(scheme+" "+strings.Join(all, ", ")))
	}
}

// schemes are those that a token may come with.
func (g *Guard) schemes() []string {
	if g.takesCertificates || g.config.Weak.Bearer {
		return []string{presented.DPoP, presented.Bearer}
	}
	return []string{presented.DPoP}
}

// refuse answers with an error.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := asError(err)
	if e.Challenges == nil {
		g.challenge(e)
	}
	if g.config.OnRefused != nil {
		g.config.OnRefused(r, e)
	}
	for _, each := range e.Challenges {
		w.Header().Add("WWW-Authenticate", each)
	}
	w.Header().Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		oauth.SetRetryAfter(w.Header(), e.RetryAfter)
	}
	if g.config.Answer != nil {
		g.config.Answer(w, r, e)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(struct { // response already started; error ignored
		Code          string `json:"error"`
		Description   string `json:"error_description"`
		InteractionID string `json:"interaction_id,omitempty"`
	}{cmp.Or(e.Code, oauth.InvalidToken), oauth.Printable(e.Description), w.Header().Get(interactionHeader)})
}
