// Package fapi is the authorization server: it wires the packages below it and serves their endpoints on two listeners.
//
// A request arrives on one listener, authenticates as one registered client, and is checked against that client's
// profile. It changes state in one transaction of package store. Everything that is signed is signed by package
// signer.
//
// The packages, from the lowest layer: profile, scope, rar, claims and client define what is allowed; event, endpoint
// and browser are shared by the endpoints; tokens issues; request validates; authorize, token, backchannel, device,
// resource, registration, discovery and health are the endpoints, each mounted by its Routes. routes.go has the table.
package fapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/ciba"
	"countersign/dpop"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/consent/notify"
	"countersign/fapi/consents/shape"
	"countersign/fapi/directories"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/examine"
	"countersign/fapi/health"
	"countersign/fapi/logout"
	"countersign/fapi/offers"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/fapi/scope"
	"countersign/fapi/token"
	"countersign/fapi/tokens"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/internal/passkey"
	"countersign/signer"
	"countersign/store"
)

// Server is an authorization server. Make one with [New].
type Server struct {
	clients *client.Cache
	signer  *signer.Signer
	health  *health.Handler
	// backchannel is nil when backchannel authentication is off.
	backchannel *backchannel.Handler
	notifier    *logout.Notifier
	consents    *consent.Engine
	changes     *notify.Notifier
	directories *directories.Directories
	table       endpoint.Table
}

// New checks the configuration and makes a server. It does not listen: see [Server.Handler].
func New(ctx context.Context, config Config) (*Server, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	w, err := newWiring(ctx, config)
	if err != nil {
		return nil, err
	}
	routes, err := w.routes(ctx)
	if err != nil {
		return nil, err
	}
	var stray func(w http.ResponseWriter, r *http.Request, root bool, err error)
	if config.StrayPages != nil {
		stray = func(w http.ResponseWriter, r *http.Request, root bool, err error) {
			browser.ShowStray(config.StrayPages, w, r, root, err)
		}
	}
	return &Server{
		clients: w.clients, signer: config.Signer, health: w.health, backchannel: w.backchannel, notifier: w.notifier, consents: w.consents,
		directories: w.directories,
		changes: &notify.Notifier{
			Store: config.Store, Tokens: w.tokens, Webhook: config.Consents.Webhook, Evidence: w.evidence, Now: config.Now, Log: config.Logger,
		},
		table: endpoint.Table{
			Addresses: w.addresses, Routes: routes,
			Stray: stray,
			Guard: event.Guard{
				StrictTransport: config.StrictTransport, Now: config.Now, Log: config.Logger, Tracer: w.tracer, Lines: config.Lines, Meter: config.Meter,
			},
		},
	}, nil
}

// Handler serves the issuer's listener, which browsers use and which requests no client certificate.
func (s *Server) Handler() http.Handler { return s.table.Handler() }

// MTLSHandler serves the mTLS listener, which requests client certificates.
func (s *Server) MTLSHandler() http.Handler { return s.table.MTLSHandler() }

// Backchannel lets authentication devices other than the built-in pages list and decide requests; nil when backchannel
// authentication is off.
func (s *Server) Backchannel() *backchannel.Handler { return s.backchannel }

// Consents reads and ends the consents that clients lodge.
func (s *Server) Consents() *consent.Engine { return s.consents }

// Drain makes readiness answer 503, so that a load balancer sends no more requests here. Requests are still served.
func (s *Server) Drain() { s.health.Drain() }

// RunPings notifies clients of decisions until ctx ends (CIBA Core §10.2). Every node may run it.
func (s *Server) RunPings(ctx context.Context) {
	if s.backchannel != nil {
		s.backchannel.RunPings(ctx)
	}
}

// RunLogouts tells clients of sessions that have ended until ctx ends (OpenID Connect Back-Channel Logout 1.0). Every node may
// run it.
func (s *Server) RunLogouts(ctx context.Context) { s.notifier.Run(ctx) }

// RunConsents ends consents whose time is over and tells of those that have changed, until ctx ends. Every node may run it.
func (s *Server) RunConsents(ctx context.Context) { s.changes.Run(ctx) }

// RunDirectories keeps what directories of participants say fresh until ctx ends. Every node may run it.
func (s *Server) RunDirectories(ctx context.Context) { s.directories.Run(ctx) }

// RefreshDirectories is one step of [Server.RunDirectories].
func (s *Server) RefreshDirectories(ctx context.Context) { s.directories.Refresh(ctx) }

// OnChange handles a notification of a change by another node; see [store.Watcher]. Without notifications the server
// polls the store once a second.
func (s *Server) OnChange(change store.Change) {
	s.clients.OnChange(change)
	if change.Keys || change.Lost {
		s.signer.Changed()
	}
}

// wiring holds what the endpoint packages share while they are constructed.
type wiring struct {
	config      Config
	addresses   endpoint.Addresses
	tracer      trace.Tracer
	health      *health.Handler
	clients     *client.Cache
	keys        *client.KeySets
	fetchKeySet jose.Fetch
	scopes      *scope.Catalog
	details     *rar.Types
	offered     profile.Profile
	evidence    *event.Recorder
	limits      *endpoint.RateLimits
	proofs      *endpoint.Proofs
	users       *claims.Users
	offers      *offers.Offers
	tokens      *tokens.Issuer
	consents    *consent.Engine
	checker     *request.Checker
	sessions    *browser.Sessions
	// passkeys is nil when passkeys are off.
	passkeys *browser.Passkeys
	forms    *browser.Forms
	// acrs are the authentication context classes that can be reached in a browser, and deviceACRs those on a device; best first.
	acrs, deviceACRs []string

	calls    *endpoint.BackChannel
	subjects *tokens.Subjects

	// backchannel is nil when backchannel authentication is off.
	backchannel *backchannel.Handler
	notifier    *logout.Notifier
	directories *directories.Directories
	onward      func(w http.ResponseWriter, r *http.Request, back string) string // of an upstream provider, or nil
}

func newWiring(ctx context.Context, c Config) (*wiring, error) {
	w := &wiring{
		config: c, addresses: endpoint.Addresses{Issuer: c.Issuer, MTLSIssuer: c.MTLSIssuer},
		tracer:   c.TracerProvider.Tracer("countersign/fapi"),
		health:   health.New(health.Config{Store: c.Store, Signer: c.Signer, Hung: c.Hung, Warning: c.Warning, Now: c.Now, Log: c.Logger}),
		clients:  client.NewCache(c.Store, c.Profiles, c.Now, c.Logger).Within(c.Caches),
		offered:  profile.Offered(c.Profiles, profile.Offer{Backchannel: c.Backchannel != nil, MTLS: c.MTLSIssuer != ""}),
		evidence: &event.Recorder{Store: c.Store, Chain: c.AuditChain, Now: c.Now, Log: c.Logger},
		sessions: &browser.Sessions{Store: c.Store, Remember: c.Passwords.Remember, Lifetime: c.SessionLifetime, Now: c.Now},
	}
	w.sessions.Evidence = w.evidence
	w.fetchKeySet = client.KeyFetcher(c.Issuer, c.OutboundRoots, len(c.Directories) > 0, c.Now)
	w.keys = client.NewKeySets(c.Caches.Remote(w.fetchKeys, c.Now), c.Logger)
	var err error
	if w.forms, err = browser.NewForms(c.Issuer); err != nil {
		return nil, err
	}
	if w.scopes, err = scope.New(c.Issuer, c.scopes(), w.namedScopes(), c.ResourceServers); err != nil {
		return nil, err
	}
	languages, err := languagesOf(c)
	if err != nil {
		return nil, err
	}
	if w.details, err = rar.NewTypes(c.AuthorizationDetailTypes, languages); err != nil {
		return nil, err
	}
	if w.config.Language == nil {
		w.config.Language = w.details.Languages().Choose
	}
	if w.limits, err = endpoint.NewRateLimits(c.Limits, c.Now); err != nil {
		return nil, err
	}
	if err := w.addSecrets(ctx); err != nil {
		return nil, err
	}
	if w.directories, err = directories.New(directories.Config{
		Directories: c.Directories, Store: c.Store, Clients: w.clients, Evidence: w.evidence, Now: c.Now, Log: c.Logger,
	}); err != nil {
		return nil, err
	}
	w.clients.Roles = w.directories.LostRoles
	w.users, err = claims.Users{Directory: c.Store, Evidence: w.evidence, Log: c.Logger}.WithSource(c.ClaimsSource, c.Now)
	if err != nil {
		return nil, err
	}
	w.deviceACRs = w.acrs
	if c.Login != nil && c.Login.HandOff.Login {
		w.acrs = c.Login.HandOff.ACRValues
	}
	if c.Login != nil && c.Login.Confirmations {
		w.deviceACRs = c.Login.HandOff.ACRValues
	}
	w.tokens = &tokens.Issuer{
		ID: c.Issuer, Signer: c.Signer, Evidence: w.evidence, Users: w.users, Keys: w.keys, Scopes: w.scopes,
		Details: w.details, Subjects: w.subjects, Destroyed: c.Store, Algorithm: c.AccessTokenAlgorithm,
		AccessTokenLifetime: c.AccessTokenLifetime, IDTokenLifetime: c.IDTokenLifetime, Now: c.Now,
	}
	if _, ordered := c.Store.(store.KeyOrdered); ordered {
		w.tokens.Identifiers.Now = c.Now
	}
	w.offers = &offers.Offers{Types: w.details, Users: w.users, Log: c.Logger}
	about, err := w.consentsOf(languages)
	if err != nil {
		return nil, err
	}
	if w.consents, err = consent.New(about); err != nil {
		return nil, err
	}
	w.tokens.Consents = w.consents
	w.checker = request.NewChecker(w.tokens, w.acrs, c.ACRNames, c.Store, w.tracer)
	w.calls = &endpoint.BackChannel{
		Authenticator: &endpoint.Authenticator{
			Addresses: w.addresses, TokenPath: token.Path, Clients: w.clients, Keys: w.keys, Trust: c.ClientTrust,
			TrustStores: c.TrustStores, Now: c.Now, Tracer: w.tracer, CertificateRefused: c.CertificateRefused,
		},
		Limits: w.limits, Proofs: w.proofs, Addresses: w.addresses, Certificates: c.Certificates, Store: c.Store,
		Log: c.Logger, Tracer: w.tracer,
	}
	w.notifier = &logout.Notifier{
		Store: c.Store, Clients: w.clients, Tokens: w.tokens, Evidence: w.evidence, Now: c.Now, Log: c.Logger,
		Send: outbound.New(outbound.Policy{
			AllowLoopback: client.OnLoopback(c.Issuer), Roots: c.OutboundRoots, Now: c.Now, Timeout: logout.Timeout,
		}).Send,
	}
	return w, nil
}

// addSecrets adds what is derived from seeds that all nodes share.
func (w *wiring) addSecrets(ctx context.Context) error {
	c, seeds := w.config, tokens.NewSeeds(w.config.Store)
	w.subjects = &tokens.Subjects{Seeds: seeds}
	w.proofs = &endpoint.Proofs{Policy: dpop.Policy{
		Algorithms: profile.Algorithms(), MaxAge: time.Minute, MaxAhead: profile.FAPI2Security().MaxAhead, Now: c.Now,
	}}
	if c.RequireDPoPNonce {
		seed, err := seeds.Get(ctx, "dpop nonces")
		if err != nil {
			return err
		}
		w.proofs.Nonces = dpop.NewNonces(seed, 0, c.Now)
	}
	w.acrs = c.ACRValues
	if c.PasskeyName == "" {
		return nil
	}
	key, err := seeds.Get(ctx, "passkey challenges")
	if err != nil {
		return err
	}
	ceremonies, err := passkey.New(passkey.Config{Issuer: c.Issuer, Name: c.PasskeyName, Key: key, Now: c.Now})
	if errors.Is(err, passkey.ErrNoDomain) {
		return nil
	}
	if err != nil {
		return err
	}
	w.passkeys = &browser.Passkeys{Ceremonies: ceremonies, Store: c.Store, Evidence: w.evidence, Log: c.Logger}
	w.acrs = append([]string{browser.PasskeyACR}, c.ACRValues...)
	return nil
}

// newFetcher makes a client for what others name. Each purpose has one of its own, so that none holds up another.
func (w *wiring) newFetcher() *outbound.Client {
	c := w.config
	return outbound.New(outbound.Policy{AllowLoopback: client.OnLoopback(c.Issuer), Roots: c.OutboundRoots, Now: c.Now})
}

// fetchKeys fetches a client's key set.
func (w *wiring) fetchKeys(ctx context.Context, address string) ([]byte, time.Duration, error) {
	ctx, span := w.tracer.Start(ctx, "jwks_uri")
	defer span.End()
	return w.fetchKeySet(ctx, address)
}

// newBackchannel makes the backchannel authentication endpoint, if it is offered.
func (w *wiring) newBackchannel(notify func(context.Context, store.BackchannelRequest)) {
	c := w.config
	if c.Backchannel == nil {
		return
	}
	sender := outbound.New(outbound.Policy{
		AllowLoopback: client.OnLoopback(c.Issuer), Roots: c.OutboundRoots, Now: c.Now, Certificate: c.Backchannel.Certificate, Timeout: ciba.Timeout,
	})
	checker := w.checker
	if !slices.Equal(w.acrs, w.deviceACRs) {
		checker = request.NewChecker(w.tokens, w.deviceACRs, c.ACRNames, c.Store, w.tracer)
	}
	w.backchannel = backchannel.New(backchannel.Config{
		Settings: *c.Backchannel, Addresses: w.addresses, Store: c.Store, Clients: w.clients, Keys: w.keys,
		Checker: checker, Consents: w.consents, Scopes: w.scopes, Details: w.details, Offers: w.offers, AccountsAtLogin: w.confirmsAtLogin(), Tokens: w.tokens, Evidence: w.evidence,
		BackChannel: w.calls, Shared: c.Shared, GrantLifetime: c.GrantLifetime, Post: sender.Post, Notify: notify,
		Draining: w.health.Draining, Now: c.Now, Log: c.Logger, Tracer: w.tracer,
	})
}

// ownConsents are the consents of the server's own store.
func (w *wiring) ownConsents() consent.Own {
	return consent.Own{Store: w.config.Store, Quota: w.config.Consents.Quota, Notify: w.config.Consents.Webhook != nil}
}

// consentsOf are the settings of consents: those of the server's own store, unless they are kept elsewhere.
func (w *wiring) consentsOf(languages *display.Languages) (consent.Config, error) {
	c := w.config
	var err error
	settings := consent.Config{
		Source: c.Consents.Source, Types: c.Consents.Types, Languages: languages, Notify: c.Consents.Webhook != nil, Users: w.users, Evidence: w.evidence, Now: c.Now, Log: c.Logger,
	}
	if settings.Source == nil {
		settings.Source = w.ownConsents()
	}
	if settings.Types == nil {
		settings.Types, err = shape.Types()
	}
	return settings, err
}

// namedScopes are the scope values that the offered profiles name.
func (w *wiring) namedScopes() []profile.ScopeRule {
	return slices.Concat(w.offered.Scopes, w.offered.GrantManagement.Scopes())
}

// languagesOf are the languages of authorization_details, with what resource servers are called.
func languagesOf(c Config) (*display.Languages, error) {
	languages, err := c.Languages.OrAll()
	if err != nil {
		return nil, err
	}
	return languages.WithResources(scope.NamesOf(c.ResourceServers)), nil
}

// Examine makes what tells of messages of clients what a server with this configuration would answer, by the checks of that server. It
// needs no pages, and of the store it only reads.
func Examine(ctx context.Context, config Config) (*examine.Examiner, error) {
	if err := config.checkValues(); err != nil {
		return nil, err
	}
	w, err := newWiring(ctx, config)
	if err != nil {
		return nil, err
	}
	return examine.New(examine.Config{
		Addresses: w.addresses, Authenticator: w.calls.Authenticator, Proofs: w.proofs, Clients: w.clients, Keys: w.keys, Signer: config.Signer,
		Checker: w.checker, Consents: w.consents, Store: config.Store, Now: config.Now,
	}), nil
}
