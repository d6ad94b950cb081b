package client

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"countersign/rp/internal/answer"
	"countersign/rp/internal/signed"
)

// Tokens are what the provider issued, after every check. They can be stored as JSON; they are secrets, and printed and logged
// without their values.
type Tokens struct {
	AccessToken string `json:"access_token"`
	// TokenType is "DPoP" or "Bearer", in this spelling; a token bound to a certificate is "Bearer".
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// IDToken is the ID token as it was signed (decrypted, if it was encrypted): the id_token_hint of a logout.
	IDToken string `json:"id_token,omitempty"`
	// Scope is what was granted: what was asked for, if the provider does not say.
	Scope string `json:"scope,omitempty"`
	// ExpiresAt is when the access token ends; zero if the provider does not say.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// AuthorizationDetails is what was granted (RFC 9396 §7).
	AuthorizationDetails json.RawMessage `json:"authorization_details,omitempty"`
	// GrantID is the grant's (Grant Management for OAuth 2.0).
	GrantID string `json:"grant_id,omitempty"`
	// IssuedTokenType is what [Client.Exchange] got (RFC 8693 §2.2.1).
	IssuedTokenType string `json:"issued_token_type,omitempty"`
	// JKT is the thumbprint of the DPoP key that the token is bound to; empty if it is bound otherwise.
	JKT string `json:"jkt,omitempty"`
	// Identity is what the ID token says; nil if there is none. It can be nil only if "openid" was not asked for.
	Identity *Identity `json:"identity,omitempty"`
	// Extra are the members of the token response that are none of the above.
	Extra map[string]json.RawMessage `json:"extra,omitempty"`
}

// String hides the secrets.
func (t Tokens) String() string { return t.TokenType + " tokens for " + strconv.Quote(t.Scope) }

// GoString is [Tokens.String].
func (t Tokens) GoString() string { return t.String() }

// LogValue implements [slog.LogValuer] without the secrets.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Identity is a verified ID token (OpenID Connect Core §2).
type Identity struct {
	Issuer    string    `json:"iss"`
	Subject   string    `json:"sub"`
	Audience  []string  `json:"aud"`
	ExpiresAt time.Time `json:"exp"`
	IssuedAt  time.Time `json:"iat"`
	// AuthTime is when the user authenticated; zero if the provider does not say. It always does after a MaxAge.
	AuthTime time.Time `json:"auth_time,omitzero"`
	ACR      string    `json:"acr,omitempty"`
	AMR      []string  `json:"amr,omitempty"`
	// SessionID is sid, by which back-channel logout names a session.
	SessionID string `json:"sid,omitempty"`
	// SessionExpiresAt is session_expiry (IPSIE): a session must not outlive it; zero if there is none.
	SessionExpiresAt time.Time `json:"session_expiry,omitzero"`
	// Raw is the whole payload.
	Raw json.RawMessage `json:"raw"`
}

// String hides the user.
func (i Identity) String() string { return "identity of " + i.Issuer }

// GoString is [Identity.String].
func (i Identity) GoString() string { return i.String() }

// Decode reads the claims as JSON.
func (i *Identity) Decode(into any) error { return json.Unmarshal(i.Raw, into) }

// Expired reports whether the access token has ended, or ends within some time.
func (t *Tokens) Expired(now time.Time, within time.Duration) bool {
	return !t.ExpiresAt.IsZero() && !now.Add(within).Before(t.ExpiresAt)
}

// token asks the token endpoint and reads what it answers. The ID token is not verified yet: see [Client.identify].
func (c *Client) token(ctx context.Context, p *provider, form url.Values) (*Tokens, error) {
	to, err := need("token_endpoint", p.document.Token)
	if err != nil {
		return nil, err
	}
	asked := c.config.Now()
	reply, err := c.sender.post(ctx, to, form, true)
	if err != nil {
		return nil, err
	}
	if err := to.wantJSON(reply); err != nil {
		return nil, err
	}
	tokenType := "Bearer"
	if c.binding == bindingDPoP {
		tokenType = "DPoP"
	}
	read, err := answer.ReadTokens(reply.Body, tokenType)
	if err != nil {
		return nil, verdict("token response", err)
	}
	tokens := &Tokens{
		AccessToken: read.AccessToken, TokenType: read.TokenType, RefreshToken: read.RefreshToken, IDToken: read.IDToken, Scope: read.Scope,
		AuthorizationDetails: read.Details, GrantID: read.GrantID, IssuedTokenType: read.IssuedTokenType, Extra: read.Extra,
	}
	if read.TokenType == "DPoP" {
		tokens.JKT = c.dpop.Thumbprint()
	}
	if read.Life > 0 {
		tokens.ExpiresAt = asked.Add(read.Life)
	}
	return tokens, nil
}

// identify verifies the ID token of a token response, which must be there if it is wanted.
func (c *Client) identify(ctx context.Context, p *provider, tokens *Tokens, expected signed.Expected, wanted bool) error {
	if tokens.IDToken == "" {
		if wanted {
			return refuse("token response", "id_token", "it is missing, though openid was asked for")
		}
		return nil
	}
	verifier, err := p.verifier(c, p.document.IDTokenAlgorithms)
	if err != nil {
		return err
	}
	expected.AccessToken = tokens.AccessToken
	verified, err := verifier.IDToken(ctx, tokens.IDToken, expected)
	if err != nil {
		return verdict("ID token", err)
	}
	tokens.IDToken = verified.Compact
	tokens.Identity = &Identity{
		Issuer: verified.Issuer, Subject: verified.Subject, Audience: verified.Audience, ExpiresAt: verified.Expires, IssuedAt: verified.IssuedAt,
		AuthTime: verified.AuthTime, ACR: verified.ACR, AMR: verified.AMR, SessionID: verified.SessionID,
		SessionExpiresAt: verified.SessionExpires, Raw: verified.Payload,
	}
	return nil
}
