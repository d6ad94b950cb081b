// Package assertion verifies client assertions (private_key_jwt, RFC 7523 §3) as a client's profile has them.
package assertion

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/finding"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/store"
)

const (
	// MaxJTI bounds a jti, in bytes.
	MaxJTI = 256
	// ClockDifference is the tolerated clock difference between nodes. It only extends how long one-time values are kept.
	ClockDifference = time.Minute
)

// Assertion is a parsed client assertion that is not verified yet (RFC 7523 §3).
type Assertion struct {
	// Token is the assertion as it was sent.
	Token *jose.Token `json:"-"`

	Issuer    string            `json:"iss"`
	Subject   string            `json:"sub"`
	Audience  jose.Audience     `json:"aud"`
	ID        string            `json:"jti"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
}

// Parse parses a client assertion, to know which client it names; clientID is the parameter beside it, or empty. Errors are
// *[oauth.Error] with invalid_client.
func Parse(raw, clientID string) (*Assertion, error) {
	read := new(Assertion)
	return read, finding.First(read.Parse(raw, clientID))
}

// Parse is [Parse], one rule after the other. Nothing of the assertion may be used when one has refused it.
func (a *Assertion) Parse(raw, clientID string) finding.Findings {
	return func(yield func(string, error) bool) {
		token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: profile.Algorithms()})
		if err != nil {
			rule := finding.Form
			if errors.Is(err, jose.ErrAlgorithm) {
				rule = finding.Algorithm
			}
			yield(rule, oauth.Errorf(oauth.InvalidClient, "the client assertion is not acceptable: %v", err).Because(err))
			return
		}
		a.Token = token
		if !yield(finding.Form, nil) {
			return
		}
		if err := token.Claims(a); err != nil {
			yield(finding.Claims, oauth.Errorf(oauth.InvalidClient, "the client assertion's claims cannot be read: %v", err).Because(err))
			return
		}
		_ = yield(finding.Claims, nil) && yield(finding.Subject, a.names(clientID))
	}
}

// names holds sub against the client_id beside the assertion.
func (a *Assertion) names(clientID string) error {
	switch {
	case a.Subject == "":
		return oauth.Errorf(oauth.InvalidClient, "the client assertion has no sub; it must be the client_id")
	case clientID != "" && clientID != a.Subject:
		return oauth.Errorf(oauth.InvalidClient, "client_id and the sub of the client assertion differ")
	}
	return nil
}

// Rules say which assertions are valid.
type Rules struct {
	// Issuer is the server's issuer identifier, and Addresses those of the token endpoint and of the endpoint called, which some
	// profiles accept as aud too.
	Issuer    string
	Addresses []string
	// Now is the clock. It is read when the signature was verified: fetching keys takes its time.
	Now func() time.Time
	// Verify checks the signature with the client's keys. An *[oauth.Error] is returned as it is.
	Verify func(ctx context.Context, of *client.Client, token *jose.Token) error
}

// Check verifies a client assertion (RFC 7523 §3, FAPI 2.0 Security Profile §5.3.2.1) and returns its one-time value. Errors are
// *[oauth.Error], mostly with invalid_client.
func (r Rules) Check(ctx context.Context, caller *client.Client, a *Assertion) (store.OneTime, error) {
	if err := finding.First(r.Findings(ctx, caller, a)); err != nil {
		return store.OneTime{}, err
	}
	return a.OneTime(caller), nil
}

// OneTime is the one-time value of an assertion of a client, which has an exp.
func (a *Assertion) OneTime(caller *client.Client) store.OneTime {
	return store.OneTime{
		Kind: store.KindAssertion, Key: store.DigestOf(caller.ID + "\x00" + a.ID), Until: a.Expires.Time().Add(ClockDifference),
	}
}

// Findings are the rules of [Rules.Check], one by one and in its order.
func (r Rules) Findings(ctx context.Context, caller *client.Client, a *Assertion) finding.Findings {
	return func(yield func(string, error) bool) {
		profile := caller.Profile
		if !yield(finding.Algorithm, checkAlgorithm(caller, a)) ||
			!yield(finding.Signature, r.checkSignature(ctx, caller, a)) ||
			!yield(finding.Type, checkType(a)) ||
			!yield(finding.Parties, unless(a.Issuer == caller.ID && a.Subject == caller.ID, "must have the client_id as iss and as sub")) ||
			!yield(finding.Audience, r.checkAudience(profile.AssertionAudience, a)) ||
			!yield(finding.Present, unless(a.Expires != nil, "has no exp")) {
			return
		}
		now := r.Now()
		if a.Expires != nil && (!yield(finding.Expiry, unless(now.Before(a.Expires.Time()), "has expired")) ||
			!yield(finding.Lifetime, unless(!a.Expires.Time().After(now.Add(profile.MaxAssertionLifetime+profile.MaxAhead)),
				"lives too long; its exp may be at most %s ahead", profile.MaxAssertionLifetime))) {
			return
		}
		_ = yield(finding.NotBefore, unless(!ahead(now, a.NotBefore, profile.MaxAhead),
			"is not valid yet: its nbf is more than %s ahead; check the clock", profile.MaxAhead)) &&
			yield(finding.IssuedAt, unless(!ahead(now, a.IssuedAt, profile.MaxAhead),
				"is from the future: its iat is more than %s ahead; check the clock", profile.MaxAhead)) &&
			yield(finding.ID, unless(a.ID != "" && len(a.ID) <= MaxJTI, "needs a jti of 1 to %d bytes", MaxJTI))
	}
}

func refuse(format string, arguments ...any) error {
	return oauth.Errorf(oauth.InvalidClient, "the client assertion "+format, arguments...)
}

// unless refuses an assertion if a rule does not hold.
func unless(holds bool, format string, arguments ...any) error {
	if holds {
		return nil
	}
	return refuse(format, arguments...)
}

func checkAlgorithm(caller *client.Client, a *Assertion) error {
	allowed, used := caller.AssertionAlgorithms(), a.Token.Header.Algorithm
	if slices.Contains(allowed, used) {
		return nil
	}
	return refuse("is signed with %s; this client registered %s", used, strings.Join(allowed, ", "))
}

func (r Rules) checkSignature(ctx context.Context, caller *client.Client, a *Assertion) error {
	err := r.Verify(ctx, caller, a.Token)
	if _, ready := errors.AsType[*oauth.Error](err); ready || err == nil {
		return err
	}
	return refuse("is not acceptable: %v", err)
}

func checkType(a *Assertion) error {
	header := a.Token.Header
	// client-authentication+jwt is of draft-ietf-oauth-rfc7523bis
	return unless(header.Type == "" || header.HasType("JWT") || header.HasType("client-authentication+jwt"), "has the typ of another kind of token")
}

// checkAudience applies a profile's rule for aud.
func (r Rules) checkAudience(rule profile.AssertionAudience, a *Assertion) error {
	if r.Accepts(rule, a.Audience) {
		return nil
	}
	return refuse("must have the issuer identifier %s as its aud%s", r.Issuer, audienceHint(rule))
}

// Accepts applies a profile's rule for the aud of a client assertion.
func (r Rules) Accepts(rule profile.AssertionAudience, audience jose.Audience) bool {
	switch rule {
	case profile.IssuerString:
		return audience.Single && len(audience.Values) == 1 && audience.Values[0] == r.Issuer
	case profile.IssuerOrEndpoint:
		return slices.ContainsFunc(audience.Values, func(value string) bool { return value == r.Issuer || slices.Contains(r.Addresses, value) })
	}
	return false
}

// Audiences says in words which aud is accepted.
func (r Rules) Audiences(rule profile.AssertionAudience) string {
	if rule == profile.IssuerOrEndpoint {
		return strings.Join(append([]string{r.Issuer}, r.Addresses...), " or ") + ", as a string or in an array"
	}
	return r.Issuer + " as one string"
}

// audienceHint continues the error "must have the issuer identifier as its aud".
func audienceHint(rule profile.AssertionAudience) string {
	if rule == profile.IssuerOrEndpoint {
		return ", or the address of the token endpoint or of the endpoint called"
	}
	return ": one string, not an array and not the address of an endpoint"
}

// ahead reports whether a time, if given, is further ahead of now than allowed.
func ahead(now time.Time, date *jose.NumericDate, allowed time.Duration) bool {
	return date != nil && date.Time().After(now.Add(allowed))
}
