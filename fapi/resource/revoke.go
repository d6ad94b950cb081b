package resource

import (
	"context"
	"errors"
	"net/http"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

// revoke is the revocation endpoint (RFC 7009 §2). A refresh token is revoked with its whole grant, access tokens
// included; an access token alone. token_type_hint is not needed: the types differ in their syntax.
func (h *Handler) revoke(ctx context.Context, c *endpoint.Call) (endpoint.Answer, error) {
	token := c.Form.Get("token")
	if token == "" {
		return endpoint.Answer{}, oauth.Errorf(oauth.InvalidRequest, "token is missing (RFC 7009 §2.1)")
	}
	if err := h.revokeToken(ctx, c, token); err != nil {
		return endpoint.Answer{}, err
	}
	return endpoint.Answer{Status: http.StatusOK}, nil
}

func (h *Handler) revokeToken(ctx context.Context, c *endpoint.Call, raw string) error {
	token, err := h.config.Tokens.VerifyAccessToken(ctx, raw)
	switch {
	case errors.Is(err, tokens.ErrNotOurs):
		return h.revokeRefreshToken(ctx, c, raw)
	case err != nil:
		return err
	case token.ClientID != c.Client.ID:
		return errForeignToken()
	}
	revoked := h.config.Evidence.Event(ctx, c.Client.ID, event.AccessTokenRevoked, "by", "client")
	return h.config.Store.RevokeAccessToken(ctx, store.IssuedDigest(token.ID), []store.Evidence{revoked}, c.OneTimes()...)
}

func (h *Handler) revokeRefreshToken(ctx context.Context, c *endpoint.Call, raw string) error {
	refresh, granted, err := h.config.Store.RefreshGrant(ctx, store.DigestOf(raw))
	switch {
	case errors.Is(err, store.ErrNotFound) && h.config.Tokens.IsIDToken(ctx, raw):
		return oauth.Errorf(oauth.UnsupportedTokenType, "an ID token cannot be revoked; it ends by itself")
	case errors.Is(err, store.ErrNotFound):
		return c.ConsumeOneTimes(ctx) // an unknown token is treated as revoked (RFC 7009 §2.2)
	case err != nil:
		return err
	case refresh.ClientID != c.Client.ID:
		return errForeignToken()
	}
	revoked := h.config.Evidence.Event(ctx, c.Client.ID, event.GrantRevoked,
		"by", "client", "grant", refresh.GrantID, "subject", granted.Subject)
	return h.config.Store.RevokeGrant(ctx, refresh.GrantID, store.RevokedByClient, []store.Evidence{revoked}, c.OneTimes()...)
}

// errForeignToken is the error for a token of another client (RFC 7009 §2.1).
func errForeignToken() error {
	return oauth.Errorf(oauth.InvalidGrant, "the token was issued to another client")
}
