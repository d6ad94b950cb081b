package client

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"countersign/rp/internal/parameter"
	"countersign/rp/internal/signed"
)

// RefreshOptions are what a refresh asks for.
type RefreshOptions struct {
	// Scopes are fewer than were granted (RFC 6749 §6); nil is all.
	Scopes []string
	// AuthorizationDetails are fewer than were granted (RFC 9396 §6); nil is all.
	AuthorizationDetails any
	// Resource are the resources that the token is for (RFC 8707).
	Resource []string
	// Extra are other parameters.
	Extra url.Values
}

// Refresh gets new tokens for those from before (RFC 6749 §6, OpenID Connect Core §12.2). What the provider does not issue again, the refresh token
// and the ID token, is carried over; the tokens from before are not changed. Errors are a [*ConfigError] (no refresh token), [*ProviderError]
// ("invalid_grant": it has ended), [*CheckError] or [*UnavailableError].
func (c *Client) Refresh(ctx context.Context, before *Tokens, options RefreshOptions) (*Tokens, error) {
	if before == nil || before.RefreshToken == "" {
		return nil, misconfigured("Tokens", "there is no refresh token")
	}
	if c.config.Auth.method == methodNone && !c.Holds(before) { // RFC 9449 §5: those of other clients are bound to the client
		return nil, errOtherKey()
	}
	parameters := parameter.Set{}
	parameters.Words("scope", options.Scopes)
	if err := parameters.Common(options.AuthorizationDetails, options.Resource, options.Extra); err != nil {
		return nil, unsendable(err)
	}
	form := parameters.Form()
	form.Set("grant_type", "refresh_token")
	form.Set("refresh_token", before.RefreshToken)
	p := c.current(ctx)
	tokens, err := c.token(ctx, p, form)
	if err != nil {
		return nil, err
	}
	expected := signed.Expected{Encrypted: c.config.RequireIDTokenEncryption}
	if before.Identity != nil {
		expected.Subject = before.Identity.Subject
	}
	if err := c.identify(ctx, p, tokens, expected, false); err != nil {
		return nil, err
	}
	carryOver(tokens, before, options)
	return tokens, nil
}

// errOtherKey is tokens that are bound to another key than the client's: a proof of this one would not fit.
func errOtherKey() error {
	return misconfigured("Binding", "the tokens are bound to another DPoP key than this client's; refresh them, or give New the key")
}

// Holds reports whether the client can use an access token: it is bound to the DPoP key that the client has now, or to none. If not, a
// [Client.Refresh] gets tokens that are; only a public client needs the old key for that, too.
func (c *Client) Holds(t *Tokens) bool {
	return t.JKT == "" || c.binding == bindingDPoP && t.JKT == c.dpop.Thumbprint()
}

// carryOver keeps what a refresh has not issued again.
func carryOver(tokens, before *Tokens, options RefreshOptions) {
	if tokens.RefreshToken == "" {
		tokens.RefreshToken = before.RefreshToken
	}
	if tokens.IDToken == "" {
		tokens.IDToken, tokens.Identity = before.IDToken, before.Identity
	}
	if tokens.GrantID == "" {
		tokens.GrantID = before.GrantID
	}
	if tokens.Scope == "" {
		tokens.Scope = before.Scope
		if options.Scopes != nil {
			tokens.Scope = strings.Join(options.Scopes, " ")
		}
	}
	if tokens.AuthorizationDetails == nil && options.AuthorizationDetails == nil {
		tokens.AuthorizationDetails = slices.Clone(before.AuthorizationDetails)
	}
}

// TokenOptions are what [Client.ClientCredentials] asks for.
type TokenOptions struct {
	Scopes               []string
	AuthorizationDetails any
	Resource             []string
	Extra                url.Values
}

// ClientCredentials gets a token for the client itself (RFC 6749 §4.4). Errors are a [*ConfigError], [*ProviderError], [*CheckError] or
// [*UnavailableError].
func (c *Client) ClientCredentials(ctx context.Context, options TokenOptions) (*Tokens, error) {
	if c.config.Auth.method == methodNone {
		return nil, misconfigured("Auth", "a client without authentication gets no tokens for itself (RFC 6749 §4.4)")
	}
	parameters := parameter.Set{}
	parameters.Words("scope", options.Scopes)
	if err := parameters.Common(options.AuthorizationDetails, options.Resource, options.Extra); err != nil {
		return nil, unsendable(err)
	}
	form := parameters.Form()
	form.Set("grant_type", "client_credentials")
	return c.withoutUser(ctx, form, options.Scopes)
}

// withoutUser gets tokens that no user stands behind: an ID token in the answer is not looked at, and not given out.
func (c *Client) withoutUser(ctx context.Context, form url.Values, scopes []string) (*Tokens, error) {
	tokens, err := c.token(ctx, c.current(ctx), form)
	if err != nil {
		return nil, err
	}
	tokens.IDToken = ""
	if tokens.Scope == "" {
		tokens.Scope = strings.Join(scopes, " ")
	}
	return tokens, nil
}

// ExchangeOptions are a token exchange (RFC 8693 §2.1).
type ExchangeOptions struct {
	// SubjectToken and SubjectTokenType are required, ActorToken and ActorTokenType belong together.
	SubjectToken, SubjectTokenType string
	ActorToken, ActorTokenType     string
	RequestedTokenType             string
	Audience, Resource, Scopes     []string
	Extra                          url.Values
}

// String hides the secrets.
func (o ExchangeOptions) String() string { return "exchange of a " + o.SubjectTokenType }

// GoString is [ExchangeOptions.String].
func (o ExchangeOptions) GoString() string { return o.String() }

// Exchange exchanges a token (RFC 8693). Errors are a [*ConfigError], [*ProviderError], [*CheckError] or [*UnavailableError].
func (c *Client) Exchange(ctx context.Context, options ExchangeOptions) (*Tokens, error) {
	if options.SubjectToken == "" || options.SubjectTokenType == "" {
		return nil, misconfigured("SubjectToken", "it and its type are needed (RFC 8693 §2.1)")
	}
	if (options.ActorToken == "") != (options.ActorTokenType == "") {
		return nil, misconfigured("ActorToken", "it and its type belong together (RFC 8693 §2.1)")
	}
	parameters := parameter.Set{}
	parameters.Texts(map[string]string{
		"subject_token": options.SubjectToken, "subject_token_type": options.SubjectTokenType, "actor_token": options.ActorToken,
		"actor_token_type": options.ActorTokenType, "requested_token_type": options.RequestedTokenType,
	})
	parameters.Words("scope", options.Scopes)
	parameters.Several("audience", options.Audience)
	if err := parameters.Common(nil, options.Resource, options.Extra); err != nil {
		return nil, unsendable(err)
	}
	form := parameters.Form()
	form.Set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
	tokens, err := c.withoutUser(ctx, form, options.Scopes)
	if err != nil {
		return nil, err
	}
	if tokens.IssuedTokenType == "" {
		return nil, refuse("token response", "issued_token_type", "it is missing (RFC 8693 §2.2.1)")
	}
	return tokens, nil
}

// Revoke revokes a token (RFC 7009). The hint is "access_token", "refresh_token" or empty. Errors are a [*ConfigError] for a provider that
// revokes nothing, a [*ProviderError] or an [*UnavailableError].
func (c *Client) Revoke(ctx context.Context, token, hint string) error {
	to, err := need("revocation_endpoint", c.current(ctx).document.Revocation)
	if err != nil {
		return err
	}
	form := url.Values{"token": {token}}
	if hint != "" {
		form.Set("token_type_hint", hint)
	}
	_, err = c.sender.post(ctx, to, form, false)
	return err
}
