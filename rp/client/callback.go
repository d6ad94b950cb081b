package client

import (
	"context"
	"crypto/subtle"
	"net/url"
	"slices"
	"strings"

	told "countersign/rp/internal/answer"
	"countersign/rp/internal/signed"
)

// Bounds of what a browser brings.
const (
	maxParameters = 32
	maxAnswer     = 64 << 10 // of all values, in bytes
)

// response is what the checks of an authorization response use.
const response = "authorization response"

// Callback ends an authorization with the parameters that the browser brought: of the query, of the fragment, or of a form. It checks
// state, iss (RFC 9207), the signature and the times of JARM, and in FAPI1Advanced the ID token of the front channel with s_hash and c_hash, redeems the
// code, and checks the token response and the ID token. The transaction is to be forgotten before it is called.
//
// Errors are an [*AuthorizationError] if the provider says that it refused, a [*CheckError], [*ProviderError] or [*UnavailableError].
func (c *Client) Callback(ctx context.Context, t Transaction, answer url.Values) (*Tokens, error) {
	p := c.current(ctx)
	if t.Issuer != c.config.Issuer || t.State == "" {
		return nil, refuse(response, "iss", "the transaction is not one with this provider")
	}
	if !c.Holds(&Tokens{JKT: t.JKT}) {
		return nil, refuse(response, "dpop_jkt", "the request was bound to another DPoP key than this client's")
	}
	if err := checkAnswer(answer); err != nil {
		return nil, err
	}
	answer, err := c.openAnswer(ctx, p, t, answer)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(t.State)) != 1 {
		return nil, refuse(response, "state", "it is not the one that was sent: the answer belongs to another request")
	}
	if err := checkIss(&c.config, t, answer); err != nil {
		return nil, err
	}
	if answer.Has("error") {
		return nil, &AuthorizationError{told.Printable(answer.Get("error")), told.Printable(answer.Get("error_description")), told.Printable(answer.Get("error_uri"))}
	}
	code := answer.Get("code")
	if code == "" {
		return nil, refuse(response, "code", "neither a code nor an error is there")
	}
	detached, err := c.detached(ctx, p, t, answer)
	if err != nil {
		return nil, err
	}
	return c.redeem(ctx, p, t, code, detached)
}

// checkAnswer bounds what a browser brings, and refuses a parameter that comes twice (RFC 6749 §3.1).
func checkAnswer(answer url.Values) error {
	size := 0
	for _, values := range answer {
		if len(values) != 1 {
			return refuse(response, "malformed", "a parameter does not come once")
		}
		size += len(values[0])
	}
	if len(answer) > maxParameters || size > maxAnswer {
		return refuse(response, "malformed", "it is too large")
	}
	return nil
}

// openAnswer gives the parameters of an answer, which are within a JWT if JARM was asked for.
func (c *Client) openAnswer(ctx context.Context, p *provider, t Transaction, answer url.Values) (url.Values, error) {
	if !isJARM(t.ResponseMode) {
		if answer.Has("response") {
			return nil, refuse(response, "response", "it is signed, which was not asked for")
		}
		return answer, nil
	}
	if answer.Get("response") == "" {
		return nil, refuse(response, "response", "it is not signed, which was asked for")
	}
	verifier, err := p.verifier(c, p.document.ResponseAlgorithms)
	if err != nil {
		return nil, err
	}
	inside, err := verifier.Response(ctx, answer.Get("response"))
	if err != nil {
		return nil, verdict(response, err)
	}
	return inside, nil
}

// checkIss checks who answers (RFC 9207 §2.4, JARM §2.4). In FAPI 1.0 Advanced the ID token beside the code says it.
func checkIss(config *Config, t Transaction, answer url.Values) error {
	switch {
	case answer.Has("iss"):
		if answer.Get("iss") != config.Issuer {
			return refuse(response, "iss", "it is another provider's answer (RFC 9207)")
		}
	case !config.Weak.NoIss && t.ResponseType == typeCode:
		return refuse(response, "iss", "it is missing (RFC 9207)")
	}
	return nil
}

// detached verifies the ID token of the front channel, which signs code and state (FAPI 1.0 Advanced §5.2.3); nil where there is none.
func (c *Client) detached(ctx context.Context, p *provider, t Transaction, answer url.Values) (*signed.IDToken, error) {
	if t.ResponseType != typeCodeIDToken {
		return nil, nil
	}
	if answer.Get("id_token") == "" {
		return nil, refuse(response, "id_token", "it is missing")
	}
	verifier, err := p.verifier(c, p.document.IDTokenAlgorithms)
	if err != nil {
		return nil, err
	}
	verified, err := verifier.IDToken(ctx, answer.Get("id_token"), signed.Expected{
		Nonce: t.Nonce, Code: answer.Get("code"), State: t.State, FrontChannel: true, Essential: t.Essential,
		Subject: t.Subject, Encrypted: c.config.RequireIDTokenEncryption,
	})
	if err != nil {
		return nil, verdict("ID token of the "+response, err)
	}
	return verified, nil
}

// redeem exchanges a code for tokens (RFC 6749 §4.1.3).
func (c *Client) redeem(ctx context.Context, p *provider, t Transaction, code string, detached *signed.IDToken) (*Tokens, error) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {t.RedirectURI}}
	if t.CodeVerifier != "" {
		form.Set("code_verifier", t.CodeVerifier)
	}
	expected := signed.Expected{
		Nonce: t.Nonce, Code: code, State: t.State, MaxAge: t.MaxAge, Essential: t.Essential, Subject: t.Subject,
		Encrypted: c.config.RequireIDTokenEncryption,
	}
	if len(t.ACRValues) > 0 {
		expected.ACRs = t.ACRValues
	}
	if detached != nil {
		expected.Subject = detached.Subject // OpenID Connect Core §3.3.3.6
	}
	tokens, err := c.token(ctx, p, form)
	if err != nil {
		return nil, err
	}
	if tokens.Scope == "" {
		tokens.Scope = t.Scope // RFC 6749 §5.1
	}
	if err := c.identify(ctx, p, tokens, expected, slices.Contains(strings.Fields(t.Scope), "openid")); err != nil {
		return nil, err
	}
	return tokens, nil
}
