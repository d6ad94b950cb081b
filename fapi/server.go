// Package fapi is the authorization server: profiles, client authentication, the endpoints, and the state machine
// from the pushed request to the protected resource.
//
// A request comes in through one listener, is authenticated as one registered client, and is held from then on to
// that client's [Profile]. It moves the state by one verb of package store. Everything that is signed is signed by
// package signer. routes.go lists the endpoints; the discovery documents are made from it.
package fapi

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/ciba"
	"countersign/dpop"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/internal/passkey"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Config is everything that a [Server] needs. Durations of 0 take the default named; longer ones than a client's
// profile allows are cut to the profile's.
type Config struct {
	// Issuer is the issuer identifier (RFC 8414 §2): https, without query, fragment or trailing slash.
	Issuer string
	// MTLSIssuer is the public base address of the listener that asks for client certificates, or empty if
	// there is none (RFC 8705 §5).
	MTLSIssuer string

	// Profiles are the names of the profiles that are offered, fapi2-security by default. Clients of others are refused,
	// and the discovery document tells what these allow.
	Profiles []string

	Store      store.Store
	Signer     *signer.Signer
	Interactor Interactor
	// Certificates tells the client certificate of a request on the mTLS listener.
	Certificates mtls.Source
	// ClientTrust verifies certificates for tls_client_auth.
	ClientTrust mtls.Trust
	// TrustStores verify the certificates of the clients that name one of them, and of nobody else.
	TrustStores map[string]mtls.Trust

	// Scopes are the scope values that exist, with the sentences that people read. openid, offline_access and
	// the OpenID Connect claim scopes need not be listed.
	Scopes []Scope
	// Resources are the protected resources served beside the server's own.
	Resources []Resource
	// ResourceServers are the other protected resources that access tokens can be asked for (RFC 8707). The issuer
	// is always one.
	ResourceServers []ResourceServer
	// AuthorizationDetailTypes are the types of authorization_details that exist (RFC 9396).
	AuthorizationDetailTypes []DetailType
	// ACRValues are the authentication context classes that the Interactor can reach by itself, best first. With passkeys
	// [PasskeyACR] is put before them.
	ACRValues []string
	// PasskeyName lets people sign in with passkeys, on whose prompts the server bears this name; empty has none. An
	// issuer whose host is a network address has none either (WebAuthn Level 3 §5.1.2).
	PasskeyName string
	// DevicePages are the pages on which people confirm what was asked for over the backchannel, and keep their
	// passkeys and applications; nil has none.
	DevicePages DevicePages
	// Assets are static files that the pages load.
	Assets []Asset
	// RequireDPoPNonce has every proof carry a nonce of this server (RFC 9449 §8, §9).
	RequireDPoPNonce bool
	// Limits keep one client, or one address, from taking the server for itself.
	Limits Limits
	// Backchannel has clients ask people on their own devices; nil does not.
	Backchannel *Backchannel
	// Registration lets clients register themselves; nil does not.
	Registration *Registration
	// OutboundRoots are trusted when the server fetches what clients register by address; nil means the system's.
	// Only public hosts are reached, or loopback too when the issuer itself is there.
	OutboundRoots *x509.CertPool

	RequestURILifetime  time.Duration // 60 s
	InteractionLifetime time.Duration // 10 min
	CodeLifetime        time.Duration // 60 s
	AccessTokenLifetime time.Duration // 5 min
	IDTokenLifetime     time.Duration // 5 min
	GrantLifetime       time.Duration // 90 days
	SessionLifetime     time.Duration // 1 h
	// AccessTokenAlgorithm signs access tokens; PS256 by default.
	AccessTokenAlgorithm string
	// Warning is shown by /health/ready, such as that the keys are in no HSM; empty for none.
	Warning string
	// AuditChain names the chain of the audit log that this node's evidence goes into.
	AuditChain string
	// JWKSMaxAge is how long verifiers may cache the key set; 5 min.
	JWKSMaxAge time.Duration

	Now            func() time.Time
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
}

// Server is an authorization server. Make one with [New].
type Server struct {
	config  Config
	store   store.Store
	signer  *signer.Signer
	now     func() time.Time
	log     *slog.Logger
	tracer  trace.Tracer
	clients *clientCache
	proofs  dpop.Policy
	nonces  *dpop.Nonces
	brakes  *brakes
	devices *deviceBrakes
	// passkeys is nil when there are none.
	passkeys *passkey.Ceremonies
	details  *detailTypes
	seeds    *seeds
	keySets  *jose.RemoteKeySets
	fetcher  *outbound.Client
	health   health
	// notifier is nil when nobody is notified; waits are the polls that are held.
	notifier *ciba.Notifier
	waits    waits
	routes   []route
	origins  *http.CrossOriginProtection
	// scopes are all known scopes in the order of the discovery document.
	scopes []Scope
}

// New checks the configuration and makes a server. It does not listen: see [Server.Handler].
func New(ctx context.Context, config Config) (*Server, error) {
	if err := checkConfig(&config); err != nil {
		return nil, err
	}
	profile := FAPI2Security()
	s := &Server{
		config: config,
		store:  config.Store,
		signer: config.Signer,
		now:    config.Now,
		log:    config.Logger,
		tracer: config.TracerProvider.Tracer("countersign/fapi"),
		proofs: dpop.Policy{
			Algorithms: profile.Algorithms, MaxAge: time.Minute, MaxAhead: profile.MaxAhead, Now: config.Now,
		},
		origins: http.NewCrossOriginProtection(),
	}
	s.clients = newClientCache(config.Store, config.Profiles, config.Now)
	s.seeds = newSeeds(config.Store)
	var err error
	if s.passkeys, err = newPasskeys(ctx, config, s.seeds); err != nil {
		return nil, err
	}
	if s.passkeys != nil {
		s.config.ACRValues = append([]string{PasskeyACR}, config.ACRValues...)
	}
	if s.devices, err = newDeviceBrakes(config.Now); err != nil {
		return nil, err
	}
	s.scopes = knownScopes(config.Scopes)
	s.fetcher = outbound.New(outbound.Policy{AllowLoopback: onLoopback(config.Issuer), Roots: config.OutboundRoots, Now: config.Now})
	s.keySets = jose.NewRemoteKeySets(s.fetchKeys, config.Now)
	if s.details, err = newDetailTypes(config.AuthorizationDetailTypes); err != nil {
		return nil, err
	}
	if s.brakes, err = newBrakes(s.config, config.Now); err != nil {
		return nil, err
	}
	if config.RequireDPoPNonce {
		seed, err := s.seeds.get(ctx, "dpop nonces")
		if err != nil {
			return nil, err
		}
		s.nonces = dpop.NewNonces(seed, 0, config.Now)
	}
	s.newBackchannel()
	s.routes = s.table()
	if _, err := s.discoveryDocument(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func checkConfig(c *Config) error {
	var mistakes []error
	for name, address := range map[string]string{"Issuer": c.Issuer, "MTLSIssuer": c.MTLSIssuer} {
		if name == "MTLSIssuer" && address == "" {
			continue
		}
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.ForceQuery ||
			strings.Contains(address, "#") || strings.HasSuffix(address, "/") || u.User != nil {
			mistakes = append(mistakes, fmt.Errorf("fapi: %s %q must be an https address without query, fragment or trailing slash (RFC 8414 §2)", name, address))
		}
	}
	if c.Store == nil || c.Signer == nil || c.Interactor == nil {
		mistakes = append(mistakes, errors.New("fapi: Store, Signer and Interactor are required"))
	}
	if c.MTLSIssuer != "" && c.Certificates == nil {
		mistakes = append(mistakes, errors.New("fapi: Certificates is required with MTLSIssuer"))
	}
	for _, known := range c.ResourceServers {
		if !isResourceIdentifier(known.Identifier) {
			mistakes = append(mistakes, fmt.Errorf("fapi: the resource server %q must be named by an absolute URI without a fragment (RFC 8707 §2)", known.Identifier))
		}
	}
	if len(c.Profiles) == 0 {
		c.Profiles = []string{FAPI2Security().Name}
	}
	for _, name := range c.Profiles {
		profile, ok := Profiles()[name]
		switch {
		case ok && c.MTLSIssuer == "" && !slices.Contains(profile.SenderConstraints, ByDPoP):
			mistakes = append(mistakes, fmt.Errorf("fapi: the profile %s binds access tokens to certificates only: it needs MTLSIssuer", name))
		case !ok:
			mistakes = append(mistakes, fmt.Errorf("fapi: the profile %q is not known; known are %s", name, strings.Join(profileNames(), ", ")))
		}
	}
	mistakes = append(mistakes, c.checkRegistration()...)
	mistakes = append(mistakes, c.checkBackchannel()...)
	setDefault(&c.RequestURILifetime, time.Minute)
	setDefault(&c.InteractionLifetime, 10*time.Minute)
	setDefault(&c.CodeLifetime, time.Minute)
	setDefault(&c.AccessTokenLifetime, 5*time.Minute)
	setDefault(&c.IDTokenLifetime, 5*time.Minute)
	setDefault(&c.GrantLifetime, 90*24*time.Hour)
	setDefault(&c.SessionLifetime, time.Hour)
	setDefault(&c.JWKSMaxAge, signer.JWKSMaxAge)
	setDefault(&c.AccessTokenAlgorithm, "PS256")
	if !slices.Contains(FAPI2Security().Algorithms, c.AccessTokenAlgorithm) {
		mistakes = append(mistakes, fmt.Errorf("fapi: AccessTokenAlgorithm %q is not one of PS256, ES256, EdDSA", c.AccessTokenAlgorithm))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.TracerProvider == nil {
		c.TracerProvider = noop.NewTracerProvider()
	}
	return errors.Join(mistakes...)
}

// Heard takes news of what other nodes changed; see [store.Watcher]. Without it the server looks for itself, once a second.
func (s *Server) OnChange(change store.Change) {
	s.clients.hear(change)
	if change.Keys || change.Lost {
		s.signer.Changed()
	}
}

// onLoopback tells whether an issuer is for this machine only.
func onLoopback(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && (isLoopback(u.Hostname()) || u.Hostname() == "localhost")
}

// fetchKeys gets a client's key set.
func (s *Server) fetchKeys(ctx context.Context, address string) ([]byte, time.Duration, error) {
	ctx, span := s.span(ctx, "jwks_uri")
	defer span.End()
	document, err := s.fetcher.Get(ctx, address, "application/jwk-set+json, application/json")
	return document.Body, document.MaxAge, err
}

func setDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// defaultScopes are known without configuration.
func defaultScopes() []Scope {
	return []Scope{
		{Name: "openid", Description: "Know who you are: a stable identifier of your account"},
		{Name: "offline_access", Description: "Keep this access while you are away, until you end it"},
		{Name: "profile", Description: "See your name and basic profile"},
		{Name: "email", Description: "See your e-mail address"},
		{Name: "phone", Description: "See your phone number"},
		{Name: "address", Description: "See your postal address"},
	}
}

func knownScopes(configured []Scope) []Scope {
	known := defaultScopes()
	for _, scope := range configured {
		i := slices.IndexFunc(known, func(k Scope) bool { return k.Name == scope.Name })
		if i >= 0 {
			known[i] = scope
			continue
		}
		known = append(known, scope)
	}
	return known
}

// span starts the span of one stage.
func (s *Server) span(ctx context.Context, stage string) (context.Context, trace.Span) {
	return s.tracer.Start(ctx, stage)
}

// lifetime is a configured duration, cut to what the profile allows.
func lifetime(configured, most time.Duration) time.Duration { return min(configured, most) }

// hostOf gives the host of an issuer, without its port.
func hostOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return "" // checked by New
	}
	return u.Hostname()
}
