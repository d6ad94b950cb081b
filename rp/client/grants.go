package client

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
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
	panic("soon")
}

// TokenOptions are what [Client.ClientCredentials] asks for.
type TokenOptions struct {
	Scopes               []string
	AuthorizationDetails any
	Resource             []string
	Extra                url.Values
}

// ClientCredentials gets a token for the client itself (RFC 6749 §4.4).
func (c *Client) ClientCredentials(ctx context.Context, options TokenOptions) (*Tokens, error) {
	panic("soon")
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

// Exchange exchanges a token (RFC 8693).
func (c *Client) Exchange(ctx context.Context, options ExchangeOptions) (*Tokens, error) {
	panic("soon")
}

// Revoke revokes a token (RFC 7009). The hint is "access_token", "refresh_token" or empty.
func (c *Client) Revoke(ctx context.Context, token, hint string) error { panic("soon") }

// Introspection is what the provider says of a token (RFC 7662 §2.2).
type Introspection struct {
	Active bool
	// Raw is the whole object.
	Raw json.RawMessage
	// JWT is the signed answer (RFC 9701), as evidence; empty if it was plain.
	JWT string
}

// Decode reads the answer as JSON.
func (i *Introspection) Decode(into any) error { return json.Unmarshal(i.Raw, into) }

// Introspect asks about a token.
func (c *Client) Introspect(ctx context.Context, token string) (*Introspection, error) { panic("soon") }

// UserInfo is what the provider says of a user (OpenID Connect Core §5.3). Its sub is that of the ID token.
type UserInfo struct {
	Subject string
	Raw     json.RawMessage
	// JWT is the signed answer, as evidence; empty if it was plain.
	JWT string
}

// Decode reads the claims as JSON.
func (u *UserInfo) Decode(into any) error { return json.Unmarshal(u.Raw, into) }

// UserInfo asks for the claims of the tokens' user: JSON, or a JWT that is decrypted and verified. Another sub than that of
// the ID token is refused.
func (c *Client) UserInfo(ctx context.Context, t *Tokens) (*UserInfo, error) { panic("soon") }

// Grant is what a user allowed (Grant Management for OAuth 2.0 §6.3).
type Grant struct {
	Scopes               []GrantScope    `json:"scopes"`
	Claims               []string        `json:"claims"`
	AuthorizationDetails json.RawMessage `json:"authorization_details"`
	Raw                  json.RawMessage `json:"-"`
}

// GrantScope is a scope value and the resources that it is for.
type GrantScope struct {
	Scope    string   `json:"scope"`
	Resource []string `json:"resource"`
}

// QueryGrant reads a grant, with a token of [Client.ClientCredentials] for the scope grant_management_query.
func (c *Client) QueryGrant(ctx context.Context, t *Tokens, grantID string) (*Grant, error) {
	panic("soon")
}

// RevokeGrant ends a grant, with a token of [Client.ClientCredentials] for the scope grant_management_revoke.
func (c *Client) RevokeGrant(ctx context.Context, t *Tokens, grantID string) error { panic("soon") }

// BackchannelOptions are what a user is asked over the backchannel (CIBA Core §7.1). One of the three hints is required.
type BackchannelOptions struct {
	LoginHint, IDTokenHint, LoginHintToken string
	Scopes                                 []string
	AuthorizationDetails                   any
	Claims                                 any
	ACRValues                              []string
	// ACRVoluntary accepts another acr than those.
	ACRVoluntary bool
	// BindingMessage is shown on both devices.
	BindingMessage string
	UserCode       string
	// RequestedExpiry is rounded down to seconds; 0 is the provider's.
	RequestedExpiry time.Duration
	// Ping asks to be told of the decision (token delivery mode ping): a notification token is made.
	Ping bool
	// RequestContext is request_context (FAPI CIBA §5.2.2), written as JSON.
	RequestContext       any
	Resource             []string
	GrantAction, GrantID string
	Extra                url.Values
	// Data is kept in the request for the caller.
	Data json.RawMessage
}

// BackchannelRequest is a request that a user is deciding. It can be stored as JSON, and is secret.
type BackchannelRequest struct {
	Issuer    string    `json:"iss"`
	AuthReqID string    `json:"auth_req_id"`
	ExpiresAt time.Time `json:"expires_at"`
	// Interval is the least time between two polls; it grows by slow_down.
	Interval time.Duration `json:"interval"`
	// NotificationToken is what a ping has to bear.
	NotificationToken string          `json:"notification_token,omitempty"`
	Scope             string          `json:"scope,omitempty"`
	ACRValues         []string        `json:"acr_values,omitempty"`
	JKT               string          `json:"jkt,omitempty"`
	Data              json.RawMessage `json:"data,omitempty"`
}

// Backchannel asks a user over the backchannel, by a signed request where the profile or RequestKey want it.
func (c *Client) Backchannel(ctx context.Context, options BackchannelOptions) (*BackchannelRequest, error) {
	panic("soon")
}

// Poll asks once for the tokens of a request. Errors wrap [ErrPending] while the user has not decided, and Interval is longer after slow_down;
// else they are a [*ProviderError] ("access_denied", "expired_token"), [*CheckError] or [*UnavailableError].
func (c *Client) Poll(ctx context.Context, request *BackchannelRequest) (*Tokens, error) {
	panic("soon")
}

// Await polls at the request's interval until the user has decided, the request expires or ctx ends.
func (c *Client) Await(ctx context.Context, request *BackchannelRequest) (*Tokens, error) {
	panic("soon")
}

// ParsePing reads the auth_req_id from the body of a ping (CIBA Core §10.2), by which its request is found.
func ParsePing(body []byte) (authReqID string, err error) { panic("soon") }

// VerifyPing checks the Authorization header of a ping: it must bear the request's notification token. Then [Client.Poll] gets the tokens.
// Errors are a [*CheckError].
func (r *BackchannelRequest) VerifyPing(authorization string) error { panic("soon") }
