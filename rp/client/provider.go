package client

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
	"countersign/internal/keyset"
	"countersign/rp/internal/exchange"
	"countersign/rp/internal/metadata"
	"countersign/rp/internal/signed"
)

// metadataLife is how long the provider's metadata are used before they are read again, beside the calls.
const metadataLife = 10 * time.Minute

// provider is what is known of the provider. It does not change.
type provider struct {
	document *metadata.Document
	// keys are nil if the provider publishes none.
	keys signed.Keys
	// readAt is when the metadata were read.
	readAt time.Time
}

// fetchMetadata reads the provider's metadata from where they may be. A place that has none is passed over.
func fetchMetadata(ctx context.Context, through *exchange.Client, issuer string) (*metadata.Document, error) {
	addresses, err := metadata.Addresses(issuer)
	if err != nil {
		return nil, verdict("metadata", err)
	}
	status := 0
	for _, address := range addresses {
		reply, err := through.Do(ctx, exchange.Request{Method: http.MethodGet, Address: address, Header: http.Header{"Accept": {"application/json"}}})
		if err != nil {
			return nil, unavailable("metadata", err)
		}
		if status = reply.Status; status != http.StatusOK {
			continue
		}
		document, err := metadata.Parse(reply.Body, issuer)
		if err != nil {
			return nil, verdict("metadata", err)
		}
		return document, nil
	}
	return nil, &ProviderError{Endpoint: "metadata", Status: status, Description: "there are none"}
}

// lacks lists what a provider does not offer of what the configuration asks for. It takes the binding that was chosen.
func (c *Config) lacks(d *metadata.Document, binding bindingKind, dpop string) []string {
	var lacks []string
	want := func(offered bool, what, weak string) {
		if offered {
			return
		}
		if weak != "" {
			what += " (Weak." + weak + ")"
		}
		lacks = append(lacks, what)
	}
	weak := func(named bool, name string) string { // a hint is for profiles that have it
		if named {
			return ""
		}
		return name
	}
	want(d.Token != "", "token_endpoint", "")
	want(c.authenticates(d), "token_endpoint_auth_methods_supported with "+c.Auth.method, "")
	if c.Auth.method == methodPrivateKeyJWT {
		want(offers(d.AuthAlgorithms, c.Auth.key.Algorithm()), "token_endpoint_auth_signing_alg_values_supported with "+c.Auth.key.Algorithm(), "")
	}
	switch binding {
	case bindingDPoP:
		want(slices.Contains(d.DPoPAlgorithms, dpop), "dpop_signing_alg_values_supported with "+dpop, "Bearer")
	case bindingMTLS:
		want(d.CertificateBound, "tls_client_certificate_bound_access_tokens", "Bearer")
	case bindingUnset:
		want(c.Weak.Bearer, "access tokens that are bound to a key: DPoP, or mTLS with a certificate of the client", "Bearer")
	}
	if c.needsKeys() {
		want(d.JWKSURI != "", "jwks_uri", "")
	}
	if slices.Contains(c.Scopes, "openid") {
		hint := ""
		if slices.Contains(d.IDTokenAlgorithms, jose.RS256) {
			hint = weak(c.Weak.RS256, "RS256")
		}
		want(len(signed.Algorithms(c.IDTokenAlgorithms, d.IDTokenAlgorithms)) > 0,
			"id_token_signing_alg_values_supported with "+strings.Join(c.IDTokenAlgorithms, ", "), hint)
	}
	if d.Authorization != "" || c.RedirectURI != "" || slices.Contains(c.Scopes, "openid") {
		c.lacksForAuthorization(d, want)
	}
	return lacks
}

// lacksForAuthorization lists what the authorization endpoint and what belongs to it do not offer.
func (c *Config) lacksForAuthorization(d *metadata.Document, want func(offered bool, what, weak string)) {
	want(d.Authorization != "", "authorization_endpoint", "")
	pushes := c.pushes()
	if pushes {
		want(d.PAR != "", "pushed_authorization_request_endpoint", "NoPAR")
	}
	if !isJARM(c.ResponseMode) && c.Profile != FAPI1Advanced && !c.Weak.NoIss {
		want(d.Iss, "authorization_response_iss_parameter_supported", "NoIss")
	}
	if c.Profile != FAPI1Advanced && !c.Weak.NoPKCE && !c.Weak.UnannouncedPKCE {
		want(slices.Contains(d.ChallengeMethods, "S256"), "code_challenge_methods_supported with S256", "UnannouncedPKCE, or NoPKCE")
	}
	if isJARM(c.ResponseMode) {
		want(offers(d.ResponseModes, c.ResponseMode), "response_modes_supported with "+c.ResponseMode, "")
		want(len(signed.Algorithms(c.IDTokenAlgorithms, d.ResponseAlgorithms)) > 0,
			"authorization_signing_alg_values_supported with "+strings.Join(c.IDTokenAlgorithms, ", "), "")
	}
	if c.signedRequests() {
		want(offers(d.RequestAlgorithms, c.RequestKey.Algorithm()), "request_object_signing_alg_values_supported with "+c.RequestKey.Algorithm(), "")
	}
	want(offers(d.ResponseTypes, c.ResponseType), "response_types_supported with "+c.ResponseType, "")
}

// pushes reports whether authorization requests are pushed.
func (c *Config) pushes() bool {
	if c.Profile == FAPI1Advanced {
		return c.Pushed
	}
	return !c.Weak.NoPAR
}

// needsKeys reports whether the provider's signatures will have to be verified.
func (c *Config) needsKeys() bool {
	return slices.Contains(c.Scopes, "openid") || c.RedirectURI != "" && isJARM(c.ResponseMode) || c.SignedIntrospection
}

// authenticates reports whether the provider lets the client authenticate as it does. A certificate is good for both methods.
func (c *Config) authenticates(d *metadata.Document) bool {
	methods := d.AuthMethods
	if methods == nil {
		methods = []string{methodBasic} // RFC 8414 §2
	}
	switch c.Auth.method {
	case methodMTLS:
		return slices.Contains(methods, methodMTLS) || slices.Contains(methods, methodSelfSigned)
	case methodNone:
		return true // not all announce what needs no announcement
	}
	return slices.Contains(methods, c.Auth.method)
}

// offers reports whether a list that a provider may leave out has a value.
func offers(list []string, value string) bool {
	if value == jose.EdDSA && slices.Contains(list, "Ed25519") {
		return true
	}
	return list == nil || slices.Contains(list, value)
}

// newProvider makes what is known of a provider; with the keys from before, if their address is the same.
func (c *Client) newProvider(document *metadata.Document, before *provider) (*provider, error) {
	made := &provider{document: document, readAt: c.config.Now()}
	if c.config.Certificate != nil {
		document.UseAliases()
	}
	switch {
	case document.JWKSURI == "":
	case before != nil && before.document.JWKSURI == document.JWKSURI:
		made.keys = before.keys
	default:
		keys, err := keyset.New(keyset.Config{URL: document.JWKSURI, HTTP: c.plainHTTP(), Algorithms: c.config.IDTokenAlgorithms, Now: c.config.Now})
		if err != nil {
			return nil, refuse("metadata", "jwks_uri", "%v", err)
		}
		made.keys = keys
	}
	return made, nil
}

// plainHTTP fetches key sets.
func (c *Client) plainHTTP() *http.Client {
	return &http.Client{
		Transport: c.transport, Timeout: c.config.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// current is what is known of the provider. Metadata that are old are read again, beside the call, and kept if they cannot be read or
// have become weaker.
func (c *Client) current(ctx context.Context) *provider {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config.Now().Sub(c.known.readAt) >= metadataLife && !c.reading {
		c.reading = true
		go c.readAgain(context.WithoutCancel(ctx))
	}
	return c.known
}

// readAgain reads the metadata again.
func (c *Client) readAgain(ctx context.Context) {
	document, err := fetchMetadata(ctx, c.exchange, c.config.Issuer)
	if err == nil {
		if lacks := c.config.lacks(document, c.binding, c.dpop.Algorithm()); len(lacks) > 0 {
			err = &WeakProviderError{c.config.Issuer, c.config.Profile, lacks}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading = false
	var made *provider
	if err == nil {
		made, err = c.newProvider(document, c.known)
	}
	if err != nil {
		c.config.Logger.WarnContext(ctx, "provider metadata not renewed; keeping previous metadata", "issuer", c.config.Issuer, "error", err.Error())
		again := *c.known
		again.readAt = c.config.Now()
		c.known = &again
		return
	}
	c.known = made
}

// verifier verifies what the provider signs, of a kind for which it announces algorithms.
func (c *Client) verifier(p *provider, announced []string) (*signed.Verifier, error) {
	if p.keys == nil {
		return nil, refuse("metadata", "jwks_uri", "it is missing, so that no signature can be verified")
	}
	return &signed.Verifier{
		Keys: p.keys, Algorithms: signed.Algorithms(c.config.IDTokenAlgorithms, announced), PKCS1: c.config.Weak.RS256,
		Issuer: c.config.Issuer, ClientID: c.config.ClientID, Audiences: c.config.TrustedAudiences,
		Tolerance: c.config.ClockTolerance, Now: c.config.Now, Decrypt: c.decrypt,
	}, nil
}
