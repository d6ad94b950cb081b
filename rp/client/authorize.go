package client

import (
	"context"
	"encoding/json"
	"net/url"
	"time"
)

// AuthorizeOptions are what one authorization asks for beside [Config].
type AuthorizeOptions struct {
	// Scopes replace those of [Config].
	Scopes []string
	// RedirectURI replaces that of [Config].
	RedirectURI string
	// AuthorizationDetails is written as a JSON array (RFC 9396 §2); a value that is none becomes the only element.
	AuthorizationDetails any
	// Claims is the claims parameter (OpenID Connect Core §5.5), written as JSON.
	Claims any
	// ACRValues are asked for, and one of them has to come: another acr is refused, unless ACRVoluntary.
	ACRValues    []string
	ACRVoluntary bool
	// MaxAge is how long ago the user may have authenticated (max_age), checked by auth_time; nil is any time. Seconds are what counts.
	MaxAge *time.Duration
	// Prompt is "none", "login", "consent", "select_account", or several.
	Prompt []string
	// UILocales are languages (BCP 47), in the user's order.
	UILocales []string
	// LoginHint and IDTokenHint name the user that is expected. With the latter another sub is refused.
	LoginHint, IDTokenHint string
	// Resource are the resources that the token is for (RFC 8707).
	Resource []string
	// GrantAction is "create", "merge" or "replace", GrantID the grant of the latter two (Grant Management for OAuth 2.0 §4).
	GrantAction, GrantID string
	// Extra are other parameters. One that the package sends itself is a [*ConfigError].
	Extra url.Values
	// Data is kept in the transaction for the caller, such as where to return to. It is not sent.
	Data json.RawMessage
}

// Transaction is what has to be remembered between [Client.Authorize] and [Client.Callback], for the browser that it was made for and for no
// other: one per State, each used once. It can be stored as JSON, and is secret.
type Transaction struct {
	Issuer       string `json:"iss"`
	State        string `json:"state"`
	Nonce        string `json:"nonce,omitempty"`
	CodeVerifier string `json:"code_verifier,omitempty"`
	RedirectURI  string `json:"redirect_uri"`
	ResponseType string `json:"response_type"`
	ResponseMode string `json:"response_mode,omitempty"`
	Scope        string `json:"scope,omitempty"`
	// MaxAge is in seconds.
	MaxAge    *int64   `json:"max_age,omitempty"`
	ACRValues []string `json:"acr_values,omitempty"`
	// Subject is the sub that has to come, if one was named.
	Subject string `json:"sub,omitempty"`
	// JKT is the thumbprint of the DPoP key that the code is bound to (RFC 9449 §10).
	JKT       string          `json:"jkt,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// Authorize begins an authorization: it makes state, nonce and PKCE, signs and pushes the request as the profile wants it, and returns the
// address to send the browser to (with status 303) and what to remember. Errors are a [*ConfigError], [*ProviderError] or
// [*UnavailableError].
func (c *Client) Authorize(ctx context.Context, options AuthorizeOptions) (address string, t Transaction, err error) {
	panic("soon")
}

// Callback ends an authorization with the parameters that the browser brought: of the query, of the fragment, or of a form. It checks
// state, iss (RFC 9207), the signature and the times of JARM, and in FAPI1Advanced the ID token of the front channel with s_hash and c_hash, redeems the
// code, and checks the token response and the ID token. The transaction is to be forgotten before it is called.
//
// Errors are an [*AuthorizationError] if the provider says that it refused, a [*CheckError], [*ProviderError] or [*UnavailableError].
func (c *Client) Callback(ctx context.Context, t Transaction, answer url.Values) (*Tokens, error) {
	panic("soon")
}
