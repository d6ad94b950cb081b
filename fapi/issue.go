package fapi

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// confirmation is the cnf claim: the key that an access token is bound to.
type confirmation struct {
	// JKT is the thumbprint of a DPoP key (RFC 9449 §6.1).
	JKT string `json:"jkt,omitempty"`
	// Thumbprint is the SHA-256 of a certificate (RFC 8705 §3.1).
	Thumbprint string `json:"x5t#S256,omitempty"`
}

// accessTokenClaims are those of a JWT access token (RFC 9068 §2.2).
type accessTokenClaims struct {
	Issuer       string       `json:"iss"`
	Subject      string       `json:"sub"`
	Audience     string       `json:"aud"`
	ClientID     string       `json:"client_id"`
	ID           string       `json:"jti"`
	IssuedAt     int64        `json:"iat"`
	Expires      int64        `json:"exp"`
	Scope        string       `json:"scope"`
	AuthTime     int64        `json:"auth_time,omitempty"`
	ACR          string       `json:"acr,omitempty"`
	AMR          []string     `json:"amr,omitempty"`
	Confirmation confirmation `json:"cnf"`
}

// issuedToken is an access token that was signed and not yet claimed.
type issuedToken struct {
	token  string
	life   time.Duration
	record store.AccessToken
}

// issueAccessToken signs an access token, always bound to a key.
func (s *Server) issueAccessToken(ctx context.Context, client *Client, grant store.Grant, scopes []string, binding confirmation) (issuedToken, error) {
	now := s.now()
	life := lifetime(s.config.AccessTokenLifetime, client.Profile.MaxAccessTokenLifetime)
	jti := newSecret()
	claims := accessTokenClaims{
		Issuer: s.config.Issuer, Subject: grant.Subject, Audience: s.config.Issuer, ClientID: client.ID, ID: jti,
		IssuedAt: now.Unix(), Expires: now.Add(life).Unix(), Scope: strings.Join(scopes, " "),
		AuthTime: grant.AuthTime.Unix(), ACR: grant.ACR, AMR: grant.AMR, Confirmation: binding,
	}
	token, err := s.sign(ctx, signer.UseAccessToken, s.config.AccessTokenAlgorithm, "at+jwt", claims)
	if err != nil {
		return issuedToken{}, err
	}
	return issuedToken{
		token: token, life: life,
		record: store.AccessToken{ID: store.DigestOf(jti), GrantID: grant.ID, ExpiresAt: now.Add(life)},
	}, nil
}

// idTokenClaims are those of an ID token (OpenID Connect Core §2).
type idTokenClaims struct {
	Issuer          string   `json:"iss"`
	Subject         string   `json:"sub"`
	Audience        string   `json:"aud"`
	IssuedAt        int64    `json:"iat"`
	Expires         int64    `json:"exp"`
	AuthTime        int64    `json:"auth_time"`
	Nonce           string   `json:"nonce,omitempty"`
	ACR             string   `json:"acr,omitempty"`
	AMR             []string `json:"amr,omitempty"`
	AccessTokenHash string   `json:"at_hash"`
}

// issueIDToken signs an ID token for the client.
func (s *Server) issueIDToken(ctx context.Context, client *Client, grant store.Grant, accessToken string) (string, error) {
	var detail grantDetail
	if err := json.Unmarshal(grant.Detail, &detail); err != nil {
		return "", err
	}
	alg := client.Metadata.IDTokenSignedResponseAlg
	if alg == "" {
		alg = s.config.AccessTokenAlgorithm
	}
	now := s.now()
	claims := idTokenClaims{
		Issuer: s.config.Issuer, Subject: grant.Subject, Audience: client.ID,
		IssuedAt: now.Unix(), Expires: now.Add(s.config.IDTokenLifetime).Unix(), AuthTime: grant.AuthTime.Unix(),
		Nonce: detail.Nonce, ACR: grant.ACR, AMR: grant.AMR, AccessTokenHash: halfHash(alg, accessToken),
	}
	return s.sign(ctx, signer.UseIDToken, alg, "JWT", claims)
}

// halfHash is the left half of a value's digest (OpenID Connect Core §3.1.3.6). Ed25519 hashes with SHA-512.
func halfHash(alg, value string) string {
	if alg == jose.EdDSA {
		digest := sha512.Sum512([]byte(value))
		return base64.RawURLEncoding.EncodeToString(digest[:32])
	}
	digest := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

// sign makes a compact JWS with the active key for a use. Key, kid and algorithm come from one pinned key.
func (s *Server) sign(ctx context.Context, use signer.Use, alg, typ string, claims any) (string, error) {
	key, err := s.signer.Active(ctx, use, signer.Algorithm(alg))
	if err != nil {
		return "", err
	}
	return jose.Sign(ctx, jose.SigningKey{ID: key.ID, Algorithm: string(key.Algorithm), Sign: key.Sign}, typ, claims)
}
