package client

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"time"
)

// Profile is the security profile that a provider must offer.
type Profile int

// The profiles.
const (
	// FAPI2Security is the FAPI 2.0 Security Profile: PAR, PKCE, iss, private_key_jwt or mTLS, tokens bound by DPoP or mTLS.
	FAPI2Security Profile = iota
	// FAPI2MessageSigning is FAPI 2.0 Message Signing on top of it: signed requests (JAR) and signed answers (JARM);
	// introspection is signed where the provider offers that.
	FAPI2MessageSigning
	// FAPI1Advanced is FAPI 1.0 Advanced: signed requests by value or PAR, code id_token or JARM, tokens bound by mTLS.
	FAPI1Advanced
	// Plain is OpenID Connect and OAuth 2.0 with what [Weak] names left out; with nothing named it is FAPI2Security.
	Plain
)

// String is the name of the profile.
func (p Profile) String() string {
	switch p {
	case FAPI2Security:
		return "FAPI 2.0 Security Profile"
	case FAPI2MessageSigning:
		return "FAPI 2.0 Message Signing"
	case FAPI1Advanced:
		return "FAPI 1.0 Advanced"
	case Plain:
		return "plain OpenID Connect"
	}
	return "unknown profile"
}

// Config says who the client is and what it expects of its provider. Issuer, ClientID and Auth are required. What only an authorization
// needs of a provider is asked for if it has an authorization endpoint for codes, or if RedirectURI or the scope "openid" are set and it
// has no backchannel authentication endpoint either.
type Config struct {
	// Issuer is the provider's issuer identifier, an https URL, compared byte for byte wherever it appears.
	Issuer   string
	ClientID string
	// RedirectURI is where the provider sends the browser back to; required by [Client.Authorize].
	RedirectURI string

	// Profile is what the provider must offer.
	Profile Profile
	// Weak names what a [Plain] provider does not offer. Naming anything is an error with the other profiles.
	Weak Weak
	// Scopes are what [Client.Authorize] and [Client.Backchannel] ask for unless their options say otherwise. With "openid"
	// among them an ID token is demanded.
	Scopes []string

	// Auth is how the client authenticates: [PrivateKeyJWT], [MTLS] or, if Weak says so, a secret or nothing.
	Auth Auth
	// Binding is what access tokens are bound to: [DPoP], [MTLSBound] or [MTLSBoundWith]. The zero value is DPoP with a key
	// made by [New] where the provider does DPoP and the profile allows it, and else the certificate of Auth. Tokens that
	// several processes are to use, or one that is started again, need a key of the caller's.
	Binding Binding
	// Certificate is shown to the provider, by its mtls_endpoint_aliases, and to resources, where an ecosystem wants that whatever Auth and Binding are.
	// It is that of [MTLS] or [MTLSBoundWith] if they have one.
	Certificate *tls.Certificate
	// RequestKey signs request objects (RFC 9101, CIBA Core §7.1.1). The zero value is the key of [PrivateKeyJWT] where the
	// profile wants requests signed; with it set, requests are signed in any profile.
	RequestKey Key
	// RetiredKeys are published by [Client.Keys] beside those in use, for providers that have cached signatures to verify.
	// UpcomingKeys are too, before they are used.
	RetiredKeys, UpcomingKeys []Key
	// Decrypt are the keys to which ID tokens, UserInfo and authorization responses may be encrypted, the current and previous ones.
	Decrypt []Decrypter

	// ResponseType is "code", or "code id_token" in FAPI1Advanced. Empty is "code", and in FAPI1Advanced "code id_token" unless
	// ResponseMode is one of JARM.
	ResponseType string
	// ResponseMode is "query", "fragment", "form_post", or of JARM "jwt", "query.jwt", "fragment.jwt", "form_post.jwt". Empty is
	// the default of the response type, and "jwt" in FAPI2MessageSigning.
	ResponseMode string
	// Pushed demands PAR in FAPI1Advanced, which else passes requests by value. The other profiles always push.
	Pushed bool
	// IDTokenAlgorithms restrict what ID tokens, logout tokens, UserInfo, introspection and authorization responses may be
	// signed with, as the client is registered. Empty is PS256, ES256 and EdDSA, and RS256 alone or with them if Weak says so.
	IDTokenAlgorithms []string
	// RequireIDTokenEncryption refuses ID tokens that are not encrypted.
	RequireIDTokenEncryption bool
	// TrustedAudiences may be named in the aud of ID tokens beside the client (OpenID Connect Core §3.1.3.7). Others are refused.
	TrustedAudiences []string
	// SignedIntrospection demands that introspection is answered by a signed token (RFC 9701); FAPI2MessageSigning does
	// where the provider offers it.
	SignedIntrospection bool

	// Transport reaches the provider and resources; nil is one like [http.DefaultTransport]. It is cloned, and TLS versions and suites
	// (FAPI 2.0 Security Profile §5.2.2), Roots, and the client's certificate are set in the clone.
	Transport *http.Transport
	// Middleware wraps what was made of it, to trace or to measure every exchange with the provider and with resources; nil wraps nothing. It sees
	// secrets. Requests that it sends elsewhere are its own fault.
	Middleware func(next http.RoundTripper) http.RoundTripper
	// Roots are the authorities that certificates are verified with; nil is the system's.
	Roots *x509.CertPool
	// Timeout bounds one exchange with the provider, from the connection to the last byte; 0 is 10 seconds.
	Timeout time.Duration
	// UserAgent is sent with every request; empty is "countersign-rp".
	UserAgent string
	// ClockTolerance is how far the provider's clock may differ; 0 is 10 seconds, at most 60 are allowed.
	ClockTolerance time.Duration
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// Logger is told of what is not an error of a call; nil discards. No tokens, codes or secrets are logged.
	Logger *slog.Logger
}

// Weak names what a provider of the [Plain] profile lacks, or what is registered with it. Each field is a weakness; none is a
// default.
type Weak struct {
	// ClientSecret lets the client authenticate by [ClientSecretBasic] or [ClientSecretPost].
	ClientSecret bool
	// PublicClient lets the client be one without authentication ([NoAuth]).
	PublicClient bool
	// NoPAR passes authorization requests in the browser's address (no RFC 9126).
	NoPAR bool
	// NoPKCE is for a provider that refuses PKCE; where it merely does not announce it, see UnannouncedPKCE.
	NoPKCE bool
	// UnannouncedPKCE sends PKCE to a provider whose metadata does not say that it does S256, as that of Entra ID.
	UnannouncedPKCE bool
	// NoIss accepts authorization responses without iss (no RFC 9207). One that is there is checked all the same.
	NoIss bool
	// Bearer accepts access tokens that are bound to no key (RFC 6750).
	Bearer bool
	// RS256 accepts, and makes, signatures by RSASSA-PKCS1-v1_5.
	RS256 bool
	// TokenEndpointAudience addresses client assertions to the token endpoint and not to the issuer. It may be named in FAPI1Advanced, too.
	TokenEndpointAudience bool
	// UntypedLogoutToken accepts logout tokens whose header has no typ, or "JWT" (OpenID Connect Back-Channel Logout 1.0 §2.4).
	UntypedLogoutToken bool
}
