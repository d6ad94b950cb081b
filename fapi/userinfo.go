package fapi

import (
	"context"
	"errors"
	"net/http"

	"countersign/internal/oauth"
	"countersign/signer"
	"countersign/store"
)

// userInfo is the UserInfo endpoint (OpenID Connect Core §5.3). A client that registered userinfo_signed_response_alg
// gets a JWT.
func (s *Server) userInfo(ctx context.Context, access Access) (any, error) {
	known, err := s.person(ctx, access.Subject)
	if errors.Is(err, errGone) {
		gone := oauth.Errorf(oauth.InvalidToken, "the access token's user is disabled or gone").WithStatus(http.StatusUnauthorized)
		return nil, challenge(access.token.Confirmation.tokenType(), gone.Because(err))
	}
	if err != nil {
		return nil, err
	}
	detail, err := readDetail(access.grant)
	if err != nil {
		return nil, err
	}
	var wanted map[string]*claimRequest
	if detail.Claims != nil {
		wanted = detail.Claims.UserInfo
	}
	body := map[string]any{"sub": access.token.Subject}
	for name, value := range release(known, access.Scopes, wanted) {
		body[name] = value
	}
	client, err := s.clients.get(ctx, access.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		gone := oauth.Errorf(oauth.InvalidToken, "the access token's client is disabled or gone").WithStatus(http.StatusUnauthorized)
		return nil, challenge(access.token.Confirmation.tokenType(), gone.Because(err))
	}
	if err != nil {
		return nil, err
	}
	alg := client.Metadata.UserInfoSignedResponseAlg
	if alg == "" {
		return body, nil
	}
	body["iss"], body["aud"] = s.config.Issuer, client.ID                    // §5.3.2
	signed, err := s.sign(ctx, signer.UseIDToken, alg, "userinfo+jwt", body) // a typ of its own: never an ID token (RFC 8725 §3.11)
	return jwt(signed), err
}
