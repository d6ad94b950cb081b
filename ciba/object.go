package ciba

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/requestobject"
	"countersign/jar"
)

// Object is a signed authentication request that was taken apart and is not verified yet.
type Object struct{ object *requestobject.Object }

// forbidden are the members that may not be inside a signed request: others of their kind, the client's authentication,
// which is beside it, and what only a request for a browser has.
func forbidden() []string {
	return []string{
		"request", "request_uri", "response_type", "client_assertion", "client_assertion_type", "client_secret",
		"redirect_uri", "code_challenge",
	}
}

// ParseObject takes the signed request in the parameter request of a form apart (CIBA Core §7.1.1). Only the client's
// authentication may be beside it: no parameter of the authentication request may. Algorithms are those that may sign it.
// Errors are of type [*Error].
func ParseObject(form url.Values, algorithms []string) (*Object, error) {
	for name := range form {
		if !slices.Contains([]string{"request", "client_id", "client_assertion", "client_assertion_type"}, name) {
			return nil, refuse(InvalidRequest, "a parameter stands beside the signed request; all but the client's authentication must be inside it")
		}
	}
	object, err := requestobject.Parse(form.Get("request"), algorithms, forbidden())
	if err != nil {
		return nil, Rules{}.refusal(err)
	}
	return &Object{object}, nil
}

// Compact is the object as it was signed.
func (o *Object) Compact() string { return o.object.Token.Compact() }

// Rules say which signed requests are valid. Zero durations allow nothing.
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
	Verify jar.Verifier
}

// Verified is what a valid object holds.
type Verified struct {
	// Parameters are the whole request, as [Policy.Read] takes it: what has no value is left out.
	Parameters url.Values
	// ReplayKey names the one use of the object: SHA-256 over client_id and jti. The caller consumes it, together with what
	// the request starts, and remembers it until Until; a second use has to be refused (CIBA Core §7.1.1).
	ReplayKey [32]byte
	// Until is exp. Servers whose clocks differ remember the use for longer.
	Until time.Time
}

// Check verifies an object (CIBA Core §7.2, FAPI-CIBA §5.2.2). Whether it was used before is left to the caller: see
// [Verified].ReplayKey. Errors are of type [*Error].
func (r Rules) Check(ctx context.Context, o *Object) (Verified, error) {
	shared := requestobject.Rules{
		Audience: r.Audience, ClientID: r.ClientID, Algorithms: r.Algorithms,
		MaxAge: r.MaxAge, MaxLifetime: r.MaxLifetime, MaxAhead: r.MaxAhead, Now: r.Now, Once: true,
		Verify: func(ctx context.Context, signed requestobject.Signed) error { return r.Verify(ctx, jar.Signed(signed)) },
	}
	if err := shared.Check(ctx, o.object); err != nil {
		return Verified{}, r.refusal(err)
	}
	claims := o.object.Claims
	return Verified{
		Parameters: o.object.Parameters,
		ReplayKey:  sha256.Sum256([]byte(r.ClientID + "\x00" + claims.ID)),
		Until:      claims.Expires.Time(),
	}, nil
}

// refusal puts a problem into words.
func (r Rules) refusal(err error) error {
	problem, ok := errors.AsType[*requestobject.Problem](err)
	if !ok {
		return err
	}
	switch problem.Reason {
	case requestobject.Unreadable:
		return refuse(InvalidRequest, "the signed request cannot be read: %w", problem.Cause)
	case requestobject.WrongType:
		return refuse(InvalidRequest, "the signed request has the typ of another kind of token; JWT is right")
	case requestobject.BadClaims:
		return refuse(InvalidRequest, "the claims of the signed request cannot be read: %w", problem.Cause)
	case requestobject.Forbidden:
		if problem.Name == "redirect_uri" || problem.Name == "code_challenge" {
			return refuse(InvalidRequest, "the signed request holds %s: it is a request for a browser, and not one of CIBA", problem.Name)
		}
		return refuse(InvalidRequest, "the signed request holds %s, which may not stand inside it", problem.Name)
	case requestobject.BadString:
		return refuse(InvalidRequest, "a member of the signed request is no correct string")
	case requestobject.BadResource:
		return refuse(InvalidRequest, "resource in the signed request is neither a string nor an array of strings")
	case requestobject.WrongAlgorithm:
		return refuse(InvalidRequest, "the request is signed with %s; this client may sign with %s", problem.Name, strings.Join(r.Algorithms, ", "))
	case requestobject.BadSignature:
		return refuse(InvalidRequest, "the signature of the request: %w", problem.Cause)
	case requestobject.WrongIssuer:
		return refuse(InvalidRequest, "iss of the signed request must be the client_id")
	case requestobject.SubjectClient:
		return refuse(InvalidRequest, "sub of the signed request is the client_id, as in a client assertion; leave sub out")
	case requestobject.WrongAudience:
		return refuse(InvalidRequest, "aud of the signed request must be %s, or an array that holds it", r.Audience)
	case requestobject.OtherClient:
		return refuse(InvalidRequest, "the client_id in the signed request is another client's")
	case requestobject.NoID:
		return refuse(InvalidRequest, "the signed request needs a jti of at most %d bytes", requestobject.MaxID)
	case requestobject.NoTimes:
		return refuse(InvalidRequest, "the signed request needs iat, nbf and exp")
	case requestobject.Expired:
		return refuse(InvalidRequest, "the signed request has expired")
	case requestobject.NotYet, requestobject.FromFuture:
		return refuse(InvalidRequest, "nbf or iat of the signed request is more than %s ahead; check the clock", r.MaxAhead)
	case requestobject.TooOld:
		return refuse(InvalidRequest, "nbf of the signed request is more than %s ago", r.MaxAge)
	case requestobject.TooLong:
		return refuse(InvalidRequest, "exp of the signed request is more than %s after its nbf", r.MaxLifetime)
	}
	return refuse(InvalidRequest, "%w", problem)
}
