package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

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

// QueryGrant reads a grant, with a token of [Client.ClientCredentials] for the scope grant_management_query. Errors are a [*ConfigError],
// [*ProviderError] (404: it is unknown or has ended), [*CheckError] or [*UnavailableError].
func (c *Client) QueryGrant(ctx context.Context, t *Tokens, grantID string) (*Grant, error) {
	to, err := c.grant(ctx, t, grantID)
	if err != nil {
		return nil, err
	}
	reply, err := c.protected(ctx, to, http.MethodGet, t, "application/json")
	if err != nil {
		return nil, err
	}
	grant := &Grant{Raw: reply.Body}
	if err := to.decode("grant", reply, grant); err != nil {
		return nil, err
	}
	return grant, nil
}

// RevokeGrant ends a grant, with a token of [Client.ClientCredentials] for the scope grant_management_revoke. Errors are those of
// [Client.QueryGrant].
func (c *Client) RevokeGrant(ctx context.Context, t *Tokens, grantID string) error {
	to, err := c.grant(ctx, t, grantID)
	if err != nil {
		return err
	}
	_, err = c.protected(ctx, to, http.MethodDelete, t, "application/json")
	return err
}

// grant is where a grant is.
func (c *Client) grant(ctx context.Context, t *Tokens, grantID string) (endpoint, error) {
	to, err := need("grant_management_endpoint", c.current(ctx).document.Grant)
	switch {
	case err != nil:
		return endpoint{}, err
	case t == nil || t.AccessToken == "":
		return endpoint{}, misconfigured("Tokens", "there is no access token")
	case grantID == "" || grantID == "." || grantID == "..":
		return endpoint{}, misconfigured("grantID", "it is none")
	}
	to.address = strings.TrimSuffix(to.address, "/") + "/" + url.PathEscape(grantID)
	return to, nil
}
