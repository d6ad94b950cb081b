package flowclient

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"countersign/internal/jose"
)

// Endpoints are where a server answers.
type Endpoints struct {
	PAR           string `json:"pushed_authorization_request_endpoint"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	JWKS          string `json:"jwks_uri"`
	UserInfo      string `json:"userinfo_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Backchannel   string `json:"backchannel_authentication_endpoint"`
}

// each gives the endpoints by their names in the metadata.
func (e *Endpoints) each() map[string]*string {
	return map[string]*string{
		"pushed_authorization_request_endpoint": &e.PAR, "authorization_endpoint": &e.Authorization, "token_endpoint": &e.Token,
		"jwks_uri": &e.JWKS, "userinfo_endpoint": &e.UserInfo, "introspection_endpoint": &e.Introspection,
		"revocation_endpoint": &e.Revocation, "backchannel_authentication_endpoint": &e.Backchannel,
	}
}

// MetadataAddress puts the well-known part between host and path of an issuer (RFC 8414 §3.1).
func MetadataAddress(issuer string) (string, error) {
	address, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("the issuer is not an address: %w", err)
	}
	address.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(address.Path, "/")
	return address.String(), nil
}

// Discover fetches the server's metadata and takes the endpoints from it (RFC 8414 §3). Errors are a [*RefusedError], or
// say what is wrong with the document.
func (c *Client) Discover(ctx context.Context) error {
	reply, err := c.Metadata(ctx)
	if err != nil {
		return err
	}
	return c.UseMetadata(reply)
}

// Metadata fetches the server's metadata.
func (c *Client) Metadata(ctx context.Context) (Reply, error) {
	address, err := MetadataAddress(c.Issuer)
	if err != nil {
		return Reply{}, err
	}
	return c.Get(ctx, address, "")
}

// UseMetadata takes the endpoints from a server's metadata. The document must be the issuer's (RFC 8414 §3.3), and what
// every flow needs must be there; each endpoint is an https address.
func (c *Client) UseMetadata(reply Reply) error {
	if err := reply.Expect(http.StatusOK); err != nil {
		return err
	}
	var document struct {
		Issuer string `json:"issuer"`
		Endpoints
		Aliases map[string]string `json:"mtls_endpoint_aliases"`
	}
	if err := reply.Decode(&document); err != nil {
		return err
	}
	if document.Issuer != c.Issuer {
		return fmt.Errorf("the issuer must be %s, the document says %q (RFC 8414 §3.3)", c.Issuer, Printable(document.Issuer))
	}
	needed := map[string]bool{"authorization_endpoint": true, "token_endpoint": true, "jwks_uri": true, "pushed_authorization_request_endpoint": true}
	for name, endpoint := range document.Endpoints.each() {
		if alias := document.Aliases[name]; c.Certificate && alias != "" {
			*endpoint = alias
		}
		if !strings.HasPrefix(*endpoint, "https://") && (*endpoint != "" || needed[name]) {
			return fmt.Errorf("%s must be an https address, it is %q", name, Printable(*endpoint))
		}
	}
	c.Endpoints = document.Endpoints
	return nil
}

// Keys fetches the server's public keys.
func (c *Client) Keys(ctx context.Context) (jose.KeySet, Reply, error) {
	reply, err := c.Get(ctx, c.Endpoints.JWKS, "")
	if err != nil {
		return jose.KeySet{}, Reply{}, err
	}
	if err := reply.Expect(http.StatusOK); err != nil {
		return jose.KeySet{}, reply, err
	}
	keys, err := jose.ParseKeySet(reply.Body)
	if err != nil {
		return jose.KeySet{}, reply, fmt.Errorf("the server's key set: %w", err)
	}
	return keys, reply, nil
}
