// Package jar reads signed authorization requests (RFC 9101) and writes signed authorization responses (JARM).
//
// A request object is taken apart by [Parse], which believes nothing. [Rules].Check then verifies its signature and its
// claims, and gives the parameters inside. Nothing outside a request object is looked at here, and nothing is ever
// fetched from an address.
package jar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
)

// Type is the typ of a request object (RFC 9101 §10.8).
const Type = "oauth-authz-req+jwt"

// ErrRefused is a request object that does not stand. Errors of this package wrap it; their texts may be shown to
// whoever sent it.
var ErrRefused = errors.New("the request object is not acceptable")

func refuse(format string, arguments ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, arguments...))
}

// Object is a request object that was taken apart and is not to be believed yet.
type Object struct {
	token  *jose.Token
	claims claims
	// parameters are the members that are authorization request parameters.
	parameters url.Values
}

// claims are the members that say something about the request object itself (RFC 7519 §4.1).
type claims struct {
	Issuer    string            `json:"iss"`
	Subject   *string           `json:"sub"`
	Audience  jose.Audience     `json:"aud"`
	ID        string            `json:"jti"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
}

// aboutItself are the names of those members: they are no parameters.
func aboutItself() []string { return []string{"iss", "sub", "aud", "jti", "exp", "nbf", "iat"} }

// Parse takes a request object apart (RFC 9101 §4). Algorithms are those that may sign it; an encrypted one has to be
// decrypted before. Objects that nest a request or name an address of one are refused (§4), and so is the typ of another
// kind of token (§10.8). Errors wrap [ErrRefused].
func Parse(raw string, algorithms []string) (*Object, error) {
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: algorithms})
	if err != nil {
		return nil, refuse("%w", err)
	}
	if header := token.Header; header.Type != "" && !header.HasType("JWT") && !header.HasType(Type) {
		return nil, refuse("it has the typ of another kind of token; %s is right", Type)
	}
	object := &Object{token: token}
	members := map[string]json.RawMessage{}
	if err := errors.Join(token.Claims(&object.claims), token.Claims(&members)); err != nil {
		return nil, refuse("%w", err)
	}
	for _, name := range []string{"request", "request_uri"} {
		if _, ok := members[name]; ok {
			return nil, refuse("it holds %s, which may not stand inside one (RFC 9101 §4)", name)
		}
	}
	for _, name := range aboutItself() {
		delete(members, name)
	}
	if object.parameters, err = parameters(members); err != nil {
		return nil, err
	}
	return object, nil
}

// parameters writes members as the parameters that they stand for (RFC 9101 §4): strings as they are, numbers and
// objects as JSON. Only resource may be an array of strings (RFC 8707 §2).
func parameters(members map[string]json.RawMessage) (url.Values, error) {
	values := url.Values{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var text string
		switch raw := bytes.TrimSpace(members[name]); {
		case string(raw) == "null":
		case raw[0] == '"':
			if err := json.Unmarshal(raw, &text); err != nil {
				return nil, refuse("one of its members is no correct string")
			}
			values.Set(name, text)
		case raw[0] == '[' && name == "resource":
			var list []string
			if err := json.Unmarshal(raw, &list); err != nil {
				return nil, refuse("its resource is neither a string nor an array of strings")
			}
			values[name] = list
		default:
			values.Set(name, string(raw))
		}
	}
	return values, nil
}

// Unverified gives a parameter of an object that may not have been signed by its client: good for finding out where to
// tell that it was refused, and for nothing else.
func (o *Object) Unverified(name string) string { return o.parameters.Get(name) }

// Message is the object as it was signed, and the key that [Rules].Check found to have signed it.
func (o *Object) Message() (jws string, signedBy jose.Key) {
	return o.token.Compact(), o.token.VerifiedWith()
}

// Rules say which request objects stand. Zero durations allow nothing.
type Rules struct {
	// Audience is the server's issuer identifier, which aud has to be or to contain.
	Audience string
	// ClientID is who has to be the issuer of the object.
	ClientID string
	// Algorithms are those that the client may sign with.
	Algorithms []string
	// MaxAge is how long ago nbf may be, and MaxLifetime how long after nbf exp may be.
	MaxAge, MaxLifetime time.Duration
	// MaxAhead is how far ahead of now nbf and iat may be.
	MaxAhead time.Duration
	Now      time.Time
	// Verify checks the signature with the client's keys.
	Verify func(ctx context.Context, token *jose.Token) error
}

// Check verifies an object (RFC 9101 §6.2, FAPI 2.0 Message Signing §5.3.1, FAPI 1.0 Advanced §5.2.2) and gives the
// parameters inside. They are the whole request: what stands beside the object does not count (RFC 9101 §6.3). Errors
// wrap [ErrRefused].
func (r Rules) Check(ctx context.Context, o *Object) (url.Values, error) {
	if !slices.Contains(r.Algorithms, o.token.Header.Algorithm) {
		return nil, refuse("it is signed with %s; this client may sign with %s", o.token.Header.Algorithm, strings.Join(r.Algorithms, ", "))
	}
	if err := r.Verify(ctx, o.token); err != nil {
		return nil, refuse("%w", err)
	}
	if err := r.checkClaims(o); err != nil {
		return nil, err
	}
	values := maps.Clone(o.parameters)
	values.Set("client_id", r.ClientID)
	return values, nil
}

func (r Rules) checkClaims(o *Object) error {
	c := o.claims
	inside := o.parameters.Get("client_id")
	switch {
	case c.Issuer != r.ClientID:
		return refuse("its iss must be the client_id")
	case c.Subject != nil && *c.Subject == r.ClientID:
		return refuse("its sub is the client_id, as in a client assertion; leave sub out (RFC 9101 §10.8)")
	case !c.Audience.Contains(r.Audience):
		return refuse("its aud must be %s, or an array that holds it", r.Audience)
	case inside != "" && inside != r.ClientID:
		return refuse("the client_id inside is another client's (RFC 9101 §5)")
	}
	return r.checkTimes(c)
}

func (r Rules) checkTimes(c claims) error {
	if c.Expires == nil || c.NotBefore == nil {
		return refuse("it needs both nbf and exp")
	}
	expires, begins := c.Expires.Time(), c.NotBefore.Time()
	switch {
	case !r.Now.Before(expires):
		return refuse("it has expired")
	case begins.After(r.Now.Add(r.MaxAhead)):
		return refuse("it is not valid yet: its nbf is more than %s ahead; check the clock", r.MaxAhead)
	case r.Now.Sub(begins) > r.MaxAge:
		return refuse("its nbf is more than %s ago", r.MaxAge)
	case expires.Sub(begins) > r.MaxLifetime:
		return refuse("its exp is more than %s after its nbf", r.MaxLifetime)
	case c.IssuedAt != nil && c.IssuedAt.Time().After(r.Now.Add(r.MaxAhead)):
		return refuse("it is from the future: its iat is more than %s ahead; check the clock", r.MaxAhead)
	}
	return nil
}
