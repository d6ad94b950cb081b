package fapi

import (
	"context"
	"errors"
	"slices"
	"strings"

	"countersign/internal/oauth"
	"countersign/store"
)

// refresh issues a new access token for a refresh token (RFC 6749 §6): validate, sign, claim, release. The refresh
// token stays the same (FAPI 2.0 Security Profile §5.3.2.1-9); it is bound to the client, whose key or certificate
// may have changed since (RFC 9449 §5, RFC 8705 §4).
func (s *Server) refresh(ctx context.Context, c *call, binding confirmation) (answer, error) {
	presented := c.form.Get("refresh_token")
	if presented == "" {
		return answer{}, oauth.Errorf(oauth.InvalidRequest, "refresh_token is missing")
	}
	digest := store.DigestOf(presented)
	token, grant, err := s.store.RefreshGrant(ctx, digest)
	if errors.Is(err, store.ErrNotFound) {
		return answer{}, unusable("refresh token", err)
	}
	if err != nil {
		return answer{}, err
	}
	if err := s.checkRefresh(ctx, c, token, grant); err != nil {
		return answer{}, err
	}
	scopes, err := narrowScopes(grant.Scopes, c.form.Get("scope"))
	if err != nil {
		return answer{}, err
	}
	detail, err := readDetail(grant)
	if err != nil {
		return answer{}, err
	}
	wanted, err := s.narrow(c, scopes, detail)
	if err != nil {
		return answer{}, err
	}
	issued, err := s.issueAccessToken(ctx, c.client, grant, wanted, binding)
	if err != nil {
		return answer{}, err
	}
	if err := s.store.Refresh(ctx, digest, issued.record, c.uses...); err != nil {
		return answer{}, wasted("refresh token", err)
	}
	c.uses = nil
	return respond(issued, "", ""), nil
}

func (s *Server) checkRefresh(ctx context.Context, c *call, token store.RefreshToken, grant store.Grant) error {
	now := s.now()
	switch {
	case token.ClientID != c.client.ID:
		return unusable("refresh token", errors.New("presented by another client"))
	case !now.Before(token.ExpiresAt) || !now.Before(grant.ExpiresAt):
		return unusable("refresh token", store.ErrExpired)
	case !token.RevokedAt.IsZero() || !grant.RevokedAt.IsZero():
		return unusable("refresh token", store.ErrRevoked)
	}
	return checkPerson("refresh token", grant)
}

// checkPerson refuses what a person granted who is disabled or no longer there.
func checkPerson(what string, grant store.Grant) error {
	if grant.UserGone {
		return unusable(what, errGone)
	}
	return nil
}

// narrowScopes gives the scopes asked for, which must lie within those granted (RFC 6749 §6).
func narrowScopes(granted []string, asked string) ([]string, error) {
	if asked == "" {
		return granted, nil
	}
	scopes := strings.Fields(asked)
	for _, name := range scopes {
		if !slices.Contains(granted, name) {
			return nil, oauth.Errorf(oauth.InvalidScope, "a refresh can only narrow the scope; it was granted %q", strings.Join(granted, " "))
		}
	}
	return scopes, nil
}
