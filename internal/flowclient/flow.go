package flowclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"countersign/internal/jose"
)

// Transaction is what the client remembers from the pushed request to the tokens.
type Transaction struct {
	State, Nonce string
	// Verifier is the code_verifier (RFC 7636 §4.1).
	Verifier string
}

// NewTransaction makes one that nobody can guess.
func (c *Client) NewTransaction() Transaction {
	return Transaction{State: c.Random(), Nonce: c.Random(), Verifier: c.Random()}
}

// AuthorizationRequest gives the parameters of an authorization request.
func (c *Client) AuthorizationRequest(t Transaction) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {c.ID}, "redirect_uri": {c.RedirectURI}, "scope": {c.Scope}, "state": {t.State},
		"nonce": {t.Nonce}, "code_challenge": {Digest(t.Verifier)}, "code_challenge_method": {"S256"},
	}
}

// Push pushes an authorization request (RFC 9126 §2.1).
func (c *Client) Push(ctx context.Context, t Transaction, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.PAR, c.AuthorizationRequest(t), changes...)
}

// PushSigned pushes an authorization request as a signed request object (RFC 9126 §3). alter may change its claims, or be
// nil.
func (c *Client) PushSigned(ctx context.Context, t Transaction, alter func(Claims), changes ...Change) (Reply, error) {
	object, err := c.RequestObject(ctx, "oauth-authz-req+jwt", c.AuthorizationRequest(t), alter)
	if err != nil {
		return Reply{}, err
	}
	return c.Post(ctx, c.Endpoints.PAR, url.Values{"client_id": {c.ID}, "request": {object}}, changes...)
}

// RequestURI is what a pushed request is answered with (RFC 9126 §2.2).
func (r Reply) RequestURI() (string, error) {
	if err := r.Expect(http.StatusCreated); err != nil {
		return "", err
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := r.Decode(&pushed); err != nil {
		return "", err
	}
	if pushed.RequestURI == "" {
		return "", errors.New("the answer must hold a request_uri (RFC 9126 §2.2)")
	}
	return pushed.RequestURI, nil
}

// AuthorizationURL is where the browser is sent with a pushed request.
func (c *Client) AuthorizationURL(requestURI string) string {
	return c.Endpoints.Authorization + "?" + url.Values{"client_id": {c.ID}, "request_uri": {requestURI}}.Encode()
}

// AuthorizationError is an error in an authorization response (RFC 6749 §4.1.2.1).
type AuthorizationError struct{ Code, Description string }

// Error implements error.
func (e *AuthorizationError) Error() string {
	return fmt.Sprintf("the server answered %s: %s", Printable(e.Code), Printable(e.Description))
}

// Callback checks the authorization response that the browser brings back, and gives the code. Errors are an
// [*AuthorizationError], or say what is wrong.
func (c *Client) Callback(t Transaction, response url.Values) (code string, err error) {
	for name, values := range response {
		if len(values) > 1 {
			return "", fmt.Errorf("%q must come once, it came %d times (RFC 6749 §3.1)", Printable(name), len(values))
		}
	}
	switch {
	case response.Get("state") != t.State:
		return "", errors.New("state is not the one that was sent: the answer belongs to another request")
	case response.Get("iss") != c.Issuer:
		return "", fmt.Errorf("iss must be %s, it is %q: the answer is another server's (RFC 9207)", c.Issuer, Printable(response.Get("iss")))
	case response.Has("error"):
		return "", &AuthorizationError{response.Get("error"), response.Get("error_description")}
	case response.Get("code") == "":
		return "", errors.New("the answer must hold a code")
	}
	return response.Get("code"), nil
}

// Authorize goes from the pushed request to the code.
func (c *Client) Authorize(ctx context.Context, b *Browser, t Transaction) (code string, err error) {
	pushed, err := c.Push(ctx, t)
	if err != nil {
		return "", err
	}
	requestURI, err := pushed.RequestURI()
	if err != nil {
		return "", fmt.Errorf("pushed request: %w", err)
	}
	response, err := b.Authorize(ctx, c.AuthorizationURL(requestURI), c.RedirectURI)
	if err != nil {
		return "", err
	}
	return c.Callback(t, response)
}

// Redeem exchanges a code for tokens (RFC 6749 §4.1.3).
func (c *Client) Redeem(ctx context.Context, t Transaction, code string, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.Token, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURI}, "code_verifier": {t.Verifier},
	}, changes...)
}

// Flow goes from the pushed request to the tokens.
func (c *Client) Flow(ctx context.Context, b *Browser) (Tokens, error) {
	t := c.NewTransaction()
	code, err := c.Authorize(ctx, b, t)
	if err != nil {
		return Tokens{}, err
	}
	reply, err := c.Redeem(ctx, t, code)
	if err != nil {
		return Tokens{}, err
	}
	return reply.Tokens()
}

// Refresh gets a new access token (RFC 6749 §6).
func (c *Client) Refresh(ctx context.Context, refreshToken string, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.Token, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}, changes...)
}

// ClientCredentials gets an access token for the client itself (RFC 6749 §4.4).
func (c *Client) ClientCredentials(ctx context.Context, scope string, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.Token, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}, changes...)
}

// Introspect asks about a token (RFC 7662 §2.1).
func (c *Client) Introspect(ctx context.Context, token string, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.Introspection, url.Values{"token": {token}}, changes...)
}

// Revoke revokes a token (RFC 7009 §2.1).
func (c *Client) Revoke(ctx context.Context, token string, changes ...Change) (Reply, error) {
	return c.Post(ctx, c.Endpoints.Revocation, url.Values{"token": {token}}, changes...)
}

// VerifyIDToken verifies an ID token (OpenID Connect Core §3.1.3.7) with the server's keys and gives its key's kid.
func (c *Client) VerifyIDToken(t Transaction, idToken string, keys jose.KeySet) (kid string, err error) {
	parsed, err := jose.Parse(idToken, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	if err != nil {
		return "", fmt.Errorf("the ID token: %w", err)
	}
	if err := parsed.VerifyWith(keys); err != nil {
		return "", fmt.Errorf("the ID token must be signed with one of the server's keys: %w", err)
	}
	var claims struct {
		Issuer   string           `json:"iss"`
		Audience jose.Audience    `json:"aud"`
		Nonce    string           `json:"nonce"`
		Expires  jose.NumericDate `json:"exp"`
	}
	if err := parsed.Claims(&claims); err != nil {
		return "", fmt.Errorf("the ID token: %w", err)
	}
	switch {
	case claims.Issuer != c.Issuer:
		return "", fmt.Errorf("the ID token's iss must be %s, it is %q", c.Issuer, Printable(claims.Issuer))
	case len(claims.Audience.Values) != 1 || !claims.Audience.Contains(c.ID):
		return "", fmt.Errorf("the ID token's aud must be %s, it is %q", c.ID, claims.Audience.Values)
	case claims.Nonce != t.Nonce:
		return "", errors.New("the ID token's nonce is not the one that was sent: it belongs to another sign-in")
	case !c.Now().Before(claims.Expires.Time()):
		return "", errors.New("the ID token has expired")
	}
	return parsed.Header.KeyID, nil
}

// CheckBinding checks that an access token is a DPoP-bound JWT of the client's key, as far as the client can see
// (RFC 9449 §5, §6.1). The token is the resource's to verify.
func (c *Client) CheckBinding(issued Tokens) error {
	if !strings.EqualFold(issued.TokenType, "DPoP") {
		return fmt.Errorf("token_type must be DPoP, it is %q: the token is bound to no key (RFC 9449 §5)", Printable(issued.TokenType))
	}
	_, payload, err := DecodeJWT(issued.AccessToken)
	if err != nil {
		return fmt.Errorf("the access token must be a JWT (RFC 9068): %w", err)
	}
	var claims struct {
		Confirmation struct {
			Thumbprint string `json:"jkt"`
		} `json:"cnf"`
	}
	if err := (Reply{Body: payload}).Decode(&claims); err != nil {
		return fmt.Errorf("the access token's claims: %w", err)
	}
	if bound := claims.Confirmation.Thumbprint; bound != c.ProofKey.Key().Thumbprint() {
		return fmt.Errorf("the access token's cnf.jkt must be the thumbprint of the DPoP key, it is %q (RFC 9449 §6.1)", Printable(bound))
	}
	return nil
}
