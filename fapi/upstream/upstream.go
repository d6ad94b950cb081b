// Package upstream signs users in by an OpenID Provider elsewhere, such as Entra ID, Keycloak or PingFederate, in place of the
// built-in pages (docs/upstream-login.md). It is a login like one of the operator's own: interactions are handed to it by the handle of
// package authorize, it answers each once, and the browser comes back only where it began. What it may answer is checked there.
//
// The browser keeps what is to be remembered between here and the provider, in sealed cookies, one for each sign-in under way. The key
// is one that all nodes share, so that any of them goes on.
package upstream

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/rp/client"
	"countersign/rp/session"
	"countersign/store"
)

// The paths, below the issuer.
const (
	// Path is where interactions are handed to, with the parameter handle.
	Path = "/login/upstream"
	// CallbackPath is the redirect URI that is registered with the provider.
	CallbackPath = Path + "/callback"
	// LogoutPath is the backchannel_logout_uri that is registered with it.
	LogoutPath = Path + "/backchannel-logout"
	// SignedOutPath is the post_logout_redirect_uri that is registered with it.
	SignedOutPath = Path + "/signed-out"
)

// Credential is how this server authenticates to the provider, and what access tokens are bound to.
type Credential struct {
	// ID changes with the key or certificate.
	ID      string
	Auth    client.Auth
	Binding client.Binding
}

// Class is what a sign-in at the provider counts as here.
type Class struct {
	// Upstream is the provider's acr; empty for a sign-in of which it says none.
	Upstream string
	// With are methods that the provider must name in amr (RFC 8176), all of them.
	With []string
	// ACR is the class here.
	ACR string
	// AMR are the methods where the provider names none that can be told.
	AMR []string
}

// Claim is one about the user that is taken over.
type Claim struct {
	// Name is what it is called here (OpenID Connect Core §5.1), From what the provider calls it.
	Name, From string
}

// Settings say who the provider is, and what counts of what it says.
type Settings struct {
	// Issuer is the provider's, and ClientID the client that this server is there.
	Issuer, ClientID string
	// Scopes are asked for; openid is among them.
	Scopes []string
	// Weak names what the provider lacks of the FAPI 2.0 Security Profile.
	Weak client.Weak
	// Credential is asked before each use, so that keys may rotate.
	Credential func(ctx context.Context) (Credential, error)
	// Classes are looked at in their order, and the first that fits counts. A sign-in that fits none is refused.
	Classes []Class
	// Claims are taken of the ID token and, with UserInfo, of what that endpoint says.
	Claims   []Claim
	UserInfo bool
	// Username is the provider's claim that says what the user is called here, if nobody else is; empty for none.
	Username string
	// KnownOnly refuses users who are not known here; see [SubjectOf].
	KnownOnly bool
	// SignOut goes on to the provider's end_session_endpoint when a user signs out here.
	SignOut bool
	// Transport reaches the provider.
	Transport *http.Transport
}

// ACRValues are the classes that the provider's sign-ins can count as, in their order.
func (s Settings) ACRValues() []string {
	var all []string
	for _, class := range s.Classes {
		if !slices.Contains(all, class.ACR) {
			all = append(all, class.ACR)
		}
	}
	return all
}

// HandOff is how interactions are handed to the room of an issuer, to be answered within a time.
func (s Settings) HandOff(issuer string, lifetime time.Duration) authorize.HandOff {
	return authorize.HandOff{Address: issuer + Path, Login: true, ACRValues: s.ACRValues(), Lifetime: lifetime}
}

// Interactions are those that were handed off; [*authorize.Handler] has them.
type Interactions interface {
	HandedOff(r *http.Request, handle string) (authorize.HandedOff, error)
	AnswerHandOff(r *http.Request, handle string, answer authorize.Answer) (authorize.Returned, error)
}

// Store are the verbs that are used.
type Store interface {
	HandOff(ctx context.Context, id store.Digest) (store.HandOff, error)
	User(ctx context.Context, subject string) (store.User, error)
	ConsumeOneTime(ctx context.Context, oneTimes ...store.OneTime) error
	EndUpstream(ctx context.Context, upstream store.Digest, evidence ...store.Evidence) (int, error)
	EndSessions(ctx context.Context, subject string, evidence ...store.Evidence) error
}

// Config is the configuration of a [Handler]. All fields are required.
type Config struct {
	Settings     Settings
	Addresses    endpoint.Addresses
	Interactions Interactions
	Store        Store
	Seeds        *tokens.Seeds
	Evidence     *event.Recorder
	Pages        browser.ErrorPage
	Limits       *endpoint.RateLimits
	// Wake has the notices of sessions that have ended sent.
	Wake func()
	Now  func() time.Time
	Log  *slog.Logger
}

// Handler serves the room. Make one with [New].
type Handler struct {
	Config
	keys     session.KeyRing
	provider *provider
}

// New makes a handler. The provider is asked when it is first needed. The error is one of the store.
func New(ctx context.Context, c Config) (*Handler, error) {
	seed, err := c.Seeds.Get(ctx, "upstream sign-ins")
	if err != nil {
		return nil, err
	}
	ring, err := session.NewKeyRing(seed)
	if err != nil {
		return nil, err
	}
	settings := c.Settings
	return &Handler{Config: c, keys: ring, provider: newProvider(&settings, c.Addresses.Issuer+CallbackPath, c.Now, c.Log)}, nil
}

// Routes are the rows of the route table.
func (h *Handler) Routes() []endpoint.Route {
	return []endpoint.Route{
		{Methods: endpoint.Get(), Path: Path, Serve: endpoint.Browser(safe(h.begin))},
		{Methods: endpoint.Get(), Path: CallbackPath, Serve: endpoint.Browser(safe(h.callback))},
		{Methods: endpoint.Get(), Path: SignedOutPath, Serve: endpoint.Browser(safe(h.signedOut))},
		{Methods: endpoint.Post(), Path: LogoutPath, Serve: endpoint.Direct(h.backchannelLogout)},
	}
}

// safe answers HEAD without doing anything (RFC 9110 §9.3.2).
func safe(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodHead {
			serve(w, r)
		}
	}
}

// showError shows an error to the user.
func (h *Handler) showError(w http.ResponseWriter, r *http.Request, err error) {
	browser.ShowError(h.Pages, w, r, err)
}
