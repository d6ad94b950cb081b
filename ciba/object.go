package ciba

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/jose"
)

// Object is a signed authentication request that was taken apart and is not to be believed yet.
type Object struct {
	token      *jose.Token
	claims     claims
	parameters url.Values
}

// claims are the members that say something about the object itself. All are required (CIBA Core §7.1.1).
type claims struct {
	Issuer    string            `json:"iss"`
	Audience  jose.Audience     `json:"aud"`
	ID        string            `json:"jti"`
	Expires   *jose.NumericDate `json:"exp"`
	NotBefore *jose.NumericDate `json:"nbf"`
	IssuedAt  *jose.NumericDate `json:"iat"`
}

// maxID bounds jti, in bytes: it is remembered until the object expires.
const maxID = 256

// ParseObject takes the value of the request parameter apart (CIBA Core §7.1.1). Algorithms are those that may sign it.
// Errors are of type [*Error].
func ParseObject(raw string, algorithms []string) (*Object, error) {
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: algorithms})
	if err != nil {
		return nil, refuse(InvalidRequest, "the signed request cannot be read: %w", err)
	}
	// CIBA names no typ of its own; the typ of another kind of token is never right.
	if header := token.Header; header.Type != "" && !header.HasType("JWT") && !header.HasType("oauth-authz-req+jwt") {
		return nil, refuse(InvalidRequest, "the signed request has the typ of another kind of token; JWT is right")
	}
	object := &Object{token: token, parameters: url.Values{}}
	members := map[string]json.RawMessage{}
	if err := errors.Join(token.Claims(&object.claims), token.Claims(&members)); err != nil {
		return nil, refuse(InvalidRequest, "the claims of the signed request cannot be read: %w", err)
	}
	for _, name := range []string{"request", "request_uri", "response_type", "client_assertion", "client_assertion_type", "client_secret"} {
		if _, ok := members[name]; ok {
			return nil, refuse(InvalidRequest, "the signed request holds %s, which may not stand inside it", name)
		}
	}
	for _, name := range []string{"response_type", "redirect_uri", "code_challenge"} {
		if _, ok := members[name]; ok {
			return nil, refuse(InvalidRequest, "the signed request holds %s: it is a request for a browser, and not one of CIBA", name)
		}
	}
	for _, name := range []string{"iss", "aud", "jti", "exp", "nbf", "iat"} {
		delete(members, name)
	}
	for name, member := range members {
		value := bytes.TrimSpace(member)
		var text string
		switch {
		case string(value) == "null":
			continue
		case name == "resource" && value[0] == '[':
			var list []string
			if err := json.Unmarshal(value, &list); err != nil {
				return nil, refuse(InvalidRequest, "resource in the signed request is neither a string nor an array of strings")
			}
			object.parameters[name] = list
			continue
		case value[0] != '"':
			text = string(value)
		default:
			if err := json.Unmarshal(value, &text); err != nil {
				return nil, refuse(InvalidRequest, "a member of the signed request is no correct string")
			}
		}
		object.parameters.Set(name, text)
	}
	return object, nil
}

// Message is the object as it was signed, and the key that [Rules].Check found to have signed it.
func (o *Object) Message() (jws string, signedBy jose.Key) {
	return o.token.Compact(), o.token.VerifiedWith()
}

// Rules say which signed requests stand. Zero durations allow nothing.
type Rules struct {
	// Audience is the server's issuer identifier, which aud has to be or to contain.
	Audience string
	// ClientID is who has to be the issuer of the object.
	ClientID string
	// Algorithms are those that the client may sign with.
	Algorithms []string
	// MaxAge is how long ago nbf may be, and MaxLifetime how long after nbf exp may be (FAPI-CIBA §5.2.2-9: an hour).
	MaxAge, MaxLifetime time.Duration
	// MaxAhead is how far ahead of now nbf and iat may be.
	MaxAhead time.Duration
	Now      time.Time
	// Verify checks the signature with the client's keys.
	Verify func(ctx context.Context, token *jose.Token) error
	// Use says whether this is the first time that this client's jti is seen, and remembers it until the given time.
	Use func(ctx context.Context, id string, until time.Time) (first bool, err error)
}

// Check verifies an object and gives the parameters inside, which are the whole request. The jti is used up only when
// all else stands. What is wrong with the object is told by an [*Error]; other errors are those of Use.
func (r Rules) Check(ctx context.Context, o *Object) (url.Values, error) {
	if !slices.Contains(r.Algorithms, o.token.Header.Algorithm) {
		return nil, refuse(InvalidRequest, "the request is signed with %s; this client may sign with %s", o.token.Header.Algorithm, strings.Join(r.Algorithms, ", "))
	}
	if err := r.Verify(ctx, o.token); err != nil {
		return nil, refuse(InvalidRequest, "the signature of the request: %w", err)
	}
	if err := r.checkClaims(o.claims); err != nil {
		return nil, err
	}
	if o.parameters.Get("sub") == r.ClientID {
		return nil, refuse(InvalidRequest, "sub of the signed request is the client_id, as in a client assertion; leave sub out")
	}
	if id := o.parameters.Get("client_id"); id != "" && id != r.ClientID {
		return nil, refuse(InvalidRequest, "the client_id in the signed request is another client's")
	}
	first, err := r.Use(ctx, o.claims.ID, o.claims.Expires.Time())
	if err != nil {
		return nil, err
	}
	if !first {
		return nil, refuse(InvalidRequest, "the jti of the signed request was used before; each request needs a new one")
	}
	return o.parameters, nil
}

func (r Rules) checkClaims(c claims) error {
	switch {
	case c.Issuer != r.ClientID:
		return refuse(InvalidRequest, "iss of the signed request must be the client_id")
	case !c.Audience.Contains(r.Audience):
		return refuse(InvalidRequest, "aud of the signed request must be %s, or an array that holds it", r.Audience)
	case c.ID == "" || len(c.ID) > maxID:
		return refuse(InvalidRequest, "the signed request needs a jti of at most %d bytes", maxID)
	case c.Expires == nil || c.NotBefore == nil || c.IssuedAt == nil:
		return refuse(InvalidRequest, "the signed request needs iat, nbf and exp")
	}
	expires, begins := c.Expires.Time(), c.NotBefore.Time()
	switch {
	case !r.Now.Before(expires):
		return refuse(InvalidRequest, "the signed request has expired")
	case begins.After(r.Now.Add(r.MaxAhead)), c.IssuedAt.Time().After(r.Now.Add(r.MaxAhead)):
		return refuse(InvalidRequest, "nbf or iat of the signed request is more than %s ahead; check the clock", r.MaxAhead)
	case r.Now.Sub(begins) > r.MaxAge:
		return refuse(InvalidRequest, "nbf of the signed request is more than %s ago", r.MaxAge)
	case expires.Sub(begins) > r.MaxLifetime:
		return refuse(InvalidRequest, "exp of the signed request is more than %s after its nbf", r.MaxLifetime)
	}
	return nil
}

// CheckBeside says whether only the client's authentication stands beside a signed request: no parameter of the
// authentication request may (CIBA Core §7.1.1). Errors are of type [*Error].
func CheckBeside(form url.Values) error {
	for name := range form {
		if !slices.Contains([]string{"request", "client_id", "client_assertion", "client_assertion_type"}, name) {
			return refuse(InvalidRequest, "a parameter stands beside the signed request; all but the client's authentication must be inside it")
		}
	}
	return nil
}
