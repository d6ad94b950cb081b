package resource

import (
	"context"
	"net/http"

	"countersign/fapi/endpoint"
	"countersign/fapi/tokens"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
)

const (
	// introspectionMedia is the media type of a signed response (RFC 9701 §4).
	introspectionMedia = "application/token-introspection+jwt"
	// introspectionType is its typ (§5).
	introspectionType = "token-introspection+jwt"
)

// introspectionClaims are those of a signed response (RFC 9701 §5). Without sub and exp it cannot be confused with an
// access token (§8.1).
type introspectionClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
	Answer   any    `json:"token_introspection"`
}

// introspected answers in JSON, or with a JWT if the Accept header requests it (RFC 9701 §4, FAPI 2.0 Message Signing
// §5.5.1). user is whom it is about, for the audit log.
func (h *Handler) introspected(ctx context.Context, c *endpoint.Call, user string, result any) (endpoint.Answer, error) {
	if !endpoint.Prefers(c.Accept, introspectionMedia) {
		return endpoint.Answer{Status: http.StatusOK, Body: result}, nil
	}
	registered := c.Client.Metadata
	sent, kept, err := h.config.Tokens.SignMessage(ctx, c.Client, tokens.Message{
		Use: signer.UseIntrospection, Kind: audit.Introspection,
		Algorithm:  h.config.Tokens.AlgorithmFor(c.Client, registered.IntrospectionSignedResponseAlg),
		Encryption: registered.IntrospectionEncryption(), Subject: user,
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jose.Sign(ctx, key, introspectionType, introspectionClaims{
				Issuer: h.config.Addresses.Issuer, Audience: c.Client.ID, IssuedAt: h.config.Now().Unix(), Answer: result,
			})
		},
	})
	if err != nil {
		return endpoint.Answer{}, err
	}
	if err := h.config.Evidence.Record(ctx, kept); err != nil {
		return endpoint.Answer{}, err
	}
	return endpoint.Answer{Status: http.StatusOK, Body: endpoint.JWT(sent), ContentType: introspectionMedia}, nil
}
