package signed

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"countersign/internal/strictjson"
)

// Response verifies an authorization response of JARM (§2.4) and gives its parameters. Errors are an [*Error], or say that the keys cannot
// be had.
func (v *Verifier) Response(ctx context.Context, raw string) (url.Values, error) {
	t, err := v.open(ctx, raw, "oauth-authz-resp+jwt")
	if err != nil {
		return nil, err
	}
	var claims registered
	if err := read(t.payload, &claims); err != nil {
		return nil, err
	}
	if err := v.checkParties(claims); err != nil {
		return nil, err
	}
	if claims.Expires == nil {
		return nil, refuse("exp", "it is missing")
	}
	if err := v.checkTimes(claims); err != nil {
		return nil, err
	}
	var members map[string]any
	if err := read(t.payload, &members); err != nil {
		return nil, err
	}
	parameters := url.Values{}
	for name, value := range members {
		switch name {
		case "aud", "exp", "iat", "nbf", "jti":
			continue
		}
		if text, ok := value.(string); ok {
			parameters.Set(name, text)
		}
	}
	return parameters, nil
}

// LogoutToken is a verified logout token.
type LogoutToken struct {
	Issuer, Subject, SessionID, ID string
	IssuedAt, Expires              time.Time
	Payload                        json.RawMessage
}

// logoutEvent is the member of events that makes a token a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

const logoutType = "logout+jwt"

// maxID bounds a jti, in bytes.
const maxID = 512

// LogoutToken verifies a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6). untyped accepts one without a typ of its own. Errors are
// an [*Error], or say that the keys cannot be had.
func (v *Verifier) LogoutToken(ctx context.Context, raw string, untyped bool) (*LogoutToken, error) {
	t, err := v.open(ctx, raw, logoutType)
	if err != nil {
		return nil, err
	}
	if !untyped && !t.header.HasType(logoutType) {
		return nil, refuse("typ", "the header must say %s", logoutType)
	}
	var claims struct {
		registered
		ID        string                     `json:"jti"`
		SessionID string                     `json:"sid"`
		Nonce     json.RawMessage            `json:"nonce"`
		Events    map[string]json.RawMessage `json:"events"`
	}
	if err := read(t.payload, &claims); err != nil {
		return nil, err
	}
	if err := v.checkParties(claims.registered); err != nil {
		return nil, err
	}
	if err := v.checkTimes(claims.registered); err != nil {
		return nil, err
	}
	if err := v.checkFresh(claims.registered); err != nil {
		return nil, err
	}
	var event map[string]json.RawMessage
	switch {
	case claims.Expires == nil:
		return nil, refuse("exp", "it is missing")
	case claims.ID == "" || len(claims.ID) > maxID:
		return nil, refuse("jti", "it is missing, or longer than %d bytes", maxID)
	case claims.Nonce != nil:
		return nil, refuse("nonce", "a logout token has none: this is another token")
	case claims.Events[logoutEvent] == nil || strictjson.DecodeObject(claims.Events[logoutEvent], &event) != nil || event == nil:
		return nil, refuse("events", "it is not the event of a logout")
	case claims.Subject == "" && claims.SessionID == "":
		return nil, refuse("sub", "neither sub nor sid is there")
	}
	return &LogoutToken{
		Issuer: claims.Issuer, Subject: claims.Subject, SessionID: claims.SessionID, ID: claims.ID,
		IssuedAt: timeOf(claims.IssuedAt), Expires: timeOf(claims.Expires), Payload: t.payload,
	}, nil
}

// UserInfo verifies a signed UserInfo response (OpenID Connect Core §5.3.2) and gives its claims. iss and aud are checked where they are there,
// as they should be. Errors are an [*Error], or say that the keys cannot be had.
func (v *Verifier) UserInfo(ctx context.Context, raw string) (payload json.RawMessage, compact string, err error) {
	t, err := v.open(ctx, raw, "userinfo+jwt")
	if err != nil {
		return nil, "", err
	}
	var claims registered
	if err := read(t.payload, &claims); err != nil {
		return nil, "", err
	}
	if claims.Issuer != "" && claims.Issuer != v.Issuer {
		return nil, "", refuse("iss", "it is another issuer's")
	}
	if claims.Audience != nil && !claims.Audience.Contains(v.ClientID) {
		return nil, "", refuse("aud", "it is not for this client")
	}
	if err := v.checkTimes(claims); err != nil {
		return nil, "", err
	}
	return t.payload, t.compact, nil
}

// introspectionType is the typ of a signed introspection response (RFC 9701 §5).
const introspectionType = "token-introspection+jwt"

// Introspection verifies a signed introspection response (RFC 9701 §5) and gives its token_introspection. Errors are an [*Error], or say that the
// keys cannot be had.
func (v *Verifier) Introspection(ctx context.Context, raw string) (introspection json.RawMessage, compact string, err error) {
	t, err := v.open(ctx, raw, introspectionType)
	if err != nil {
		return nil, "", err
	}
	if !t.header.HasType(introspectionType) {
		return nil, "", refuse("typ", "the header must say %s", introspectionType)
	}
	var claims struct {
		registered
		Introspection json.RawMessage `json:"token_introspection"`
	}
	if err := read(t.payload, &claims); err != nil {
		return nil, "", err
	}
	if err := v.checkParties(claims.registered); err != nil {
		return nil, "", err
	}
	if err := v.checkTimes(claims.registered); err != nil {
		return nil, "", err
	}
	if err := v.checkFresh(claims.registered); err != nil {
		return nil, "", err
	}
	if claims.Introspection == nil {
		return nil, "", refuse("token_introspection", "it is missing")
	}
	return claims.Introspection, t.compact, nil
}
