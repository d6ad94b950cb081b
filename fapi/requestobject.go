package fapi

import (
	"context"
	"errors"

	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/jar"
)

// requestObject gives the parameters of an authorization request: those inside its request object, and nothing from
// beside it, or those of the form when there is none and the client's profile allows that (RFC 9101 §6.3, RFC 9126 §3).
func (s *Server) requestObject(ctx context.Context, client *Client, form oauth.Form) (oauth.Form, error) {
	rule := client.Profile.RequestObjects
	raw := form.Get("request")
	switch {
	case raw == "" && rule == RequestObjectsRequired:
		return form, oauth.Errorf(oauth.InvalidRequest, "this client's requests have to be signed; put the parameters into a request object and send it as request (RFC 9101)")
	case raw == "":
		return form, nil
	case rule == RequestObjectsRefused:
		return form, oauth.Errorf(oauth.RequestNotSupported, "signed request objects are not supported for this client; push plain parameters")
	}
	object, err := jar.Parse(raw, client.Profile.Algorithms)
	if err != nil {
		return form, invalidObject(err)
	}
	return s.checkObject(ctx, client, object)
}

// checkObject verifies a request object and reads the parameters in it.
func (s *Server) checkObject(ctx context.Context, client *Client, object *jar.Object) (oauth.Form, error) {
	profile := client.Profile
	rules := jar.Rules{
		Audience: s.config.Issuer, ClientID: client.ID, Algorithms: profile.Algorithms,
		MaxAge: profile.MaxRequestObjectAge, MaxLifetime: profile.MaxRequestObjectLifetime, MaxAhead: profile.MaxAhead,
		Now: s.now(),
		Verify: func(ctx context.Context, token *jose.Token) error {
			return s.verifyWithKeysOf(ctx, client, token)
		},
	}
	if alg := client.Metadata.RequestObjectSigningAlg; alg != "" {
		rules.Algorithms = []string{alg}
	}
	values, err := rules.Check(ctx, object)
	if err != nil {
		return oauth.Form{}, invalidObject(err)
	}
	inside, err := oauth.NewForm(values)
	if err != nil {
		return oauth.Form{}, invalidObject(err)
	}
	if !inside.Has("scope") && !inside.Has("authorization_details") {
		return oauth.Form{}, oauth.Errorf(oauth.InvalidRequestObject, "the request object has no scope; what stands beside it does not count (RFC 9101 §6.3)")
	}
	return inside, nil
}

// invalidObject is the answer to a request object that does not stand (RFC 9101 §7).
func invalidObject(err error) error {
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return oauth.Errorf(oauth.InvalidRequestObject, "inside the request object, %s", refused.Description).Because(err)
	}
	if !errors.Is(err, jar.ErrRefused) {
		return err
	}
	return oauth.Errorf(oauth.InvalidRequestObject, "%v", err).Because(err)
}
