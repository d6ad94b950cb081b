package signed

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
)

// Expected is what an ID token must say beside what all must.
type Expected struct {
	// Nonce is the one that was sent; empty for a flow that has none.
	Nonce string
	// AccessToken is checked by at_hash, if the token has it.
	AccessToken string
	// Code and State are checked by c_hash and s_hash, which a FrontChannel token must have (FAPI 1.0 Advanced §5.2.2.1).
	Code, State  string
	FrontChannel bool
	// MaxAge is how long ago the user may have authenticated, in seconds; nil for any time.
	MaxAge *int64
	// ACRs are those of which one has to come; nil for any.
	ACRs []string
	// Subject is who it has to be about; empty for anybody.
	Subject string
	// Essential are claims that have to have one of some values; see [Essential].
	Essential map[string][]json.RawMessage
	// Encrypted demands that it was encrypted.
	Encrypted bool
}

// IDToken is a verified ID token.
type IDToken struct {
	Issuer, Subject, ACR, SessionID             string
	Audience, AMR                               []string
	Expires, IssuedAt, AuthTime, SessionExpires time.Time
	// Payload is the whole, and Compact the token as it was signed.
	Payload json.RawMessage
	Compact string
}

// idTokenClaims are those of OpenID Connect Core §2, of FAPI 1.0 Advanced §5.1 and of IPSIE.
type idTokenClaims struct {
	registered
	Nonce           *string           `json:"nonce"`
	AuthorizedParty *string           `json:"azp"`
	AuthTime        *jose.NumericDate `json:"auth_time"`
	ACR             string            `json:"acr"`
	AMR             []string          `json:"amr"`
	SessionID       string            `json:"sid"`
	SessionExpiry   *jose.NumericDate `json:"session_expiry"`
	AccessTokenHash *string           `json:"at_hash"`
	CodeHash        *string           `json:"c_hash"`
	StateHash       *string           `json:"s_hash"`
}

// maxSubject is the length of a sub, in bytes (OpenID Connect Core §2).
const maxSubject = 255

// IDToken verifies an ID token (OpenID Connect Core §3.1.3.7, §3.3.2.11, §3.3.3.6). Errors are an [*Error], or say that the keys cannot be
// had.
func (v *Verifier) IDToken(ctx context.Context, raw string, expected Expected) (*IDToken, error) {
	if expected.Encrypted && !jose.IsEncrypted(raw) {
		return nil, refuse("encryption", "it is not encrypted")
	}
	t, err := v.open(ctx, raw, "")
	if err != nil {
		return nil, err
	}
	var claims idTokenClaims
	if err := read(t.payload, &claims); err != nil {
		return nil, err
	}
	for _, check := range []func() error{
		func() error { return v.checkParties(claims.registered) },
		func() error { return v.checkAuthorizedParty(claims) },
		func() error { return required(claims) },
		func() error { return v.checkTimes(claims.registered) },
		func() error { return v.checkFresh(claims.registered) },
		func() error { return checkNonce(claims, expected) },
		func() error { return checkHashes(t.header.Algorithm, claims, expected) },
		func() error { return v.checkAuthentication(claims, expected) },
		func() error { return checkEssential(t.payload, expected) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return claims.told(t.compact, t.payload), nil
}

// told is what the claims say.
func (c *idTokenClaims) told(compact string, payload json.RawMessage) *IDToken {
	told := &IDToken{
		Issuer: c.Issuer, Subject: c.Subject, ACR: c.ACR, SessionID: c.SessionID, AMR: c.AMR,
		Expires: timeOf(c.Expires), IssuedAt: timeOf(c.IssuedAt), AuthTime: timeOf(c.AuthTime), SessionExpires: timeOf(c.SessionExpiry),
		Payload: payload, Compact: compact,
	}
	if c.Audience != nil {
		told.Audience = c.Audience.Values
	}
	return told
}

// Reread reads an ID token that was verified when it came, as [Verifier.IDToken] has read it. It verifies nothing.
func Reread(compact string) (*IDToken, error) {
	parts := strings.Split(compact, ".")
	if len(parts) != 3 {
		return nil, errors.New("it is no ID token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("it is no ID token: %w", err)
	}
	var claims idTokenClaims
	if err := read(payload, &claims); err != nil {
		return nil, fmt.Errorf("it is no ID token: %w", err)
	}
	return claims.told(compact, payload), nil
}

func (v *Verifier) checkAuthorizedParty(claims idTokenClaims) error {
	if claims.AuthorizedParty != nil && *claims.AuthorizedParty != v.ClientID {
		return refuse("azp", "it was issued to another client")
	}
	if len(claims.Audience.Values) > 1 && claims.AuthorizedParty == nil {
		return refuse("azp", "it is for several audiences and does not say to whom it was issued")
	}
	return nil
}

func required(claims idTokenClaims) error {
	switch {
	case claims.Subject == "" || len(claims.Subject) > maxSubject:
		return refuse("sub", "it is missing, or longer than %d bytes", maxSubject)
	case claims.Expires == nil:
		return refuse("exp", "it is missing")
	}
	return nil
}

// checkNonce compares the nonce, where one was sent.
func checkNonce(claims idTokenClaims, expected Expected) error {
	switch {
	case expected.Nonce == "":
		return nil
	case claims.Nonce == nil:
		return refuse("nonce", "it is missing")
	case subtle.ConstantTimeCompare([]byte(*claims.Nonce), []byte(expected.Nonce)) != 1:
		return refuse("nonce", "it is not the one that was sent: the token belongs to another login")
	}
	return nil
}

func checkHashes(algorithm string, claims idTokenClaims, expected Expected) error {
	if expected.FrontChannel && claims.CodeHash == nil {
		return refuse("c_hash", "it is missing")
	}
	if expected.FrontChannel && claims.StateHash == nil {
		return refuse("s_hash", "it is missing")
	}
	for _, each := range []struct {
		name  string
		hash  *string
		value string
	}{
		{"at_hash", claims.AccessTokenHash, expected.AccessToken}, {"c_hash", claims.CodeHash, expected.Code}, {"s_hash", claims.StateHash, expected.State},
	} {
		if each.hash == nil || each.value == "" {
			continue
		}
		if subtle.ConstantTimeCompare([]byte(*each.hash), []byte(jose.HalfHash(algorithm, each.value))) != 1 {
			return refuse(each.name, "it is the hash of something else")
		}
	}
	return nil
}

func (v *Verifier) checkAuthentication(claims idTokenClaims, expected Expected) error {
	if expected.Subject != "" && claims.Subject != expected.Subject {
		return refuse("sub", "it is about another user than the one that was expected")
	}
	if expected.ACRs != nil && !slices.Contains(expected.ACRs, claims.ACR) {
		return refuse("acr", "the user was not authenticated as it was asked for")
	}
	if expected.MaxAge == nil {
		return nil
	}
	switch {
	case claims.AuthTime == nil:
		return refuse("auth_time", "it is missing, though max_age was sent")
	case claims.AuthTime.Time().After(v.Now().Add(v.Tolerance)):
		return refuse("auth_time", "it is in the future")
	case v.Now().Sub(claims.AuthTime.Time()) > time.Duration(*expected.MaxAge)*time.Second+v.Tolerance:
		return refuse("auth_time", "the user authenticated longer ago than max_age")
	}
	return nil
}

// Subject reads the sub of an ID token that was verified when it came, to be sent back as id_token_hint.
func Subject(compact string) (string, error) {
	parsed, err := jose.Parse(compact, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA, jose.RS256}, PKCS1: true})
	if err != nil {
		return "", fmt.Errorf("it is no ID token: %w", err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := parsed.Claims(&claims); err != nil {
		return "", fmt.Errorf("it is no ID token: %w", err)
	}
	if claims.Subject == "" {
		return "", errors.New("it has no sub")
	}
	return claims.Subject, nil
}
