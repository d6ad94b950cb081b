package jar

import (
	"context"
	"net/url"
	"time"

	"countersign/internal/jose"
)

// ResponseType is the typ of the responses that [Response.Sign] makes. JARM names none; one of its own keeps a response from
// passing for another token (RFC 8725 §3.11).
const ResponseType = "oauth-authz-resp+jwt"

// Response is an authorization response that is to be signed (JARM §2.1).
type Response struct {
	// Issuer and ClientID become iss and aud.
	Issuer, ClientID string
	// Expires becomes exp.
	Expires time.Time
	// Parameters are those of the response, each at most once: code and state, or error and its description.
	Parameters url.Values
}

// SigningKey is a key of the server, for one signature. Its kid, its algorithm and Sign belong to the same key, so that
// header and signature cannot part when keys rotate.
type SigningKey struct {
	// ID becomes kid; empty leaves it out.
	ID string
	// Algorithm becomes alg: PS256, ES256 or EdDSA.
	Algorithm string
	// Sign signs a message (not a digest) and returns the signature in JWS form: r and s of ES256 side by side
	// (RFC 7518 §3.4).
	Sign func(ctx context.Context, message []byte) ([]byte, error)
}

// Sign makes the JWT that is the value of the parameter "response" (JARM §2.3). Errors of the key are wrapped.
func (r Response) Sign(ctx context.Context, key SigningKey) (string, error) {
	claims := map[string]any{}
	for name := range r.Parameters {
		claims[name] = r.Parameters.Get(name)
	}
	claims["iss"], claims["aud"], claims["exp"] = r.Issuer, r.ClientID, r.Expires.Unix()
	return jose.Sign(ctx, jose.SigningKey(key), ResponseType, claims)
}
