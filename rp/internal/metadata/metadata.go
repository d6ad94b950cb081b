// Package metadata reads what a provider says about itself (RFC 8414, OpenID Connect Discovery 1.0).
package metadata

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"countersign/internal/strictjson"
)

// Document is a provider's metadata. Endpoints that are there are https addresses without a fragment and without credentials.
type Document struct {
	Issuer string `json:"issuer"`
	Endpoints
	// Aliases are the endpoints for clients that show a certificate (RFC 8705 §5).
	Aliases Endpoints `json:"mtls_endpoint_aliases"`

	JWKSURI       string `json:"jwks_uri"`
	Authorization string `json:"authorization_endpoint"`
	EndSession    string `json:"end_session_endpoint"`

	ScopesSupported    []string `json:"scopes_supported"`
	ACRValuesSupported []string `json:"acr_values_supported"`
	ResponseTypes      []string `json:"response_types_supported"`
	ResponseModes      []string `json:"response_modes_supported"`
	GrantTypes         []string `json:"grant_types_supported"`
	AuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms     []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	ChallengeMethods   []string `json:"code_challenge_methods_supported"`
	DPoPAlgorithms     []string `json:"dpop_signing_alg_values_supported"`
	IDTokenAlgorithms  []string `json:"id_token_signing_alg_values_supported"`
	ResponseAlgorithms []string `json:"authorization_signing_alg_values_supported"`
	RequestAlgorithms  []string `json:"request_object_signing_alg_values_supported"`
	IntrospectionAlgs  []string `json:"introspection_signing_alg_values_supported"`
	BackchannelAlgs    []string `json:"backchannel_authentication_request_signing_alg_values_supported"`

	Claims                   bool `json:"claims_parameter_supported"`
	Iss                      bool `json:"authorization_response_iss_parameter_supported"`
	CertificateBound         bool `json:"tls_client_certificate_bound_access_tokens"`
	BackchannelLogout        bool `json:"backchannel_logout_supported"`
	BackchannelLogoutSession bool `json:"backchannel_logout_session_supported"`

	// Raw is the document.
	Raw json.RawMessage `json:"-"`
}

// Endpoints are those that the client itself calls.
type Endpoints struct {
	PAR           string `json:"pushed_authorization_request_endpoint"`
	Token         string `json:"token_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Backchannel   string `json:"backchannel_authentication_endpoint"`
	Grant         string `json:"grant_management_endpoint"`
}

// each lists the endpoints by their names.
func (e *Endpoints) each() []named {
	return []named{
		{"pushed_authorization_request_endpoint", &e.PAR}, {"token_endpoint", &e.Token}, {"userinfo_endpoint", &e.UserInfo},
		{"introspection_endpoint", &e.Introspection}, {"revocation_endpoint", &e.Revocation},
		{"backchannel_authentication_endpoint", &e.Backchannel}, {"grant_management_endpoint", &e.Grant},
	}
}

type named struct {
	name    string
	address *string
}

// Error is a document that is not the issuer's, or is of no use.
type Error struct {
	// Check is the member that is wrong, or "malformed".
	Check  string
	Reason string
}

// Error has both.
func (e *Error) Error() string { return e.Check + ": " + e.Reason }

// Addresses are where the metadata of an issuer is: OpenID Connect Discovery 1.0 §4, and RFC 8414 §3.1. An issuer that is no https address
// without query, fragment and credentials is an [*Error].
func Addresses(issuer string) ([]string, error) {
	if err := CheckAddress("issuer", issuer); err != nil {
		return nil, err
	}
	parsed, err := url.Parse(issuer)
	if err != nil || parsed.RawQuery != "" || parsed.ForceQuery {
		return nil, &Error{"issuer", "an issuer has no query"}
	}
	between := *parsed
	between.Path, between.RawPath = "/.well-known/oauth-authorization-server"+strings.TrimSuffix(parsed.Path, "/"), ""
	return []string{strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration", between.String()}, nil
}

// Parse reads a document and checks that it is the issuer's, byte for byte (RFC 8414 §3.3), and that its addresses can be used. Errors are
// an [*Error].
func Parse(raw []byte, issuer string) (*Document, error) {
	var d Document
	if err := strictjson.DecodeObject(raw, &d); err != nil {
		return nil, &Error{"malformed", err.Error()}
	}
	if d.Issuer != issuer {
		return nil, &Error{"iss", "the document is another issuer's (RFC 8414 §3.3)"}
	}
	all := append(d.each(), named{"jwks_uri", &d.JWKSURI}, named{"authorization_endpoint", &d.Authorization},
		named{"end_session_endpoint", &d.EndSession})
	for _, alias := range d.Aliases.each() {
		all = append(all, named{"mtls_endpoint_aliases." + alias.name, alias.address})
	}
	for _, endpoint := range all {
		if *endpoint.address == "" {
			continue
		}
		if err := CheckAddress(endpoint.name, *endpoint.address); err != nil {
			return nil, err
		}
	}
	d.Raw = raw
	return &d, nil
}

// UseAliases replaces the endpoints by those for clients that show a certificate, where there are any (RFC 8705 §5).
func (d *Document) UseAliases() {
	own, aliases := d.Endpoints.each(), d.Aliases.each()
	for i := range own {
		if *aliases[i].address != "" {
			*own[i].address = *aliases[i].address
		}
	}
}

// CheckAddress checks that an address is https, with a host and without fragment and credentials. Errors are an [*Error] with the name.
func CheckAddress(name, address string) error {
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
		return &Error{name, "it is not an address"}
	case parsed.Scheme != "https" || parsed.Host == "" || parsed.Opaque != "":
		return &Error{name, "it is not an https address"}
	case parsed.User != nil || parsed.Fragment != "" || strings.HasSuffix(address, "#"):
		return &Error{name, "it has credentials or a fragment"}
	}
	return nil
}

// CheckRedirectURI takes https, and for applications on a user's own machine loopback and schemes of their own (RFC 8252 §7).
func CheckRedirectURI(address string) error {
	parsed, err := url.Parse(address)
	switch {
	case err != nil || parsed.Scheme == "" || parsed.Fragment != "" || strings.HasSuffix(address, "#"):
		return errors.New("it has to be an absolute address without fragment (RFC 6749 §3.1.2)")
	case parsed.Scheme == "http" && parsed.Hostname() != "127.0.0.1" && parsed.Hostname() != "::1":
		return errors.New("http is for 127.0.0.1 and [::1] only (RFC 8252 §7.3)")
	}
	return nil
}
