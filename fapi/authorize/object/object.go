// Package object holds the signed request objects of authorization requests (RFC 9101) to what their client's profile and
// registration allow.
package object

import (
	"context"
	"errors"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/decrypt"
	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/internal/audit"
	"countersign/internal/finding"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/jar"
	"countersign/signer"
)

// Admit reports whether a client may send its request so: in an object, or without one.
func Admit(caller *client.Client, given bool) error {
	switch rule := caller.Profile.RequestObjects; {
	case !given && rule == profile.RequestObjectsRequired:
		return oauth.Errorf(oauth.InvalidRequest,
			"this client's requests have to be signed; put the parameters into a request object and send it as request (RFC 9101)")
	case given && rule == profile.RequestObjectsRefused:
		return oauth.Errorf(oauth.RequestNotSupported,
			"signed request objects are not supported for this client; push plain parameters")
	}
	return nil
}

// Open parses a request object, decrypting it first with the keys of an HSM where it is encrypted.
func Open(ctx context.Context, in *signer.Signer, caller *client.Client, raw string) (*jar.Object, error) {
	if jose.IsEncrypted(raw) {
		keys, err := decrypt.Keys(ctx, in)
		if err != nil {
			return nil, err
		}
		if raw, err = decrypt.Open(ctx, raw, keys, caller.Profile, oauth.InvalidRequestObject); err != nil {
			return nil, err
		}
	}
	return Parse(caller, raw)
}

// Parse parses a request object that is not encrypted.
func Parse(caller *client.Client, raw string) (*jar.Object, error) {
	object, err := jar.Parse(raw, caller.Profile.Algorithms)
	if err != nil {
		return nil, invalid(err)
	}
	return object, nil
}

// Rules say which objects of a client are valid.
type Rules struct {
	// Issuer is the server's issuer identifier.
	Issuer string
	Keys   *client.KeySets
	Now    time.Time
}

// Verified is an object that is valid.
type Verified struct {
	// Form are the parameters inside, which are the whole request (RFC 9101 §6.3).
	Form oauth.Form
	// SignedBy is the key that signed it.
	SignedBy jose.Key
}

// Check verifies an object. Errors are *[oauth.Error], or internal.
func (r Rules) Check(ctx context.Context, caller *client.Client, object *jar.Object) (Verified, error) {
	var verified Verified
	if err := finding.First(r.Findings(ctx, caller, object, &verified)); err != nil {
		return Verified{}, err
	}
	return verified, nil
}

// Findings are the rules of [Rules.Check], one by one and in its order. What they put into verified may be believed when none has
// refused the object; the parameters in it may be looked at in any case, and are none where they cannot be read.
func (r Rules) Findings(ctx context.Context, caller *client.Client, object *jar.Object, verified *Verified) finding.Findings {
	allowed := caller.Profile
	rules := jar.Rules{
		Audience: r.Issuer, ClientID: caller.ID, Algorithms: caller.RequestAlgorithms(caller.Metadata.RequestObjectSigningAlg),
		MaxAge: allowed.MaxRequestObjectAge, MaxLifetime: allowed.MaxRequestObjectLifetime, MaxAhead: allowed.MaxAhead,
		Now:    r.Now,
		Verify: r.Keys.Verifier(caller, &verified.SignedBy),
	}
	return func(yield func(string, error) bool) {
		for rule, err := range rules.Findings(ctx, object) {
			if err != nil {
				err = invalid(err)
			}
			if !yield(rule, err) {
				return
			}
		}
		if !yield(finding.Members, evident(object)) {
			return
		}
		inside, err := oauth.NewForm(rules.Parameters(object))
		if err != nil {
			yield(finding.Parameters, invalid(err))
			return
		}
		verified.Form = inside
		if !inside.Has("scope") && !inside.Has("authorization_details") {
			err = oauth.Errorf(oauth.InvalidRequestObject,
				"the request object has no scope; parameters outside of it are ignored (RFC 9101 §6.3)")
		}
		yield(finding.Complete, err)
	}
}

// evident refuses members that no authorization request has and that evidence would not hold as they were signed: what is
// kept of the object is all of it (FAPI 2.0 Message Signing §7).
func evident(object *jar.Object) error {
	for _, name := range object.Members() {
		if audit.Withholds(name) {
			return oauth.Errorf(oauth.InvalidRequestObject,
				"the request object holds %s, which is a secret and no parameter of an authorization request; leave it out", name)
		}
	}
	return nil
}

// invalid returns the error for an invalid request object (RFC 9101 §7).
func invalid(err error) error {
	if busy := endpoint.KeysBusy(err); busy != nil {
		return busy
	}
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return oauth.Errorf(oauth.InvalidRequestObject, "inside the request object, %s", refused.Description).Because(err)
	}
	if !errors.Is(err, jar.ErrRefused) {
		return err
	}
	return oauth.Errorf(oauth.InvalidRequestObject, "%v", err).Because(err)
}
