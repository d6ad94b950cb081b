package rs

import (
	"context"
	"errors"
	"slices"
	"time"

	"countersign/internal/jose"
	"countersign/internal/keyset"
)

const (
	// maxAhead is how far ahead of our clock nbf and iat may be: the clocks of two servers (FAPI 2.0 Security Profile §5.3.2.1-13).
	maxAhead = 30 * time.Second
	// tokenType is the typ of an access token (RFC 9068 §2.1).
	tokenType = "at+jwt"
)

// verify checks a JWT as an access token for an audience (RFC 9068 §4). The signature comes last, as it costs most.
func (g *Guard) verify(ctx context.Context, raw string, audience []string) (*Token, error) {
	parsed, err := jose.Parse(raw, jose.ParseOptions{Algorithms: g.algorithms, PKCS1: g.config.Weak.RS256})
	if errors.Is(err, jose.ErrAlgorithm) {
		return nil, invalidToken(BadAlgorithm, "the access token is signed with an algorithm that is not accepted", err)
	}
	if err != nil {
		return nil, invalidToken(BadForm, "the access token is no JWT of the form that is accepted", err)
	}
	if !parsed.Header.HasType(tokenType) && !g.config.Weak.AnyType {
		return nil, invalidToken(BadType, "the access token must have typ at+jwt (RFC 9068)", nil)
	}
	var claims wireClaims
	if err := parsed.Claims(&claims); err != nil {
		return nil, invalidToken(BadForm, "the access token cannot be read", err)
	}
	if g.config.Weak.AnyType && claims.ClientID == "" {
		claims.ClientID = claims.Party
	}
	if err := g.checkClaims(&claims, audience, true); err != nil {
		return nil, err
	}
	if err := g.keys.Verify(ctx, parsed); err != nil {
		if _, ok := errors.AsType[*keyset.Error](err); ok {
			return nil, unavailable("the keys of the issuer cannot be read at the moment; try again shortly", err)
		}
		return nil, invalidToken(BadSignature, "the access token is not signed by a key of the issuer", err)
	}
	return claims.token(parsed.Claims), nil
}

// checkClaims checks what a token says of itself; whole demands the claims of RFC 9068 §2.2.
func (g *Guard) checkClaims(c *wireClaims, audience []string, whole bool) error {
	now := g.config.Now()
	switch {
	case c.Issuer != g.config.Issuer && (whole || c.Issuer != ""):
		return invalidToken(BadIssuer, "the access token is of another issuer", nil)
	case !slices.ContainsFunc(audience, c.Audience.Contains):
		return invalidToken(BadAudience, "the access token is for another resource", nil)
	case whole && (c.Expires == nil || c.Subject == ""), whole && !g.config.Weak.AnyType && (c.ClientID == "" || c.ID == "" || c.IssuedAt == nil):
		return invalidToken(BadClaims, "the access token lacks claims that it needs (RFC 9068 §2.2)", nil)
	case c.Expires != nil && !now.Before(c.Expires.Time()):
		return invalidToken(Expired, "the access token has expired", nil)
	case c.NotBefore != nil && c.NotBefore.Time().Sub(now) > maxAhead, c.IssuedAt != nil && c.IssuedAt.Time().Sub(now) > maxAhead:
		return invalidToken(NotYetValid, "the access token is from the future; check the clock", nil)
	}
	return nil
}
