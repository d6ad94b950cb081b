package fapi

import (
	"slices"
	"time"
)

// Profile says what one security profile requires, allows and how long things live. It is a value: endpoints ask
// its fields and never which profile it is. A client's registration can narrow it and nothing can widen it.
type Profile struct {
	// Name is how registrations refer to the profile.
	Name string

	// ClientAuthMethods are the allowed values of token_endpoint_auth_method.
	ClientAuthMethods []string
	// Algorithms are the JWS algorithms of everything that is made or accepted.
	Algorithms []string
	// SenderConstraints are the allowed ways to bind access tokens.
	SenderConstraints []SenderConstraint
	// GrantTypes are the allowed grant_type values.
	GrantTypes []string
	// ResponseTypes are the allowed response_type values.
	ResponseTypes []string
	// ResponseModes are the allowed response_mode values; the first is the default.
	ResponseModes []string
	// RequirePushed refuses authorization requests that were not pushed (RFC 9126).
	RequirePushed bool
	// AssertionAudience says which aud values of a client assertion are accepted.
	AssertionAudience AssertionAudience

	// MaxAssertionLifetime bounds exp of a client assertion, counted from now.
	MaxAssertionLifetime time.Duration
	// MaxAhead is how far ahead of our clock iat and nbf may be.
	MaxAhead time.Duration
	// MaxRequestURILifetime bounds expires_in of a pushed request.
	MaxRequestURILifetime time.Duration
	// MaxCodeLifetime bounds the life of an authorization code.
	MaxCodeLifetime time.Duration
	// MaxAccessTokenLifetime bounds the life of an access token.
	MaxAccessTokenLifetime time.Duration
}

// SenderConstraint is a way to bind an access token to its client's key.
type SenderConstraint string

// The two ways that FAPI allows.
const (
	// ByDPoP binds to the key of a proof (RFC 9449).
	ByDPoP SenderConstraint = "dpop"
	// ByCertificate binds to the client's TLS certificate (RFC 8705 §3).
	ByCertificate SenderConstraint = "mtls"
)

// AssertionAudience is a rule for the aud of a client assertion.
type AssertionAudience string

// IssuerString accepts the issuer identifier as a single string and nothing else
// (FAPI 2.0 Security Profile §5.3.2.1-8).
const IssuerString AssertionAudience = "issuer string"

// Client authentication methods (RFC 8705 §2, OpenID Connect Core §9).
const (
	PrivateKeyJWT           = "private_key_jwt"
	TLSClientAuth           = "tls_client_auth"
	SelfSignedTLSClientAuth = "self_signed_tls_client_auth"
)

// Grant types.
const (
	AuthorizationCode = "authorization_code"
	RefreshToken      = "refresh_token"
	ClientCredentials = "client_credentials"
)

// Profiles returns the built-in profiles by name. The slices are the caller's own.
func Profiles() map[string]Profile {
	return map[string]Profile{"fapi2-security": FAPI2Security()}
}

// FAPI2Security is the FAPI 2.0 Security Profile, Final (22 February 2025).
func FAPI2Security() Profile {
	return Profile{
		Name:                   "fapi2-security",
		ClientAuthMethods:      []string{PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth}, // §5.3.2.1-6
		Algorithms:             []string{"PS256", "ES256", "EdDSA"},                             // §5.4.1-1.2
		SenderConstraints:      []SenderConstraint{ByDPoP, ByCertificate},                       // §5.3.2.1-5
		GrantTypes:             []string{AuthorizationCode, RefreshToken, ClientCredentials},    // §5.3.2.1-2: never password
		ResponseTypes:          []string{"code"},                                                // §5.3.2.2-1
		ResponseModes:          []string{"query"},
		RequirePushed:          true,              // §5.3.2.2-3
		AssertionAudience:      IssuerString,      // §5.3.2.1-8
		MaxAssertionLifetime:   10 * time.Minute,  // our bound: the profile names none
		MaxAhead:               30 * time.Second,  // §5.3.2.1-13: 10 s must pass, over 60 s must not
		MaxRequestURILifetime:  599 * time.Second, // §5.3.2.2-12: less than 600 s
		MaxCodeLifetime:        60 * time.Second,  // §5.3.2.1-11
		MaxAccessTokenLifetime: 15 * time.Minute,  // our bound; §6.1 wants them short
	}
}

// narrow gives what the profile still allows to a client with this registration: the intersection, never more.
func narrow(p Profile, m Metadata) Profile {
	p.ClientAuthMethods = intersect(p.ClientAuthMethods, []string{m.TokenEndpointAuthMethod})
	var constraints []SenderConstraint
	if m.DPoPBoundAccessTokens {
		constraints = append(constraints, ByDPoP)
	}
	if m.TLSClientCertificateBoundAccessTokens {
		constraints = append(constraints, ByCertificate)
	}
	p.SenderConstraints = intersect(p.SenderConstraints, constraints)
	p.GrantTypes = intersect(p.GrantTypes, m.GrantTypes)
	p.ResponseTypes = intersect(p.ResponseTypes, m.ResponseTypes)
	return p
}

// intersect keeps of allowed what is also wanted, in the order of allowed.
func intersect[T comparable](allowed, wanted []T) []T {
	var both []T
	for _, value := range allowed {
		if slices.Contains(wanted, value) {
			both = append(both, value)
		}
	}
	return both
}
