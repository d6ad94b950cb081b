package authorize

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/rar"
	"countersign/fapi/scope"
)

// MaxSignInFailures is how many refused sign-ins one interaction takes before it has to be denied.
const MaxSignInFailures = 5

// Interactor has a user sign in and decide. It authenticates the user; everything else about an interaction (its
// handle, its browser, its time, its one answer) is the server's. [Forms] is the built-in one.
type Interactor interface {
	// Interact answers GET and POST of an interaction's address. The server has already checked the handle, the
	// browser's cookie and the time, and on POST the content type, the origin and the form token. It ends with exactly
	// one of: writing a page, [Actions].SignIn, SignInWithPasskey without an error, Allow, Deny.
	Interact(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions)
	browser.ErrorPage
}

// Interaction is what a browser's interaction is about, and what the browser sent.
type Interaction struct {
	Client browser.Client
	// Scopes are those requested and known, in the order requested.
	Scopes []scope.Scope
	// Claims are the names of claims about the user that are requested beside those of the scopes.
	Claims []string
	// Details are the authorization_details requested (RFC 9396), as they will be granted.
	Details []rar.View
	// Resources are the resource servers that access tokens will be for, when the client names them (RFC 8707).
	Resources []string
	// ACRs are the authentication context classes requested, best first.
	ACRs []string
	// Form is the body of a POST, without duplicates; nil on GET.
	Form url.Values
	// FormToken has to be sent back by each form as the hidden input "form_token".
	FormToken string
	// LoginHint is the client's guess at the user name (OpenID Connect Core §3.1.2.1); untrusted. [Forms] puts the name
	// that the user typed in its place.
	LoginHint string
	// SignedIn is nil while the user still has to sign in.
	SignedIn *browser.SignedIn
	// SignInFailures counts the refused sign-ins of this interaction.
	SignInFailures int
	// GrantLifetime is how long the client keeps the access that is requested.
	GrantLifetime time.Duration
	// Passkey is what a script passes to navigator.credentials.get to sign in with a passkey, as JSON (WebAuthn Level 3
	// §5.1.9), or empty when this server has no passkeys. What comes back is sent as the form's "passkey"; see
	// [Actions].SignInWithPasskey.
	Passkey string
	// PasskeyOnly is true when the request can be satisfied by a passkey and by nothing else.
	PasskeyOnly bool
	// Problem is why [Forms] shows a page again.
	Problem browser.Problem
}

// Actions are what an [Interactor] can do with an interaction. All but SignInFailed answer the HTTP request.
type Actions interface {
	// SignIn binds the interaction to a user, gives the browser a new session, and sends it back to the interaction's
	// address (303), where [Interaction].SignedIn is then set.
	SignIn(w http.ResponseWriter, r *http.Request, a browser.Authentication)
	// SignInWithPasskey is SignIn by the passkey in the form's parameter "passkey". When it is not accepted it writes
	// nothing, and the error wraps [browser.ErrPasskeyRefused]; any other error is the server's own.
	SignInWithPasskey(w http.ResponseWriter, r *http.Request) error
	// SignInFailed counts a refused sign-in and returns the new count. At [MaxSignInFailures] the interaction has to be
	// ended with Deny.
	SignInFailed(ctx context.Context) (failures int, err error)
	// Allow grants what was requested and sends the browser to the client with a code (303).
	Allow(w http.ResponseWriter, r *http.Request)
	// Deny refuses and sends the browser to the client with access_denied (303).
	Deny(w http.ResponseWriter, r *http.Request)
}
