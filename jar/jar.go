// Package jar reads signed authorization requests (JAR, RFC 9101) and signs authorization responses (JARM).
//
// A client that signs its authorization request puts the parameters into a JWT, the request object. [Parse] takes one
// apart and believes nothing. [Rules.Check] then verifies its signature and claims (RFC 9101 §6, FAPI 2.0 Message Signing
// §5.3, FAPI 1.0 Advanced §5.2.2) and gives the parameters inside, which are the whole request:
//
//	object, err := jar.Parse(form.Get("request"), algorithms)
//	...
//	parameters, err := jar.Rules{
//		Audience: issuer, ClientID: client.ID, Algorithms: algorithms, Now: time.Now(),
//		MaxAge: time.Hour, MaxLifetime: time.Hour, MaxAhead: 30 * time.Second, Verify: client.Keys.Verify,
//	}.Check(ctx, object)
//
// The caller knows the client already, by the client_id beside the object and, at the pushed authorization request
// endpoint, by its authentication. It provides a [Verifier]: that of a [KeySet], or a function of its own over header,
// signing input and signature, which decodes nothing again.
//
// [Response.Sign] makes the JWT of a JARM response with a [SigningKey], which may be in an HSM.
//
// Errors of reading wrap [ErrRefused]; their texts may be sent to the client as the description of
// invalid_request_object.
//
// The package does not decrypt, does not fetch a request_uri or a jwks_uri or anything else, does not remember a jti, and
// does not judge the parameters themselves.
package jar

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/finding"
	"countersign/internal/requestobject"
)

// Type is the typ of a request object (RFC 9101 §10.8).
const Type = requestobject.Type

// ErrRefused is a request object that is not valid. Errors of this package wrap it; their texts may be shown to
// whoever sent it.
var ErrRefused = errors.New("the request object is not acceptable")

func refuse(format string, arguments ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, arguments...))
}

// Object is a request object that was taken apart and is not verified yet.
type Object struct{ object *requestobject.Object }

// Parse takes a request object apart (RFC 9101 §4). Algorithms are those that may sign it; an encrypted one has to be
// decrypted before. Objects that nest a request or name an address of one are refused (§4), and so is the typ of another
// kind of token (§10.8). Errors wrap [ErrRefused].
func Parse(raw string, algorithms []string) (*Object, error) {
	object, err := requestobject.Parse(raw, algorithms, []string{"request", "request_uri"})
	if err != nil {
		return nil, &parseError{Rules{}.refusal(err), err}
	}
	return &Object{object}, nil
}

// parseError is a refusal with the problem that is behind it.
type parseError struct {
	error
	problem error
}

// Unwrap gives the refusal.
func (e *parseError) Unwrap() error { return e.error }

// BrokenRule names the rule for which [Parse] refused an object: form, typ, claims or members; or "".
func BrokenRule(err error) string {
	refused, ok := errors.AsType[*parseError](err)
	if !ok {
		return ""
	}
	problem, ok := errors.AsType[*requestobject.Problem](refused.problem)
	if !ok {
		return ""
	}
	return problem.Rule()
}

// Claims are what an object says about itself. Nothing of them is verified before [Rules.Check]; a time that is not there is zero.
type Claims struct {
	Algorithm, KeyID, Type       string
	Issuer, Subject, ID          string
	Audience                     []string
	Expires, NotBefore, IssuedAt time.Time
}

// Unbelieved are the claims of an object that is not verified, for showing them.
func (o *Object) Unbelieved() Claims {
	header, c := o.object.Token.Header, o.object.Claims
	claims := Claims{
		Algorithm: header.Algorithm, KeyID: header.KeyID, Type: header.Type, Issuer: c.Issuer, ID: c.ID, Audience: slices.Clone(c.Audience.Values),
	}
	if c.Subject != nil {
		claims.Subject = *c.Subject
	}
	if c.Expires != nil {
		claims.Expires = c.Expires.Time()
	}
	if c.NotBefore != nil {
		claims.NotBefore = c.NotBefore.Time()
	}
	if c.IssuedAt != nil {
		claims.IssuedAt = c.IssuedAt.Time()
	}
	return claims
}

// Unverified gives a parameter of an object that may not have been signed by its client: good for finding out where to
// tell that it was refused, and for nothing else.
func (o *Object) Unverified(name string) string { return o.object.Parameters.Get(name) }

// Members are the names of all members of the object, with or without a value, sorted.
func (o *Object) Members() []string { return slices.Clone(o.object.Members) }

// Compact is the object as it was signed.
func (o *Object) Compact() string { return o.object.Token.Compact() }

// Rules say which request objects are valid. Zero durations allow nothing.
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
	Verify Verifier
}

// Check verifies an object (RFC 9101 §6.2, FAPI 2.0 Message Signing §5.3.1, FAPI 1.0 Advanced §5.2.2) and gives the
// parameters inside. They are the whole request: parameters beside the object do not count (RFC 9101 §6.3). Errors
// wrap [ErrRefused].
func (r Rules) Check(ctx context.Context, o *Object) (url.Values, error) {
	if err := finding.First(r.Findings(ctx, o)); err != nil {
		return nil, err
	}
	return r.Parameters(o), nil
}

// Findings are the rules of [Rules.Check], one by one and in its order: each by its name, with the error that refuses the
// object, or nil. Rules that need what an earlier one has refused are left out.
func (r Rules) Findings(ctx context.Context, o *Object) iter.Seq2[string, error] {
	shared := requestobject.Rules{
		Audience: r.Audience, ClientID: r.ClientID, Algorithms: r.Algorithms,
		MaxAge: r.MaxAge, MaxLifetime: r.MaxLifetime, MaxAhead: r.MaxAhead, Now: r.Now,
		Verify: func(ctx context.Context, signed requestobject.Signed) error { return r.Verify(ctx, Signed(signed)) },
	}
	return func(yield func(string, error) bool) {
		for rule, err := range shared.Findings(ctx, o.object) {
			if !yield(rule, r.refusal(err)) {
				return
			}
		}
	}
}

// Parameters are those inside an object, which [Rules.Findings] or [Rules.Check] has to have accepted.
func (r Rules) Parameters(o *Object) url.Values {
	values := maps.Clone(o.object.Parameters)
	values.Set("client_id", r.ClientID)
	return values
}

// refusal puts a problem into words.
func (r Rules) refusal(err error) error {
	problem, ok := errors.AsType[*requestobject.Problem](err)
	if !ok {
		return err
	}
	switch problem.Reason {
	case requestobject.Unreadable, requestobject.BadClaims, requestobject.BadSignature:
		return refuse("%w", problem.Cause)
	case requestobject.WrongType:
		return refuse("it has the typ of another kind of token; %s is right", Type)
	case requestobject.Forbidden:
		return refuse("it holds %s, which may not stand inside one (RFC 9101 §4)", problem.Name)
	case requestobject.BadString:
		return refuse("one of its members is no correct string")
	case requestobject.BadResource:
		return refuse("its resource is neither a string nor an array of strings")
	case requestobject.WrongAlgorithm:
		return refuse("it is signed with %s; this client may sign with %s", problem.Name, strings.Join(r.Algorithms, ", "))
	case requestobject.WrongIssuer:
		return refuse("its iss must be the client_id")
	case requestobject.SubjectClient:
		return refuse("its sub is the client_id, as in a client assertion; leave sub out (RFC 9101 §10.8)")
	case requestobject.WrongAudience:
		return refuse("its aud must be %s, or an array that holds it", r.Audience)
	case requestobject.OtherClient:
		return refuse("the client_id inside is another client's (RFC 9101 §5)")
	case requestobject.NoTimes:
		return refuse("it needs both nbf and exp")
	case requestobject.Expired:
		return refuse("it has expired")
	case requestobject.NotYet:
		return refuse("it is not valid yet: its nbf is more than %s ahead; check the clock", r.MaxAhead)
	case requestobject.TooOld:
		return refuse("its nbf is more than %s ago", r.MaxAge)
	case requestobject.TooLong:
		return refuse("its exp is more than %s after its nbf", r.MaxLifetime)
	case requestobject.FromFuture:
		return refuse("it is from the future: its iat is more than %s ahead; check the clock", r.MaxAhead)
	}
	return refuse("%w", problem)
}
