// Package discovery publishes what the server offers: the discovery document at both well-known addresses (OpenID
// Connect Discovery §4, RFC 8414 §3), the metadata of its own protected resources (RFC 9728) and its public keys (RFC
// 7517 §5).
//
// The documents are generated from the route table, the offered profiles and the active keys, so that they announce
// only what is enforced and possible.
package discovery

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/scope"
	"countersign/signer"
)

// Config is the configuration of a [Handler].
type Config struct {
	Addresses endpoint.Addresses
	// Profiles are the names of the built-in profiles that are offered, at least one.
	Profiles []string
	// Scopes and Details are the known scope values and types of authorization_details.
	Scopes  *scope.Catalog
	Details *rar.Types
	// Claims are the claims about users that can be had.
	Claims []string
	// HasClaim reports whether a claim about users that an ecosystem names can be had.
	HasClaim func(name string) bool
	// ACRValues are the supported authentication context classes, best first.
	ACRValues []string
	// UILocales are the languages of the pages (BCP 47); empty says nothing of them.
	UILocales []string
	// ResourceScopes are the scope values that the server's own protected resources require.
	ResourceScopes []string
	// ProofAlgorithms are the algorithms of DPoP proofs.
	ProofAlgorithms []string
	// Backchannel is nil without backchannel authentication.
	Backchannel *Backchannel
	Signer      *signer.Signer
	// JWKSMaxAge is how long verifiers may cache the key set. Key rotation relies on it.
	JWKSMaxAge time.Duration
	// Routes returns the whole route table of the server. It is called for each document, never by [New].
	Routes func() []endpoint.Route
}

// Backchannel has the metadata of backchannel authentication (CIBA Core §4).
type Backchannel struct {
	// Ping reports whether ping is supported. Poll always is.
	Ping bool
	// UserCodes reports whether user codes are supported.
	UserCodes bool
	// HintTokenFormats are the formats of subject identifiers in login_hint_token (FAPI-CIBA §5.3); empty when the
	// parameter is not accepted.
	HintTokenFormats []string
}

// Handler serves the documents. Make one with [New].
type Handler struct {
	config Config
	// offered is the union of the profiles.
	offered profile.Profile
}

// New makes the handler. [Handler.Check] reports whether its documents can be made.
func New(config Config) *Handler {
	return &Handler{config: config, offered: profile.Offered(config.Profiles, profile.Offer{
		Backchannel: config.Backchannel != nil, MTLS: config.Addresses.MTLSIssuer != "",
	})}
}

const (
	jwksPath = "/jwks"
	// resourcePath is the path of the metadata of the server's own resources (RFC 9728 §3).
	resourcePath = "/.well-known/oauth-protected-resource"
	// documentCaching is the Cache-Control of the metadata documents.
	documentCaching = "public, max-age=300"
)

// Routes returns the routes of the documents.
func (h *Handler) Routes() []endpoint.Route {
	const openID = "/.well-known/openid-configuration"
	routes := []endpoint.Route{
		{Methods: endpoint.Get(), Path: openID, Timeless: true, Serve: endpoint.Document(h.server)},
		{
			Methods: endpoint.Get(), Path: "/.well-known/oauth-authorization-server", WellKnown: true,
			Timeless: true, Serve: endpoint.Document(h.server),
		},
		{Methods: endpoint.Get(), Path: resourcePath, WellKnown: true, Timeless: true, Serve: endpoint.Document(h.resource)},
		{Methods: endpoint.Get(), Path: jwksPath, Metadata: "jwks_uri", Timeless: true, Serve: endpoint.Document(h.jwks)},
	}
	if h.config.Addresses.Path() != "" {
		// RFC 8414 §5: clients also look for it where the other document is, before the issuer's path.
		routes = append(routes, endpoint.Route{
			Methods: endpoint.Get(), Path: openID, WellKnown: true, Timeless: true, Serve: endpoint.Document(h.server),
		})
	}
	return routes
}

// Check makes the discovery document once. The error is one of the signer, when the keys cannot be read.
func (h *Handler) Check(ctx context.Context) error {
	_, _, err := h.server(ctx)
	return err
}

// Signs returns the algorithms of the offered profiles that have an active key for a use, in the order of the profiles.
func (h *Handler) Signs(ctx context.Context, use signer.Use) ([]string, error) {
	active, err := h.config.Signer.Algorithms(ctx, use)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(h.offered.Algorithms), func(alg string) bool {
		return !slices.Contains(active, signer.Algorithm(alg))
	}), nil
}

// jwks returns the public keys (RFC 7517 §5).
func (h *Handler) jwks(ctx context.Context) (body []byte, cacheControl string, err error) {
	published, err := h.config.Signer.Published(ctx)
	if err != nil {
		return nil, "", err
	}
	var keys []string
	for _, record := range published {
		key, err := publicJWK(record, h.namesOAEP())
		if err != nil {
			return nil, "", err
		}
		keys = append(keys, string(key))
	}
	document := `{"keys":[` + strings.Join(keys, ",") + `]}`
	return []byte(document), fmt.Sprintf("public, max-age=%d", endpoint.Seconds(h.config.JWKSMaxAge)), nil
}
