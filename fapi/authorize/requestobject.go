package authorize

import (
	"context"
	"errors"

	"countersign/fapi/client"
	"countersign/fapi/decrypt"
	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/jar"
	"countersign/store"
)

// requestObject returns the parameters of an authorization request: those of its request object only, or those of the
// form when there is none and the client's profile allows that (RFC 9101 §6.3, RFC 9126 §3). A request object is
// recorded as evidence.
func (h *Handler) requestObject(
	ctx context.Context, caller *client.Client, form oauth.Form,
) (oauth.Form, []store.Evidence, error) {
	rule := caller.Profile.RequestObjects
	raw := form.Get("request")
	switch {
	case raw == "" && rule == profile.RequestObjectsRequired:
		return form, nil, oauth.Errorf(oauth.InvalidRequest,
			"this client's requests have to be signed; put the parameters into a request object and send it as request (RFC 9101)")
	case raw == "":
		return form, nil, nil
	case rule == profile.RequestObjectsRefused:
		return form, nil, oauth.Errorf(oauth.RequestNotSupported,
			"signed request objects are not supported for this client; push plain parameters")
	}
	object, err := h.parseObject(ctx, caller, raw)
	if err != nil {
		return form, nil, err
	}
	return h.checkObject(ctx, caller, object)
}

// parseObject parses a request object, decrypting it first where it is encrypted.
func (h *Handler) parseObject(ctx context.Context, caller *client.Client, raw string) (*jar.Object, error) {
	if jose.IsEncrypted(raw) {
		keys, err := decrypt.Keys(ctx, h.signer)
		if err != nil {
			return nil, err
		}
		if raw, err = decrypt.Open(ctx, raw, keys, caller.Profile, oauth.InvalidRequestObject); err != nil {
			return nil, err
		}
	}
	return parseSigned(caller, raw)
}

// parseSigned parses a request object that is not encrypted.
func parseSigned(caller *client.Client, raw string) (*jar.Object, error) {
	object, err := jar.Parse(raw, caller.Profile.Algorithms)
	if err != nil {
		return nil, invalidObject(err)
	}
	return object, nil
}

// checkObject verifies a request object and returns its parameters and the evidence of it.
func (h *Handler) checkObject(
	ctx context.Context, caller *client.Client, object *jar.Object,
) (oauth.Form, []store.Evidence, error) {
	allowed := caller.Profile
	var signedBy jose.Key
	rules := jar.Rules{
		Audience: h.addresses.Issuer, ClientID: caller.ID, Algorithms: caller.RequestAlgorithms(caller.Metadata.RequestObjectSigningAlg),
		MaxAge: allowed.MaxRequestObjectAge, MaxLifetime: allowed.MaxRequestObjectLifetime, MaxAhead: allowed.MaxAhead,
		Now:    h.now(),
		Verify: h.keys.Verifier(caller, &signedBy),
	}
	values, err := rules.Check(ctx, object)
	if err != nil {
		return oauth.Form{}, nil, invalidObject(err)
	}
	if err := evident(object); err != nil {
		return oauth.Form{}, nil, err
	}
	inside, err := oauth.NewForm(values)
	if err != nil {
		return oauth.Form{}, nil, invalidObject(err)
	}
	if !inside.Has("scope") && !inside.Has("authorization_details") {
		return oauth.Form{}, nil, oauth.Errorf(oauth.InvalidRequestObject,
			"the request object has no scope; parameters outside of it are ignored (RFC 9101 §6.3)")
	}
	kept, err := h.evidence.Message(ctx, audit.RequestObject, caller.ID, object.Compact(), signedBy)
	return inside, []store.Evidence{kept}, err
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

// invalidObject returns the error for an invalid request object (RFC 9101 §7).
func invalidObject(err error) error {
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
