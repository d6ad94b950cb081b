// Package authorize serves the way from an authorization request to its answer: pushed requests (RFC 9126), the
// authorization endpoint (RFC 6749 §3.1, RFC 9101), the interaction in which the user signs in and decides, and the
// authorization response (query, fragment, form post; signed by JARM).
//
// A request is checked by package request before the user sees a page, and stored until it is answered. [Interactor]
// is the one way by which users sign in and decide; [Forms] implements it with server-rendered pages. Granting
// demands proof that checking came first: grant takes an approved value, which only satisfied makes.
package authorize

import (
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/request"
	"countersign/fapi/tokens"
	"countersign/signer"
	"countersign/store"
)

// Config is what a [Handler] needs. All of it is required, but for Passkeys.
type Config struct {
	Addresses endpoint.Addresses
	Store     store.Requests
	Clients   *client.Cache
	Keys      *client.KeySets
	Checker   *request.Checker
	Tokens    *tokens.Issuer
	// Signer decrypts request objects; everything that is signed is signed by Tokens.
	Signer      *signer.Signer
	BackChannel *endpoint.BackChannel
	// Limits bound what anybody can have signed or decrypted in the name of a client.
	Limits   *endpoint.RateLimits
	Evidence *event.Recorder
	Sessions *browser.Sessions
	// Passkeys is nil where users have none.
	Passkeys   *browser.Passkeys
	Forms      *browser.Forms
	Interactor Interactor

	// RequestURILifetime and CodeLifetime are cut to what the client's profile allows.
	RequestURILifetime, CodeLifetime time.Duration
	// InteractionLifetime is how long a user may take to sign in and decide.
	InteractionLifetime time.Duration
	// GrantLifetime is how long a client keeps what was granted, and how long a decision is remembered.
	GrantLifetime time.Duration
	Now           func() time.Time
}

// Handler serves the endpoints of the package. Make one with [New].
type Handler struct {
	addresses   endpoint.Addresses
	store       store.Requests
	clients     *client.Cache
	keys        *client.KeySets
	checker     *request.Checker
	tokens      *tokens.Issuer
	signer      *signer.Signer
	backChannel *endpoint.BackChannel
	limits      *endpoint.RateLimits
	evidence    *event.Recorder
	sessions    *browser.Sessions
	passkeys    *browser.Passkeys
	forms       *browser.Forms
	interactor  Interactor

	requestURILifetime, codeLifetime   time.Duration
	interactionLifetime, grantLifetime time.Duration
	now                                func() time.Time
}

// New makes a handler.
func New(c Config) *Handler {
	return &Handler{
		addresses: c.Addresses, store: c.Store, clients: c.Clients, keys: c.Keys, checker: c.Checker, tokens: c.Tokens,
		signer: c.Signer, backChannel: c.BackChannel, limits: c.Limits, evidence: c.Evidence, sessions: c.Sessions,
		passkeys: c.Passkeys, forms: c.Forms, interactor: c.Interactor,
		requestURILifetime: c.RequestURILifetime, codeLifetime: c.CodeLifetime,
		interactionLifetime: c.InteractionLifetime, grantLifetime: c.GrantLifetime, now: c.Now,
	}
}

// Routes are the rows of the route table.
func (h *Handler) Routes() []endpoint.Route {
	return []endpoint.Route{
		{
			Methods: endpoint.Post(), Path: "/par", Metadata: "pushed_authorization_request_endpoint", Alias: true,
			Serve: h.backChannel.Serve(h.pushAuthorizationRequest),
		},
		{
			Methods: endpoint.GetAndPost(), Path: "/authorize", Metadata: "authorization_endpoint",
			Serve: endpoint.Browser(h.authorize),
		},
		{Methods: endpoint.GetAndPost(), Path: "/interaction/{handle}", Serve: endpoint.Browser(h.interact)},
	}
}
