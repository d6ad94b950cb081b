package endpoint

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"countersign/fapi/assertion"
	"countersign/fapi/client"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/internal/finding"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// assertionType is the one client_assertion_type (RFC 7523 §2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	// MaxJTI bounds a jti, in bytes.
	MaxJTI = assertion.MaxJTI
	// ClockDifference is the tolerated clock difference between nodes. It only extends how long one-time values are kept.
	ClockDifference = assertion.ClockDifference
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
	var presented *assertion.Assertion
	id := c.Form.Get("client_id")
	if raw := c.Form.Get("client_assertion"); raw != "" {
		if c.Form.Get("client_assertion_type") != assertionType {
			return oauth.Errorf(oauth.InvalidClient, "client_assertion_type must be %s", assertionType)
		}
		var err error
		if presented, err = assertion.Parse(raw, id); err != nil {
			return err
		}
		id = presented.Subject
	}
	if id == "" {
		return oauth.Errorf(oauth.InvalidClient,
			"the client is not named; send client_assertion, or client_id with a client certificate")
	}
	found, err := a.Find(ctx, id)
	if err != nil {
		return err
	}
	span.SetAttributes(attribute.String("oauth.client_id", found.ID),
		attribute.String("oauth.client_auth_method", found.AuthMethod()))
	event.Of(ctx).ClientID = found.ID
	c.Client = found
	if err := CheckMethod(found, presented != nil); err != nil {
		return err
	}
	if presented == nil {
		err := a.checkCertificate(ctx, c)
		a.reportCertificate(request, c, err)
		return err
	}
	oneTime, err := a.AssertionRules(c.at.Path).Check(ctx, found, presented)
	if err != nil {
		return err
	}
	c.AddOneTime(oneTime)
	return nil
}

// Find returns the client with an identifier. Errors are *[oauth.Error] with invalid_client, or internal.
func (a *Authenticator) Find(ctx context.Context, id string) (*client.Client, error) {
	found, err := a.Clients.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, oauth.Errorf(oauth.InvalidClient, "%s",
			client.Gone(err, "the client is not registered here or does not authenticate this way"))
	}
	return found, err
}

// CheckMethod refuses a client that does not authenticate by its registered method; byAssertion reports whether it sent a
// client_assertion.
func CheckMethod(found *client.Client, byAssertion bool) error {
	switch method := found.AuthMethod(); method {
	case profile.PrivateKeyJWT:
		if !byAssertion {
			return oauth.Errorf(oauth.InvalidClient,
				"this client authenticates with private_key_jwt; send client_assertion and client_assertion_type")
		}
	case profile.TLSClientAuth, profile.SelfSignedTLSClientAuth:
		if byAssertion {
			return oauth.Errorf(oauth.InvalidRequest,
				"this client authenticates with its certificate; send no client_assertion (RFC 6749 §2.3: one method a request)")
		}
	default:
		return oauth.Errorf(oauth.InvalidClient, "the client has no way to authenticate")
	}
	return nil
}

// AssertionRules are the rules for client assertions at the endpoint with a path.
func (a *Authenticator) AssertionRules(path string) assertion.Rules {
	return assertion.Rules{
		Issuer: a.Addresses.Issuer, Addresses: append(a.Addresses.Of(a.TokenPath), a.Addresses.Of(path)...), Now: a.Now,
		Verify: func(ctx context.Context, of *client.Client, token *jose.Token) error {
			err := a.Keys.Verify(ctx, of, token)
			if remote, ok := errors.AsType[*jose.RemoteError](err); ok {
				return unreadableKeys(remote)
			}
			return err
		},
	}
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
	return finding.First(a.CertificateFindings(ctx, caller, presented))
}

// CertificateFindings are the rules that a certificate is held to by which a client authenticates (RFC 8705 §2), one by one and in
// their order. Errors are *[oauth.Error], or internal.
func (a *Authenticator) CertificateFindings(ctx context.Context, caller *client.Client, presented *mtls.Presented) finding.Findings {
	if caller.AuthMethod() == profile.SelfSignedTLSClientAuth {
		return a.selfSigned(ctx, caller, presented)
	}
	return a.issued(ctx, caller, presented)
}

// issued are the rules for a certificate of an authority (RFC 8705 §2.1).
func (a *Authenticator) issued(ctx context.Context, caller *client.Client, presented *mtls.Presented) finding.Findings {
	return func(yield func(string, error) bool) {
		trust := a.Trust
		if name := caller.Metadata.TLSClientAuthTrustStore; name != "" {
			var ok bool
			if trust, ok = a.TrustStores[name]; !ok {
				yield(finding.TrustStore, oauth.Errorf(oauth.InvalidClient, "the client certificate is not trusted here").
					Because(fmt.Errorf("there is no trust store %q, which the client's registration names", name)))
				return
			}
		}
		for rule, err := range trust.Findings(ctx, presented) {
			if err != nil {
				err = refusedCertificate("the client certificate is not trusted here", err)
			}
			if !yield(rule, err) {
				return
			}
		}
		err := caller.CertificateSubject.Match(presented.Leaf)
		if err != nil {
			err = refusedCertificate("the client certificate's subject is not the one that this client registered", err)
		}
		yield(finding.Registered, err)
	}
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

// selfSigned are the rules for a self-signed certificate, which is compared with the keys that the client registered (RFC 8705
// §2.2). With jwks_uri the certificate may be newer than the cached keys.
func (a *Authenticator) selfSigned(ctx context.Context, caller *client.Client, presented *mtls.Presented) finding.Findings {
	return func(yield func(string, error) bool) {
		now := a.Now()
		var left []jose.LeftOut
		var registered []crypto.PublicKey
		err := a.Keys.Try(ctx, caller, func(set jose.KeySet) (unknown bool, verdict error) {
			left, registered = caller.LeftOut(set), set.CertificateKeys(presented.Leaf.PublicKey)
			verdict = mtls.SelfSigned(presented, registered, now)
			return errors.Is(verdict, mtls.ErrUnknownKey), verdict
		})
		if remote, ok := errors.AsType[*jose.RemoteError](err); ok {
			yield(finding.Registered, unreadableKeys(remote))
			return
		}
		refused := false
		for rule, problem := range mtls.SelfSignedFindings(presented, registered, now) {
			if errors.Is(err, problem) {
				problem = err // which says more
			}
			if problem != nil {
				problem, refused = refusedSelfSigned(problem, left), true
			}
			if !yield(rule, problem) {
				return
			}
		}
		if err != nil && !refused {
			yield(finding.Registered, err)
		}
	}
}

// refusedSelfSigned is the answer to a client with a self-signed certificate that is refused; left are those of its keys that cannot
// be used.
func refusedSelfSigned(err error, left []jose.LeftOut) error {
	hint := ""
	if errors.Is(err, mtls.ErrUnknownKey) {
		hint = jose.Hint(left)
	}
	if stale, ok := errors.AsType[*jose.StaleError](err); ok {
		hint += "; the client's keys cannot be read: " + stale.Failure.Error()
	}
	return refusedCertificate("the client certificate is not one that this client registered"+hint, err)
}

// unreadableKeys is the answer when there are no keys of the client: what is wrong is at its own address, unless this
// server had no time to fetch them.
func unreadableKeys(remote *jose.RemoteError) error {
	if remote.Busy() {
		return Busy("the client's keys", remote)
	}
	return oauth.Errorf(oauth.InvalidClient, "the client's keys cannot be read: %v", remote).Because(remote)
}
