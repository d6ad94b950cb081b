package rs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
	"countersign/internal/strictjson"
)

// Token is a verified access token, presented by whom it is bound to.
type Token struct {
	// Issuer, Subject, ClientID and ID are iss, sub, client_id and jti. Without a user Subject is the client.
	Issuer, Subject, ClientID, ID string
	// Audience is aud: this API, and others that the token may be for too.
	Audience []string
	// Scopes are the values of scope.
	Scopes []string
	// Expires is exp, zero where an introspection says none.
	Expires time.Time
	// IssuedAt and AuthTime are iat and auth_time, zero where they are not said.
	IssuedAt, AuthTime time.Time
	// ACR and AMR say how the user authenticated (RFC 9068 §2.2.1).
	ACR string
	AMR []string
	// Details are the authorization_details (RFC 9396 §9), each a JSON object; see [DetailsOf].
	Details []json.RawMessage
	// JKT and X5T are the thumbprints of the key and of the certificate that the token is bound to, or empty (RFC 9449 §6.1,
	// RFC 8705 §3.1).
	JKT, X5T string
	// InteractionID is the x-fapi-interaction-id of the request, or the one that was made for it.
	InteractionID string

	claims func(into any) error
}

// Claims decodes all claims of the token into a value. Errors are about their types.
func (t *Token) Claims(into any) error { return t.claims(into) }

// HasScope reports whether the token has a scope value.
func (t *Token) HasScope(value string) bool { return slices.Contains(t.Scopes, value) }

// ScopeValues returns what follows a prefix in the scope values that begin with it: of "openid consent:42" and "consent:" it is
// ["42"].
func (t *Token) ScopeValues(prefix string) []string {
	var values []string
	for _, scope := range t.Scopes {
		if value, ok := strings.CutPrefix(scope, prefix); ok && value != "" {
			values = append(values, value)
		}
	}
	return values
}

// IsUser reports whether the token is for a user, and not for the client itself.
func (t *Token) IsUser() bool { return t.Subject != t.ClientID }

// DetailsOf decodes the authorization details of a type (RFC 9396 §2). Unknown members are ignored; members that repeat are an
// error, as are values of another JSON type.
func DetailsOf[T any](t *Token, typ string) ([]T, error) {
	var found []T
	for _, raw := range t.Details {
		var named struct {
			Type string `json:"type"`
		}
		if err := strictjson.DecodeObject(raw, &named); err != nil {
			return nil, fmt.Errorf("rs: authorization_details: %w", err)
		}
		if named.Type != typ {
			continue
		}
		var detail T
		if err := strictjson.Decode(raw, &detail); err != nil {
			return nil, fmt.Errorf("rs: authorization_details of type %s: %w", typ, err)
		}
		found = append(found, detail)
	}
	return found, nil
}

type tokenKey struct{}

// FromContext returns the token of a request that a [Guard] let through.
func FromContext(ctx context.Context) (*Token, bool) {
	token, ok := ctx.Value(tokenKey{}).(*Token)
	return token, ok
}

// NewContext returns a context with a token, as a guard makes it: for interceptors of other transports, and for tests of an API.
func NewContext(ctx context.Context, token *Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, token)
}

// wireClaims are the claims that are read, of a JWT (RFC 9068 §2.2) and of an introspection (RFC 7662 §2.2).
type wireClaims struct {
	Active       bool              `json:"active"`
	Issuer       string            `json:"iss"`
	Subject      string            `json:"sub"`
	Audience     jose.Audience     `json:"aud"`
	Expires      *jose.NumericDate `json:"exp"`
	NotBefore    *jose.NumericDate `json:"nbf"`
	IssuedAt     *jose.NumericDate `json:"iat"`
	AuthTime     *jose.NumericDate `json:"auth_time"`
	ID           string            `json:"jti"`
	ClientID     string            `json:"client_id"`
	Party        string            `json:"azp"`
	Scope        string            `json:"scope"`
	ACR          string            `json:"acr"`
	AMR          []string          `json:"amr"`
	Details      []json.RawMessage `json:"authorization_details"`
	Confirmation struct {
		JKT string `json:"jkt"`
		X5T string `json:"x5t#S256"`
	} `json:"cnf"`
}

// token makes a Token of claims that were checked.
func (c *wireClaims) token(claims func(any) error) *Token {
	return &Token{
		Issuer: c.Issuer, Subject: c.Subject, ClientID: c.ClientID, ID: c.ID, Audience: c.Audience.Values,
		Scopes: strings.Fields(c.Scope), Expires: instant(c.Expires), IssuedAt: instant(c.IssuedAt), AuthTime: instant(c.AuthTime),
		ACR: c.ACR, AMR: c.AMR, Details: c.Details, JKT: c.Confirmation.JKT, X5T: c.Confirmation.X5T, claims: claims,
	}
}

func instant(date *jose.NumericDate) time.Time {
	if date == nil {
		return time.Time{}
	}
	return date.Time()
}
