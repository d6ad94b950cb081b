package request

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/internal/set"
)

// Recheck checks a stored request again, by the same table, against the client as it is registered now and the
// configuration of now: what was allowed when the request was made may not be allowed when it is opened or decided
// (RFC 9126 §4). Errors are *[oauth.Error], or internal.
func (c *Checker) Recheck(ctx context.Context, at Endpoint, caller *client.Client, stored *Request) error {
	ctx, span := c.tracer.Start(ctx, "policy")
	defer span.End()
	allowed := caller.Profile
	switch {
	case stored.Profile != "" && stored.Profile != allowed.Name:
		return oauth.Errorf(oauth.InvalidRequest, "the profile of this client has changed since the request was made")
	case at == ByValue && allowed.RequirePushed:
		return oauth.Errorf(oauth.InvalidRequest, "this client has to push its requests since this one was made")
	case at&(Pushed|ByValue) != 0 && stored.Unsigned && allowed.RequestObjects == profile.RequestObjectsRequired:
		return oauth.Errorf(oauth.InvalidRequest, "this client has to sign its requests since this one was made")
	}
	in := input{at: at, client: caller}
	for _, row := range c.table {
		if row.at&at == 0 || row.again == nil {
			continue
		}
		if err := row.again(c, in, *stored); err != nil {
			return err
		}
	}
	return c.managedAgain(ctx, caller, stored)
}

func redirectAgain(_ *Checker, in input, read Request) error {
	if !in.client.HasRedirectURI(read.RedirectURI) {
		return oauth.Errorf(oauth.InvalidRequest,
			"the redirect_uri of this request is no longer registered for its client")
	}
	return nil
}

// responseAgain compares resolved modes: the stored one is.
func responseAgain(_ *Checker, in input, read Request) error {
	kind, mode := read.ResponseType, read.ResponseMode
	if kind == "" {
		kind = "code"
	}
	if !slices.Contains(in.client.Profile.ResponseTypes, kind) {
		return oauth.Errorf(oauth.UnsupportedResponseType, "this client may no longer use response_type %s", kind)
	}
	mode = ResponseMode(mode, kind)
	allowed := slices.ContainsFunc(in.client.Profile.ResponseModes[kind], func(each string) bool {
		return ResponseMode(each, kind) == mode
	})
	if !allowed {
		return oauth.Errorf(oauth.InvalidRequest, "this client may no longer use response_mode %s", mode)
	}
	return nil
}

func challengeAgain(_ *Checker, in input, read Request) error {
	exempt := in.client.Profile.PKCE == profile.PKCEPushed && in.at != Pushed
	if read.Challenge == "" && !exempt {
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge is missing; PKCE with S256 is required")
	}
	return nil
}

// detailsAgain reads the objects by the schemas of now.
func detailsAgain(c *Checker, in input, read Request) error {
	if len(read.Details) == 0 {
		return nil
	}
	raw, err := json.Marshal(read.Details)
	if err != nil {
		return err
	}
	_, err = c.readDetails(in.at, string(raw), in.client.Metadata.AuthorizationDetailsTypes)
	return err
}

// scopesAgain refuses a scope that is not known any more too: it was shown to the user, or will be missed.
func scopesAgain(c *Checker, in input, read Request) error {
	for _, name := range read.Scopes {
		if !c.scopes.Known(name) || !in.client.HasScope(name) {
			return oauth.Errorf(oauth.InvalidScope, "the scope %q is no longer registered for this client", name)
		}
	}
	return nil
}

func bindingAgain(_ *Checker, in input, read Request) error {
	_, err := boundAnswer(in, read)
	return err
}

func keyAgain(_ *Checker, in input, read Request) error {
	if read.JKT != "" && in.client.Constraint() != profile.ByDPoP {
		return oauth.Errorf(oauth.InvalidRequest, "this client's tokens are no longer bound to DPoP keys")
	}
	return nil
}

func resourcesAgain(c *Checker, _ input, read Request) error {
	_, err := c.allowedResources(read.Resources, read.Scopes, read.Details)
	return err
}

// claimsAgain refuses claims whose scope is no longer registered: the user may have been shown them.
func claimsAgain(_ *Checker, in input, read Request) error {
	if !slices.Equal(read.Claims.Within(in.client.Scopes, in.client.Profile).Names(), read.Claims.Names()) {
		return oauth.Errorf(oauth.InvalidRequest, "claims names some whose scope is no longer registered for this client")
	}
	return nil
}

// contextAgain demands that an essential acr can still be reached.
func contextAgain(c *Checker, _ input, read Request) error {
	if len(read.EssentialACRs) > 0 && len(set.Intersect(c.acrs, read.EssentialACRs)) == 0 {
		return oauth.Errorf(oauth.UnmetAuthentication,
			"none of the acr values that are essential can be reached here any more: %s",
			strings.Join(read.EssentialACRs, " "))
	}
	return nil
}
