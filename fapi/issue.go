package fapi

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign/internal/audit"
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
	Issuer       string        `json:"iss"`
	Subject      string        `json:"sub"`
	Audience     jose.Audience `json:"aud"`
	ClientID     string        `json:"client_id"`
	ID           string        `json:"jti"`
	IssuedAt     int64         `json:"iat"`
	Expires      int64         `json:"exp"`
	Scope        string        `json:"scope,omitempty"`
	AuthTime     int64         `json:"auth_time,omitempty"`
	ACR          string        `json:"acr,omitempty"`
	AMR          []string      `json:"amr,omitempty"`
	Details      details       `json:"authorization_details,omitempty"` // RFC 9396 §9.1
	Confirmation confirmation  `json:"cnf"`
}

// issuedToken is an access token that was signed and not yet claimed.
type issuedToken struct {
	token  string
	life   time.Duration
	claims accessTokenClaims
	record store.AccessToken
}

// issueAccessToken signs an access token, always bound to a key.
func (s *Server) issueAccessToken(ctx context.Context, client *Client, grant store.Grant, wanted wantedToken, binding confirmation) (issuedToken, error) {
	now := s.now()
	life := lifetime(s.config.AccessTokenLifetime, client.Profile.MaxAccessTokenLifetime)
	jti := newSecret()
	claims := accessTokenClaims{
		Issuer: s.config.Issuer, Audience: jose.Audience{Values: wanted.audience, Single: len(wanted.audience) == 1},
		ClientID: client.ID, ID: jti, IssuedAt: now.Unix(), Expires: now.Add(life).Unix(), Scope: strings.Join(wanted.scopes, " "),
		Details: wanted.details, Confirmation: binding,
	}
	if grant.Subject == "" {
		claims.Subject = client.ID // RFC 9068 §2.2
	} else {
		var err error
		if claims.Subject, err = s.subjectFor(ctx, client, grant.Subject); err != nil {
			return issuedToken{}, err
		}
		claims.AuthTime, claims.ACR, claims.AMR = grant.AuthTime.Unix(), grant.ACR, grant.AMR
	}
	token, err := s.sign(ctx, signer.UseAccessToken, s.algorithm(client, ""), "at+jwt", claims)
	if err != nil {
		return issuedToken{}, err
	}
	return issuedToken{
		token: token, life: life, claims: claims,
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
	AccessTokenHash string   `json:"at_hash,omitempty"`
	// CodeHash and StateHash make an ID token the signature of the authorization response that it comes with
	// (FAPI 1.0 Advanced §5.2.2.1).
	CodeHash  string `json:"c_hash,omitempty"`
	StateHash string `json:"s_hash,omitempty"`

	// person holds the claims about the person that were asked for by name (§5.5).
	person map[string]json.RawMessage
}

// MarshalJSON writes the claims about the person beside the others.
func (c idTokenClaims) MarshalJSON() ([]byte, error) {
	type plain idTokenClaims
	body, err := json.Marshal(plain(c))
	if err != nil || len(c.person) == 0 {
		return body, err
	}
	person, err := json.Marshal(c.person)
	if err != nil {
		return nil, err
	}
	// No name of a claim about a person is one of the fields.
	return append(append(body[:len(body)-1], ','), person[1:]...), nil
}

// issueIDToken signs an ID token for the client.
func (s *Server) issueIDToken(ctx context.Context, client *Client, grant store.Grant, detail grantDetail, issued issuedToken) (string, error) {
	alg := s.algorithm(client, client.Metadata.IDTokenSignedResponseAlg)
	now := s.now()
	claims := idTokenClaims{
		Issuer: s.config.Issuer, Subject: issued.claims.Subject, Audience: client.ID,
		IssuedAt: now.Unix(), Expires: now.Add(s.config.IDTokenLifetime).Unix(), AuthTime: grant.AuthTime.Unix(),
		Nonce: detail.Nonce, ACR: grant.ACR, AMR: grant.AMR, AccessTokenHash: halfHash(alg, issued.token),
	}
	if detail.Claims != nil && len(detail.Claims.IDToken) > 0 {
		known, err := s.person(ctx, grant.Subject)
		if errors.Is(err, errGone) {
			return "", unusable("code", err)
		}
		if err != nil {
			return "", err
		}
		claims.person = release(known, nil, detail.Claims.IDToken)
	}
	signed, err := s.sign(ctx, signer.UseIDToken, alg, "JWT", claims)
	if err != nil {
		return "", err
	}
	return s.encryptFor(ctx, client, client.Metadata.idTokenEncryption(), signed)
}

// detachedSignature signs the ID token that comes with an authorization response: what it says about the person is who
// it is, and nothing more, because it passes through the browser (FAPI 1.0 Advanced §5.2.2.1).
func (s *Server) detachedSignature(ctx context.Context, client *Client, grant store.Grant, request *authorizationRequest, code string) (string, store.Evidence, error) {
	subject, err := s.subjectFor(ctx, client, grant.Subject)
	if err != nil {
		return "", store.Evidence{}, err
	}
	alg := s.algorithm(client, client.Metadata.IDTokenSignedResponseAlg)
	now := s.now()
	claims := idTokenClaims{
		Issuer: s.config.Issuer, Subject: subject, Audience: client.ID,
		IssuedAt: now.Unix(), Expires: now.Add(s.config.IDTokenLifetime).Unix(), AuthTime: grant.AuthTime.Unix(),
		Nonce: request.Nonce, ACR: grant.ACR, AMR: grant.AMR, CodeHash: halfHash(alg, code),
	}
	if request.State != "" {
		claims.StateHash = halfHash(alg, request.State)
	}
	signed, kept, err := s.signedMessage(ctx, signer.UseIDToken, audit.IDToken, client, alg, func(key jose.SigningKey) (string, error) {
		return jose.Sign(ctx, key, "JWT", claims)
	})
	if err == nil {
		signed, err = s.encryptFor(ctx, client, client.Metadata.idTokenEncryption(), signed)
	}
	return signed, kept, err
}

// algorithm is what something for a client is signed with: what it registered, or the server's own choice where the
// client's profile has it.
func (s *Server) algorithm(client *Client, registered string) string {
	switch {
	case registered != "":
		return registered
	case slices.Contains(client.Profile.Algorithms, s.config.AccessTokenAlgorithm):
		return s.config.AccessTokenAlgorithm
	}
	return client.Profile.Algorithms[0]
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
