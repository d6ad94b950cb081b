package fapi

import (
	"context"
	"errors"
	"net/http"

	"countersign/internal/oauth"
	"countersign/store"
)

// revoke is the revocation endpoint (RFC 7009 §2). A refresh token takes its whole grant along, access tokens included;
// an access token goes alone. token_type_hint is not needed: the two cannot be mistaken for each other.
func (s *Server) revoke(ctx context.Context, c *call) (answer, error) {
	token := c.form.Get("token")
	if token == "" {
		return answer{}, oauth.Errorf(oauth.InvalidRequest, "token is missing (RFC 7009 §2.1)")
	}
	claims, err := s.verifyAccessToken(ctx, token)
	switch {
	case errors.Is(err, errNotOurs):
		err = s.revokeRefreshToken(ctx, c, token)
	case err != nil:
	case claims.ClientID != c.client.ID:
		err = errForeignToken()
	default:
		err = s.store.RevokeAccessToken(ctx, store.DigestOf(claims.ID), c.uses...)
	}
	if err != nil {
		return answer{}, err
	}
	c.uses = nil
	return answer{status: http.StatusOK}, nil
}

func (s *Server) revokeRefreshToken(ctx context.Context, c *call, token string) error {
	refresh, _, err := s.store.RefreshGrant(ctx, store.DigestOf(token))
	switch {
	case errors.Is(err, store.ErrNotFound):
		var idToken idTokenClaims
		if s.verifyOwn(ctx, token, "JWT", &idToken) == nil {
			return oauth.Errorf(oauth.UnsupportedTokenType, "an ID token cannot be revoked; it ends by itself")
		}
		return s.store.ConsumeOneTime(ctx, c.uses...) // unknown is as good as revoked (RFC 7009 §2.2)
	case err != nil:
		return err
	case refresh.ClientID != c.client.ID:
		return errForeignToken()
	}
	if err := s.store.RevokeGrant(ctx, refresh.GrantID, c.uses...); err != nil {
		return err
	}
	s.note(ctx, c.client.ID, "grant_revoked", "grant", refresh.GrantID)
	return nil
}

// errForeignToken refuses to end what belongs to another client (RFC 7009 §2.1).
func errForeignToken() error {
	return oauth.Errorf(oauth.InvalidGrant, "the token was issued to another client")
}
