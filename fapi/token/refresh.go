package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

// refreshArtefact is what errors call a refresh token.
const refreshArtefact = "refresh token"

// refreshGrant issues a new access token for a refresh token (RFC 6749 §6). The refresh token stays the same (FAPI
// 2.0 Security Profile §5.3.2.1-9); it is bound to the client, whose key or certificate may have changed since (RFC
// 9449 §5, RFC 8705 §4).
type refreshGrant struct {
	store    store.Grants
	tokens   *tokens.Issuer
	evidence *event.Recorder
	now      func() time.Time
}

// redeem validates, signs, records, releases.
func (g *refreshGrant) redeem(
	ctx context.Context, c *endpoint.Call, bound tokens.Confirmation,
) (endpoint.Answer, error) {
	presented := c.Form.Get("refresh_token")
	if presented == "" {
		return endpoint.Answer{}, oauth.Errorf(oauth.InvalidRequest, "refresh_token is missing")
	}
	digest := store.DigestOf(presented)
	token, granted, err := g.store.RefreshGrant(ctx, digest)
	if errors.Is(err, store.ErrNotFound) {
		return endpoint.Answer{}, tokens.Unusable(refreshArtefact, err)
	}
	if err != nil {
		return endpoint.Answer{}, err
	}
	if err := g.check(c, token, granted); err != nil {
		return endpoint.Answer{}, err
	}
	scopes, err := restrictScopes(granted.Scopes, c.Form.Get("scope"))
	if err != nil {
		return endpoint.Answer{}, err
	}
	validated, err := validate(ctx, g.tokens, c, refreshArtefact, granted, scopes, bound)
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued, err := g.tokens.AccessToken(ctx, validated)
	if err != nil {
		return endpoint.Answer{}, err
	}
	answer, err := respond(validated, issued, "", "")
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued.Record.Evidence = []store.Evidence{g.evidence.Event(ctx, c.Client.ID, event.GrantRefreshed,
		"grant", granted.ID, "subject", granted.Subject, "scope", strings.Join(scopes, " "))}
	if err := g.store.Refresh(ctx, digest, issued.Record, c.OneTimes()...); err != nil {
		return endpoint.Answer{}, consumeError(refreshArtefact, err)
	}
	return answer, nil
}

func (g *refreshGrant) check(c *endpoint.Call, token store.RefreshToken, granted store.Grant) error {
	now := g.now()
	switch {
	case token.ClientID != c.Client.ID:
		return tokens.Unusable(refreshArtefact, errors.New("presented by another client"))
	case !now.Before(token.ExpiresAt) || !now.Before(granted.ExpiresAt):
		return tokens.Unusable(refreshArtefact, store.ErrExpired)
	case !token.RevokedAt.IsZero() || !granted.RevokedAt.IsZero():
		return tokens.Unusable(refreshArtefact, store.ErrRevoked)
	}
	return nil
}

// restrictScopes returns the scopes requested, which must be among those granted (RFC 6749 §6).
func restrictScopes(granted []string, requested string) ([]string, error) {
	if requested == "" {
		return granted, nil
	}
	var scopes []string
	for _, name := range strings.Fields(requested) {
		if !slices.Contains(granted, name) {
			return nil, oauth.Errorf(oauth.InvalidScope,
				"a refresh can only reduce the scope; it was granted %q", strings.Join(granted, " "))
		}
		if !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	return scopes, nil
}
