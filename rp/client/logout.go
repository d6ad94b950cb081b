package client

import (
	"context"
	"encoding/json"
	"time"

	"countersign/rp/internal/exchange"
	"countersign/rp/internal/parameter"
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
func (c *Client) LogoutURL(options LogoutOptions) (string, error) {
	to, err := need("end_session_endpoint", c.current(context.Background()).document.EndSession)
	if err != nil {
		return "", err
	}
	p := parameter.Set{}
	p.Texts(map[string]string{
		"client_id": c.config.ClientID, "id_token_hint": options.IDTokenHint, "post_logout_redirect_uri": options.PostLogoutRedirectURI,
		"state": options.State, "logout_hint": options.LogoutHint,
	})
	p.Words("ui_locales", options.UILocales)
	address, err := exchange.WithQuery(to.address, p.Form())
	if err != nil {
		return "", unavailable(to.name, err)
	}
	return address, nil
}

// LogoutToken is a verified logout token (OpenID Connect Back-Channel Logout 1.0 §2.4). It has a subject, a session or both.
type LogoutToken struct {
	Issuer, Subject, SessionID string
	IssuedAt, ExpiresAt        time.Time
	// JTI is to be accepted once, until Until: that memory is the caller's.
	JTI   string
	Until time.Time
	Raw   json.RawMessage
}

// VerifyLogoutToken checks the logout_token that a provider posted: signature, typ, iss, aud, iat (at most ten minutes ago), exp, events, jti, sub or sid, and that there is no nonce (§2.6).
// One that is encrypted is decrypted. Errors are a [*CheckError], or an [*UnavailableError] if the provider's keys cannot be had.
func (c *Client) VerifyLogoutToken(ctx context.Context, logoutToken string) (*LogoutToken, error) {
	const what = "logout token"
	p := c.current(ctx)
	verifier, err := p.verifier(c, p.document.IDTokenAlgorithms)
	if err != nil {
		return nil, err
	}
	verified, err := verifier.LogoutToken(ctx, logoutToken, c.config.Weak.UntypedLogoutToken)
	if err != nil {
		return nil, verdict(what, err)
	}
	return &LogoutToken{
		Issuer: verified.Issuer, Subject: verified.Subject, SessionID: verified.SessionID, IssuedAt: verified.IssuedAt, ExpiresAt: verified.Expires,
		JTI: verified.ID, Until: verified.Expires.Add(c.config.ClockTolerance), Raw: verified.Payload,
	}, nil
}
