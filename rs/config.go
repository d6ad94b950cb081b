package rs

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"countersign/dpop"
	"countersign/internal/jose"
	"countersign/internal/keyset"
	"countersign/mtls"
)

// Config says whose tokens are taken, and for what. Issuer and Audience are required.
type Config struct {
	// Issuer is the issuer identifier of the authorization server: an https URL, compared byte for byte.
	Issuer string
	// Audience is the identifier of this API, which aud of a token must contain (RFC 8707): best its https URL.
	Audience string
	// BaseURL is the public address of the API before the path of a request, such as "https://api.bank.example"; a DPoP proof is for
	// it (htu, RFC 9449 §4.3). Empty is the scheme and the host of Audience, if that is an https URL. It is never taken
	// from the Host header.
	BaseURL string

	// Introspection asks the issuer about each token; nil verifies tokens as JWTs (RFC 9068).
	Introspection *Introspection
	// Algorithms are those that tokens and proofs may be signed with; nil means PS256, ES256 and EdDSA.
	Algorithms []string
	// KeysURL is the issuer's jwks_uri; empty is what its metadata say, which [New] fetches then.
	KeysURL string

	// Gate is for an API behind an ingress: it says whose certificate headers are believed. The zero value takes the certificate
	// from the TLS connection itself.
	Gate *mtls.Gate
	// Certificates finds the certificate of a request that was admitted by a gate of one's own, see [mtls.Admitted].
	Certificates mtls.Source

	// NonceSeeds demand a nonce in each DPoP proof (RFC 9449 §9). Each has at least 32 random bytes, and all nodes have the same: the
	// first makes nonces, all recognise them, so that a seed is changed by putting a new one before it. Empty demands none.
	NonceSeeds [][]byte
	// NoncePeriod is how long a nonce is given out; 0 means [dpop.DefaultNoncePeriod].
	NoncePeriod time.Duration
	// ProofMaxAge is how old a proof may be; 0 means [dpop.DefaultMaxAge].
	ProofMaxAge time.Duration
	// Replay remembers proofs until they have expired (RFC 9449 §11.1); nil is a [Memory] of this process, enough for one node.
	Replay Replay

	// Messages demands signed requests, and signs answers, where [Signed] says so (FAPI 2.0 HTTP Signatures).
	Messages *Messages
	// Metadata is published about the resource (RFC 9728), see [Guard.Metadata].
	Metadata Metadata
	// Weak names what is weaker than FAPI 2.0 allows, for an issuer that has nothing better.
	Weak Weak

	// HTTP reaches the issuer; nil is a client of its own. Redirects are not followed, and where it has no time-out it waits 5
	// seconds. For an introspection with a certificate it presents that.
	HTTP *http.Client
	// Answer writes the body of a refusal in a form of the API's own. Status is e.Status; the fields are set already.
	// nil writes the JSON of RFC 6749 §5.2.
	Answer func(w http.ResponseWriter, r *http.Request, e *Error)
	// OnRefused is told of each refusal, for logs and metrics.
	OnRefused func(r *http.Request, e *Error)
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Weak names what FAPI 2.0 does not allow. The zero value allows none of it.
type Weak struct {
	// Bearer takes tokens that are bound to nothing: whoever has one can use it.
	Bearer bool
	// RS256 takes tokens that are signed with it.
	RS256 bool
	// AnyType takes JWTs that are not of the type at+jwt (RFC 9068 §2.1), and those without client_id and jti. An ID token for the
	// same audience passes for an access token then.
	AnyType bool
}

// Guard protects an API. It may be used by many at once. Make one with [New].
type Guard struct {
	config     Config
	algorithms []string
	base       string

	keys       *keyset.Set
	introspect *introspector
	proofs     dpop.Policy
	nonces     []*dpop.Nonces
	messages   *messages

	takesCertificates bool
	// announced is the address of the metadata, once they are served.
	announced atomic.Pointer[string]
	offered   offered
}

// ConfigError is a configuration that cannot work.
type ConfigError struct {
	// Field is the name of the field in [Config].
	Field string
	// Problem says what is wrong.
	Problem string
}

// Error says what is wrong.
func (e *ConfigError) Error() string { return "rs: Config." + e.Field + " " + e.Problem }

// IssuerError is an issuer whose metadata cannot be had, or do not say what is needed.
type IssuerError struct {
	// Issuer is the one of the configuration.
	Issuer string

	cause error
}

// Error says what is wrong.
func (e *IssuerError) Error() string { return "rs: the issuer " + e.Issuer + ": " + e.cause.Error() }

// Unwrap is the reason.
func (e *IssuerError) Unwrap() error { return e.cause }

const (
	ownTimeout  = 5 * time.Second
	minSeedSize = 32
)

// New makes a guard. It fetches the metadata of the issuer (RFC 8414, OpenID Connect Discovery), unless the configuration has all
// the addresses. Errors are [*ConfigError] or [*IssuerError].
func New(ctx context.Context, config Config) (*Guard, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	g := &Guard{algorithms: slices.Clone(config.Algorithms)}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.HTTP = careful(config.HTTP)
	if config.Replay == nil {
		config.Replay = NewMemory(0, config.Now)
	}
	if g.algorithms == nil {
		g.algorithms = []string{jose.PS256, jose.ES256, jose.EdDSA}
	}
	g.proofs = dpop.Policy{Algorithms: slices.Clone(g.algorithms), MaxAge: config.ProofMaxAge, Now: config.Now}
	if config.Weak.RS256 {
		g.algorithms = append(g.algorithms, jose.RS256)
	}
	g.base = config.base()
	for _, seed := range config.NonceSeeds {
		g.nonces = append(g.nonces, dpop.NewNonces(seed, config.NoncePeriod, config.Now))
	}
	g.takesCertificates = true
	switch {
	case config.Gate != nil:
		config.Certificates = mtls.Admitted()
		g.takesCertificates = config.Gate.Source != nil
	case config.Certificates == nil:
		config.Certificates = mtls.Direct()
	}
	g.config = config
	return g, g.meet(ctx)
}

// careful is a client that follows no redirects, which would take tokens and assertions elsewhere, and that does not wait forever.
func careful(client *http.Client) *http.Client {
	made := &http.Client{}
	if client != nil {
		*made = *client
	}
	made.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if made.Timeout == 0 {
		made.Timeout = ownTimeout
	}
	return made
}

// check finds what is wrong with a configuration by itself.
func (c *Config) check() error {
	wrong := func(field, problem string) error { return &ConfigError{Field: field, Problem: problem} }
	switch {
	case !isHTTPS(c.Issuer) || strings.ContainsAny(c.Issuer, "?#"):
		return wrong("Issuer", "must be an https URL without query and fragment")
	case c.Audience == "":
		return wrong("Audience", "is empty: say which aud the tokens for this API have")
	case c.BaseURL != "" && (!isHTTPS(c.BaseURL) || strings.ContainsAny(c.BaseURL, "?#")):
		return wrong("BaseURL", "must be an https URL without query and fragment")
	case c.base() == "":
		return wrong("BaseURL", "is empty, and Audience is no https URL that would say it: DPoP proofs are for an address")
	case c.KeysURL != "" && !isHTTPS(c.KeysURL):
		return wrong("KeysURL", "must be an https URL")
	case c.Gate != nil && c.Certificates != nil:
		return wrong("Certificates", "is for requests that a gate of your own admitted; there is a Gate already")
	}
	for _, each := range c.Algorithms {
		if !slices.Contains([]string{jose.PS256, jose.ES256, jose.EdDSA}, each) {
			return wrong("Algorithms", "has "+each+"; there are PS256, ES256 and EdDSA, and RS256 by Weak")
		}
	}
	if c.Algorithms != nil && len(c.Algorithms) == 0 {
		return wrong("Algorithms", "is empty")
	}
	for _, seed := range c.NonceSeeds {
		if len(seed) < minSeedSize {
			return wrong("NonceSeeds", fmt.Sprintf("has a seed of %d bytes; %d or more are needed", len(seed), minSeedSize))
		}
	}
	if c.Introspection != nil {
		if err := c.Introspection.check(); err != nil {
			return err
		}
	}
	return c.Messages.check()
}

func isHTTPS(address string) bool {
	parsed, err := url.Parse(address)
	return err == nil && parsed.Scheme == "https" && parsed.Host != "" && parsed.User == nil
}

// base is what comes before the path of a request in the address of a proof, or "".
func (c *Config) base() string {
	if c.BaseURL != "" {
		return strings.TrimSuffix(c.BaseURL, "/")
	}
	if !isHTTPS(c.Audience) {
		return ""
	}
	parsed, err := url.Parse(c.Audience)
	if err != nil {
		return ""
	}
	return "https://" + parsed.Host
}

// meet finds out the addresses of the issuer.
func (g *Guard) meet(ctx context.Context) error {
	c := &g.config
	needed := c.Introspection == nil || c.Introspection.Signed
	var issuer issuerMetadata
	if needed && c.KeysURL == "" || c.Introspection != nil && c.Introspection.URL == "" {
		var err error
		if issuer, err = discover(ctx, c.HTTP, c.Issuer); err != nil {
			return &IssuerError{Issuer: c.Issuer, cause: err}
		}
	}
	if needed {
		address := c.KeysURL
		if address == "" {
			address = issuer.KeysURL
		}
		var err error
		g.keys, err = keyset.New(keyset.Config{URL: address, HTTP: c.HTTP, Algorithms: g.algorithms, Now: c.Now})
		if err != nil {
			return &IssuerError{Issuer: c.Issuer, cause: err}
		}
	}
	if c.Introspection != nil {
		var err error
		if g.introspect, err = newIntrospector(g, issuer); err != nil {
			return err
		}
	}
	var err error
	g.messages, err = newMessages(g)
	return err
}
