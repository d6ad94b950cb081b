package request

import (
	"slices"
	"strings"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
)

// userScopes returns the known scope values. Unknown ones are ignored (OpenID Connect Core §3.1.2.1) and missing in
// the token response; known ones that are not registered for the client are refused, and so is whatever has a parameter that
// the client's profile does not know: it is about one thing, which the user would not be asked about.
func (c *Checker) userScopes(in input, withDetails bool) ([]string, error) {
	var scopes []string
	for _, name := range strings.Fields(in.form.Get("scope")) {
		switch {
		case in.client.Profile.MarksParameter(name) && !c.scopes.Listed(name):
			if err := parameterScope(in.client, name); err != nil {
				return nil, err
			}
		case !c.scopes.Known(name):
			continue
		case name == profile.ScopeGrantQuery || name == profile.ScopeGrantRevoke:
			return nil, oauth.Errorf(oauth.InvalidScope, "the scope %s is the client's own, and granted by no user; ask for it with %s",
				name, profile.ClientCredentials)
		case !in.client.HasScope(name):
			return nil, oauth.Errorf(oauth.InvalidScope, "the scope %q is not registered for this client", name)
		}
		if !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	if len(scopes) == 0 && !withDetails {
		return nil, oauth.Errorf(oauth.InvalidScope, "scope names nothing that this server knows")
	}
	return scopes, nil
}

// parameterScope demands that a scope with a parameter is one that the client's profile knows and its registration allows.
func parameterScope(caller *client.Client, name string) error {
	rule, ok := caller.Profile.ScopeWithParameter(name)
	switch {
	case !ok:
		return oauth.Errorf(oauth.InvalidScope, "the scope %q is not known to the profile of this client, or its parameter is malformed", name)
	case !caller.HasScope(name):
		return oauth.Errorf(oauth.InvalidScope, "the scope %q needs a registration for the scope %s",
			name, strings.Join(rule.RegisteredBy(), " or "))
	}
	return nil
}

// clientScopes returns the requested scopes, or all that the client can have without a user (RFC 6749 §3.3).
func (c *Checker) clientScopes(in input, withDetails bool) ([]string, error) {
	requested := strings.Fields(in.form.Get("scope"))
	for _, name := range requested {
		switch {
		case claims.AboutUser(name):
			return nil, oauth.Errorf(oauth.InvalidScope,
				"the scope %s applies to a user, and there is none with %s", name, profile.ClientCredentials)
		case !c.scopes.Known(name) || !slices.Contains(in.client.Scopes, name):
			return nil, oauth.Errorf(oauth.InvalidScope,
				"a requested scope is unknown or not registered for this client; registered are: %s",
				strings.Join(in.client.Scopes, " "))
		}
	}
	if len(requested) == 0 && !withDetails {
		for _, name := range in.client.Scopes {
			if c.scopes.Known(name) && !claims.AboutUser(name) {
				requested = append(requested, name)
			}
		}
	}
	if len(requested) == 0 && !withDetails {
		return nil, oauth.Errorf(oauth.InvalidScope, "this client has no scope that it could get without a user")
	}
	slices.Sort(requested)
	return slices.Compact(requested), nil
}
