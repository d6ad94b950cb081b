package client

import "crypto/tls"

// Auth is how a client authenticates. Make one by [PrivateKeyJWT], [MTLS], [ClientSecretBasic], [ClientSecretPost] or [NoAuth].
type Auth struct {
	method      string
	key         Key
	certificate *tls.Certificate
	secret      string
}

// PrivateKeyJWT authenticates by assertions signed with a key (RFC 7523 §2.2). Their aud is the issuer alone (FAPI 2.0
// Security Profile §5.3.3.1), in FAPI 1 too, where that is allowed.
func PrivateKeyJWT(key Key) Auth { return Auth{method: methodPrivateKeyJWT, key: key} }

// MTLS authenticates by a certificate (RFC 8705 §2), of either kind. Its private key may be any [crypto.Signer].
func MTLS(certificate tls.Certificate) Auth {
	return Auth{method: methodMTLS, certificate: &certificate}
}

// ClientSecretBasic authenticates by a secret in the Authorization header (RFC 6749 §2.3.1). It needs [Weak].ClientSecret.
func ClientSecretBasic(secret string) Auth { return Auth{method: methodBasic, secret: secret} }

// ClientSecretPost authenticates by a secret in the body (RFC 6749 §2.3.1). It needs [Weak].ClientSecret.
func ClientSecretPost(secret string) Auth { return Auth{method: methodPost, secret: secret} }

// NoAuth is a public client. It needs [Weak].PublicClient.
func NoAuth() Auth { return Auth{method: methodNone} }

// String is the method, and nothing secret.
func (a Auth) String() string { return a.method }

// GoString is [Auth.String].
func (a Auth) GoString() string { return a.method }

// The values of token_endpoint_auth_method (RFC 7591 §2, RFC 8705 §2).
const (
	methodPrivateKeyJWT = "private_key_jwt"
	methodMTLS          = "tls_client_auth" // and self_signed_tls_client_auth
	methodBasic         = "client_secret_basic"
	methodPost          = "client_secret_post"
	methodNone          = "none"
)

// Binding is what access tokens are bound to. Make one by [DPoP], [MTLSBound] or [MTLSBoundWith].
type Binding struct {
	kind        bindingKind
	key         Key
	certificate *tls.Certificate
}

type bindingKind int

const (
	bindingUnset bindingKind = iota
	bindingDPoP
	bindingMTLS
)

// DPoP binds tokens to a key, of which each request has a proof (RFC 9449).
func DPoP(key Key) Binding { return Binding{kind: bindingDPoP, key: key} }

// MTLSBound binds tokens to the certificate of [MTLS] or of [Config] (RFC 8705 §3).
func MTLSBound() Binding { return Binding{kind: bindingMTLS} }

// MTLSBoundWith binds tokens to a certificate (RFC 8705 §3) beside which the client authenticates by [PrivateKeyJWT].
func MTLSBoundWith(certificate tls.Certificate) Binding {
	return Binding{kind: bindingMTLS, certificate: &certificate}
}
