package flowclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
)

// AssertionFormat is the one client_assertion_type (RFC 7523 §2.2).
const AssertionFormat = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// lifetime is how long what the client signs is valid.
const lifetime = time.Minute

// Claims are the claims of a JWT that the client signs.
type Claims map[string]any

// claimOrder is how claims are written, for those who read them.
var claimOrder = []string{"iss", "sub", "aud", "jti", "htm", "htu", "iat", "nbf", "exp", "ath", "nonce"}

// MarshalJSON implements json.Marshaler: the claims that a reader looks for first come first.
func (c Claims) MarshalJSON() ([]byte, error) {
	names := make([]string, 0, len(c))
	for _, name := range claimOrder {
		if _, ok := c[name]; ok {
			names = append(names, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if !slices.Contains(claimOrder, name) {
			names = append(names, name)
		}
	}
	var out bytes.Buffer
	out.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(c[name])
		if err != nil {
			return nil, err
		}
		out.Write(key)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// Sign signs claims with the client's key.
func (c *Client) Sign(ctx context.Context, typ string, claims Claims) (string, error) {
	return jose.Sign(ctx, c.Key.SigningKey(), typ, claims)
}

// Assertion makes a client assertion (private_key_jwt): aud is the issuer, as one string (FAPI 2.0 Security Profile
// §5.3.3.1). alter may change its claims, or be nil.
func (c *Client) Assertion(ctx context.Context, alter func(Claims)) (string, error) {
	now := c.Now()
	claims := Claims{
		"iss": c.ID, "sub": c.ID, "aud": c.Issuer, "jti": c.Random(), "iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}
	if alter != nil {
		alter(claims)
	}
	return c.Sign(ctx, c.AssertionType, claims)
}

// Proof makes a DPoP proof (RFC 9449 §4.2) with the nonce that the server gave last. accessToken is "" at the
// authorization server. alter may change its claims, or be nil.
func (c *Client) Proof(ctx context.Context, method, address, accessToken string, alter func(Claims)) (string, error) {
	if at := strings.IndexAny(address, "?#"); at >= 0 {
		address = address[:at] // htu is without query and fragment
	}
	claims := Claims{"jti": c.Random(), "htm": method, "htu": address, "iat": c.Now().Unix()}
	if accessToken != "" {
		claims["ath"] = Digest(accessToken)
	}
	if nonce := c.nonce(accessToken != ""); nonce != "" {
		claims["nonce"] = nonce
	}
	if alter != nil {
		alter(claims)
	}
	return c.ProofKey.SignEmbedded(ctx, "dpop+jwt", claims)
}

// RequestObject makes a signed request of a form's parameters (RFC 9101 §2.1; CIBA Core §7.1.1). alter may change its
// claims, or be nil.
func (c *Client) RequestObject(ctx context.Context, typ string, form url.Values, alter func(Claims)) (string, error) {
	now := c.Now()
	claims := Claims{
		"iss": c.ID, "aud": c.Issuer, "jti": c.Random(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(lifetime).Unix(),
	}
	for name := range form {
		claims[name] = form.Get(name)
	}
	if alter != nil {
		alter(claims)
	}
	return c.Sign(ctx, typ, claims)
}

// nonce is the one that the next proof has to hold: a resource has its own (RFC 9449 §9).
func (c *Client) nonce(resource bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if resource {
		return c.resourceNonce
	}
	return c.serverNonce
}

// keepNonce keeps a nonce for the next proof (RFC 9449 §8.2).
func (c *Client) keepNonce(resource bool, nonce string) {
	if nonce == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if resource {
		c.resourceNonce = nonce
		return
	}
	c.serverNonce = nonce
}

// DecodeJWT takes a JWT apart without verifying it. Header and payload are JSON objects.
func DecodeJWT(token string) (header, payload json.RawMessage, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, fmt.Errorf("it has %d parts and not three", len(parts))
	}
	var decoded [2]json.RawMessage
	for i := range decoded {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, nil, err
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, nil, err
		}
		if object == nil {
			return nil, nil, errors.New("a part of it is null and not an object")
		}
		decoded[i] = raw
	}
	return decoded[0], decoded[1], nil
}
