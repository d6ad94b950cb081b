package client

import (
	"context"
	"encoding/json"
	"net/http"
)

// Client is a client of one provider.
type Client struct{}

// New reads the provider's metadata and makes a client. Errors are a [*ConfigError], a [*WeakProviderError] that lists all that the provider
// lacks, a [*CheckError] of the metadata, or an [*UnavailableError].
func New(ctx context.Context, config Config) (*Client, error) { panic("soon") }

// Metadata is what the provider says about itself (RFC 8414 §2), as it was checked.
type Metadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	PAREndpoint           string   `json:"pushed_authorization_request_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	UserInfoEndpoint      string   `json:"userinfo_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	BackchannelEndpoint   string   `json:"backchannel_authentication_endpoint"`
	EndSessionEndpoint    string   `json:"end_session_endpoint"`
	GrantEndpoint         string   `json:"grant_management_endpoint"`
	ScopesSupported       []string `json:"scopes_supported"`
	ACRValuesSupported    []string `json:"acr_values_supported"`
	// BackchannelLogout and BackchannelLogoutSession: OpenID Connect Back-Channel Logout 1.0 §2.1.
	BackchannelLogout        bool `json:"backchannel_logout_supported"`
	BackchannelLogoutSession bool `json:"backchannel_logout_session_supported"`
	// Raw is the whole document.
	Raw json.RawMessage `json:"-"`
}

// Metadata is the provider's.
func (c *Client) Metadata() Metadata { panic("soon") }

// Keys is the client's JWK Set for its jwks_uri (RFC 7517 §5): the public keys of Auth and RequestKey, UpcomingKeys, RetiredKeys and those of
// Decrypt; not those of DPoP, which no provider needs.
func (c *Client) Keys() json.RawMessage { panic("soon") }

// HTTP is a client for resources that uses an access token as it is bound: with a DPoP proof for each request, which is sent again once with the
// nonce that the resource asks for (RFC 9449 §7, §9), or with the client's certificate (RFC 8705 §3). It adds x-fapi-interaction-id (a UUID) where there
// is none, follows no redirects, and sends the token by https only. A request with a body needs [http.Request].GetBody to be sent again, which
// [http.NewRequest] sets for the usual ones.
func (c *Client) HTTP(t *Tokens) *http.Client { panic("soon") }
