package resource

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"countersign/fapi/claims"
	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/fapi/tokens"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
)

// userInfo is the UserInfo endpoint (OpenID Connect Core §5.3). A client that registered userinfo_signed_response_alg
// gets a JWT.
func (h *Handler) userInfo(ctx context.Context, access Access) (any, error) {
	if access.Subject == "" {
		return nil, endpoint.InvalidToken(access.token.Confirmation.Scheme(),
			"the access token was not issued for a user", nil)
	}
	detail, err := tokens.ReadDetail(access.grant)
	if err != nil {
		return nil, err
	}
	asked := detail.Claims.At(profile.InUserinfo, access.client.Scopes, access.client.Profile)
	known, err := h.known(ctx, access, asked)
	if err != nil {
		return nil, err
	}
	body := map[string]any{"sub": access.ClientSubject}
	for name, value := range asked.Release(known, access.Scopes, h.config.Now()) {
		body[name] = value
	}
	for name, value := range tokens.Extra(access.client.Profile, access.grant, detail, profile.InUserinfo) {
		body[name] = value
	}
	registered := access.client.Metadata
	if registered.UserInfoSignedResponseAlg == "" {
		return body, nil
	}
	personal := slices.DeleteFunc(slices.Collect(maps.Keys(body)), func(name string) bool { return name == "sub" })
	body["iss"], body["aud"] = h.config.Addresses.Issuer, access.ClientID // §5.3.2
	sent, kept, err := h.config.Tokens.SignMessage(ctx, access.client, tokens.Message{
		Use: signer.UseIDToken, Kind: audit.UserInfo, Algorithm: registered.UserInfoSignedResponseAlg,
		Encryption: registered.UserInfoEncryption(), Personal: personal, Subject: access.Subject,
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jose.Sign(ctx, key, "userinfo+jwt", body) // its own typ: cannot be confused with an ID token (RFC 8725 §3.11)
		},
	})
	if err != nil {
		return nil, err
	}
	return endpoint.JWT(sent), h.config.Evidence.Record(ctx, kept)
}

// known returns the claims about the user of a token: of the source where there is one, or else those of the directory, which
// were read with the token.
func (h *Handler) known(
	ctx context.Context, access Access, asked claims.Asked,
) (map[string]json.RawMessage, error) {
	if h.config.Users.Source == nil {
		return access.known, nil
	}
	names, essential := asked.Names(access.Scopes)
	known, err := h.config.Users.Known(ctx, claims.Question{
		Subject: access.Subject, ClientID: access.ClientID, Purpose: claims.ForUserInfo, Scopes: access.Scopes,
		Names: names, Essential: essential,
	})
	if errors.Is(err, claims.ErrUserGone) {
		return nil, gone(access.token.Confirmation.Scheme(), err)
	}
	return known, err
}
