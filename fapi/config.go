package fapi

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/account"
	"countersign/fapi/authorize"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/consents"
	"countersign/fapi/device"
	"countersign/fapi/directories"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/login"
	"countersign/fapi/logout"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/registration"
	"countersign/fapi/request"
	"countersign/fapi/resource"
	"countersign/fapi/scope"
	"countersign/internal/limit"
	"countersign/internal/repeat"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Config is everything that a [Server] needs. Durations of 0 take the default named; longer ones than a client's
// profile allows are cut to the profile's.
type Config struct {
	// Issuer is the issuer identifier (RFC 8414 §2): https, without query, fragment or trailing slash.
	Issuer string
	// MTLSIssuer is the public base address of the mTLS listener, or empty if there is none (RFC 8705 §5).
	MTLSIssuer string

	// Profiles are the names of the profiles that are offered, fapi2-security by default. Clients of others are refused,
	// and the discovery document announces what these allow.
	Profiles []string

	Store      store.Store
	Signer     *signer.Signer
	Interactor authorize.Interactor
	// Login is the login of the operator's own that interactions are handed to; nil hands off none.
	Login *login.Settings
	// Certificates finds the client certificate of a request on the mTLS listener.
	Certificates mtls.Source
	// ClientTrust verifies certificates for tls_client_auth.
	ClientTrust mtls.Trust
	// TrustStores verify the certificates of the clients that name one of them, and of no others.
	TrustStores map[string]mtls.Trust
	// CertificateRefused, if not nil, is called with each client whose certificate is not trusted, not its own, or
	// missing on the listener that asks for one.
	CertificateRefused func(r *http.Request, refused endpoint.RefusedCertificate)

	// Scopes are the scope values that exist, with the sentences that users read. openid, offline_access and the OpenID
	// Connect claim scopes need not be listed.
	Scopes []scope.Scope
	// Resources are the protected resources served beside the server's own.
	Resources []resource.Resource
	// ResourceServers are the other protected resources that access tokens can be requested for (RFC 8707). The issuer is
	// always one.
	ResourceServers []scope.ResourceServer
	// AuthorizationDetailTypes are the types of authorization_details that exist (RFC 9396).
	AuthorizationDetailTypes []rar.Type
	// Consents is about consents that clients lodge before they ask for an authorization.
	Consents consent.Settings
	// ConsentAPIs is about the consent APIs of the ecosystems whose profiles are offered.
	ConsentAPIs consents.Settings
	// Languages are those in which users read authorization_details; nil is all that there are, English first.
	Languages *display.Languages
	// Language chooses the language of a page among them, by ui_locales (wanted) and the browser; nil does by these two alone.
	Language func(r *http.Request, wanted string) string
	// ACRValues are the authentication context classes that the Interactor can reach by itself, best first. With passkeys
	// [browser.PasskeyACR] is put before them.
	ACRValues []string
	// ACRNames are further names of these classes, by which clients may ask for them.
	ACRNames request.ACRNames
	// AppPolicy bounds what approval apps may claim; the zero value is [device.DefaultAppPolicy].
	AppPolicy device.AppPolicy
	// PasskeyName lets users sign in with passkeys, and is the relying party's name in their prompts; empty turns passkeys
	// off. An issuer whose host is an IP address cannot have passkeys (WebAuthn Level 3 §5.1.2).
	PasskeyName string
	// DevicePages are the pages on which users decide backchannel requests, and manage their passkeys and applications;
	// nil serves none.
	DevicePages device.Pages
	// UILocales are the languages of the pages (BCP 47), for the discovery document; empty says nothing of them.
	UILocales []string
	// LogoutPages are the pages on which users sign out; nil offers no end session endpoint.
	LogoutPages logout.Pages
	// StrayPages are for browsers at addresses without a page; with nil they get the errors of other clients.
	StrayPages browser.StrayPages
	// StrictTransport is the header Strict-Transport-Security of every response (RFC 6797 §6.1); two years for this host
	// alone by default.
	StrictTransport string
	// Passwords authenticate users on the device's pages.
	Passwords browser.Passwords
	// Assets are static files that the pages load.
	Assets []device.Asset
	// AccountPages are the pages of users' own accounts; nil serves none. They need DevicePages, for the sign-in.
	AccountPages account.Pages
	// Account says who may use the same as an API.
	Account account.API
	// RequireDPoPNonce demands that every proof carries a nonce of this server (RFC 9449 §8, §9).
	RequireDPoPNonce bool
	// Shared counts what all nodes count together; by default one over Store.
	Shared *limit.Shared
	// Limits bound the requests of one client and of one network address.
	Limits endpoint.Limits
	// Backchannel offers backchannel authentication (CIBA); nil does not.
	Backchannel *backchannel.Settings
	// Registration lets clients register themselves (RFC 7591); nil does not.
	Registration *registration.Settings
	// Directories vouch for clients by software statements, and suspend them; they need Registration.
	Directories []directories.Settings
	// ClaimsSource has the claims about users; nil is the built-in directory.
	ClaimsSource *claims.Source
	// Caches bound what a node remembers of clients; zero values are the defaults.
	Caches client.Bounds
	// OutboundRoots are trusted when the server fetches what clients register by address; nil means the system's. Only
	// public hosts are reached, and loopback when the issuer is on it.
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
	// Warning is shown by /health/ready, such as that the keys are in no HSM; empty for none, and nil for never one.
	Warning func() string
	// Hung reports what only a restart of the process cures, such as a module that hangs in it: /health/live then answers 503;
	// nil when there is nothing of the kind.
	Hung func() error
	// AuditChain names this node's chain of the audit log.
	AuditChain string
	// JWKSMaxAge is how long verifiers may cache the key set; 5 min.
	JWKSMaxAge time.Duration

	Now    func() time.Time
	Logger *slog.Logger
	// Lines counts refusals that repeat, in place of a line for each; whoever makes it runs it. nil logs each.
	Lines          *repeat.Lines
	TracerProvider trace.TracerProvider
	// Meter is told of each request; nil is told nothing.
	Meter event.Meter
}

// Check reports what [New] would refuse of the values, without a store, keys and pages. Problems are joined.
func (c Config) Check() error {
	problems := []error{c.checkValues()}
	scopes, err := scope.New(c.Issuer, c.scopes(), c.namedScopes(), c.ResourceServers)
	problems = append(problems, err, c.Account.Check(scopes))
	_, err = endpoint.NewRateLimits(c.Limits, c.Now)
	return errors.Join(append(problems, err)...)
}

// scopes are those of the configuration, and that of the login's backend where it is a client.
func (c Config) scopes() []scope.Scope {
	if c.Login == nil || c.Login.ClientID == "" {
		return c.Scopes
	}
	return append(slices.Clone(c.Scopes), scope.Scope{
		Name: login.Scope, Description: "Sign you in, and tell what you allow", AlwaysAsk: true,
	})
}

// namedScopes are those that the offered profiles name.
func (c Config) namedScopes() []profile.ScopeRule {
	if len(c.Profiles) == 0 {
		return nil
	}
	return profile.Offered(c.Profiles, profile.Offer{}).Scopes
}

// check fills in the defaults. Problems are joined.
func (c *Config) check() error {
	problems := []error{c.checkValues()}
	if c.Store == nil || c.Signer == nil || c.Interactor == nil {
		problems = append(problems, errors.New("fapi: Store, Signer and Interactor are required"))
	}
	if c.AccountPages != nil && c.DevicePages == nil {
		problems = append(problems, errors.New("fapi: DevicePages is required with AccountPages"))
	}
	if c.MTLSIssuer != "" && c.Certificates == nil {
		problems = append(problems, errors.New("fapi: Certificates is required with MTLSIssuer"))
	}
	return errors.Join(problems...)
}

// checkValues is check for what is not a part of the program.
func (c *Config) checkValues() error {
	problems := []error{endpoint.CheckAddress("Issuer", c.Issuer)}
	if c.MTLSIssuer != "" {
		problems = append(problems, endpoint.CheckAddress("MTLSIssuer", c.MTLSIssuer))
	}
	if len(c.Profiles) == 0 {
		c.Profiles = []string{profile.FAPI2Security().Name}
	}
	problems = append(problems, profile.CheckOffered(c.Profiles, c.MTLSIssuer != "")...)
	if c.Login != nil {
		problems = append(problems, c.Login.Check(c.MTLSIssuer != ""))
	}
	if c.Backchannel != nil {
		settings, err := c.Backchannel.Check()
		c.Backchannel = &settings
		problems = append(problems, err)
	}
	for _, directory := range c.Directories {
		problems = append(problems, directory.Check())
	}
	if len(c.Directories) > 0 && c.Registration == nil {
		problems = append(problems, errors.New("fapi: Directories need Registration"))
	}
	setDefault(&c.RequestURILifetime, time.Minute)
	setDefault(&c.InteractionLifetime, 10*time.Minute)
	setDefault(&c.CodeLifetime, time.Minute)
	setDefault(&c.AccessTokenLifetime, 5*time.Minute)
	setDefault(&c.IDTokenLifetime, 5*time.Minute)
	setDefault(&c.GrantLifetime, 90*24*time.Hour)
	setDefault(&c.SessionLifetime, time.Hour)
	setDefault(&c.JWKSMaxAge, signer.JWKSMaxAge)
	setDefault(&c.AccessTokenAlgorithm, "PS256")
	setDefault(&c.StrictTransport, "max-age=63072000")
	if !slices.Contains(profile.Algorithms(), c.AccessTokenAlgorithm) {
		problems = append(problems,
			fmt.Errorf("fapi: AccessTokenAlgorithm %q is not one of PS256, ES256, EdDSA", c.AccessTokenAlgorithm))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Shared == nil && c.Store != nil {
		c.Shared = limit.NewShared(c.Store, c.Now, c.Logger)
	}
	if c.TracerProvider == nil {
		c.TracerProvider = noop.NewTracerProvider()
	}
	return errors.Join(problems...)
}

func setDefault[T comparable](value *T, fallback T) { *value = cmp.Or(*value, fallback) }
