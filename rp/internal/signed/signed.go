// Package signed verifies what a provider signs for a client: ID tokens, authorization responses (JARM), logout tokens, UserInfo and
// introspection. Nothing is read before its signature is right, and nothing in a token chooses its key or algorithm.
package signed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
	"countersign/internal/strictjson"
)

// Error is a token that failed a check.
type Error struct {
	// Check is the claim or header that was wrong.
	Check  string
	Reason string
	cause  error
}

// Error has both.
func (e *Error) Error() string { return e.Check + ": " + e.Reason }

// Unwrap is what failed below, or nil.
func (e *Error) Unwrap() error { return e.cause }

func refuse(check, format string, arguments ...any) error {
	return &Error{Check: check, Reason: fmt.Sprintf(format, arguments...)}
}

// Keys are a provider's.
type Keys interface {
	// Verify checks the signature of a token. Errors wrap those of package jose, or say that the keys cannot be had.
	Verify(ctx context.Context, token *jose.Token) error
}

// Verifier is what a client knows of its provider.
type Verifier struct {
	Keys Keys
	// Algorithms are those that the provider may sign with.
	Algorithms []string
	// PKCS1 lets RS256 be among them.
	PKCS1            bool
	Issuer, ClientID string
	// Audiences are others that may be named beside the client.
	Audiences []string
	Tolerance time.Duration
	Now       func() time.Time
	// Decrypt are the client's keys.
	Decrypt []jose.DecryptionKey
}

// maxAge is how old what was just asked for may be.
const maxAge = 10 * time.Minute

// token is what was verified.
type token struct {
	header jose.Header
	// compact is the token as it was signed.
	compact string
	payload json.RawMessage
	// encrypted reports that it came encrypted.
	encrypted bool
}

// open decrypts, if that is needed, parses and verifies a token. typ is what its header may say, beside nothing and JWT.
func (v *Verifier) open(ctx context.Context, raw, typ string) (*token, error) {
	encrypted := jose.IsEncrypted(raw)
	if encrypted {
		if len(v.Decrypt) == 0 {
			return nil, refuse("encryption", "it is encrypted, and the client has no key to decrypt with")
		}
		plain, err := jose.Decrypt(ctx, raw, v.Decrypt)
		if err != nil {
			return nil, &Error{"encryption", "it cannot be decrypted with a key of this client", err}
		}
		raw = string(plain)
	}
	parsed, err := jose.Parse(raw, jose.ParseOptions{Algorithms: v.Algorithms, PKCS1: v.PKCS1})
	switch {
	case errors.Is(err, jose.ErrAlgorithm):
		return nil, &Error{"alg", "it is signed with another algorithm than " + strings.Join(v.Algorithms, ", "), err}
	case err != nil:
		return nil, &Error{"malformed", err.Error(), err}
	}
	if given := parsed.Header.Type; given != "" && !parsed.Header.HasType("JWT") && (typ == "" || !parsed.Header.HasType(typ)) {
		return nil, refuse("typ", "its header says that it is another kind of token")
	}
	if err := v.verify(ctx, parsed); err != nil {
		return nil, err
	}
	var payload json.RawMessage
	if err := parsed.Claims(&payload); err != nil {
		return nil, &Error{"malformed", err.Error(), err}
	}
	return &token{parsed.Header, raw, payload, encrypted}, nil
}

// verify checks the signature. What is not a verdict about the token, such as keys that cannot be had, is passed on.
func (v *Verifier) verify(ctx context.Context, parsed *jose.Token) error {
	err := v.Keys.Verify(ctx, parsed)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jose.ErrNoKey):
		return &Error{"kid", "none of the provider's keys can have signed it", err}
	case errors.Is(err, jose.ErrSignature):
		return &Error{"signature", "its signature is wrong", err}
	case errors.Is(err, jose.ErrAlgorithm):
		return &Error{"alg", "it is signed with another algorithm than " + strings.Join(v.Algorithms, ", "), err}
	}
	return err
}

// registered are the claims that all kinds have (RFC 7519 §4.1).
type registered struct {
	Issuer   string            `json:"iss"`
	Subject  string            `json:"sub"`
	Audience *jose.Audience    `json:"aud"`
	Expires  *jose.NumericDate `json:"exp"`
	Before   *jose.NumericDate `json:"nbf"`
	IssuedAt *jose.NumericDate `json:"iat"`
}

// read decodes a payload.
func read(payload json.RawMessage, into any) error {
	if err := strictjson.DecodeObject(payload, into); err != nil { // encoding/json would take Nonce for nonce
		return &Error{"malformed", err.Error(), err}
	}
	return nil
}

// checkParties checks iss and aud.
func (v *Verifier) checkParties(r registered) error {
	switch {
	case r.Issuer != v.Issuer:
		return refuse("iss", "it is another issuer's")
	case r.Audience == nil || !r.Audience.Contains(v.ClientID):
		return refuse("aud", "it is not for this client")
	}
	for _, other := range r.Audience.Values {
		if other != v.ClientID && !slices.Contains(v.Audiences, other) {
			return refuse("aud", "it is for another audience, too, which is not trusted (OpenID Connect Core §3.1.3.7)")
		}
	}
	return nil
}

// checkTimes checks exp and nbf where they are there, and iat.
func (v *Verifier) checkTimes(r registered) error {
	now := v.Now()
	switch {
	case r.Expires != nil && !now.Before(r.Expires.Time().Add(v.Tolerance)):
		return refuse("exp", "it has expired; if it is new, the clocks differ by more than %s", v.Tolerance)
	case r.Before != nil && r.Before.Time().After(now.Add(v.Tolerance)):
		return refuse("nbf", "it is not valid yet; the clocks may differ by %s", v.Tolerance)
	case r.IssuedAt != nil && r.IssuedAt.Time().After(now.Add(v.Tolerance)):
		return refuse("iat", "it is from the future; the clocks may differ by %s", v.Tolerance)
	}
	return nil
}

// checkFresh checks that a token that has just been asked for was issued just now.
func (v *Verifier) checkFresh(r registered) error {
	if r.IssuedAt == nil {
		return refuse("iat", "it is missing")
	}
	if v.Now().Sub(r.IssuedAt.Time()) > maxAge+v.Tolerance {
		return refuse("iat", "it was issued more than %s ago", maxAge)
	}
	return nil
}

func timeOf(d *jose.NumericDate) time.Time {
	if d == nil {
		return time.Time{}
	}
	return d.Time()
}
