package browser

import (
	"errors"
	"net/http"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
	"countersign/store"
)

// ErrorPage shows an error to the user when it must not or cannot be sent to the client.
type ErrorPage interface {
	Fail(w http.ResponseWriter, r *http.Request, failure Failure)
}

// StrayPages are for a browser at an address of the server that has no page.
type StrayPages interface {
	// Welcome shows what the server is, at the issuer's own address.
	Welcome(w http.ResponseWriter, r *http.Request)
	// Stray shows that there is no page, at any other.
	Stray(w http.ResponseWriter, r *http.Request, failure Failure)
}

// ShowStray shows one of these pages.
func ShowStray(pages StrayPages, w http.ResponseWriter, r *http.Request, root bool, err error) {
	if root {
		pages.Welcome(w, r)
		return
	}
	pages.Stray(w, r, failureOf(w, r, err))
}

// Failure is an error for the error page.
type Failure struct {
	// Status is the HTTP status to answer with.
	Status int
	// Code is the OAuth error code, such as "invalid_request".
	Code string
	// Description is the problem and its remedy; it holds no secret.
	Description string
	// CorrelationID finds the request in the server's log.
	CorrelationID string
	// Reason is what the user can be told, or empty.
	Reason FailureReason
}

// FailureReason is why a request failed, as far as that is for the user to know.
type FailureReason string

// The reasons.
const (
	// Expired: the page or the request is too old, or unknown by now.
	Expired FailureReason = "expired"
	// Answered: the user has decided before.
	Answered FailureReason = "answered"
	// NoCookies: the browser is another one, or has cookies off.
	NoCookies FailureReason = "no cookies"
	// NotSignedOut: a client that wants the user signed out asked for it wrongly.
	NotSignedOut FailureReason = "not signed out"
)

// ErrNotSignedOut is the cause of an error that is told as [NotSignedOut].
var ErrNotSignedOut = errors.New("fapi: nobody was signed out")

// reasonOf finds the reason in the causes of an error.
func reasonOf(err error) FailureReason {
	switch {
	case errors.Is(err, ErrNotSignedOut):
		return NotSignedOut
	case errors.Is(err, http.ErrNoCookie):
		return NoCookies
	case errors.Is(err, store.ErrExpired):
		return Expired
	case errors.Is(err, store.ErrConsumed):
		return Answered
	}
	return ""
}

// ShowError shows an error to the user.
func ShowError(page ErrorPage, w http.ResponseWriter, r *http.Request, err error) {
	page.Fail(w, r, failureOf(w, r, err))
}

// failureOf notes the error of a request, and says it for a page; when to try again is in a header.
func failureOf(w http.ResponseWriter, r *http.Request, err error) Failure {
	e := event.Of(r.Context())
	err = endpoint.Translate(err)
	e.Failed(err)
	refusal := oauth.AsError(err)
	if refusal.RetryAfter > 0 {
		oauth.SetRetryAfter(w.Header(), refusal.RetryAfter)
	}
	return Failure{
		Status: refusal.HTTPStatus(), Code: refusal.Code, Description: refusal.Description, CorrelationID: e.CorrelationID,
		Reason: reasonOf(err),
	}
}

// Client is what pages may show of a client: registered metadata only.
type Client struct {
	ID   string
	Name string
	// The addresses are https or empty.
	URI, LogoURI, PolicyURI, TermsURI string
	// RedirectHost is the host of the redirect URI, or empty.
	RedirectHost string
	// ByLanguage has the texts and addresses that were registered by language (RFC 7591 §2.2): by member, such as
	// "client_name", and then by language tag.
	ByLanguage map[string]map[string]string `json:",omitempty"`
}

// Asker is the client as sentences name it.
func (c Client) Asker() display.Asker {
	return display.Asker{Name: c.Name, Names: c.ByLanguage["client_name"]}
}

// SignedIn is a user with a valid session.
type SignedIn struct {
	Subject  string
	Username string
	AuthTime time.Time
}

// Authentication is the result of authenticating a user.
type Authentication struct {
	// Subject is the user's stable identifier.
	Subject string
	// ACR is the authentication context class reached, or empty.
	ACR string
	// AMR lists the methods used (RFC 8176), such as "pwd".
	AMR []string
	// At is when the user authenticated; zero is now.
	At time.Time
	// PasskeyChanged reports that the passkey's backup flag is not what it was: the user is told.
	PasskeyChanged bool
	// Known is what the browser keeps, so that the directory of passwords knows it again; see [Proven]. Empty for nothing.
	Known string
	// Epoch is that of [Proven], or 0.
	Epoch int64
	// Upstream names the session at an upstream provider by which the user signed in; zero for none.
	Upstream store.Digest
}

// ProblemCode is why a form was refused; pages put it into words.
type ProblemCode string

// The codes.
const (
	// NoUsername and NoPassword: a field is empty. NeitherGiven: both are.
	NoUsername   ProblemCode = "no user name"
	NoPassword   ProblemCode = "no password"
	NeitherGiven ProblemCode = "neither user name nor password"
	// WrongPassword: the user name or the password is wrong.
	WrongPassword ProblemCode = "wrong password"
	// TooManyAttempts: the password was not checked; see [Problem].Wait.
	TooManyAttempts ProblemCode = "too many attempts"
	// Locked: it was not checked, and time alone does not help.
	Locked ProblemCode = "locked"
	// PasskeyRefused: the passkey was not accepted to sign in.
	PasskeyRefused ProblemCode = "passkey refused"
	// SignInEnded: the sign-in ended before the decision.
	SignInEnded ProblemCode = "sign-in ended"
	// AnotherUser: another user has signed in since the page was shown.
	AnotherUser ProblemCode = "another user"
	// RequestChanged: the client or what it requests is not what the page showed.
	RequestChanged ProblemCode = "request changed"
	// NothingChosen: the form leaves open what the user has to choose, such as accounts.
	NothingChosen ProblemCode = "nothing chosen"
	// AccountsAway: where the user's accounts are does not answer, so that none can be chosen; NothingOffered: there are none.
	AccountsAway   ProblemCode = "accounts away"
	NothingOffered ProblemCode = "nothing offered"
	// NotDecidedPassword and NotDecidedPasskey: nothing was decided, because the proof for it was not accepted.
	NotDecidedPassword ProblemCode = "not decided: wrong password"
	NotDecidedPasskey  ProblemCode = "not decided: passkey refused"
	// NotRemoved: the last passkey was not removed, because the proof for it was not accepted.
	NotRemoved ProblemCode = "not removed: passkey refused"
	// SignInAgain: the sign-in is too old or too weak to change what the user confirms with.
	SignInAgain ProblemCode = "sign in again"
	// InvalidName: the name of a passkey or device cannot be used.
	InvalidName ProblemCode = "invalid name"
	// TooManyPasskeys and TooManyDevices: no more can be added.
	TooManyPasskeys ProblemCode = "too many passkeys"
	TooManyDevices  ProblemCode = "too many devices"
	// NewPasskeyRefused: the passkey was not accepted to be added.
	NewPasskeyRefused ProblemCode = "new passkey refused"
)

// Problem is why a form is shown again; the zero value is none.
type Problem struct {
	Code ProblemCode
	// Wait is how long to wait before another attempt, with TooManyAttempts and Locked.
	Wait time.Duration
	// TriesLeft is the number of sign-ins left in the interaction, where it counts them; 0 is unknown.
	TriesLeft int
	// Subject and Reason are for the audit log, and never shown: whose sign-in was refused, where that is known, and why, where
	// Code says less.
	Subject, Reason string
}
