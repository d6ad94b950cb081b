package authorize

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/managed"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
)

// MaxSignInFailures is the number of failed sign-ins after which an interaction has to be denied.
const MaxSignInFailures = 5

// Interactor lets a user sign in and decide. It authenticates the user; the server enforces everything else about an
// interaction: its handle, its browser, its lifetime and its single answer. [Forms] is the built-in one.
type Interactor interface {
	// Interact answers GET and POST of an interaction's address. The server has already checked the handle, the
	// browser's cookie and the time, and on POST the content type, the origin and the form token. It ends with exactly
	// one of: writing a page, [Actions].SignIn, SignInWithPasskey without an error, Allow, Deny.
	Interact(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions)
	browser.ErrorPage
}

// Interaction is the request that a browser's interaction is about, and the form that the browser sent.
type Interaction struct {
	// ID names the interaction, the same on all nodes. It is no secret, and opens nothing.
	ID     string
	Client browser.Client
	// Scopes are those requested and known, in the order requested.
	Scopes []scope.Scope
	// Claims are the names of claims about the user that are requested beside those of the scopes.
	Claims []string
	// Details are the authorization_details requested (RFC 9396), as they will be granted.
	Details []display.View
	// Change is what the request does to a grant that the user has allowed before; nil where it changes none.
	Change *managed.Change
	// Language is that of Details, and of the page (BCP 47).
	Language string
	// Resources are the resource servers that access tokens will be for, when the client names them (RFC 8707).
	Resources []string
	// ResourceNames are what people call them.
	ResourceNames []string
	// ACRs are the authentication context classes requested, best first.
	ACRs []string
	// Form is the body of a POST, without duplicates; nil on GET. What the user chooses of Details is sent in the inputs that
	// [display.Offer.Input] names.
	Form url.Values
	// FormToken is the CSRF token; each form sends it back as the hidden input "form_token". It also names the content of
	// the page and when it was shown.
	FormToken string
	// Changed reports that Form was on a page that showed another content: the client, a scope or a type has changed since.
	// Allow then grants nothing and redirects to the interaction, and pages show the request again.
	Changed bool
	// Unchosen reports that Form leaves open what the user has to choose of Details, or that there is no Form yet. Allow then grants nothing and redirects to the
	// interaction too.
	Unchosen bool
	// LoginHint is the login_hint of the request (OpenID Connect Core §3.1.2.1); untrusted. [Forms] replaces it by the
	// user name that was typed.
	LoginHint string
	// Purpose is why the client asks, in its own words, checked to be plain text; or empty. Pages show it, set off from their own.
	Purpose string
	// UILocales are the languages that the client asks pages to be in (ui_locales, OpenID Connect Core §3.1.2.1), best first and
	// separated by spaces; or empty.
	UILocales string
	// SignedIn is nil until the user has signed in.
	SignedIn *browser.SignedIn
	// SignInFailures counts the failed sign-ins of this interaction.
	SignInFailures int
	// GrantLifetime is the lifetime of the grant that is requested.
	GrantLifetime time.Duration
	// GrantUntil is when it ends at the latest by its details, or zero.
	GrantUntil time.Time
	// Passkey holds the options of navigator.credentials.get to sign in with a passkey, as JSON (WebAuthn Level 3 §5.1.9);
	// empty when passkeys are off. The result is sent as the form's "passkey"; see [Actions].SignInWithPasskey.
	Passkey string
	// PasskeyOnly reports whether only a passkey satisfies the request.
	PasskeyOnly bool
	// Unoffered is why nothing can be offered of what the user has to choose; its Code is empty when all is offered. The page then
	// allows nothing; see [Actions].Leave.
	Unoffered browser.Problem
	// Untold reports that the login of the operator's own has to be asked what it offers first.
	Untold bool
	// Problem is why [Forms] shows a page again.
	Problem browser.Problem
}

// Actions are what an [Interactor] can do with an interaction. All but SignInFailed, SignInThrottled and ConsentShown answer the HTTP
// request.
type Actions interface {
	// SignIn binds the interaction to a user, starts a new session in the browser, and redirects to the interaction's URL
	// (303), where [Interaction].SignedIn is then set.
	SignIn(w http.ResponseWriter, r *http.Request, a browser.Authentication)
	// SignInWithPasskey is SignIn by the passkey in the form's parameter "passkey". When it is refused, nothing is written
	// and the error wraps [browser.ErrPasskeyRefused]; any other error is internal.
	SignInWithPasskey(w http.ResponseWriter, r *http.Request) error
	// SignInFailed counts a failed sign-in, records whose it was and why, and returns the new count. At [MaxSignInFailures] the
	// interaction has to be ended with Deny.
	SignInFailed(ctx context.Context, problem browser.Problem) (failures int, err error)
	// SignInThrottled records that a sign-in was not looked at because there were too many.
	SignInThrottled(ctx context.Context, problem browser.Problem)
	// ConsentShown records that the signed-in user is about to be shown the request, before it is: once for what is shown.
	ConsentShown(ctx context.Context) error
	// Allow grants the request, with what Form chose of its details, and redirects the browser to the client with a code (303).
	Allow(w http.ResponseWriter, r *http.Request)
	// Deny redirects the browser to the client with access_denied (303).
	Deny(w http.ResponseWriter, r *http.Request)
	// Leave redirects the browser to the client with the error of an interaction that is Unoffered (303), and to the interaction once
	// that has passed.
	Leave(w http.ResponseWriter, r *http.Request)
	// HandOff redirects the browser to the login of the operator's own (303), which answers in place of a form.
	HandOff(w http.ResponseWriter, r *http.Request)
}
