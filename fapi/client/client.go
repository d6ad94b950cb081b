// Package client parses client registrations and checks them against a profile.
//
// [Parse] turns the stored metadata of a client (RFC 7591 names) into a [Client] whose profile is restricted to its
// registration; all problems of a registration are found there and nowhere later. [Cache] keeps parsed
// clients, [KeySets] finds their keys, by value or by jwks_uri.
package client

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"countersign/fapi/profile"
	"countersign/fapi/scope"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/internal/strictjson"
	"countersign/mtls"
)

// Client is a registered client, with its profile restricted to its registration. It is immutable.
type Client struct {
	ID       string
	Metadata Metadata
	// Profile is the restricted profile.
	Profile profile.Profile

	// Keys are those of jwks; see [KeySets] for those of jwks_uri.
	Keys jose.KeySet
	// CertificateSubject is the subject that the certificate must have with tls_client_auth (RFC 8705 §2.1.2).
	CertificateSubject mtls.Subject
	// Scopes are the scope values that the client may request.
	Scopes []string
	// Sector is the host that pairwise subjects are made for (OpenID Connect Core §8.1), or empty for a client with public
	// ones.
	Sector string
	// ChangedAt is when the registration last changed; zero before it is stored.
	ChangedAt time.Time
	// Version is that of the stored registration, which grows with each change; zero before it is stored.
	Version int
	// Organisation is who answers for the client; see [OrganisationOf]. Limits that one party must not escape with many
	// clients count by it.
	Organisation string
	// Directory is the name of the directory of participants that vouches for the client, or empty.
	Directory string
	// OrganisationKeys is where that directory publishes the keys of the client's organisation, or empty: see [KeySets.VerifyMessage].
	OrganisationKeys string
	// RevokedKeys is where that directory lists the revoked keys of the client's software, or empty.
	RevokedKeys string

	disabled bool
	// suspended is why a directory keeps the client from being served, or empty.
	suspended string
}

// MemberError is a problem with one member of client metadata.
type MemberError struct {
	// Member is the name of RFC 7591; Text is the problem and its remedy.
	Member, Text string
}

// Error implements error.
func (m *MemberError) Error() string { return m.Member + ": " + m.Text }

// maxID bounds a client identifier, in bytes.
const maxID = 255

// Parse parses a registration and checks it against a built-in profile, by name. All problems are reported at once,
// joined ([errors.Join]), each a *[MemberError] except for malformed JSON.
func Parse(id, profileName string, metadata []byte) (*Client, error) {
	full, ok := profile.Lookup(profileName)
	if !ok {
		return nil, fmt.Errorf("profile: %w", profile.Unknown(profileName))
	}
	client := &Client{ID: id, Organisation: OrganisationOf(id, "")}
	if err := strictjson.Decode(metadata, &client.Metadata); err != nil {
		return nil, fmt.Errorf("the client metadata is not correct JSON: %w", err)
	}
	m := &client.Metadata
	m.ApplyDefaults()
	m.leaveOut()
	var problems []error
	problem := func(member, format string, arguments ...any) {
		problems = append(problems, &MemberError{Member: member, Text: fmt.Sprintf(format, arguments...)})
	}
	checkIdentity(id, m, problem)
	if len(m.RedirectURIs) == 0 && slices.Contains(m.GrantTypes, profile.AuthorizationCode) {
		problem("redirect_uris", "missing; register each address that the browser may be sent back to")
	}
	checkRedirectURIs("redirect_uris", m.RedirectURIs, problem)
	checkLogout(m, problem)
	checkGrants(m, full, problem)
	checkAllowed("token_endpoint_auth_method", []string{m.TokenEndpointAuthMethod}, full.ClientAuthMethods, problem)
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
			checkAllowed(each.member, []string{each.alg}, full.Algorithms, problem)
		}
	}
	client.Scopes = strings.Fields(m.Scope)
	client.checkKeys(problem)
	client.checkEncryption(problem)
	client.checkMessages(full, problem)
	client.checkBackchannel(full, problem)
	client.applyPairwise(full, problem)
	client.checkSubjectType(problem)
	client.checkEcosystem(full, problem)
	checkResourceIdentifiers(m.ResourceIdentifiers, problem)
	if m.DefaultMaxAge != nil && *m.DefaultMaxAge < 0 {
		problem("default_max_age", "must be a number of seconds")
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	client.Profile = full.Restrict(m.restriction())
	return client, nil
}

func checkIdentity(id string, m *Metadata, problem func(string, string, ...any)) {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		problem("client_id", "must be 1 to %d printable ASCII characters", maxID)
	}
	checkName("client_name", m.ClientName, problem)
	for member, address := range map[string]string{
		"client_uri": m.ClientURI, "logo_uri": m.LogoURI, "policy_uri": m.PolicyURI, "tos_uri": m.TermsURI,
	} {
		checkAddress(member, address, problem)
	}
	checkLocalized(m, problem)
}

func checkName(member, name string, problem func(string, string, ...any)) {
	if name == "" || len(name) > 200 || strings.ContainsFunc(name, unicode.IsControl) {
		problem(member, "must be 1 to 200 bytes without control characters; people see it when they decide")
	}
}

func checkAddress(member, address string, problem func(string, string, ...any)) {
	if address == "" {
		return
	}
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		problem(member, "%q is not an https address", address)
	}
}

// checkGrants checks what the client may request and how its tokens are bound.
func checkGrants(m *Metadata, full profile.Profile, problem func(string, string, ...any)) {
	checkAllowed("grant_types", m.GrantTypes, full.GrantTypes, problem)
	checkAllowed("response_types", m.ResponseTypes, full.ResponseTypes, problem)
	browser := slices.Contains(m.GrantTypes, profile.AuthorizationCode)
	if browser != (len(m.ResponseTypes) > 0) {
		problem("response_types", "must fit grant_types: code belongs to %s (RFC 7591 §2.1)", profile.AuthorizationCode)
	}
	if !browser && !slices.Contains(m.GrantTypes, profile.CIBA) && slices.Contains(m.GrantTypes, profile.RefreshToken) {
		problem("grant_types", "%s needs %s or %s beside it", profile.RefreshToken, profile.AuthorizationCode, profile.CIBA)
	}
	if m.DPoPBoundAccessTokens && m.TLSClientCertificateBoundAccessTokens {
		problem("dpop_bound_access_tokens",
			"only one of dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens can be true")
	}
	if len(m.GrantTypes) == 0 {
		if len(m.ResourceIdentifiers) == 0 {
			problem("grant_types", "a client without grant types must be a resource server: register resource_identifiers")
		}
		return
	}
	if !m.DPoPBoundAccessTokens && !m.TLSClientCertificateBoundAccessTokens {
		problem("dpop_bound_access_tokens",
			"exactly one of dpop_bound_access_tokens and tls_client_certificate_bound_access_tokens must be true: access tokens are always bound to one key")
	}
	if m.DPoPBoundAccessTokens && !slices.Contains(full.SenderConstraints, profile.ByDPoP) {
		problem("dpop_bound_access_tokens",
			"the profile %s binds access tokens to certificates only: tls_client_certificate_bound_access_tokens", full.Name)
	}
	if strings.TrimSpace(m.Scope) == "" && len(m.AuthorizationDetailsTypes) == 0 {
		problem("scope", "missing; list the scope values that the client may request, separated by spaces")
	}
}

// checkResourceIdentifiers demands absolute URIs without fragments (RFC 8707 §2).
func checkResourceIdentifiers(identifiers []string, problem func(string, string, ...any)) {
	for _, identifier := range identifiers {
		if !scope.IsResourceIdentifier(identifier) {
			problem("resource_identifiers", "%q is not an absolute URI without a fragment (RFC 8707 §2)", identifier)
		}
	}
}

// checkRedirectURIs allows https, and http on a loopback address for native apps (FAPI 2.0 Security Profile
// §5.3.2.2-8). [Client.Redirects] compares them.
func checkRedirectURIs(member string, list []string, problem func(string, string, ...any)) {
	for _, address := range list {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Hostname() == "" || u.Opaque != "" || strings.ContainsFunc(address, notOfURI):
			problem(member, "%q is not an absolute address", address)
		case strings.Contains(address, "#"):
			problem(member, "%q has a fragment (RFC 6749 §3.1.2)", address)
		case u.User != nil:
			problem(member, "%q holds user information", address)
		case u.Scheme == "https":
		case u.Scheme == "http" && IsLoopback(u.Hostname()):
		default:
			problem(member, "%q is not https (http is allowed only for a native app on 127.0.0.1 or [::1])", address)
		}
	}
}

// notOfURI reports whether a character is not allowed in a URI (RFC 3986 §2). Browsers treat a backslash as a slash.
func notOfURI(r rune) bool { return r <= 0x20 || r > 0x7e || strings.ContainsRune("\\\"<>^`{|}", r) }

// SameOrigin reports whether two absolute addresses have one origin (RFC 6454 §4): scheme, host in any case of letters, and
// port, which may be the scheme's usual one. It is false when one of them is none.
func SameOrigin(one, other string) bool {
	a, errA := url.Parse(one)
	b, errB := url.Parse(other)
	if errA != nil || errB != nil || a.Host == "" || b.Host == "" {
		return false
	}
	host := func(u *url.URL) string {
		if address, err := netip.ParseAddr(u.Hostname()); err == nil {
			return address.String() // one spelling for those of IPv6
		}
		return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	}
	port := func(u *url.URL) string {
		return cmp.Or(strings.TrimLeft(u.Port(), "0"), map[string]string{"https": "443", "http": "80"}[u.Scheme])
	}
	return a.Scheme == b.Scheme && host(a) == host(b) && port(a) == port(b)
}

// IsLoopback reports whether a host is a literal loopback address.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func checkAllowed(member string, values, allowed []string, problem func(string, string, ...any)) {
	for _, value := range values {
		if !slices.Contains(allowed, value) {
			problem(member, "%q is not allowed by the profile; allowed are %s", value, strings.Join(allowed, ", "))
		}
	}
}

// checkKeys parses the keys and the certificate subject that the client's authentication needs.
func (c *Client) checkKeys(problem func(string, string, ...any)) {
	m := &c.Metadata
	switch {
	case m.JWKSURI != "" && len(m.JWKS) > 0:
		problem("jwks_uri", "give either jwks or jwks_uri (RFC 7591 §2)")
	case m.JWKSURI != "":
		if err := outbound.CheckAddress(m.JWKSURI); err != nil {
			problem("jwks_uri", "%v", err)
		}
	case len(m.JWKS) > 0:
		keys, err := jose.ParseKeySet(m.JWKS)
		if err != nil {
			problem("jwks", "%v", err)
		}
		c.Keys = keys
	}
	c.CertificateSubject = mtls.Subject{
		DN: m.TLSClientAuthSubjectDN, SANDNS: m.TLSClientAuthSANDNS, SANURI: m.TLSClientAuthSANURI,
		SANIP: m.TLSClientAuthSANIP, SANEmail: m.TLSClientAuthSANEmail,
	}
	switch m.TokenEndpointAuthMethod {
	case profile.TLSClientAuth:
		if err := c.CertificateSubject.Validate(); err != nil {
			problem("tls_client_auth_subject_dn", "%v", err)
		}
	case profile.PrivateKeyJWT, profile.SelfSignedTLSClientAuth:
		found := c.Keys.Verifies()
		if m.TokenEndpointAuthMethod == profile.SelfSignedTLSClientAuth {
			found = c.Keys.Certifies()
		}
		c.needKeys(found, m.TokenEndpointAuthMethod+" needs", problem)
		if m.TLSClientAuthTrustStore != "" {
			problem("tls_client_auth_trust_store", "belongs to %s only", profile.TLSClientAuth)
		}
	}
}

// needKeys demands keys for what the client does with them: found reports whether its jwks has some. A set all of whose
// keys were left out has none, and the problem says why.
func (c *Client) needKeys(found bool, what string, problem func(string, string, ...any)) {
	if c.Metadata.JWKSURI == "" && !found {
		problem("jwks", "missing; %s the client's public keys, in jwks or at jwks_uri%s", what, jose.Hint(c.LeftOut(c.Keys)))
	}
}

// checkSubjectType finds the sector of a client with pairwise subjects (OpenID Connect Core §8.1). The
// document at sector_identifier_uri is checked by package registration.
func (c *Client) checkSubjectType(problem func(string, string, ...any)) {
	m := &c.Metadata
	if m.SectorIdentifierURI != "" {
		if err := outbound.CheckAddress(m.SectorIdentifierURI); err != nil {
			problem("sector_identifier_uri", "%v", err)
		}
	}
	switch m.SubjectType {
	case "", SubjectPublic:
		return
	case SubjectPairwise:
	default:
		problem("subject_type", "must be %s or %s", SubjectPublic, SubjectPairwise)
		return
	}
	addresses := m.RedirectURIs
	switch {
	case m.SectorIdentifierURI != "":
		addresses = []string{m.SectorIdentifierURI}
	case slices.Contains(m.GrantTypes, profile.CIBA):
		// CIBA Core §4: nothing of a backchannel request goes to the redirect URIs, so that they prove nothing.
		if m.JWKSURI == "" {
			problem("sector_identifier_uri",
				"missing; pairwise subjects with %s need it, or a jwks_uri (CIBA Core §4)", profile.CIBA)
			return
		}
		if !m.ProvesJWKSURI() {
			problem("sector_identifier_uri", "missing; with %s nothing proves that the jwks_uri is the client's (CIBA Core §4)",
				m.TokenEndpointAuthMethod)
			return
		}
		addresses = []string{m.JWKSURI}
	case slices.ContainsFunc(addresses, isLoopbackAddress):
		problem("sector_identifier_uri",
			"missing; pairwise subjects need it with redirect_uris on a loopback address, which is every application's")
		return
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			continue // reported already
		}
		if host := strings.ToLower(u.Hostname()); c.Sector == "" {
			c.Sector = host
		} else if c.Sector != host {
			problem("sector_identifier_uri",
				"missing; pairwise subjects need it when redirect_uris are on different hosts (OpenID Connect Core §8.1)")
			return
		}
	}
	if c.Sector == "" {
		problem("subject_type", "pairwise subjects need redirect_uris or a sector_identifier_uri")
	}
}

// isLoopbackAddress reports whether the host of an address is a loopback address.
func isLoopbackAddress(address string) bool {
	u, err := url.Parse(address)
	return err == nil && IsLoopback(u.Hostname())
}

// ProvesJWKSURI reports whether the client authenticates with keys of its jwks_uri, which proves that it is its own.
func (m *Metadata) ProvesJWKSURI() bool {
	return m.JWKSURI != "" &&
		(m.TokenEndpointAuthMethod == profile.PrivateKeyJWT || m.TokenEndpointAuthMethod == profile.SelfSignedTLSClientAuth)
}

// Subject types (OpenID Connect Core §8).
const (
	SubjectPublic   = "public"
	SubjectPairwise = "pairwise"
)

// Constraint returns how the client's access tokens are bound, or "" for a client without grants. [Parse] ensures
// that there is at most one.
func (c *Client) Constraint() profile.SenderConstraint {
	if len(c.Profile.SenderConstraints) == 0 {
		return ""
	}
	return c.Profile.SenderConstraints[0]
}

// AuthMethod returns the client's authentication method. [Parse] ensures that there is exactly one.
func (c *Client) AuthMethod() string { return c.Profile.ClientAuthMethods[0] }

// AssertionAlgorithms returns the algorithms that the client may sign its assertions with.
func (c *Client) AssertionAlgorithms() []string {
	if alg := c.Metadata.TokenEndpointAuthSigningAlg; alg != "" {
		return []string{alg}
	}
	return c.Profile.Algorithms
}
