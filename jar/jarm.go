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

// Sign makes the JWT that stands for the response in the parameter "response". Errors of the key are wrapped.
func (r Response) Sign(ctx context.Context, key jose.SigningKey) (string, error) {
	claims := map[string]any{}
	for name := range r.Parameters {
		claims[name] = r.Parameters.Get(name)
	}
	claims["iss"], claims["aud"], claims["exp"] = r.Issuer, r.ClientID, r.Expires.Unix()
	return jose.Sign(ctx, key, ResponseType, claims)
}
