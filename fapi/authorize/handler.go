// Package authorize serves authorization requests, from the request to the response: pushed requests (RFC 9126), the
// authorization endpoint (RFC 6749 §3.1, RFC 9101), the interaction in which the user signs in and decides, and the
// authorization response (query, fragment, form post; signed by JARM).
//
// A request is validated by package request before the user sees a page, and stored until it is answered. An
// [Interactor] lets users sign in and decide; [Forms] implements it with server-rendered pages. Grants are made from
// an approved value only, which the check of the sign-in returns.
package authorize

import (
	"net/http"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/offers"
	"countersign/fapi/request"
	"countersign/fapi/tokens"
	"countersign/internal/limit"
	"countersign/internal/recent"
	"countersign/signer"
	"countersign/store"
)

// Store has the verbs of the store that the package uses.
type Store interface {
	store.Requests
	store.HandOffs
}

// Config is the configuration of a [Handler]. All fields but Passkeys are required.
type Config struct {
	Addresses endpoint.Addresses
	Store     Store
	Clients   *client.Cache
	Keys      *client.KeySets
	Checker   *request.Checker
	Tokens    *tokens.Issuer
	Consents  *consent.Engine
	Offers    *offers.Offers
	// Signer decrypts request objects; everything that is signed is signed by Tokens.
	Signer      *signer.Signer
	BackChannel *endpoint.BackChannel
	// Limits bound the signatures and decryptions of unauthenticated requests that name a client.
	Limits   *endpoint.RateLimits
	Evidence *event.Recorder
	Sessions *browser.Sessions
	// Passkeys is nil when passkeys are off.
	Passkeys   *browser.Passkeys
	Forms      *browser.Forms
	Interactor Interactor
	// HandOff is the login of the operator's own that interactions are handed to; nil hands off none.
	HandOff *HandOff

	// RequestURILifetime and CodeLifetime are limited to the maxima of the client's profile.
	RequestURILifetime, CodeLifetime time.Duration
	// InteractionLifetime bounds the time from the first page to the decision.
	InteractionLifetime time.Duration
	// GrantLifetime is the lifetime of grants and of remembered consent.
	GrantLifetime time.Duration
	// Language chooses the language of a page, by ui_locales (wanted) and the browser.
	Language func(r *http.Request, wanted string) string
	Now      func() time.Time
}

// Handler serves the endpoints of the package. Make one with [New].
type Handler struct {
	addresses   endpoint.Addresses
	store       Store
	clients     *client.Cache
	keys        *client.KeySets
	checker     *request.Checker
	tokens      *tokens.Issuer
	consents    *consent.Engine
	offers      *offers.Offers
	signer      *signer.Signer
	backChannel *endpoint.BackChannel
	limits      *endpoint.RateLimits
	evidence    *event.Recorder
	sessions    *browser.Sessions
	passkeys    *browser.Passkeys
	forms       *browser.Forms
	interactor  Interactor
	handOff     *HandOff

	// openings counts how often each request is opened from each address, objects which request objects were counted.
	openings, objects *limit.Limiter
	// showings are the consent pages whose showing is recorded.
	showings recent.Names

	requestURILifetime, codeLifetime   time.Duration
	interactionLifetime, grantLifetime time.Duration
	language                           func(r *http.Request, wanted string) string
	now                                func() time.Time
}

const (
	// openingsBurst is how many browsers at one address may open one request, and openingEach after what time one more may.
	openingsBurst, openingEach = 20, 3 * time.Second
	// objectEach is how long a node remembers, at most, that an object was counted against its client.
	objectEach = time.Hour
)

// New makes a handler.
func New(c Config) (*Handler, error) {
	openings, err := endpoint.NewLimiter(1/openingEach.Seconds(), openingsBurst, c.Now)
	if err != nil {
		return nil, err
	}
	objects, err := endpoint.NewLimiter(1/objectEach.Seconds(), 1, c.Now)
	if err != nil {
		return nil, err
	}
	if c.HandOff != nil {
		c.Interactor = elsewhere{*c.HandOff, c.Interactor}
	}
	return &Handler{
		openings: openings, objects: objects,
		addresses: c.Addresses, store: c.Store, clients: c.Clients, keys: c.Keys, checker: c.Checker, tokens: c.Tokens, consents: c.Consents, offers: c.Offers,
		signer: c.Signer, backChannel: c.BackChannel, limits: c.Limits, evidence: c.Evidence, sessions: c.Sessions,
		passkeys: c.Passkeys, forms: c.Forms, interactor: c.Interactor, language: c.Language, handOff: c.HandOff,
		requestURILifetime: c.RequestURILifetime, codeLifetime: c.CodeLifetime,
		interactionLifetime: c.InteractionLifetime, grantLifetime: c.GrantLifetime, now: c.Now,
	}, nil
}

// Routes are the rows of the route table.
func (h *Handler) Routes() []endpoint.Route {
	table := []endpoint.Route{
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
	if h.handOff != nil {
		table = append(table, endpoint.Route{
			Methods: endpoint.Get(), Path: "/interaction/{handle}/return/{secret}", Serve: endpoint.Browser(h.comeBack),
		})
	}
	return table
}
