package client

import (
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
	"countersign/rp/internal/metadata"
)

// Defaults and bounds of a [Config].
const (
	defaultTimeout   = 10 * time.Second
	defaultTolerance = 10 * time.Second
	maxTolerance     = time.Minute
	defaultUserAgent = "countersign-rp"
)

// Response types and modes.
const (
	typeCode        = "code"
	typeCodeIDToken = "code id_token"
)

// isJARM reports whether a response mode is one of JARM (§2.3).
func isJARM(mode string) bool { return mode == "jwt" || strings.HasSuffix(mode, ".jwt") }

// complete checks a configuration as far as that needs no provider, and fills in its defaults. Errors are a [*ConfigError].
func complete(c Config) (Config, error) {
	if _, err := metadata.Addresses(c.Issuer); err != nil {
		return c, misconfigured("Issuer", "it has to be an https address without query and fragment")
	}
	if c.ClientID == "" {
		return c, misconfigured("ClientID", "it is missing")
	}
	if c.RedirectURI != "" {
		if err := checkRedirectURI(c.RedirectURI); err != nil {
			return c, err
		}
	}
	if c.Profile < FAPI2Security || c.Profile > Plain {
		return c, misconfigured("Profile", "there is none of the number %d", c.Profile)
	}
	for _, check := range []func(*Config) error{checkWeak, checkAuth, checkBinding, checkResponse, checkSigning} {
		if err := check(&c); err != nil {
			return c, err
		}
	}
	if c.ClockTolerance < 0 || c.ClockTolerance > maxTolerance {
		return c, misconfigured("ClockTolerance", "it may be %s at most", maxTolerance)
	}
	if c.ClockTolerance == 0 {
		c.ClockTolerance = defaultTolerance
	}
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.UserAgent == "" {
		c.UserAgent = defaultUserAgent
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

func checkRedirectURI(address string) error {
	if err := metadata.CheckRedirectURI(address); err != nil {
		return misconfigured("RedirectURI", "%v", err)
	}
	return nil
}

// each lists what is named, by the names of the fields.
func (w Weak) each() []struct {
	name  string
	named bool
} {
	return []struct {
		name  string
		named bool
	}{
		{"ClientSecret", w.ClientSecret}, {"PublicClient", w.PublicClient}, {"NoPAR", w.NoPAR}, {"NoPKCE", w.NoPKCE},
		{"UnannouncedPKCE", w.UnannouncedPKCE}, {"NoIss", w.NoIss}, {"Bearer", w.Bearer}, {"RS256", w.RS256},
		{"TokenEndpointAudience", w.TokenEndpointAudience}, {"UntypedLogoutToken", w.UntypedLogoutToken},
	}
}

// Names lists what is named: a provider's weaknesses, for a page of settings or a log.
func (w Weak) Names() []string {
	var names []string
	for _, each := range w.each() {
		if each.named {
			names = append(names, each.name)
		}
	}
	return names
}

func checkWeak(c *Config) error {
	for _, name := range c.Weak.Names() {
		if c.Profile != Plain && !(name == "TokenEndpointAudience" && c.Profile == FAPI1Advanced) {
			return misconfigured("Weak."+name, "the %s does not allow it; it is for the profile Plain", c.Profile)
		}
	}
	return nil
}

func checkAuth(c *Config) error {
	switch c.Auth.method {
	case methodPrivateKeyJWT:
		if c.Auth.key.IsZero() {
			return misconfigured("Auth", "PrivateKeyJWT has no key")
		}
	case methodMTLS:
		if len(c.Auth.certificate.Certificate) == 0 {
			return misconfigured("Auth", "MTLS has no certificate")
		}
	case methodBasic, methodPost:
		if !c.Weak.ClientSecret {
			return misconfigured("Auth", "a secret needs the profile Plain with Weak.ClientSecret; private_key_jwt and mTLS do not")
		}
		if c.Auth.secret == "" {
			return misconfigured("Auth", "the secret is empty")
		}
	case methodNone:
		if !c.Weak.PublicClient {
			return misconfigured("Auth", "a client without authentication needs the profile Plain with Weak.PublicClient")
		}
	default:
		return misconfigured("Auth", "it is missing: PrivateKeyJWT or MTLS")
	}
	return nil
}

// checkBinding finds the one certificate, and refuses a binding that the profile does not have.
func checkBinding(c *Config) error {
	for _, one := range []*tls.Certificate{c.Auth.certificate, c.Binding.certificate} {
		if one == nil {
			continue
		}
		if c.Certificate != nil && !sameCertificate(c.Certificate, one) {
			return misconfigured("Certificate", "there are several certificates; a client shows one")
		}
		c.Certificate = one
	}
	if c.Certificate != nil && len(c.Certificate.Certificate) == 0 {
		return misconfigured("Certificate", "it is empty")
	}
	switch c.Binding.kind {
	case bindingDPoP:
		if c.Profile == FAPI1Advanced {
			return misconfigured("Binding", "FAPI 1.0 Advanced binds tokens by mTLS only (§5.2.2-5)")
		}
		if c.Binding.key.IsZero() {
			return misconfigured("Binding", "DPoP has no key")
		}
	case bindingMTLS:
		if c.Certificate == nil {
			return misconfigured("Binding", "MTLSBound needs a certificate: that of MTLS or Certificate, or use MTLSBoundWith")
		}
	case bindingUnset:
		if c.Profile == FAPI1Advanced && c.Certificate == nil {
			return misconfigured("Binding", "FAPI 1.0 Advanced needs a certificate: MTLSBoundWith, or MTLS")
		}
	}
	return nil
}

func sameCertificate(a, b *tls.Certificate) bool {
	return len(a.Certificate) > 0 && len(b.Certificate) > 0 && slices.Equal(a.Certificate[0], b.Certificate[0])
}

// checkResponse fills in response type and mode.
func checkResponse(c *Config) error {
	switch c.ResponseMode {
	case "", "query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt":
	default:
		return misconfigured("ResponseMode", "%q is none", c.ResponseMode)
	}
	if c.ResponseMode == "" && c.Profile == FAPI2MessageSigning {
		c.ResponseMode = "jwt"
	}
	if c.ResponseType == "" {
		c.ResponseType = typeCode
		if c.Profile == FAPI1Advanced && !isJARM(c.ResponseMode) {
			c.ResponseType = typeCodeIDToken
		}
	}
	openid := slices.Contains(c.Scopes, "openid")
	switch {
	case c.ResponseType != typeCode && c.ResponseType != typeCodeIDToken:
		return misconfigured("ResponseType", "it is code, or code id_token in FAPI 1.0 Advanced")
	case c.ResponseType == typeCodeIDToken && c.Profile != FAPI1Advanced:
		return misconfigured("ResponseType", "code id_token is for FAPI 1.0 Advanced only")
	case c.ResponseType == typeCodeIDToken && !openid:
		return misconfigured("Scopes", "code id_token needs openid; use a ResponseMode of JARM without it (FAPI 1.0 Advanced §5.2.2-2)")
	case c.ResponseType == typeCodeIDToken && (c.ResponseMode == "query" || isJARM(c.ResponseMode)):
		return misconfigured("ResponseMode", "code id_token comes by fragment or form_post")
	case c.ResponseType == typeCode && c.Profile == FAPI1Advanced && !isJARM(c.ResponseMode):
		return misconfigured("ResponseMode", "code needs one of JARM in FAPI 1.0 Advanced (§5.2.2-2)")
	}
	return nil
}

// signedRequests reports whether the profile wants authorization requests signed.
func (c *Config) signedRequests() bool {
	return c.Profile == FAPI2MessageSigning || c.Profile == FAPI1Advanced || !c.RequestKey.IsZero()
}

// checkSigning finds the key for requests and the algorithms of the provider.
func checkSigning(c *Config) error {
	if c.signedRequests() && c.RequestKey.IsZero() {
		if c.Auth.method != methodPrivateKeyJWT {
			return misconfigured("RequestKey", "the %s has requests signed", c.Profile)
		}
		c.RequestKey = c.Auth.key
	}
	allowed := []string{jose.PS256, jose.ES256, jose.EdDSA}
	if c.Profile == FAPI1Advanced {
		allowed = allowed[:2] // §8.6
	}
	if c.Weak.RS256 {
		allowed = append(allowed, jose.RS256)
	}
	for _, key := range []Key{c.Auth.key, c.RequestKey, c.Binding.key} {
		if !key.IsZero() && !slices.Contains(allowed, key.Algorithm()) {
			return misconfigured("Auth", "the key %s is for %s, which the %s does not allow", key.ID(), key.Algorithm(), c.Profile)
		}
	}
	if c.Binding.kind == bindingDPoP && c.Binding.key.Algorithm() == jose.RS256 {
		return misconfigured("Binding", "a DPoP key signs with PS256, ES256 or EdDSA")
	}
	if c.IDTokenAlgorithms == nil {
		c.IDTokenAlgorithms = allowed
	}
	for _, name := range c.IDTokenAlgorithms {
		if !slices.Contains(allowed, name) {
			return misconfigured("IDTokenAlgorithms", "%q is none of %s", name, strings.Join(allowed, ", "))
		}
	}
	if len(c.IDTokenAlgorithms) == 0 {
		return misconfigured("IDTokenAlgorithms", "it is empty")
	}
	if c.RequireIDTokenEncryption && len(c.Decrypt) == 0 {
		return misconfigured("Decrypt", "RequireIDTokenEncryption needs a key to decrypt with")
	}
	for _, one := range c.Decrypt {
		if one.key.ID == "" {
			return misconfigured("Decrypt", "a key is empty")
		}
	}
	return nil
}
