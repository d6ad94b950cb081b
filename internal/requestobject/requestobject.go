// Package requestobject is what packages jar and ciba share: taking a signed request apart (RFC 9101 §4, CIBA Core §7.1.1)
// and holding it to its rules. It says what is wrong by a [Reason]; the words for it are each package's own.
package requestobject

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"countersign/internal/finding"
	"countersign/internal/jose"
)

// Reason is what is wrong with an object.
type Reason int

// The reasons. Some name something in [Problem].Name or have a [Problem].Cause.
const (
	Unreadable     Reason = iota // no compact JWS of an accepted algorithm; Cause
	WrongType                    // the typ of another kind of token
	BadClaims                    // claims that are no JSON of the right types; Cause
	Forbidden                    // a member that may not be inside; Name
	BadString                    // a member that is no correct string
	BadResource                  // resource is neither a string nor an array of strings
	WrongAlgorithm               // signed with an algorithm that is not the client's; Name
	BadSignature                 // Cause
	WrongIssuer                  // iss is not the client
	SubjectClient                // sub is the client, as in a client assertion
	WrongAudience                // aud does not hold the server
	OtherClient                  // the client_id inside is another's
	NoID                         // jti is missing or too long
	NoTimes                      // nbf or exp is missing, or iat where it is required
	Expired
	NotYet     // nbf is too far ahead
	TooOld     // nbf is too long ago
	TooLong    // exp is too long after nbf
	FromFuture // iat is too far ahead
)

// Problem is why an object is refused.
type Problem struct {
	Reason Reason
	Name   string
	Cause  error
}

// Error is for logs and tests: clients are shown the words of jar or ciba.
func (p *Problem) Error() string {
	return fmt.Sprintf("request object: reason %d %s: %v", p.Reason, p.Name, p.Cause)
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Type is the typ of a request object (RFC 9101 §10.8). CIBA names none of its own.
const Type = "oauth-authz-req+jwt"

// Object is an object that was taken apart; nothing in it is verified before [Rules.Check].
type Object struct {
	Token *jose.Token
	// Parameters are the members that are authorization request parameters.
	Parameters url.Values
	Claims     Claims
	// Members are the names of all members of the payload, with or without a value, sorted.
	Members []string
}

// Claims are about the object itself (RFC 7519 §4.1).
type Claims struct {
	Issuer    string            `json:"iss"`
	Subject   *string           `json:"sub"`
	Audience  jose.Audience     `json:"aud"`
	ID        string            `json:"jti"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
}

// About are the names of those members: they are no parameters.
func About() []string { return []string{"iss", "sub", "aud", "jti", "exp", "nbf", "iat"} }

// Parse takes an object apart. Algorithms are those that may sign it; forbidden are members that may not be inside, in the
// order in which they are looked for. Errors are of type [*Problem].
func Parse(raw string, algorithms, forbidden []string) (*Object, error) {
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: algorithms})
	if err != nil {
		return nil, &Problem{Reason: Unreadable, Cause: err}
	}
	if header := token.Header; header.Type != "" && !header.HasType("JWT") && !header.HasType(Type) {
		return nil, &Problem{Reason: WrongType}
	}
	object := &Object{Token: token}
	members := map[string]json.RawMessage{}
	if err := errors.Join(token.Claims(&object.Claims), token.Claims(&members)); err != nil {
		return nil, &Problem{Reason: BadClaims, Cause: err}
	}
	for _, name := range forbidden {
		if _, ok := members[name]; ok {
			return nil, &Problem{Reason: Forbidden, Name: name}
		}
	}
	object.Members = slices.Sorted(maps.Keys(members))
	for _, name := range About() {
		delete(members, name)
	}
	if object.Parameters, err = parameters(members); err != nil {
		return nil, err
	}
	return object, nil
}

// parameters writes members as the parameters that they represent (RFC 9101 §4): strings as they are, numbers and
// objects as JSON; an empty string counts as omitted (RFC 6749 §3.1). Only resource may be an array of strings (RFC 8707 §2).
func parameters(members map[string]json.RawMessage) (url.Values, error) {
	values := make(url.Values, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var text string
		switch raw := bytes.TrimSpace(members[name]); {
		case string(raw) == "null":
		case raw[0] == '"':
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, &Problem{Reason: BadString, Name: name}
			}
			if text != "" {
				values.Set(name, text)
			}
		case raw[0] == '[' && name == "resource":
			var list []string
			if err := json.Unmarshal(raw, &list); err != nil {
				return nil, &Problem{Reason: BadResource}
			}
			values[name] = list
		default:
			values.Set(name, string(raw))
		}
	}
	return values, nil
}

// Signed is jar.Signed.
type Signed struct {
	Algorithm, KeyID, Input string
	Signature               []byte
}

// MaxID bounds a required jti, in bytes: it is remembered until the object expires.
const MaxID = 256

// Rules say which objects are valid. Zero durations allow nothing.
type Rules struct {
	Audience, ClientID string
	Algorithms         []string
	// MaxAge is how long ago nbf may be, MaxLifetime how long after nbf exp may be, MaxAhead how far ahead of now nbf and
	// iat may be.
	MaxAge, MaxLifetime, MaxAhead time.Duration
	Now                           time.Time
	// Once requires jti and iat, as CIBA does.
	Once   bool
	Verify func(ctx context.Context, signed Signed) error
}

// Check verifies an object. Errors are of type [*Problem].
func (r Rules) Check(ctx context.Context, o *Object) error { return finding.First(r.Findings(ctx, o)) }

// Findings are the rules of [Rules.Check], one by one, in its order.
func (r Rules) Findings(ctx context.Context, o *Object) finding.Findings {
	return func(yield func(string, error) bool) {
		c := o.Claims
		inside := o.Parameters.Get("client_id")
		_ = yield(finding.Algorithm, r.algorithm(o)) &&
			yield(finding.Signature, r.signature(ctx, o)) &&
			yield(finding.Issuer, unless(c.Issuer == r.ClientID, WrongIssuer)) &&
			yield(finding.Subject, unless(c.Subject == nil || *c.Subject != r.ClientID, SubjectClient)) &&
			yield(finding.Audience, unless(c.Audience.Contains(r.Audience), WrongAudience)) &&
			yield(finding.Client, unless(inside == "" || inside == r.ClientID, OtherClient)) &&
			(!r.Once || yield(finding.ID, unless(c.ID != "" && len(c.ID) <= MaxID, NoID))) &&
			yield(finding.Present, unless(c.Expires != nil && c.NotBefore != nil && (!r.Once || c.IssuedAt != nil), NoTimes)) &&
			r.times(c, yield)
	}
}

// unless returns a problem if a rule does not hold.
func unless(holds bool, reason Reason) error {
	if holds {
		return nil
	}
	return &Problem{Reason: reason}
}

func (r Rules) algorithm(o *Object) error {
	if alg := o.Token.Header.Algorithm; !slices.Contains(r.Algorithms, alg) {
		return &Problem{Reason: WrongAlgorithm, Name: alg}
	}
	return nil
}

func (r Rules) signature(ctx context.Context, o *Object) error {
	signed := Signed{
		Algorithm: o.Token.Header.Algorithm, KeyID: o.Token.Header.KeyID, Input: o.Token.SigningInput(), Signature: o.Token.Signature(),
	}
	if err := r.Verify(ctx, signed); err != nil {
		return &Problem{Reason: BadSignature, Cause: err}
	}
	return nil
}

// times yields the rules of those times that are there, and reports whether to go on.
func (r Rules) times(c Claims, yield func(string, error) bool) bool {
	latest := r.Now.Add(r.MaxAhead)
	if c.Expires != nil && !yield(finding.Expiry, unless(r.Now.Before(c.Expires.Time()), Expired)) {
		return false
	}
	if c.NotBefore != nil {
		begins := c.NotBefore.Time()
		if !yield(finding.NotBefore, unless(!begins.After(latest), NotYet)) || !yield(finding.Age, unless(r.Now.Sub(begins) <= r.MaxAge, TooOld)) ||
			c.Expires != nil && !yield(finding.Lifetime, unless(c.Expires.Time().Sub(begins) <= r.MaxLifetime, TooLong)) {
			return false
		}
	}
	return c.IssuedAt == nil || yield(finding.IssuedAt, unless(!c.IssuedAt.Time().After(latest), FromFuture))
}

// Rule names the rule that an object broke.
func (p *Problem) Rule() string {
	switch p.Reason {
	case Unreadable:
		return finding.Form
	case WrongType:
		return finding.Type
	case BadClaims:
		return finding.Claims
	case Forbidden, BadString, BadResource:
		return finding.Members
	}
	return ""
}
