package client

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"

	"countersign/internal/jose"
	"countersign/rp/internal/exchange"
	"countersign/rp/internal/proof"
)

// Client is a client of one provider.
type Client struct {
	config    Config
	transport http.RoundTripper
	exchange  *exchange.Client
	sender    *sender
	decrypt   []jose.DecryptionKey
	published json.RawMessage

	binding bindingKind
	// dpop and proofs are those of bindingDPoP.
	dpop   Key
	proofs *proof.Maker

	mu      sync.Mutex
	known   *provider
	reading bool
}

// New reads the provider's metadata and makes a client. Errors are a [*ConfigError], a [*WeakProviderError] that lists all that the provider
// lacks, a [*CheckError] of the metadata, a [*ProviderError] if there are none, or an [*UnavailableError].
func New(ctx context.Context, config Config) (*Client, error) {
	config, err := complete(config)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config}
	transport, err := exchange.NewTransport(config.Transport, config.Roots, config.Certificate, config.Now)
	if err != nil {
		return nil, misconfigured("Transport", "%v", err)
	}
	if c.transport = transport; config.Middleware != nil {
		c.transport = config.Middleware(transport)
	}
	c.exchange = exchange.New(c.transport, config.Timeout, config.UserAgent)
	for _, one := range config.Decrypt {
		c.decrypt = append(c.decrypt, one.key)
	}
	if c.published, err = publish(config); err != nil {
		return nil, err
	}
	document, err := fetchMetadata(ctx, c.exchange, config.Issuer)
	if err != nil {
		return nil, err
	}
	if err := c.bind(document.DPoPAlgorithms); err != nil {
		return nil, err
	}
	c.sender = &sender{&c.config, c.exchange, c.proofs, func(ctx context.Context) string { return c.current(ctx).document.Token }}
	if lacks := c.lacks(document); len(lacks) > 0 {
		return nil, &WeakProviderError{config.Issuer, config.Profile, lacks}
	}
	if c.known, err = c.newProvider(document, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// bind chooses what tokens are bound to: what the configuration says, or what the provider can do.
func (c *Client) bind(offered []string) error {
	c.binding, c.dpop = c.config.Binding.kind, c.config.Binding.key
	if c.binding == bindingUnset && !c.config.Weak.Bearer {
		algorithm := ""
		for _, name := range []string{jose.ES256, jose.EdDSA, jose.PS256} {
			if algorithm == "" && slices.Contains(offered, name) {
				algorithm = name
			}
		}
		switch {
		case algorithm != "" && c.config.Profile != FAPI1Advanced:
			key, err := GenerateKey(algorithm)
			if err != nil {
				return err
			}
			c.binding, c.dpop = bindingDPoP, key
		case c.config.Certificate != nil:
			c.binding = bindingMTLS
		}
	}
	if c.binding == bindingDPoP {
		c.proofs = proof.New(c.dpop.signing, c.dpop.Public(), c.config.Now)
	}
	return nil
}

// publish makes the client's key set.
func publish(config Config) (json.RawMessage, error) {
	var keys []jose.Key
	seen := map[string]bool{}
	add := func(key jose.Key) {
		if key.ID != "" && !seen[key.Use+" "+key.Thumbprint()] {
			seen[key.Use+" "+key.Thumbprint()] = true
			keys = append(keys, key)
		}
	}
	for _, key := range slices.Concat([]Key{config.Auth.key, config.RequestKey}, config.UpcomingKeys, config.RetiredKeys) {
		add(key.public)
	}
	for _, key := range config.Decrypt {
		add(key.public)
	}
	if keys == nil {
		keys = []jose.Key{}
	}
	raw, err := json.Marshal(struct {
		Keys []jose.Key `json:"keys"`
	}{keys})
	if err != nil {
		return nil, misconfigured("Auth", "a key cannot be published: %v", err)
	}
	return raw, nil
}

// Metadata is what the provider says about itself (RFC 8414 §2), as it was checked. The endpoints are those that the client uses: for
// one with a certificate the mtls_endpoint_aliases (RFC 8705 §5).
type Metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	PAREndpoint           string   `json:"pushed_authorization_request_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	UserInfoEndpoint      string   `json:"userinfo_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	BackchannelEndpoint   string   `json:"backchannel_authentication_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	GrantEndpoint         string   `json:"grant_management_endpoint"`
	ScopesSupported       []string `json:"scopes_supported"`
	ACRValuesSupported    []string `json:"acr_values_supported"`
	// BackchannelLogout and BackchannelLogoutSession: OpenID Connect Back-Channel Logout 1.0 §2.1.
	BackchannelLogout        bool `json:"backchannel_logout_supported"`
	BackchannelLogoutSession bool `json:"backchannel_logout_session_supported"`
	// ClaimsParameter is a provider that takes the claims parameter (OpenID Connect Core §5.5).
	ClaimsParameter bool `json:"claims_parameter_supported"`
	// Raw is the whole document.
	Raw json.RawMessage `json:"-"`
}

// Metadata is the provider's. It is read again every ten minutes; one that has become weaker than the profile is not taken.
func (c *Client) Metadata() Metadata {
	c.mu.Lock()
	d := c.known.document
	c.mu.Unlock()
	return Metadata{
		Issuer: d.Issuer, AuthorizationEndpoint: d.Authorization, TokenEndpoint: d.Token, PAREndpoint: d.PAR, JWKSURI: d.JWKSURI,
		UserInfoEndpoint: d.UserInfo, IntrospectionEndpoint: d.Introspection, RevocationEndpoint: d.Revocation,
		BackchannelEndpoint: d.Backchannel, EndSessionEndpoint: d.EndSession, GrantEndpoint: d.Grant,
		ScopesSupported: slices.Clone(d.ScopesSupported), ACRValuesSupported: slices.Clone(d.ACRValuesSupported),
		BackchannelLogout: d.BackchannelLogout, BackchannelLogoutSession: d.BackchannelLogoutSession, ClaimsParameter: d.Claims,
		Raw: slices.Clone(d.Raw),
	}
}

// Keys is the client's JWK Set for its jwks_uri (RFC 7517 §5): the public keys of Auth and RequestKey, UpcomingKeys, RetiredKeys and those of
// Decrypt; not those of DPoP, which no provider needs.
func (c *Client) Keys() json.RawMessage { return slices.Clone(c.published) }
