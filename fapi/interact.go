package fapi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// MaxSignInFailures is how many wrong passwords one interaction takes before it has to be denied.
const MaxSignInFailures = 5

// Interactor shows the pages in which a person signs in and decides. It proves who the person is; everything
// else about an interaction (its handle, its browser, its time, its one answer) is the server's.
type Interactor interface {
	// Interact answers GET and POST of an interaction's address. The server has already checked the handle,
	// the browser's cookie and the time, and on POST the content type, the origin and the form token.
	// It ends with exactly one of: writing a page, [Turn.SignIn], [Turn.Allow], [Turn.Deny].
	Interact(w http.ResponseWriter, r *http.Request, turn *Turn)
	// Fail shows an error to the person, because it must not or cannot be sent to the client.
	Fail(w http.ResponseWriter, r *http.Request, failure Failure)
}

// Failure is an error for a person to read.
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

// ClientView is what a person may be shown about a client: registered metadata only.
type ClientView struct {
	ID   string
	Name string
	// The addresses are https or empty.
	URI, LogoURI, PolicyURI, TermsURI string
	// RedirectHost is the host that the browser will be sent to.
	RedirectHost string
}

// Scope is one scope value with the sentence that explains it.
type Scope struct {
	Name        string
	Description string
	// AlwaysAsk has the person decide each time, whatever was allowed before.
	AlwaysAsk bool
}

// SignedIn is a person whose sign-in satisfies the request.
type SignedIn struct {
	Subject  string
	Username string
	AuthTime time.Time
}

// Authentication is what an [Interactor] proved about a person.
type Authentication struct {
	// Subject is the person's stable identifier.
	Subject string
	// ACR is the authentication context class reached, or empty.
	ACR string
	// AMR lists the methods used (RFC 8176), such as "pwd".
	AMR []string
}

// Turn is one visit of a browser to its interaction.
type Turn struct {
	Client ClientView
	// Scopes are those requested and known, in the order requested.
	Scopes []Scope
	// Claims are the names of single claims about the person that are asked for beside those of the scopes.
	Claims []string
	// Details are the authorization_details asked for (RFC 9396), as they will be granted.
	Details []DetailView
	// Resources are the resource servers that access tokens will be for, when the client names them (RFC 8707).
	Resources []string
	// ACRs are the authentication context classes wished for, best first.
	ACRs []string
	// Form is the body of a POST, without duplicates; nil on GET.
	Form url.Values
	// FormToken has to be sent back by each form as the hidden input "form_token".
	FormToken string
	// LoginHint is the client's guess at the user name (OpenID Connect Core §3.1.2.1); untrusted.
	LoginHint string
	// SignedIn is nil while the person still has to sign in.
	SignedIn *SignedIn
	// SignInFailures counts the wrong passwords of this interaction.
	SignInFailures int
	// GrantLifetime is how long the client keeps the access that is asked for.
	GrantLifetime time.Duration
	// Passkey is what a script gives to navigator.credentials.get to sign in with a passkey, as JSON (WebAuthn Level 3
	// §5.1.9), or empty when this server has no passkeys. What comes back belongs into the form's "passkey"; see
	// [Turn.SignInWithPasskey].
	Passkey string
	// PasskeyOnly tells that the request can be met by a passkey and by nothing else.
	PasskeyOnly bool

	server *Server
	open   openInteraction
	// browser is the secret of the browser.
	browser string
}

// SignIn binds the interaction to a person, gives the browser a new session, and sends it back to the
// interaction's address (303), where [Turn.SignedIn] is then set.
func (t *Turn) SignIn(w http.ResponseWriter, r *http.Request, a Authentication) {
	t.server.signIn(w, r, t, a)
}

// SignInFailed counts a wrong password and returns the new count. At [MaxSignInFailures] the interaction has to
// be ended with [Turn.Deny].
func (t *Turn) SignInFailed(ctx context.Context) (int, error) {
	return t.server.store.SignInFailed(ctx, t.open.pending.Interaction.ID)
}

// Allow grants what was asked for and sends the browser to the client with a code (303).
func (t *Turn) Allow(w http.ResponseWriter, r *http.Request) { t.server.decide(w, r, t, true) }

// Deny refuses and sends the browser to the client with access_denied (303).
func (t *Turn) Deny(w http.ResponseWriter, r *http.Request) { t.server.decide(w, r, t, false) }
