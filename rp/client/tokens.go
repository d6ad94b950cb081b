package client

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/internal/strictjson"
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

// tokenResponse is a token response (RFC 6749 §5.1) and what others add to it.
type tokenResponse struct {
	AccessToken     string          `json:"access_token"`
	TokenType       string          `json:"token_type"`
	RefreshToken    string          `json:"refresh_token"`
	IDToken         string          `json:"id_token"`
	Scope           string          `json:"scope"`
	ExpiresIn       json.RawMessage `json:"expires_in"`
	Details         json.RawMessage `json:"authorization_details"`
	GrantID         string          `json:"grant_id"`
	IssuedTokenType string          `json:"issued_token_type"`
}

// known are its members.
var known = [...]string{
	"access_token", "token_type", "refresh_token", "id_token", "scope", "expires_in", "authorization_details", "grant_id", "issued_token_type",
}

// maxLife bounds how long an access token is believed to last.
const maxLife = 10 * 365 * 24 * time.Hour

// token asks the token endpoint and reads what it answers. The ID token is not verified yet: see [Client.identify].
func (c *Client) token(ctx context.Context, p *provider, form url.Values) (*Tokens, error) {
	const what = "token response"
	to, err := need("token_endpoint", p.document.Token)
	if err != nil {
		return nil, err
	}
	asked := c.config.Now()
	reply, err := c.post(ctx, to, form, true)
	if err != nil {
		return nil, err
	}
	var answer tokenResponse
	if err := decode(what, to.name, reply, &answer); err != nil {
		return nil, err
	}
	tokenType, jkt, err := c.checkType(answer)
	if err != nil {
		return nil, err
	}
	tokens := &Tokens{
		AccessToken: answer.AccessToken, TokenType: tokenType, RefreshToken: answer.RefreshToken, IDToken: answer.IDToken, Scope: answer.Scope,
		AuthorizationDetails: answer.Details, GrantID: answer.GrantID, IssuedTokenType: answer.IssuedTokenType, JKT: jkt,
	}
	life, err := lifeOf(answer.ExpiresIn)
	if err != nil {
		return nil, err
	}
	if life > 0 {
		tokens.ExpiresAt = asked.Add(life)
	}
	members := map[string]json.RawMessage{}
	if err := strictjson.DecodeObject(reply.Body, &members); err != nil {
		return nil, &CheckError{What: what, Check: "malformed", Reason: err.Error(), cause: err}
	}
	for name, value := range members {
		if !slices.Contains(known[:], name) {
			if tokens.Extra == nil {
				tokens.Extra = map[string]json.RawMessage{}
			}
			tokens.Extra[name] = value
		}
	}
	return tokens, nil
}

// checkType checks that there is an access token, and that it is of the type that was asked for: a proof that was stripped on the way, or not
// understood, leaves a token that anybody can use (RFC 9449 §5).
func (c *Client) checkType(answer tokenResponse) (tokenType, jkt string, err error) {
	if answer.AccessToken == "" {
		return "", "", refuse("token response", "access_token", "it is missing")
	}
	tokenType = "Bearer"
	if c.binding == bindingDPoP {
		tokenType, jkt = "DPoP", c.dpop.Thumbprint()
	}
	// "N_A" is for what is issued by a token exchange and is no access token (RFC 8693 §2.2.1).
	if !strings.EqualFold(answer.TokenType, tokenType) && !(answer.IssuedTokenType != "" && answer.TokenType == "N_A") {
		return "", "", refuse("token response", "token_type", "it is %q and not %s: the token is not bound as it was asked for", printable(answer.TokenType), tokenType)
	}
	if answer.TokenType == "N_A" {
		return "N_A", "", nil
	}
	return tokenType, jkt, nil
}

// lifeOf reads expires_in, seconds as a number or, as some write it, as a string; 0 if it is missing.
func lifeOf(raw json.RawMessage) (time.Duration, error) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || seconds < 0 {
		return 0, refuse("token response", "expires_in", "it is not a number of seconds")
	}
	if seconds > maxLife.Seconds() {
		return maxLife, nil
	}
	return max(time.Duration(seconds*float64(time.Second)), time.Second), nil
}

// identify verifies the ID token of a token response, which must be there if it is wanted.
func (c *Client) identify(ctx context.Context, p *provider, tokens *Tokens, expected signed.Expected, wanted bool) error {
	if tokens.IDToken == "" {
		if wanted {
			return refuse("token response", "id_token", "it is missing, though openid was asked for")
		}
		return nil
	}
	verifier, err := c.verifier(p, p.document.IDTokenAlgorithms)
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
