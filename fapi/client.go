package fapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"countersign/internal/jose"
	"countersign/internal/outbound"
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
	// Contacts, SoftwareID and SoftwareVersion are for operators to read.
	Contacts        []string `json:"contacts,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`

	RedirectURIs  []string `json:"redirect_uris,omitempty"`
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	// Scope lists the scope values that the client may ask for, separated by spaces.
	Scope string `json:"scope,omitempty"`

	TokenEndpointAuthMethod     string `json:"token_endpoint_auth_method,omitempty"`
	TokenEndpointAuthSigningAlg string `json:"token_endpoint_auth_signing_alg,omitempty"`
	IDTokenSignedResponseAlg    string `json:"id_token_signed_response_alg,omitempty"`
	UserInfoSignedResponseAlg   string `json:"userinfo_signed_response_alg,omitempty"`
	// A response that is to be encrypted is signed first.
	IDTokenEncryptedResponseAlg  string `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEncryptedResponseEnc  string `json:"id_token_encrypted_response_enc,omitempty"`
	UserInfoEncryptedResponseAlg string `json:"userinfo_encrypted_response_alg,omitempty"`
	UserInfoEncryptedResponseEnc string `json:"userinfo_encrypted_response_enc,omitempty"`
	// JWKS holds the client's public keys, by value; JWKSURI is where they are. At most one is given.
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	// SubjectType is "public" or "pairwise" (OpenID Connect Core §8).
	SubjectType         string `json:"subject_type,omitempty"`
	SectorIdentifierURI string `json:"sector_identifier_uri,omitempty"`

	DefaultMaxAge    *int64   `json:"default_max_age,omitempty"`
	DefaultACRValues []string `json:"default_acr_values,omitempty"`

	// AuthorizationDetailsTypes are the types that the client may ask for (RFC 9396 §10).
	AuthorizationDetailsTypes []string `json:"authorization_details_types,omitempty"`
	// DefaultAuthorizationDetails is what a client_credentials request without authorization_details stands for. Only
	// an operator can register it.
	DefaultAuthorizationDetails json.RawMessage `json:"default_authorization_details,omitempty"`
	// ResourceIdentifiers make the client a resource server: it may introspect tokens that are for one of these
	// (RFC 7662 §2.1). Only an operator can register them.
	ResourceIdentifiers []string `json:"resource_identifiers,omitempty"`

	// RequireSignedRequestObject refuses requests without a request object (RFC 9101 §10.5), which is also so when it is
	// absent and the profile has request objects. ResponseModes are the ways in
	// which answers may go back, any when absent (FAPI 2.0 Message Signing §5.3.3).
	RequireSignedRequestObject     *bool    `json:"require_signed_request_object,omitempty"`
	RequestObjectSigningAlg        string   `json:"request_object_signing_alg,omitempty"`
	ResponseModes                  []string `json:"response_modes,omitempty"`
	AuthorizationSignedResponseAlg string   `json:"authorization_signed_response_alg,omitempty"` // JARM §3

	AuthorizationEncryptedResponseAlg string `json:"authorization_encrypted_response_alg,omitempty"` // JARM §3
	AuthorizationEncryptedResponseEnc string `json:"authorization_encrypted_response_enc,omitempty"`
	IntrospectionEncryptedResponseAlg string `json:"introspection_encrypted_response_alg,omitempty"` // RFC 9701 §6
	IntrospectionEncryptedResponseEnc string `json:"introspection_encrypted_response_enc,omitempty"`
	IntrospectionSignedResponseAlg    string `json:"introspection_signed_response_alg,omitempty"` // RFC 9701 §6

	// The rest of what CIBA Core §4 registers. Push is no delivery mode here.
	BackchannelDeliveryMode         string `json:"backchannel_token_delivery_mode,omitempty"`
	BackchannelNotificationEndpoint string `json:"backchannel_client_notification_endpoint,omitempty"`
	BackchannelSigningAlg           string `json:"backchannel_authentication_request_signing_alg,omitempty"`
	BackchannelUserCode             bool   `json:"backchannel_user_code_parameter,omitempty"`

	// HTTPMessageSignatures has the client sign its requests to resources, and the resources their answers to it (FAPI 2.0
	// HTTP Signatures). The name is ours: the draft has none.
	HTTPMessageSignatures bool `json:"http_message_signatures,omitempty"`

	RequirePushedAuthorizationRequests bool `json:"require_pushed_authorization_requests,omitempty"` // RFC 9126 §6
	UseMTLSEndpointAliases             bool `json:"use_mtls_endpoint_aliases,omitempty"`             // FAPI 2.0 Security Profile §5.2.2.1

	// Exactly one of these is given with tls_client_auth (RFC 8705 §2.1.2).
	TLSClientAuthSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSClientAuthSANDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSClientAuthSANURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSClientAuthSANIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSClientAuthSANEmail  string `json:"tls_client_auth_san_email,omitempty"`
	// TLSClientAuthTrustStore names the one of [Config.TrustStores] that has to trust the certificate; without it
	// [Config.ClientTrust] does. It is ours: two ecosystems may give one subject to two parties.
	TLSClientAuthTrustStore string `json:"tls_client_auth_trust_store,omitempty"`

	// Exactly one of these is true for a client that gets access tokens: how they are bound.
	DPoPBoundAccessTokens                 bool `json:"dpop_bound_access_tokens,omitempty"`
	TLSClientCertificateBoundAccessTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

// Client is a registered client, ready to be served: its profile is narrowed to its registration.
type Client struct {
	ID       string
	Metadata Metadata
	// Profile is what the client may still do.
	Profile Profile

	// keys are those given by value.
	keys    jose.KeySet
	subject mtls.Subject
	scopes  []string
	// sector is the host that pairwise subjects are made for, or empty for a client with public ones.
	sector string
	// changedAt is when the registration last changed.
	changedAt time.Time
	disabled  bool
}

const (
	// maxClientID bounds a client identifier, in bytes.
	maxClientID = 255
	// maxResource bounds a resource identifier, in bytes.
	maxResource = 512
)

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
		mistakes = append(mistakes, &memberMistake{member, fmt.Sprintf(format, arguments...)})
	}
	checkIdentity(id, m, mistake)
	checkRedirectURIs(m, mistake)
	checkGrants(m, profile, mistake)
	checkAllowed("token_endpoint_auth_method", []string{m.TokenEndpointAuthMethod}, profile.ClientAuthMethods, mistake)
	for _, each := range []struct{ member, alg string }{
		{"token_endpoint_auth_signing_alg", m.TokenEndpointAuthSigningAlg},
		{"id_token_signed_response_alg", m.IDTokenSignedResponseAlg},
		{"userinfo_signed_response_alg", m.UserInfoSignedResponseAlg},
		{"request_object_signing_alg", m.RequestObjectSigningAlg},
		{"authorization_signed_response_alg", m.AuthorizationSignedResponseAlg},
		{"introspection_signed_response_alg", m.IntrospectionSignedResponseAlg},
		{"backchannel_authentication_request_signing_alg", m.BackchannelSigningAlg},
	} {
		if each.alg != "" {
			checkAllowed(each.member, []string{each.alg}, profile.Algorithms, mistake)
		}
	}
	client.scopes = strings.Fields(m.Scope)
	client.checkKeys(mistake)
	client.checkEncryption(mistake)
	client.checkMessages(profile, mistake)
	client.checkBackchannel(profile, mistake)
	client.checkSubjectType(mistake)
	checkResourceIdentifiers(m.ResourceIdentifiers, mistake)
	if m.DefaultMaxAge != nil && *m.DefaultMaxAge < 0 {
		mistake("default_max_age", "must be a number of seconds")
	}
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
	if m.GrantTypes == nil {
		m.GrantTypes = []string{AuthorizationCode} // RFC 7591 §2
	}
	if m.ResponseTypes == nil && slices.Contains(m.GrantTypes, AuthorizationCode) {
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

// checkGrants checks what the client may ask for and how its tokens are bound.
func checkGrants(m *Metadata, profile Profile, mistake func(string, string, ...any)) {
	checkAllowed("grant_types", m.GrantTypes, profile.GrantTypes, mistake)
	checkAllowed("response_types", m.ResponseTypes, profile.ResponseTypes, mistake)
	browser := slices.Contains(m.GrantTypes, AuthorizationCode)
	if browser != (len(m.ResponseTypes) > 0) {
		mistake("response_types", "must fit grant_types: code belongs to %s (RFC 7591 §2.1)", AuthorizationCode)
	}
	if !browser && !slices.Contains(m.GrantTypes, CIBA) && slices.Contains(m.GrantTypes, RefreshToken) {
		mistake("grant_types", "%s needs %s or %s beside it", RefreshToken, AuthorizationCode, CIBA)
	}
	if m.DPoPBoundAccessTokens && m.TLSClientCertificateBoundAccessTokens {
		mistake("dpop_bound_access_tokens", "only one of dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens can be true")
	}
	if len(m.GrantTypes) == 0 {
		if len(m.ResourceIdentifiers) == 0 {
			mistake("grant_types", "a client without grants is good for nothing unless it is a resource server: give resource_identifiers")
		}
		return
	}
	if !m.DPoPBoundAccessTokens && !m.TLSClientCertificateBoundAccessTokens {
		mistake("dpop_bound_access_tokens", "exactly one of dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens must be true: access tokens are always bound to one key")
	}
	if m.DPoPBoundAccessTokens && !slices.Contains(profile.SenderConstraints, ByDPoP) {
		mistake("dpop_bound_access_tokens", "the profile %s binds access tokens to certificates only: tls_client_certificate_bound_access_tokens", profile.Name)
	}
	if strings.TrimSpace(m.Scope) == "" && len(m.AuthorizationDetailsTypes) == 0 {
		mistake("scope", "missing; list the scope values that the client may ask for, separated by spaces")
	}
}

// checkResourceIdentifiers demands absolute URIs without fragments (RFC 8707 §2).
func checkResourceIdentifiers(identifiers []string, mistake func(string, string, ...any)) {
	for _, identifier := range identifiers {
		if !isResourceIdentifier(identifier) {
			mistake("resource_identifiers", "%q is not an absolute URI without a fragment (RFC 8707 §2)", identifier)
		}
	}
}

func isResourceIdentifier(identifier string) bool {
	u, err := url.Parse(identifier)
	return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "") && !strings.Contains(identifier, "#") && len(identifier) <= maxResource
}

// checkRedirectURIs allows https, and http on a loopback address for native apps (FAPI 2.0 Security Profile
// §5.3.2.2-8). Matching is exact, so nothing else needs to be known about them.
func checkRedirectURIs(m *Metadata, mistake func(string, string, ...any)) {
	list := m.RedirectURIs
	if len(list) == 0 && slices.Contains(m.GrantTypes, AuthorizationCode) {
		mistake("redirect_uris", "missing; register each address that the browser may be sent back to")
	}
	for _, address := range list {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Hostname() == "" || u.Opaque != "" || strings.ContainsFunc(address, notOfURI):
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

// notOfURI tells whether a character cannot stand in a URI (RFC 3986 §2). Browsers take a backslash for a slash.
func notOfURI(r rune) bool { return r <= 0x20 || r > 0x7e || strings.ContainsRune("\\\"<>^`{|}", r) }

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
	switch {
	case m.JWKSURI != "" && len(m.JWKS) > 0:
		mistake("jwks_uri", "give either jwks or jwks_uri (RFC 7591 §2)")
	case m.JWKSURI != "":
		if err := outbound.CheckAddress(m.JWKSURI); err != nil {
			mistake("jwks_uri", "%v", err)
		}
	case len(m.JWKS) > 0:
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
		if m.JWKSURI == "" && len(c.keys.Keys()) == 0 {
			mistake("jwks", "missing; %s needs the client's public keys, in jwks or at jwks_uri", m.TokenEndpointAuthMethod)
		}
		if c.subject != (mtls.Subject{}) {
			mistake("tls_client_auth_subject_dn", "subject parameters belong to %s only", TLSClientAuth)
		}
		if m.TLSClientAuthTrustStore != "" {
			mistake("tls_client_auth_trust_store", "belongs to %s only", TLSClientAuth)
		}
	}
}

// checkSubjectType finds the sector of a client with pairwise subjects (OpenID Connect Core §8.1). What a
// sector_identifier_uri holds is checked where the client is registered.
func (c *Client) checkSubjectType(mistake func(string, string, ...any)) {
	m := &c.Metadata
	if m.SectorIdentifierURI != "" {
		if err := outbound.CheckAddress(m.SectorIdentifierURI); err != nil {
			mistake("sector_identifier_uri", "%v", err)
		}
	}
	switch m.SubjectType {
	case "", subjectPublic:
		return
	case subjectPairwise:
	default:
		mistake("subject_type", "must be %s or %s", subjectPublic, subjectPairwise)
		return
	}
	addresses := m.RedirectURIs
	if m.SectorIdentifierURI != "" {
		addresses = []string{m.SectorIdentifierURI}
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			continue // reported already
		}
		if host := strings.ToLower(u.Hostname()); c.sector == "" {
			c.sector = host
		} else if c.sector != host {
			mistake("sector_identifier_uri", "missing; pairwise subjects need it when redirect_uris are on different hosts (OpenID Connect Core §8.1)")
			return
		}
	}
	if c.sector == "" {
		mistake("subject_type", "pairwise subjects need redirect_uris or a sector_identifier_uri")
	}
}

// Subject types (OpenID Connect Core §8).
const (
	subjectPublic   = "public"
	subjectPairwise = "pairwise"
)

// constraint is how the client's access tokens are bound. Registration made sure that there is exactly one, or none for
// a client that gets no tokens.
func (c *Client) constraint() SenderConstraint {
	if len(c.Profile.SenderConstraints) == 0 {
		return ""
	}
	return c.Profile.SenderConstraints[0]
}

// authMethod is how the client authenticates. Registration made sure that there is exactly one.
func (c *Client) authMethod() string { return c.Profile.ClientAuthMethods[0] }

// assertionAlgorithms are those that the client may sign its assertions with.
func (c *Client) assertionAlgorithms() []string {
	if alg := c.Metadata.TokenEndpointAuthSigningAlg; alg != "" {
		return []string{alg}
	}
	return c.Profile.Algorithms
}
