package client

import (
	"context"
	"net/http"
	"slices"
	"time"

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

// lacks lists what a provider does not offer of what the client needs, as it is bound.
func (c *Client) lacks(d *metadata.Document) []string {
	o := &c.config
	openid, jarm := slices.Contains(o.Scopes, "openid"), isJARM(o.ResponseMode)
	needs := metadata.Needs{
		AuthMethod: o.Auth.method, AuthAlgorithm: o.Auth.key.Algorithm(), DPoPAlgorithm: c.dpop.Algorithm(),
		CertificateBound: c.binding == bindingMTLS, Unbound: c.binding == bindingUnset && !o.Weak.Bearer,
		Keys: openid || o.RedirectURI != "" && jarm || o.SignedIntrospection, Algorithms: o.IDTokenAlgorithms, OpenID: openid,
		Required: (o.RedirectURI != "" || openid) && d.Backchannel == "", ResponseType: o.ResponseType, Pushed: o.pushes(),
		Iss:  !jarm && o.Profile != FAPI1Advanced && !o.Weak.NoIss,
		PKCE: o.Profile != FAPI1Advanced && !o.Weak.NoPKCE && !o.Weak.UnannouncedPKCE,
	}
	if jarm {
		needs.SignedMode = o.ResponseMode
	}
	if o.signedRequests() {
		needs.RequestAlgorithm = o.RequestKey.Algorithm()
	}
	return needs.Lacks(d)
}

// pushes reports whether authorization requests are pushed.
func (c *Config) pushes() bool {
	if c.Profile == FAPI1Advanced {
		return c.Pushed
	}
	return !c.Weak.NoPAR
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
		fetching := &http.Client{
			Transport: c.transport, Timeout: c.config.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		keys, err := keyset.New(keyset.Config{URL: document.JWKSURI, HTTP: fetching, Algorithms: c.config.IDTokenAlgorithms, Now: c.config.Now})
		if err != nil {
			return nil, refuse("metadata", "jwks_uri", "%v", err)
		}
		made.keys = keys
	}
	return made, nil
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
		if lacks := c.lacks(document); len(lacks) > 0 {
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
		again := *c.known
		again.readAt = c.config.Now()
		c.known = &again
		c.config.Logger.WarnContext(ctx, "provider metadata not renewed; keeping previous metadata", "issuer", c.config.Issuer, "error", err.Error())
		return
	}
	c.known = made
}

// verifier verifies what the provider signs, of a kind for which it announces algorithms.
func (p *provider) verifier(c *Client, announced []string) (*signed.Verifier, error) {
	if p.keys == nil {
		return nil, refuse("metadata", "jwks_uri", "it is missing, so that no signature can be verified")
	}
	return &signed.Verifier{
		Keys: p.keys, Algorithms: metadata.Common(c.config.IDTokenAlgorithms, announced), PKCS1: c.config.Weak.RS256,
		Issuer: c.config.Issuer, ClientID: c.config.ClientID, Audiences: c.config.TrustedAudiences,
		Tolerance: c.config.ClockTolerance, Now: c.config.Now, Decrypt: c.decrypt,
	}, nil
}
