package fapi

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// assertionType is the one client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	// maxJTI bounds a jti, in bytes.
	maxJTI = 256
	// clockDifference is how far the clocks of two of our nodes may differ. It only lengthens the memory.
	clockDifference = time.Minute
)

// authenticate finds out which registered client is calling and makes it prove itself in the one way that it
// registered; what the request carries never chooses the method. It sets c.client and adds to c.uses.
func (s *Server) authenticate(request *http.Request, c *call) error {
	ctx, span := s.span(request.Context(), "client authentication")
	defer span.End()
	if request.Header.Get("Authorization") != "" || c.form.Has("client_secret") {
		refused := oauth.Errorf(oauth.InvalidClient, "client secrets are not accepted; authenticate with private_key_jwt or a client certificate")
		refused.Challenge = "Basic realm=\"none\"" // RFC 6749 §5.2: the scheme used must be answered
		return refused
	}
	var presented *assertion
	id := c.form.Get("client_id")
	if raw := c.form.Get("client_assertion"); raw != "" {
		var err error
		if presented, err = readAssertion(raw, id, c.form.Get("client_assertion_type")); err != nil {
			return err
		}
		id = presented.Subject
	}
	if id == "" {
		return oauth.Errorf(oauth.InvalidClient, "the client is not named; send client_assertion, or client_id with a client certificate")
	}
	client, err := s.clients.get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return oauth.Errorf(oauth.InvalidClient, "the client is not registered here or does not authenticate this way")
	}
	if err != nil {
		return err
	}
	span.SetAttributes(attribute.String("oauth.client_id", client.ID), attribute.String("oauth.client_auth_method", client.authMethod()))
	eventOf(ctx).client = client.ID
	c.client = client
	switch client.authMethod() {
	case PrivateKeyJWT:
		if presented == nil {
			return oauth.Errorf(oauth.InvalidClient, "this client authenticates with private_key_jwt; send client_assertion and client_assertion_type")
		}
		use, err := s.checkAssertion(ctx, client, presented, c.route.path)
		if err != nil {
			return err
		}
		c.uses = append(c.uses, use)
		return nil
	case TLSClientAuth, SelfSignedTLSClientAuth:
		if presented != nil {
			return oauth.Errorf(oauth.InvalidRequest, "this client authenticates with its certificate; send no client_assertion (RFC 6749 §2.3: one method a request)")
		}
		return s.checkCertificate(ctx, client, c.certificate)
	}
	return oauth.Errorf(oauth.InvalidClient, "the client has no way to authenticate")
}

// assertion is a client assertion whose claims are read and not yet believed (RFC 7523 §3).
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

// readAssertion parses a client assertion far enough to know whose it claims to be.
func readAssertion(raw, clientID, kind string) (*assertion, error) {
	if kind != assertionType {
		return nil, oauth.Errorf(oauth.InvalidClient, "client_assertion_type must be %s", assertionType)
	}
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: FAPI2Security().Algorithms})
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
// one-time value. The path is that of the endpoint called.
func (s *Server) checkAssertion(ctx context.Context, client *Client, claims *assertion, path string) (store.OneTime, error) {
	refuse := func(format string, arguments ...any) (store.OneTime, error) {
		return store.OneTime{}, oauth.Errorf(oauth.InvalidClient, "the client assertion "+format, arguments...)
	}
	if !slices.Contains(client.assertionAlgorithms(), claims.token.Header.Algorithm) {
		return refuse("is signed with %s; this client registered %s", claims.token.Header.Algorithm, strings.Join(client.assertionAlgorithms(), ", "))
	}
	if err := s.verifyWithKeysOf(ctx, client, claims.token); err != nil {
		return refuse("is not acceptable: %v", err)
	}
	if header := claims.token.Header; header.Type != "" && !header.HasType("JWT") &&
		!header.HasType("client-authentication+jwt") { // draft-ietf-oauth-rfc7523bis
		return refuse("has the typ of another kind of token")
	}
	now := s.now()
	profile := client.Profile
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return refuse("must have the client_id as iss and as sub")
	case !s.acceptsAudience(profile.AssertionAudience, claims.Audience, path):
		return refuse("must have the issuer identifier %s as its aud%s", s.config.Issuer, profile.AssertionAudience.hint())
	case claims.Expires == nil:
		return refuse("has no exp")
	case !now.Before(claims.Expires.Time()):
		return refuse("has expired")
	case claims.Expires.Time().After(now.Add(profile.MaxAssertionLifetime + profile.MaxAhead)):
		return refuse("lives too long; its exp may be at most %s ahead", profile.MaxAssertionLifetime)
	case ahead(claims.NotBefore, now, profile.MaxAhead):
		return refuse("is not valid yet: its nbf is more than %s ahead; check the clock", profile.MaxAhead)
	case ahead(claims.IssuedAt, now, profile.MaxAhead):
		return refuse("is from the future: its iat is more than %s ahead; check the clock", profile.MaxAhead)
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return refuse("needs a jti of 1 to %d bytes", maxJTI)
	}
	return store.OneTime{
		Kind:  "client_assertion",
		Key:   store.DigestOf(client.ID + "\x00" + claims.ID),
		Until: claims.Expires.Time().Add(clockDifference),
	}, nil
}

// verifyWithKeysOf checks a signature with the keys that a client registered, by value or by address.
func (s *Server) verifyWithKeysOf(ctx context.Context, client *Client, token *jose.Token) error {
	if address := client.Metadata.JWKSURI; address != "" {
		return s.keySets.Verify(ctx, address, token)
	}
	return token.VerifyWith(client.keys)
}

// keysOf gives the keys that a client registered, by value or by address.
func (s *Server) keysOf(ctx context.Context, client *Client) (jose.KeySet, error) {
	if address := client.Metadata.JWKSURI; address != "" {
		return s.keySets.Keys(ctx, address)
	}
	return client.keys, nil
}

// acceptsAudience applies a profile's rule for the aud of a client assertion that came to an endpoint.
func (s *Server) acceptsAudience(rule AssertionAudience, audience jose.Audience, path string) bool {
	switch rule {
	case IssuerString:
		return audience.Single && len(audience.Values) == 1 && audience.Values[0] == s.config.Issuer
	case IssuerOrEndpoint:
		accepted := append([]string{s.config.Issuer}, s.addresses("/token")...)
		accepted = append(accepted, s.addresses(path)...)
		return slices.ContainsFunc(audience.Values, func(value string) bool { return slices.Contains(accepted, value) })
	}
	return false
}

// hint says what else about the aud is wrong or right, after the words "must have the issuer identifier as its aud".
func (rule AssertionAudience) hint() string {
	if rule == IssuerOrEndpoint {
		return ", or the address of the token endpoint or of the endpoint called"
	}
	return ": one string, not an array and not the address of an endpoint"
}

// ahead tells whether a time, if given, is further ahead of now than allowed.
func ahead(date *jose.NumericDate, now time.Time, allowed time.Duration) bool {
	return date != nil && date.Time().After(now.Add(allowed))
}

// checkCertificate makes a client prove itself with its certificate (RFC 8705 §2).
func (s *Server) checkCertificate(ctx context.Context, client *Client, presented *mtls.Presented) error {
	if presented == nil {
		return oauth.Errorf(oauth.InvalidClient, "this client authenticates with a certificate and the connection has none; use the endpoints in mtls_endpoint_aliases")
	}
	if client.authMethod() == SelfSignedTLSClientAuth {
		return s.checkSelfSigned(ctx, client, presented)
	}
	trust := s.config.ClientTrust
	if name := client.Metadata.TLSClientAuthTrustStore; name != "" {
		var ok bool
		if trust, ok = s.config.TrustStores[name]; !ok {
			return oauth.Errorf(oauth.InvalidClient, "the client certificate is not trusted here").Because(fmt.Errorf("there is no trust store %q, which the client's registration names", name))
		}
	}
	if err := trust.VerifyContext(ctx, presented); err != nil {
		return oauth.Errorf(oauth.InvalidClient, "the client certificate is not trusted here").Because(err)
	}
	if err := client.subject.Match(presented.Leaf); err != nil {
		return oauth.Errorf(oauth.InvalidClient, "the client certificate's subject is not the one that this client registered").Because(err)
	}
	return nil
}

// checkSelfSigned compares the certificate with the keys that the client registered (RFC 8705 §2.2). A client that
// publishes them at an address may come with a certificate that is newer than what was fetched.
func (s *Server) checkSelfSigned(ctx context.Context, client *Client, presented *mtls.Presented) error {
	judge := func(set jose.KeySet) (unknown bool, verdict error) {
		var keys []crypto.PublicKey
		for _, key := range set.Keys() {
			keys = append(keys, key.Public)
		}
		verdict = mtls.SelfSigned(presented, keys, s.now())
		return errors.Is(verdict, mtls.ErrUnknownKey), verdict
	}
	var err error
	if address := client.Metadata.JWKSURI; address != "" {
		err = s.keySets.Try(ctx, address, judge)
	} else {
		_, err = judge(client.keys)
	}
	if remote, ok := errors.AsType[*jose.RemoteError](err); ok {
		return oauth.Errorf(oauth.InvalidClient, "the client's keys cannot be read: %v", remote).Because(err)
	}
	if err != nil {
		return oauth.Errorf(oauth.InvalidClient, "the client certificate is not one that this client registered").Because(err)
	}
	return nil
}
