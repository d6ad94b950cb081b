package fapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"countersign/internal/jose"
	"countersign/mtls"
)

// Metadata is a client's registration in the names of RFC 7591 §2 and its extensions. Members that the server
// does not know are ignored (RFC 7591 §2).
type Metadata struct {
	ClientName string `json:"client_name,omitempty"`
	ClientURI  string `json:"client_uri,omitempty"`
	LogoURI    string `json:"logo_uri,omitempty"`
	PolicyURI  string `json:"policy_uri,omitempty"`
	TermsURI   string `json:"tos_uri,omitempty"`

	RedirectURIs  []string `json:"redirect_uris,omitempty"`
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	// Scope lists the scope values that the client may ask for, separated by spaces.
	Scope string `json:"scope,omitempty"`

	TokenEndpointAuthMethod     string `json:"token_endpoint_auth_method,omitempty"`
	TokenEndpointAuthSigningAlg string `json:"token_endpoint_auth_signing_alg,omitempty"`
	IDTokenSignedResponseAlg    string `json:"id_token_signed_response_alg,omitempty"`
	// JWKS holds the client's public keys.
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	// Exactly one of these is given with tls_client_auth (RFC 8705 §2.1.2).
	TLSClientAuthSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSClientAuthSANDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSClientAuthSANURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSClientAuthSANIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSClientAuthSANEmail  string `json:"tls_client_auth_san_email,omitempty"`

	// Exactly one of these is true: how the client's access tokens are bound.
	DPoPBoundAccessTokens                 bool `json:"dpop_bound_access_tokens,omitempty"`
	TLSClientCertificateBoundAccessTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

// Client is a registered client, ready to be served: its profile is narrowed to its registration.
type Client struct {
	ID       string
	Metadata Metadata
	// Profile is what the client may still do.
	Profile Profile

	keys     jose.KeySet
	subject  mtls.Subject
	scopes   []string
	disabled bool
}

// maxClientID bounds a client identifier, in bytes.
const maxClientID = 255

// ParseClient reads a registration and holds it to a profile, by name. All mistakes are reported at once, joined
// (errors.Join), each with the member's name and what would be right.
func ParseClient(id, profileName string, metadata []byte) (*Client, error) {
	profile, ok := Profiles()[profileName]
	if !ok {
		return nil, fmt.Errorf("profile: %q is not known; known are %s", profileName, strings.Join(profileNames(), ", "))
	}
	client := &Client{ID: id}
	if err := jose.DecodeStrict(metadata, &client.Metadata); err != nil {
		return nil, fmt.Errorf("the client metadata is not correct JSON: %w", err)
	}
	m := &client.Metadata
	applyDefaults(m)
	var mistakes []error
	mistake := func(member, format string, arguments ...any) {
		mistakes = append(mistakes, fmt.Errorf("%s: %s", member, fmt.Sprintf(format, arguments...)))
	}
	checkIdentity(id, m, mistake)
	checkRedirectURIs(m.RedirectURIs, mistake)
	checkAllowed("grant_types", m.GrantTypes, profile.GrantTypes, mistake)
	checkAllowed("response_types", m.ResponseTypes, profile.ResponseTypes, mistake)
	checkAllowed("token_endpoint_auth_method", []string{m.TokenEndpointAuthMethod}, profile.ClientAuthMethods, mistake)
	for member, alg := range map[string]string{
		"token_endpoint_auth_signing_alg": m.TokenEndpointAuthSigningAlg,
		"id_token_signed_response_alg":    m.IDTokenSignedResponseAlg,
	} {
		if alg != "" {
			checkAllowed(member, []string{alg}, profile.Algorithms, mistake)
		}
	}
	if m.DPoPBoundAccessTokens == m.TLSClientCertificateBoundAccessTokens {
		mistake("dpop_bound_access_tokens", "exactly one of dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens must be true: access tokens are always bound to one key")
	}
	client.scopes = strings.Fields(m.Scope)
	if len(client.scopes) == 0 {
		mistake("scope", "missing; list the scope values that the client may ask for, separated by spaces")
	}
	client.checkKeys(mistake)
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	client.Profile = narrow(profile, *m)
	return client, nil
}

func profileNames() []string {
	var names []string
	for name := range Profiles() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func applyDefaults(m *Metadata) {
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{AuthorizationCode} // RFC 7591 §2
	}
	if len(m.ResponseTypes) == 0 {
		m.ResponseTypes = []string{"code"} // RFC 7591 §2
	}
	if m.TokenEndpointAuthMethod == "" {
		m.TokenEndpointAuthMethod = PrivateKeyJWT // RFC 7591 would say client_secret_basic, which no profile allows
	}
}

func checkIdentity(id string, m *Metadata, mistake func(string, string, ...any)) {
	if id == "" || len(id) > maxClientID || strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		mistake("client_id", "must be 1 to %d printable ASCII characters", maxClientID)
	}
	if m.ClientName == "" || len(m.ClientName) > 200 || strings.ContainsFunc(m.ClientName, unicode.IsControl) {
		mistake("client_name", "must be 1 to 200 bytes without control characters; people see it when they decide")
	}
	for member, address := range map[string]string{
		"client_uri": m.ClientURI, "logo_uri": m.LogoURI, "policy_uri": m.PolicyURI, "tos_uri": m.TermsURI,
	} {
		if address == "" {
			continue
		}
		if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			mistake(member, "%q is not an https address", address)
		}
	}
}

// checkRedirectURIs allows https, and http on a loopback address for native apps (FAPI 2.0 Security Profile
// §5.3.2.2-8). Matching is exact, so nothing else needs to be known about them.
func checkRedirectURIs(list []string, mistake func(string, string, ...any)) {
	if len(list) == 0 {
		mistake("redirect_uris", "missing; register each address that the browser may be sent back to")
	}
	for _, address := range list {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Host == "" || u.Opaque != "" || strings.ContainsFunc(address, func(r rune) bool { return r <= 0x20 || r > 0x7e }):
			mistake("redirect_uris", "%q is not an absolute address", address)
		case strings.Contains(address, "#"):
			mistake("redirect_uris", "%q has a fragment (RFC 6749 §3.1.2)", address)
		case u.User != nil:
			mistake("redirect_uris", "%q holds user information", address)
		case u.Scheme == "https":
		case u.Scheme == "http" && isLoopback(u.Hostname()):
		default:
			mistake("redirect_uris", "%q is not https (http is allowed only for a native app on 127.0.0.1 or [::1])", address)
		}
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func checkAllowed(member string, values, allowed []string, mistake func(string, string, ...any)) {
	for _, value := range values {
		if !slices.Contains(allowed, value) {
			mistake(member, "%q is not allowed by the profile; allowed are %s", value, strings.Join(allowed, ", "))
		}
	}
}

// checkKeys reads the keys and the certificate subject that the client's authentication needs.
func (c *Client) checkKeys(mistake func(string, string, ...any)) {
	m := &c.Metadata
	if m.JWKSURI != "" {
		mistake("jwks_uri", "not supported by this release; give the public keys by value in jwks")
	}
	if len(m.JWKS) > 0 {
		keys, err := jose.ParseKeySet(m.JWKS)
		if err != nil {
			mistake("jwks", "%v", err)
		}
		c.keys = keys
	}
	c.subject = mtls.Subject{
		DN: m.TLSClientAuthSubjectDN, SANDNS: m.TLSClientAuthSANDNS, SANURI: m.TLSClientAuthSANURI,
		SANIP: m.TLSClientAuthSANIP, SANEmail: m.TLSClientAuthSANEmail,
	}
	switch m.TokenEndpointAuthMethod {
	case TLSClientAuth:
		if err := c.subject.Validate(); err != nil {
			mistake("tls_client_auth_subject_dn", "%v", err)
		}
	case PrivateKeyJWT, SelfSignedTLSClientAuth:
		if len(c.keys.Keys()) == 0 {
			mistake("jwks", "missing; %s needs the client's public keys", m.TokenEndpointAuthMethod)
		}
		if c.subject != (mtls.Subject{}) {
			mistake("tls_client_auth_subject_dn", "subject parameters belong to %s only", TLSClientAuth)
		}
	}
}

// constraint is how the client's access tokens are bound. Registration made sure that there is exactly one.
func (c *Client) constraint() SenderConstraint { return c.Profile.SenderConstraints[0] }

// authMethod is how the client authenticates. Registration made sure that there is exactly one.
func (c *Client) authMethod() string { return c.Profile.ClientAuthMethods[0] }

// assertionAlgorithms are those that the client may sign its assertions with.
func (c *Client) assertionAlgorithms() []string {
	if alg := c.Metadata.TokenEndpointAuthSigningAlg; alg != "" {
		return []string{alg}
	}
	return c.Profile.Algorithms
}
