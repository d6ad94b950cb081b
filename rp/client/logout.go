package client

import (
	"context"
	"encoding/json"
	"time"
)

// LogoutOptions are a logout at the provider (OpenID Connect RP-Initiated Logout 1.0 §2).
type LogoutOptions struct {
	// IDTokenHint is [Tokens].IDToken of the session that ends.
	IDTokenHint           string
	PostLogoutRedirectURI string
	// State comes back to that address, and is the caller's to compare.
	State      string
	LogoutHint string
	UILocales  []string
}

// LogoutURL is where to send the browser to end the session at the provider. A provider without an end_session_endpoint is a [*ConfigError].
func (c *Client) LogoutURL(options LogoutOptions) (string, error) { panic("soon") }

// LogoutToken is a verified logout token (OpenID Connect Back-Channel Logout 1.0 §2.4). It has a subject, a session or both.
type LogoutToken struct {
	Issuer, Subject, SessionID string
	IssuedAt, ExpiresAt        time.Time
	// JTI is to be accepted once, until Until: that memory is the caller's.
	JTI   string
	Until time.Time
	Raw   json.RawMessage
}

// VerifyLogoutToken checks the logout_token that a provider posted: signature, typ, iss, aud, iat, exp, events, sub or sid, and that there is no nonce (§2.6).
// Errors are a [*CheckError], or an [*UnavailableError] if the provider's keys cannot be had.
func (c *Client) VerifyLogoutToken(ctx context.Context, logoutToken string) (*LogoutToken, error) {
	panic("soon")
}
