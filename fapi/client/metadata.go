package client

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"countersign/fapi/profile"
)

// Metadata is a client's registration in the names of RFC 7591 §2 and its extensions. Members that the server
// does not know are ignored (RFC 7591 §2).
type Metadata struct {
	ClientName string `json:"client_name,omitempty"`
	ClientURI  string `json:"client_uri,omitempty"`
	LogoURI    string `json:"logo_uri,omitempty"`
	PolicyURI  string `json:"policy_uri,omitempty"`
	TermsURI   string `json:"tos_uri,omitempty"`
	// Localized are those of these five that are given by language (RFC 7591 §2.2): by name, such as client_name#pt-BR.
	Localized map[string]string `json:"-"`
	// Contacts, SoftwareID and SoftwareVersion are informative.
	Contacts        []string `json:"contacts,omitempty"`
	SoftwareID      string   `json:"software_id,omitempty"`
	SoftwareVersion string   `json:"software_version,omitempty"`
	// SoftwareStatement is the one with which the client registered, as it was sent (RFC 7591 §3.2.1).
	SoftwareStatement string `json:"software_statement,omitempty"`

	RedirectURIs  []string `json:"redirect_uris,omitempty"`
	GrantTypes    []string `json:"grant_types,omitempty"`
	ResponseTypes []string `json:"response_types,omitempty"`
	// Scope lists the scope values that the client may request, separated by spaces.
	Scope string `json:"scope,omitempty"`

	TokenEndpointAuthMethod     string `json:"token_endpoint_auth_method,omitempty"`
	TokenEndpointAuthSigningAlg string `json:"token_endpoint_auth_signing_alg,omitempty"`
	IDTokenSignedResponseAlg    string `json:"id_token_signed_response_alg,omitempty"`
	UserInfoSignedResponseAlg   string `json:"userinfo_signed_response_alg,omitempty"`
	// Encrypted responses are signed first.
	IDTokenEncryptedResponseAlg  string `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEncryptedResponseEnc  string `json:"id_token_encrypted_response_enc,omitempty"`
	UserInfoEncryptedResponseAlg string `json:"userinfo_encrypted_response_alg,omitempty"`
	UserInfoEncryptedResponseEnc string `json:"userinfo_encrypted_response_enc,omitempty"`
	// JWKS holds the client's public keys, JWKSURI is their address. At most one is given.
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	// SubjectType is "public" or "pairwise" (OpenID Connect Core §8).
	SubjectType         string `json:"subject_type,omitempty"`
	SectorIdentifierURI string `json:"sector_identifier_uri,omitempty"`

	DefaultMaxAge    *int64   `json:"default_max_age,omitempty"`
	DefaultACRValues []string `json:"default_acr_values,omitempty"`

	// AuthorizationDetailsTypes are the types that the client may request (RFC 9396 §10).
	AuthorizationDetailsTypes []string `json:"authorization_details_types,omitempty"`
	// DefaultAuthorizationDetails are those of a client_credentials request without authorization_details. Only an
	// operator can register them.
	DefaultAuthorizationDetails json.RawMessage `json:"default_authorization_details,omitempty"`
	// ResourceIdentifiers make the client a resource server: it may introspect tokens for these resources (RFC 7662
	// §2.1). Only an operator can register them.
	ResourceIdentifiers []string `json:"resource_identifiers,omitempty"`

	// RequireSignedRequestObject refuses requests without a request object (RFC 9101 §10.5); when absent, it is true if
	// the profile has request objects. ResponseModes are the allowed response modes, any when absent (FAPI 2.0 Message
	// Signing §5.3.3).
	RequireSignedRequestObject     *bool    `json:"require_signed_request_object,omitempty"`
	RequestObjectSigningAlg        string   `json:"request_object_signing_alg,omitempty"`
	ResponseModes                  []string `json:"response_modes,omitempty"`
	AuthorizationSignedResponseAlg string   `json:"authorization_signed_response_alg,omitempty"` // JARM §3

	AuthorizationEncryptedResponseAlg string `json:"authorization_encrypted_response_alg,omitempty"` // JARM §3
	AuthorizationEncryptedResponseEnc string `json:"authorization_encrypted_response_enc,omitempty"`
	IntrospectionEncryptedResponseAlg string `json:"introspection_encrypted_response_alg,omitempty"` // RFC 9701 §6
	IntrospectionEncryptedResponseEnc string `json:"introspection_encrypted_response_enc,omitempty"`
	IntrospectionSignedResponseAlg    string `json:"introspection_signed_response_alg,omitempty"` // RFC 9701 §6

	// The members of CIBA Core §4. The delivery mode push is not supported.
	BackchannelDeliveryMode         string `json:"backchannel_token_delivery_mode,omitempty"`
	BackchannelNotificationEndpoint string `json:"backchannel_client_notification_endpoint,omitempty"`
	BackchannelSigningAlg           string `json:"backchannel_authentication_request_signing_alg,omitempty"`
	BackchannelUserCode             bool   `json:"backchannel_user_code_parameter,omitempty"`

	// PostLogoutRedirectURIs are where a browser may be sent after the user signed out (RP-Initiated Logout §3.1).
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	// BackchannelLogoutURI is told when a session ends in which the client got an ID token (Back-Channel Logout §2.2).
	// BackchannelLogoutSessionRequired demands a sid in what it is told, which is there in any case. See [Metadata.SignsOut].
	BackchannelLogoutURI             string `json:"backchannel_logout_uri,omitempty"`
	BackchannelLogoutSessionRequired bool   `json:"backchannel_logout_session_required,omitempty"`

	// HTTPMessageSignatures demands signed requests to resources, whose responses are signed too (FAPI 2.0 HTTP
	// Signatures). The name is our own: the draft has none.
	HTTPMessageSignatures bool `json:"http_message_signatures,omitempty"`

	RequirePushedAuthorizationRequests bool `json:"require_pushed_authorization_requests,omitempty"` // RFC 9126 §6
	UseMTLSEndpointAliases             bool `json:"use_mtls_endpoint_aliases,omitempty"`             // FAPI 2.0 Security Profile §5.2.2.1

	// Exactly one of these is given with tls_client_auth (RFC 8705 §2.1.2).
	TLSClientAuthSubjectDN string `json:"tls_client_auth_subject_dn,omitempty"`
	TLSClientAuthSANDNS    string `json:"tls_client_auth_san_dns,omitempty"`
	TLSClientAuthSANURI    string `json:"tls_client_auth_san_uri,omitempty"`
	TLSClientAuthSANIP     string `json:"tls_client_auth_san_ip,omitempty"`
	TLSClientAuthSANEmail  string `json:"tls_client_auth_san_email,omitempty"`
	// TLSClientAuthTrustStore names the trust store that verifies the certificate; the default one when empty. The
	// member is our own: CAs of two ecosystems may issue the same subject to different organisations.
	TLSClientAuthTrustStore string `json:"tls_client_auth_trust_store,omitempty"`

	// Exactly one of these is true for a client that gets access tokens.
	DPoPBoundAccessTokens                 bool `json:"dpop_bound_access_tokens,omitempty"`
	TLSClientCertificateBoundAccessTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

// Members returns the names of the members of [Metadata].
func Members() []string {
	var names []string
	for field := range reflect.TypeFor[Metadata]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// SignsOut reports whether the client takes part in signing out, by sending the browser or by being told: then its ID tokens have a
// sid (Back-Channel Logout §2.1).
func (m *Metadata) SignsOut() bool {
	return m.BackchannelLogoutURI != "" || len(m.PostLogoutRedirectURIs) > 0
}

// restriction returns what of a registration restricts its profile.
func (m *Metadata) restriction() profile.Registration {
	r := profile.Registration{
		AuthMethod: m.TokenEndpointAuthMethod, GrantTypes: m.GrantTypes, ResponseTypes: m.ResponseTypes,
		ResponseModes: m.ResponseModes, RequirePushed: m.RequirePushedAuthorizationRequests,
		UnsignedRequests: m.RequireSignedRequestObject != nil && !*m.RequireSignedRequestObject,
		DeliveryMode:     m.BackchannelDeliveryMode, SignsBackchannel: m.BackchannelSigningAlg != "",
	}
	if m.DPoPBoundAccessTokens {
		r.SenderConstraints = append(r.SenderConstraints, profile.ByDPoP)
	}
	if m.TLSClientCertificateBoundAccessTokens {
		r.SenderConstraints = append(r.SenderConstraints, profile.ByCertificate)
	}
	return r
}

// leaveOut takes out what clients register by habit and nothing here uses (RFC 7591 §2, §3.2.1), and sorts the words of
// response types, whose order is irrelevant (OAuth 2.0 Multiple Response Type Encoding Practices §5):
//   - the grant type implicit beside authorization_code, which OpenID Connect Registration §2 wants for an ID token
//     through the browser, and which is no grant of its own here;
//   - the certificate subject of a client that does not authenticate with one.
func (m *Metadata) leaveOut() {
	var types []string
	withIDToken := false
	for _, registered := range m.ResponseTypes {
		words := strings.Fields(registered)
		slices.Sort(words)
		withIDToken = withIDToken || slices.Contains(words, "id_token")
		if kind := strings.Join(words, " "); !slices.Contains(types, kind) {
			types = append(types, kind)
		}
	}
	if len(types) > 0 {
		m.ResponseTypes = types
	}
	if withIDToken && slices.Contains(m.GrantTypes, profile.AuthorizationCode) {
		m.GrantTypes = slices.DeleteFunc(slices.Clone(m.GrantTypes), func(name string) bool { return name == "implicit" })
	}
	if m.TokenEndpointAuthMethod == profile.PrivateKeyJWT || m.TokenEndpointAuthMethod == profile.SelfSignedTLSClientAuth {
		m.TLSClientAuthSubjectDN, m.TLSClientAuthSANDNS, m.TLSClientAuthSANURI = "", "", ""
		m.TLSClientAuthSANIP, m.TLSClientAuthSANEmail = "", ""
	}
}

// ApplyDefaults fills in the defaults of RFC 7591 §2.
func (m *Metadata) ApplyDefaults() {
	if m.GrantTypes == nil {
		m.GrantTypes = []string{profile.AuthorizationCode} // RFC 7591 §2
	}
	if m.ResponseTypes == nil && slices.Contains(m.GrantTypes, profile.AuthorizationCode) {
		m.ResponseTypes = []string{"code"} // RFC 7591 §2
	}
	if m.TokenEndpointAuthMethod == "" {
		m.TokenEndpointAuthMethod = profile.PrivateKeyJWT // not client_secret_basic (RFC 7591), which no profile allows
	}
}
