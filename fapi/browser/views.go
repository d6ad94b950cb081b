package browser

import (
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"net/http"
	"time"
)

// ErrorPage shows an error to a user, because it must not or cannot be sent to the client.
type ErrorPage interface {
	Fail(w http.ResponseWriter, r *http.Request, failure Failure)
}

// Failure is an error for a user to read.
type Failure struct {
	// Status is the HTTP status to answer with.
	Status int
	// Code is the OAuth error code, such as "invalid_request".
	Code string
	// Description says what is wrong and what would be right; it holds no secret.
	Description string
	// CorrelationID finds the request in the server's log.
	CorrelationID string
}

// ShowError shows an error to the user.
func ShowError(page ErrorPage, w http.ResponseWriter, r *http.Request, err error) {
	e := event.Of(r.Context())
	err = endpoint.Translate(err)
	e.Failed(err)
	refusal := oauth.AsError(err)
	page.Fail(w, r, Failure{
		Status: refusal.HTTPStatus(), Code: refusal.Code, Description: refusal.Description, CorrelationID: e.CorrelationID,
	})
}

// Client is what a user may be shown about a client: registered metadata only.
type Client struct {
	ID   string
	Name string
	// The addresses are https or empty.
	URI, LogoURI, PolicyURI, TermsURI string
	// RedirectHost is the host that the browser will be sent to, or empty.
	RedirectHost string
}

// SignedIn is a user whose sign-in is alive.
type SignedIn struct {
	Subject  string
	Username string
	AuthTime time.Time
}

// Authentication is what was proven about a user.
type Authentication struct {
	// Subject is the user's stable identifier.
	Subject string
	// ACR is the authentication context class reached, or empty.
	ACR string
	// AMR lists the methods used (RFC 8176), such as "pwd".
	AMR []string
}

// ProblemCode says why a form was not accepted, for the pages to put into words.
type ProblemCode string

// The codes.
const (
	// NoUsername and NoPassword: a field is empty. NeitherGiven: both are.
	NoUsername   ProblemCode = "no user name"
	NoPassword   ProblemCode = "no password"
	NeitherGiven ProblemCode = "neither user name nor password"
	// WrongPassword: the user name and the password do not belong together.
	WrongPassword ProblemCode = "wrong password"
	// TooManyAttempts: the password was not looked at; see [Problem].Wait.
	TooManyAttempts ProblemCode = "too many attempts"
	// PasskeyRefused: the passkey was not accepted to sign in.
	PasskeyRefused ProblemCode = "passkey refused"
	// SignInEnded: the sign-in ended before the decision.
	SignInEnded ProblemCode = "sign-in ended"
	// AnotherUser: another user has signed in since the page was shown.
	AnotherUser ProblemCode = "another user"
	// NotDecidedPassword and NotDecidedPasskey: nothing was decided, because the proof for it was not accepted.
	NotDecidedPassword ProblemCode = "not decided: wrong password"
	NotDecidedPasskey  ProblemCode = "not decided: passkey refused"
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
	// Wait is how long to wait before another attempt, with TooManyAttempts.
	Wait time.Duration
	// TriesLeft is how many sign-ins the interaction still takes, where it counts them; 0 says nothing.
	TriesLeft int
}
