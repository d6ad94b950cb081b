package fapi

import (
	"context"
	"maps"
	"slices"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
)

// userInfo is the UserInfo endpoint (OpenID Connect Core §5.3). A client that registered userinfo_signed_response_alg
// gets a JWT.
func (s *Server) userInfo(ctx context.Context, access Access) (any, error) {
	if access.Subject == "" {
		return nil, invalidToken(access.token.Confirmation.tokenType(), "the access token is about no person", nil)
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
	for name, value := range release(access.known, access.Scopes, wanted) {
		body[name] = value
	}
	alg := access.client.Metadata.UserInfoSignedResponseAlg
	if alg == "" {
		return body, nil
	}
	personal := slices.DeleteFunc(slices.Collect(maps.Keys(body)), func(name string) bool { return name == "sub" })
	body["iss"], body["aud"] = s.config.Issuer, access.ClientID // §5.3.2
	signed, kept, err := s.signedMessage(ctx, signer.UseIDToken, audit.UserInfo, access.client, alg, func(key jose.SigningKey) (string, error) {
		return jose.Sign(ctx, key, "userinfo+jwt", body) // a typ of its own: never an ID token (RFC 8725 §3.11)
	}, personal...)
	if err != nil {
		return nil, err
	}
	sealed, err := s.encryptFor(ctx, access.client, access.client.Metadata.userInfoEncryption(), signed)
	if err == nil {
		err = s.record(ctx, kept)
	}
	return jwt(sealed), err
}
