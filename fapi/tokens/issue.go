package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// Confirmation is the cnf claim (RFC 7800): the key that an access token is bound to.
type Confirmation struct {
	// JKT is the thumbprint of a DPoP key (RFC 9449 §6.1).
	JKT string `json:"jkt,omitempty"`
	// Thumbprint is the SHA-256 of a certificate (RFC 8705 §3.1).
	Thumbprint string `json:"x5t#S256,omitempty"`
}

// AccessClaims are those of a JWT access token (RFC 9068 §2.2).
type AccessClaims struct {
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
	Details      rar.Details   `json:"authorization_details,omitempty"` // RFC 9396 §9.1
	Confirmation Confirmation  `json:"cnf"`
}

// Scheme is the authentication scheme by which a client has to present the token (RFC 9449 §5, RFC 6750), and its
// token_type.
func (c Confirmation) Scheme() string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer" // RFC 8705 §3 defines no token_type
}

// AccessToken is a signed access token that is not recorded yet.
type AccessToken struct {
	Token    string
	Lifetime time.Duration
	Claims   AccessClaims
	// Record is the record for the store.
	Record store.AccessToken
}

// AccessToken signs a sender-constrained access token.
func (i *Issuer) AccessToken(ctx context.Context, v Validated) (AccessToken, error) {
	if v.client == nil {
		return AccessToken{}, errNotValidated
	}
	now := i.Now()
	lifetime := max(min(i.AccessTokenLifetime, v.client.Profile.MaxAccessTokenLifetime), v.client.Profile.MinAccessTokenLifetime)
	if end := v.grant.ExpiresAt; !end.IsZero() { // it does not outlive what was allowed
		lifetime = min(lifetime, end.Sub(now).Truncate(time.Second))
	}
	if lifetime <= 0 {
		return AccessToken{}, Unusable("grant", errors.New("it has ended"))
	}
	jti := i.Identifiers.Secret()
	signed := AccessClaims{
		Issuer: i.ID, Audience: jose.Audience{Values: v.audience, Single: len(v.audience) == 1},
		ClientID: v.client.ID, ID: jti, IssuedAt: now.Unix(), Expires: now.Add(lifetime).Unix(),
		Scope: strings.Join(v.scopes, " "), Details: v.details, Confirmation: v.binding,
	}
	if v.grant.Subject == "" {
		signed.Subject = v.client.ID // RFC 9068 §2.2
	} else {
		var err error
		if signed.Subject, err = i.Subjects.For(ctx, v.client, v.grant.Subject); err != nil {
			return AccessToken{}, err
		}
		signed.AuthTime, signed.ACR, signed.AMR = v.grant.AuthTime.Unix(), v.grant.ACR, v.grant.AMR
	}
	payload, err := Beside(signed, v.Extra(profile.InAccessToken))
	if err != nil {
		return AccessToken{}, err
	}
	token, err := i.sign(ctx, signer.UseAccessToken, i.AlgorithmFor(v.client, ""), "at+jwt", payload)
	if err != nil {
		return AccessToken{}, err
	}
	return AccessToken{
		Token: token, Lifetime: lifetime, Claims: signed,
		Record: store.AccessToken{ID: store.IssuedDigest(jti), GrantID: v.grant.ID, ExpiresAt: now.Add(lifetime)},
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
	// SID is in ID tokens from the token endpoint (OpenID Connect Back-Channel Logout 1.0 §2.1).
	SID string `json:"sid,omitempty"`
	// CodeHash and StateHash make an ID token the detached signature of its authorization response (FAPI 1.0 Advanced
	// §5.2.2.1).
	CodeHash  string `json:"c_hash,omitempty"`
	StateHash string `json:"s_hash,omitempty"`

	// user holds the claims about the user that were requested by name (§5.5), extra those of the client's ecosystem.
	user, extra map[string]json.RawMessage
}

// MarshalJSON writes the claims about the user and of the ecosystem beside the others.
func (c idTokenClaims) MarshalJSON() ([]byte, error) {
	type plain idTokenClaims
	body, err := json.Marshal(plain(c))
	body, err = beside(body, err, c.user)
	return beside(body, err, c.extra)
}

// IDToken signs, and encrypts if registered, the ID token that is issued with an access token.
func (i *Issuer) IDToken(ctx context.Context, v Validated, issued AccessToken) (string, error) {
	if v.client == nil {
		return "", errNotValidated
	}
	alg := i.IDTokenAlgorithm(v.client)
	signed := i.idToken(v.client, v.grant, v.detail, issued.Claims.Subject)
	signed.Nonce, signed.AccessTokenHash = v.detail.Nonce, jose.HalfHash(alg, issued.Token)
	signed.user = v.user
	if v.detail.Session != nil && v.client.Metadata.SignsOut() {
		var err error
		if signed.SID, err = i.Subjects.SID(ctx, v.client.ID, v.detail.Session.SID); err != nil {
			return "", err
		}
	}
	token, err := i.sign(ctx, signer.UseIDToken, alg, "JWT", signed)
	if err != nil {
		return "", err
	}
	return i.encrypt(ctx, v.client, v.client.Metadata.IDTokenEncryption(), token)
}

func (i *Issuer) idToken(c *client.Client, grant store.Grant, detail Detail, subject string) idTokenClaims {
	now := i.Now()
	claims := idTokenClaims{
		Issuer: i.ID, Subject: subject, Audience: c.ID, IssuedAt: now.Unix(),
		Expires:  now.Add(idTokenLifetime(i.IDTokenLifetime, c.Profile, detail.Backchannel)).Unix(),
		AuthTime: grant.AuthTime.Unix(), ACR: grant.ACR, AMR: grant.AMR,
		extra: Extra(c.Profile, grant, detail, profile.InIDToken),
	}
	if detail.Backchannel {
		claims.omit(c.Profile.Backchannel.OmittedClaims)
	}
	return claims
}

// omit leaves out claims that a profile does not have in ID tokens of backchannel authentication.
func (c *idTokenClaims) omit(names []string) {
	for _, name := range names {
		switch name {
		case "acr":
			c.ACR = ""
		case "amr":
			c.AMR = nil
		}
		delete(c.extra, name)
	}
}

// DetachedSignature signs the ID token of an authorization response, as the detached signature of its code and state.
// It has no claims about the user but the subject, because it passes through the browser (FAPI 1.0 Advanced
// §5.2.2.1).
func (i *Issuer) DetachedSignature(
	ctx context.Context, c *client.Client, grant store.Grant, nonce, state, code string,
) (string, store.Evidence, error) {
	subject, err := i.Subjects.For(ctx, c, grant.Subject)
	if err != nil {
		return "", store.Evidence{}, err
	}
	detail, err := ReadDetail(grant)
	if err != nil {
		return "", store.Evidence{}, err
	}
	alg := i.IDTokenAlgorithm(c)
	signed := i.idToken(c, grant, detail, subject)
	signed.Nonce, signed.CodeHash = nonce, jose.HalfHash(alg, code)
	if state != "" {
		signed.StateHash = jose.HalfHash(alg, state)
	}
	return i.SignMessage(ctx, c, Message{
		Use: signer.UseIDToken, Kind: audit.IDToken, Algorithm: alg, Encryption: c.Metadata.IDTokenEncryption(), Subject: grant.Subject,
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jose.Sign(ctx, key, "JWT", signed)
		},
	})
}
