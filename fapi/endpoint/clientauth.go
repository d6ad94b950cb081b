package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"countersign/fapi/client"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// assertionType is the one client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	// MaxJTI bounds a jti, in bytes.
	MaxJTI = 256
	// ClockDifference is the tolerated clock difference between nodes. It only extends how long one-time values are kept.
	ClockDifference = time.Minute
)

// Authenticator authenticates clients with private_key_jwt (RFC 7523) or their certificate (RFC 8705 §2).
type Authenticator struct {
	Addresses Addresses
	// TokenPath is the path of the token endpoint.
	TokenPath string
	Clients   *client.Cache
	Keys      *client.KeySets
	// Trust verifies certificates for tls_client_auth.
	Trust mtls.Trust
	// TrustStores verify the certificates of clients whose registration names one of them.
	TrustStores map[string]mtls.Trust
	Now         func() time.Time
	Tracer      trace.Tracer
	// CertificateRefused, if not nil, is called when a client is refused for its certificate.
	CertificateRefused func(*http.Request, RefusedCertificate)
}

// RefusedCertificate is what an operator should know of a client certificate that was refused.
type RefusedCertificate struct {
	ClientID string
	// Subject is the certificate's (RFC 4514), or "" if it cannot be read or there is none.
	Subject string
	// Cause says why it was refused.
	Cause error
}

// authenticate identifies the client and authenticates it by its registered method; the request never chooses the
// method. It sets c.Client and adds to the call's one-time values.
func (a *Authenticator) authenticate(request *http.Request, c *Call) error {
	ctx, span := a.Tracer.Start(request.Context(), "client authentication")
	defer span.End()
	if request.Header.Get("Authorization") != "" || c.Form.Has("client_secret") {
		refused := oauth.Errorf(oauth.InvalidClient,
			"client secrets are not accepted; authenticate with private_key_jwt or a client certificate")
		refused.Challenge = "Basic realm=\"none\"" // RFC 6749 §5.2: the scheme used must be answered
		return refused
	}
	var presented *assertion
	id := c.Form.Get("client_id")
	if raw := c.Form.Get("client_assertion"); raw != "" {
		var err error
		if presented, err = readAssertion(raw, id, c.Form.Get("client_assertion_type")); err != nil {
			return err
		}
		id = presented.Subject
	}
	if id == "" {
		return oauth.Errorf(oauth.InvalidClient,
			"the client is not named; send client_assertion, or client_id with a client certificate")
	}
	found, err := a.Clients.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return oauth.Errorf(oauth.InvalidClient, "%s",
			client.Gone(err, "the client is not registered here or does not authenticate this way"))
	}
	if err != nil {
		return err
	}
	span.SetAttributes(attribute.String("oauth.client_id", found.ID),
		attribute.String("oauth.client_auth_method", found.AuthMethod()))
	event.Of(ctx).ClientID = found.ID
	c.Client = found
	switch found.AuthMethod() {
	case profile.PrivateKeyJWT:
		if presented == nil {
			return oauth.Errorf(oauth.InvalidClient,
				"this client authenticates with private_key_jwt; send client_assertion and client_assertion_type")
		}
		oneTime, err := a.checkAssertion(ctx, found, presented, c.at.Path)
		if err != nil {
			return err
		}
		c.AddOneTime(oneTime)
		return nil
	case profile.TLSClientAuth, profile.SelfSignedTLSClientAuth:
		if presented != nil {
			return oauth.Errorf(oauth.InvalidRequest,
				"this client authenticates with its certificate; send no client_assertion (RFC 6749 §2.3: one method a request)")
		}
		err := a.checkCertificate(ctx, c)
		a.reportCertificate(request, c, err)
		return err
	}
	return oauth.Errorf(oauth.InvalidClient, "the client has no way to authenticate")
}

// assertion is a parsed client assertion that is not verified yet (RFC 7523 §3).
type assertion struct {
	token *jose.Token

	Issuer    string            `json:"iss"`
	Subject   string            `json:"sub"`
	Audience  jose.Audience     `json:"aud"`
	ID        string            `json:"jti"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
}

// readAssertion parses a client assertion, to know which client it names.
func readAssertion(raw, clientID, kind string) (*assertion, error) {
	if kind != assertionType {
		return nil, oauth.Errorf(oauth.InvalidClient, "client_assertion_type must be %s", assertionType)
	}
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: profile.Algorithms()})
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidClient, "the client assertion is not acceptable: %v", err).Because(err)
	}
	read := &assertion{token: token}
	if err := token.Claims(read); err != nil {
		return nil, oauth.Errorf(oauth.InvalidClient, "the client assertion's claims cannot be read: %v", err).Because(err)
	}
	if read.Subject == "" {
		return nil, oauth.Errorf(oauth.InvalidClient, "the client assertion has no sub; it must be the client_id")
	}
	if clientID != "" && clientID != read.Subject {
		return nil, oauth.Errorf(oauth.InvalidClient, "client_id and the sub of the client assertion differ")
	}
	return read, nil
}

// checkAssertion verifies a client assertion (RFC 7523 §3, FAPI 2.0 Security Profile §5.3.2.1) and returns its
// one-time value. path is that of the endpoint called.
func (a *Authenticator) checkAssertion(
	ctx context.Context, caller *client.Client, claims *assertion, path string,
) (store.OneTime, error) {
	refuse := func(format string, arguments ...any) (store.OneTime, error) {
		return store.OneTime{}, oauth.Errorf(oauth.InvalidClient, "the client assertion "+format, arguments...)
	}
	if !slices.Contains(caller.AssertionAlgorithms(), claims.token.Header.Algorithm) {
		return refuse("is signed with %s; this client registered %s", claims.token.Header.Algorithm,
			strings.Join(caller.AssertionAlgorithms(), ", "))
	}
	if err := a.Keys.Verify(ctx, caller, claims.token); err != nil {
		if remote, ok := errors.AsType[*jose.RemoteError](err); ok {
			return store.OneTime{}, unreadableKeys(remote)
		}
		return refuse("is not acceptable: %v", err)
	}
	if header := claims.token.Header; header.Type != "" && !header.HasType("JWT") &&
		!header.HasType("client-authentication+jwt") { // draft-ietf-oauth-rfc7523bis
		return refuse("has the typ of another kind of token")
	}
	now := a.Now()
	rules := caller.Profile
	switch {
	case claims.Issuer != caller.ID || claims.Subject != caller.ID:
		return refuse("must have the client_id as iss and as sub")
	case !a.acceptsAudience(rules.AssertionAudience, claims.Audience, path):
		return refuse("must have the issuer identifier %s as its aud%s", a.Addresses.Issuer,
			audienceHint(rules.AssertionAudience))
	case claims.Expires == nil:
		return refuse("has no exp")
	case !now.Before(claims.Expires.Time()):
		return refuse("has expired")
	case claims.Expires.Time().After(now.Add(rules.MaxAssertionLifetime + rules.MaxAhead)):
		return refuse("lives too long; its exp may be at most %s ahead", rules.MaxAssertionLifetime)
	case ahead(claims.NotBefore, now, rules.MaxAhead):
		return refuse("is not valid yet: its nbf is more than %s ahead; check the clock", rules.MaxAhead)
	case ahead(claims.IssuedAt, now, rules.MaxAhead):
		return refuse("is from the future: its iat is more than %s ahead; check the clock", rules.MaxAhead)
	case claims.ID == "" || len(claims.ID) > MaxJTI:
		return refuse("needs a jti of 1 to %d bytes", MaxJTI)
	}
	return store.OneTime{
		Kind:  store.KindAssertion,
		Key:   store.DigestOf(caller.ID + "\x00" + claims.ID),
		Until: claims.Expires.Time().Add(ClockDifference),
	}, nil
}

// acceptsAudience applies a profile's rule for the aud of a client assertion that came to an endpoint.
func (a *Authenticator) acceptsAudience(rule profile.AssertionAudience, audience jose.Audience, path string) bool {
	switch rule {
	case profile.IssuerString:
		return audience.Single && len(audience.Values) == 1 && audience.Values[0] == a.Addresses.Issuer
	case profile.IssuerOrEndpoint:
		accepted := append([]string{a.Addresses.Issuer}, a.Addresses.Of(a.TokenPath)...)
		accepted = append(accepted, a.Addresses.Of(path)...)
		return slices.ContainsFunc(audience.Values, func(value string) bool { return slices.Contains(accepted, value) })
	}
	return false
}

// audienceHint continues the error "must have the issuer identifier as its aud".
func audienceHint(rule profile.AssertionAudience) string {
	if rule == profile.IssuerOrEndpoint {
		return ", or the address of the token endpoint or of the endpoint called"
	}
	return ": one string, not an array and not the address of an endpoint"
}

// ahead reports whether a time, if given, is further ahead of now than allowed.
func ahead(date *jose.NumericDate, now time.Time, allowed time.Duration) bool {
	return date != nil && date.Time().After(now.Add(allowed))
}

// NoCertificate says after "the connection has none" what the client can do about it.
func (c *Call) NoCertificate() string {
	if !c.at.MTLS {
		return "use the endpoints in mtls_endpoint_aliases"
	}
	return "the client sent none; a TLS client sends none whose kind of key is not asked for: " +
		"use RSA, P-256, P-384, P-521 or Ed25519"
}

// checkCertificate authenticates a client by its certificate (RFC 8705 §2).
func (a *Authenticator) checkCertificate(ctx context.Context, c *Call) error {
	caller, presented := c.Client, c.Certificate
	if presented == nil {
		return oauth.Errorf(oauth.InvalidClient,
			"this client authenticates with a certificate and the connection has none; %s", c.NoCertificate())
	}
	if caller.AuthMethod() == profile.SelfSignedTLSClientAuth {
		return a.checkSelfSigned(ctx, caller, presented)
	}
	trust := a.Trust
	if name := caller.Metadata.TLSClientAuthTrustStore; name != "" {
		var ok bool
		if trust, ok = a.TrustStores[name]; !ok {
			return oauth.Errorf(oauth.InvalidClient, "the client certificate is not trusted here").
				Because(fmt.Errorf("there is no trust store %q, which the client's registration names", name))
		}
	}
	if err := trust.VerifyContext(ctx, presented); err != nil {
		return refusedCertificate("the client certificate is not trusted here", err)
	}
	if err := caller.CertificateSubject.Match(presented.Leaf); err != nil {
		return refusedCertificate("the client certificate's subject is not the one that this client registered", err)
	}
	return nil
}

// reportCertificate calls CertificateRefused if it was the certificate that err refuses, and not, say, the store that
// failed. None on the listener that asks for one is reported too: its key may be of a kind that is not asked for.
func (a *Authenticator) reportCertificate(request *http.Request, c *Call, err error) {
	if a.CertificateRefused == nil || err == nil {
		return
	}
	if c.Certificate == nil {
		if c.at.MTLS {
			a.CertificateRefused(request, RefusedCertificate{ClientID: c.Client.ID, Cause: err})
		}
		return
	}
	isCertificate := func(kind error) bool { return errors.Is(err, kind) }
	if slices.ContainsFunc([]error{mtls.ErrUntrusted, mtls.ErrMismatch, mtls.ErrMalformed}, isCertificate) {
		subject := mtls.SubjectText(c.Certificate.Leaf)
		a.CertificateRefused(request, RefusedCertificate{c.Client.ID, subject, errors.Unwrap(err)})
	}
}

// refusedCertificate is the answer to a client whose certificate is refused. It has the reason: whoever shows the
// certificate knows what is in it.
func refusedCertificate(description string, cause error) error {
	if reason := mtls.Reason(cause); reason != "" {
		description += ": " + reason
	}
	return oauth.Errorf(oauth.InvalidClient, "%s", description).Because(cause)
}

// checkSelfSigned compares the certificate with the keys that the client registered (RFC 8705 §2.2). With
// jwks_uri the certificate may be newer than the cached keys.
func (a *Authenticator) checkSelfSigned(ctx context.Context, caller *client.Client, presented *mtls.Presented) error {
	var left []jose.LeftOut
	err := a.Keys.Try(ctx, caller, func(set jose.KeySet) (unknown bool, verdict error) {
		left = caller.LeftOut(set)
		verdict = mtls.SelfSigned(presented, set.CertificateKeys(presented.Leaf.PublicKey), a.Now())
		return errors.Is(verdict, mtls.ErrUnknownKey), verdict
	})
	if remote, ok := errors.AsType[*jose.RemoteError](err); ok {
		return unreadableKeys(remote)
	}
	if err != nil {
		hint := ""
		if errors.Is(err, mtls.ErrUnknownKey) {
			hint = jose.Hint(left)
		}
		if stale, ok := errors.AsType[*jose.StaleError](err); ok {
			hint += "; the client's keys cannot be read: " + stale.Failure.Error()
		}
		return refusedCertificate("the client certificate is not one that this client registered"+hint, err)
	}
	return nil
}

// unreadableKeys is the answer when there are no keys of the client: what is wrong is at its own address, unless this
// server had no time to fetch them.
func unreadableKeys(remote *jose.RemoteError) error {
	if remote.Busy() {
		return Busy("the client's keys", remote)
	}
	return oauth.Errorf(oauth.InvalidClient, "the client's keys cannot be read: %v", remote).Because(remote)
}
