package fapi

import (
	"context"
	"mime"
	"net/http"
	"strings"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
)

const (
	// introspectionMedia is the media type of a signed answer (RFC 9701 §4).
	introspectionMedia = "application/token-introspection+jwt"
	// introspectionType is its typ (§5).
	introspectionType = "token-introspection+jwt"
)

// introspectionClaims are those of a signed answer (RFC 9701 §5). There is no sub and no exp, so that it cannot pass for
// an access token (§8.1).
type introspectionClaims struct {
	Issuer   string        `json:"iss"`
	Audience string        `json:"aud"`
	IssuedAt int64         `json:"iat"`
	Answer   introspection `json:"token_introspection"`
}

// introspected answers in JSON, or in a JWT for a resource server that asks for it by its Accept header (RFC 9701 §4, FAPI
// 2.0 Message Signing §5.5.1).
func (s *Server) introspected(ctx context.Context, c *call, result introspection) (answer, error) {
	if !accepts(c.accept, introspectionMedia) {
		return answer{status: http.StatusOK, body: result}, nil
	}
	alg := s.algorithm(c.client, c.client.Metadata.IntrospectionSignedResponseAlg)
	signed, kept, err := s.signedMessage(ctx, signer.UseIntrospection, audit.Introspection, c.client, alg, func(key jose.SigningKey) (string, error) {
		return jose.Sign(ctx, key, introspectionType, introspectionClaims{
			Issuer: s.config.Issuer, Audience: c.client.ID, IssuedAt: s.now().Unix(), Answer: result,
		})
	})
	if err == nil {
		signed, err = s.encryptFor(ctx, c.client, c.client.Metadata.introspectionEncryption(), signed)
	}
	if err == nil {
		err = s.record(ctx, kept)
	}
	return answer{status: http.StatusOK, body: jwt(signed), contentType: introspectionMedia}, err
}

// accepts tells whether an Accept header names a media type (RFC 9110 §12.5.1). A wildcard does not: who wants a JWT says so.
func accepts(header, media string) bool {
	for item := range strings.SplitSeq(header, ",") {
		named, parameters, err := mime.ParseMediaType(item)
		if err == nil && named == media && parameters["q"] != "0" {
			return true
		}
	}
	return false
}
