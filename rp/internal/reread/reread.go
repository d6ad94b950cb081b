// Package reread reads ID tokens that were verified before they were sealed.
package reread

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"countersign/rp/client"
)

// Identity is what an ID token says (OpenID Connect Core §2). It verifies nothing.
func Identity(idToken string) (*client.Identity, error) {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return nil, errors.New("no ID token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var claims struct {
		Issuer   string       `json:"iss"`
		Subject  string       `json:"sub"`
		Audience oneOrMany    `json:"aud"`
		Expires  json.Number  `json:"exp"`
		IssuedAt json.Number  `json:"iat"`
		AuthTime *json.Number `json:"auth_time"`
		ACR      string       `json:"acr"`
		AMR      []string     `json:"amr"`
		SID      string       `json:"sid"`
		Session  *json.Number `json:"session_expiry"`
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return nil, err
	}
	identity := &client.Identity{
		Issuer: claims.Issuer, Subject: claims.Subject, Audience: claims.Audience, ExpiresAt: seconds(&claims.Expires),
		IssuedAt: seconds(&claims.IssuedAt), AuthTime: seconds(claims.AuthTime), ACR: claims.ACR, AMR: claims.AMR, SessionID: claims.SID,
		SessionExpiresAt: seconds(claims.Session), Raw: raw,
	}
	return identity, nil
}

// oneOrMany is a string or an array of them (RFC 7519 §4.1.3).
type oneOrMany []string

// UnmarshalJSON implements [json.Unmarshaler].
func (o *oneOrMany) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(o))
}

// seconds is a NumericDate (RFC 7519 §2) as a time.
func seconds(number *json.Number) time.Time {
	if number == nil {
		return time.Time{}
	}
	value, err := number.Float64()
	if err != nil {
		return time.Time{}
	}
	return time.Unix(int64(value), 0)
}
