// Package profile describes what a security profile requires and allows, as data.
//
// A [Profile] is a value: the authentication methods, algorithms, lifetimes and message rules of one specification.
// The built-in ones are in builtin.go, each field with its clause. A client's registration restricts the profile
// ([Profile.Restrict]) and nothing can widen it; the discovery document announces the union of those offered
// ([Offered]).
package profile

import "time"

// Profile is what one security profile requires and allows. It is a value: endpoints read its fields and never its
// name. A client's registration can restrict it and nothing can widen it.
type Profile struct {
	// Name is the name of the profile in registrations.
	Name string

	// ClientAuthMethods are the allowed values of token_endpoint_auth_method.
	ClientAuthMethods []string `rule:"client_auth_methods,subset"`
	// Algorithms are the JWS algorithms of everything that is signed or accepted.
	Algorithms []string `rule:"algorithms,subset"`
	// SenderConstraints are the allowed ways to bind access tokens.
	SenderConstraints []SenderConstraint `rule:"sender_constraints,subset"`
	// GrantTypes are the allowed grant_type values.
	GrantTypes []string `rule:"grant_types,subset"`
	// ResponseTypes are the allowed response_type values.
	ResponseTypes []string `rule:"response_types,subset"`
	// ResponseModes are the allowed values of response_mode by response_type. The default is fixed by the response_type
	// (OAuth 2.0 Multiple Response Type Encoding Practices §2.1): if it is not in the list, the request has to name
	// another.
	ResponseModes map[string][]string `rule:"response_modes,subsets"`
	// RequirePushed refuses authorization requests that were not pushed (RFC 9126).
	RequirePushed bool `rule:"require_pushed,demand"`
	// RequestObjects is the rule for signed request objects (RFC 9101).
	RequestObjects RequestObjects `rule:"request_objects,stricter"`
	// PKCE is the rule for code_challenge.
	PKCE PKCE `rule:"pkce,stricter"`
	// RequireNonce demands a nonce with the scope openid, and a state without it.
	RequireNonce bool `rule:"require_nonce,demand"`
	// AssertionAudience is the rule for the aud of client assertions.
	AssertionAudience AssertionAudience `rule:"assertion_audience,stricter"`

	// GrantManagement is what clients may do with grants that they name (Grant Management for OAuth 2.0).
	GrantManagement GrantManagementRule `rule:"grant_management"`

	// Backchannel has the rules for backchannel authentication (CIBA).
	Backchannel BackchannelRules `rule:"backchannel"`

	// MaxAssertionLifetime bounds exp of a client assertion, counted from now.
	MaxAssertionLifetime time.Duration `rule:"max_assertion_lifetime,max"`
	// MaxRequestObjectAge bounds how long ago nbf of a request object may be, and MaxRequestObjectLifetime how long after
	// it exp may be.
	MaxRequestObjectAge      time.Duration `rule:"max_request_object_age,max"`
	MaxRequestObjectLifetime time.Duration `rule:"max_request_object_lifetime,max"`
	// MaxAhead is how far ahead of our clock iat and nbf may be.
	MaxAhead time.Duration `rule:"max_ahead,max"`
	// MinRequestURILifetime and MaxRequestURILifetime bound expires_in of a pushed request.
	MinRequestURILifetime time.Duration `rule:"min_request_uri_lifetime,min"`
	MaxRequestURILifetime time.Duration `rule:"max_request_uri_lifetime,max"`
	// AnswersInteractionID makes resources send an x-fapi-interaction-id if the request has none (FAPI 1.0 Baseline
	// §6.2.1-11); that of a request is echoed in any profile.
	AnswersInteractionID bool `rule:"answers_interaction_id,demand"`
	// MaxCodeLifetime bounds the lifetime of an authorization code.
	MaxCodeLifetime time.Duration `rule:"max_code_lifetime,max"`
	// MinAccessTokenLifetime and MaxAccessTokenLifetime bound the lifetime of an access token.
	MinAccessTokenLifetime time.Duration `rule:"min_access_token_lifetime,min"`
	MaxAccessTokenLifetime time.Duration `rule:"max_access_token_lifetime,max"`

	// Ecosystem has what an ecosystem asks beyond its base profile; the zero value asks nothing.
	Ecosystem
}

// BackchannelRules are a profile's rules for backchannel authentication requests (FAPI-CIBA §5.2.2).
type BackchannelRules struct {
	// DeliveryModes are the allowed values of backchannel_token_delivery_mode.
	DeliveryModes []string `rule:"delivery_modes,subset"`
	// Signed is the rule for signed requests (CIBA Core §7.1.1).
	Signed RequestObjects `rule:"signed,stricter"`
	// MaxAge bounds how long ago nbf of a signed request may be, and MaxLifetime how long after it exp may be.
	MaxAge      time.Duration `rule:"max_age,max"`
	MaxLifetime time.Duration `rule:"max_lifetime,max"`

	// BindingMessage is the rule for binding_message.
	BindingMessage TextRule `rule:"binding_message"`
	// Hints are the kinds of hints that are accepted; empty accepts all.
	Hints []HintRule `rule:"hints,names"`
	// MinIDTokenLifetime and MaxIDTokenLifetime bound the lifetime of ID tokens of backchannel authentication; zero
	// leaves it to those of the profile.
	MinIDTokenLifetime time.Duration `rule:"min_id_token_lifetime,min"`
	MaxIDTokenLifetime time.Duration `rule:"max_id_token_lifetime,max"`
	// OmittedClaims are claims that ID tokens of backchannel authentication do not have, such as acr.
	OmittedClaims []string `rule:"omitted_claims,names"`
	// IgnoreRequestedExpiry leaves requested_expiry (CIBA Core §7.1) out of account: how long a request waits is the server's.
	IgnoreRequestedExpiry bool `rule:"ignore_requested_expiry,demand"`
	// ClaimsParameter accepts the parameter claims (OpenID Connect Core §5.5) in backchannel authentication requests.
	ClaimsParameter bool `rule:"claims_parameter,demand"`
}

// Token delivery modes (CIBA Core §5). Push is in no profile: it sends tokens to an endpoint that is not authenticated.
const (
	DeliverByPoll = "poll"
	DeliverByPing = "ping"
)

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

// IssuerOrEndpoint accepts a string or an array with the issuer identifier, the token endpoint, or the endpoint that is
// called (RFC 9126 §2, OpenID Connect Core §9).
const IssuerOrEndpoint AssertionAudience = "issuer or endpoint"

// RequestObjects is a rule for signed request objects.
type RequestObjects string

// The rules, from the loosest to the strictest.
const (
	// RequestObjectsRefused refuses request objects.
	RequestObjectsRefused RequestObjects = "refused"
	// RequestObjectsAllowed accepts requests with and without one.
	RequestObjectsAllowed RequestObjects = "allowed"
	// RequestObjectsRequired refuses requests without one.
	RequestObjectsRequired RequestObjects = "required"
)

// PKCE is a rule for code_challenge (RFC 7636). A challenge that is sent is enforced under each rule.
type PKCE string

// The rules.
const (
	// PKCEAlways demands one in every request.
	PKCEAlways PKCE = "always"
	// PKCEPushed demands one in pushed requests.
	PKCEPushed PKCE = "pushed"
)

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
	// CIBA redeems an auth_req_id (CIBA Core §10.1).
	CIBA = "urn:openid:params:grant-type:ciba"
)
