// Package statement signs what a client says of itself to its provider: client assertions and requests.
package statement

import (
	"context"
	"crypto/rand"
	"maps"
	"time"

	"countersign/internal/jose"
)

// Lives of what is signed. What is used at once needs a minute; a request waits for the browser.
const (
	assertionLife = time.Minute
	requestLife   = 5 * time.Minute
)

// Client signs as one client.
type Client struct {
	ID  string
	Now func() time.Time
}

// Assertion makes a client assertion (RFC 7523 §3, FAPI 2.0 Security Profile §5.3.3.1-5). Errors are those of the key.
func (c Client) Assertion(ctx context.Context, key jose.SigningKey, audience string) (string, error) {
	now := c.Now()
	return jose.Sign(ctx, key, "JWT", struct {
		Issuer    string `json:"iss"`
		Subject   string `json:"sub"`
		Audience  string `json:"aud"`
		ID        string `json:"jti"`
		IssuedAt  int64  `json:"iat"`
		NotBefore int64  `json:"nbf"`
		Expires   int64  `json:"exp"`
	}{c.ID, c.ID, audience, rand.Text(), now.Unix(), now.Unix(), now.Add(assertionLife).Unix()})
}

// Request makes a request object of parameters (RFC 9101 §4, CIBA Core §7.1.1). Errors are those of the key.
func (c Client) Request(ctx context.Context, key jose.SigningKey, audience string, parameters map[string]any) (string, error) {
	now := c.Now()
	claims := maps.Clone(parameters)
	maps.Copy(claims, map[string]any{
		"iss": c.ID, "aud": audience, "jti": rand.Text(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(requestLife).Unix(),
	})
	return jose.Sign(ctx, key, "oauth-authz-req+jwt", claims)
}
