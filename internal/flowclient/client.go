// Package flowclient is the one client of our OAuth flows that is not a product: the demo shows it, the benchmarks and
// the fault runs drive load with it, and tests break its requests. It knows a server by its issuer URL and by its
// metadata, like any client, and imports none of the server's code.
//
// It covers the FAPI 2.0 Security Profile and what is around it: discovery (RFC 8414), client authentication by
// private_key_jwt (RFC 7523) or by a certificate (RFC 8705), pushed authorization requests (RFC 9126), plain or as a
// signed request object (RFC 9101), DPoP (RFC 9449), the code, refresh and client credentials grants, resource calls,
// introspection (RFC 7662), revocation (RFC 7009) and CIBA. [Browser] signs in and consents as a user would, by plain
// HTTP forms, and [ApprovalApp] decides CIBA requests.
//
// Each step takes any number of [Change] functions, which alter the request just before it is sent.
//
//	c := flowclient.New(flowclient.Config{Issuer: issuer, HTTP: flowclient.NewHTTP(nil), ID: "app", …})
//	err := c.Discover(ctx)
//	b, err := flowclient.NewBrowser(c.HTTP.Transport)
//	tokens, err := c.Flow(ctx, b)
package flowclient

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"countersign/internal/jose"
)

// Config is what a client is.
type Config struct {
	// Issuer is the server's issuer identifier: the audience of client assertions, and the iss of its answers.
	Issuer string
	// Endpoints are filled in by [Client.Discover], or by hand.
	Endpoints Endpoints
	// HTTP must not follow redirects; see [NewHTTP]. For mutual TLS its transport shows the client's certificate.
	HTTP *http.Client

	// ID is the client_id.
	ID          string
	RedirectURI string
	// Scope is what authorization requests and client credentials ask for, separated by spaces.
	Scope string
	// Key signs client assertions and request objects. With the zero key a client sends its client_id and
	// authenticates by its certificate.
	Key jose.PrivateKey
	// ProofKey signs DPoP proofs. With the zero key there are none, and tokens are sent as bearer tokens, bound to
	// the certificate.
	ProofKey jose.PrivateKey
	// Certificate has the endpoints of mtls_endpoint_aliases be used (RFC 8705 §5).
	Certificate bool
	// AssertionType is the typ of client assertions; "" leaves it out.
	AssertionType string
	// ProofForTokensOnly leaves DPoP proofs away where no tokens are issued, such as at the PAR endpoint.
	ProofForTokensOnly bool
	// KeepChallenges leaves a demand for a DPoP nonce to the caller. Otherwise the request is sent once more.
	KeepChallenges bool

	// Before alters each request, before the changes of the call.
	Before Change
	// Challenged is told of an answer that demands a DPoP nonce, before the request is sent once more; nil for nobody.
	Challenged func(Reply)

	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Random makes values that cannot be guessed, of 43 characters or more (RFC 7636 §4.1); nil is 256 bits of
	// crypto/rand in base64url.
	Random func() string
}

// Client is a client of one server. It may be used from several goroutines; its Config is not to be changed then.
type Client struct {
	Config

	mu sync.Mutex
	// serverNonce and resourceNonce are what the next proofs have to hold (RFC 9449 §8, §9); "" is nothing.
	serverNonce, resourceNonce string
}

// New makes a client.
func New(config Config) *Client {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = randomText
	}
	return &Client{Config: config}
}

// Via is the same client with the same keys by way of another HTTP client, such as that of another node.
func (c *Client) Via(through *http.Client) *Client {
	config := c.Config
	config.HTTP = through
	return New(config)
}

// NewHTTP makes an HTTP client that follows no redirects and waits 30 seconds at most. A nil config trusts the system's
// authorities.
func NewHTTP(config *tls.Config) *http.Client {
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 4},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func randomText() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Digest is the SHA-256 of a text in base64url: the S256 code challenge (RFC 7636 §4.2), ath (RFC 9449 §4.2), and the
// name by which approval apps know an auth_req_id.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
