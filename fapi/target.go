package fapi

import (
	"slices"
	"strings"

	"countersign/internal/oauth"
)

// ResourceServer is a protected resource that access tokens can be asked for by name (RFC 8707).
type ResourceServer struct {
	// Identifier is an absolute URI without a fragment: the value of the resource parameter and of aud.
	Identifier string
	// Scopes are the scope values that mean something there; none means all.
	Scopes []string
}

// wantedToken is what one access token is to stand for: never more than its grant.
type wantedToken struct {
	audience []string
	scopes   []string
	details  details
}

// narrow holds a token request to what was granted: resource (RFC 8707 §2.2) and authorization_details (RFC 9396 §6)
// can only take away, and what means nothing to the resources named is left out (RFC 9700 §2.3).
func (s *Server) narrow(c *call, scopes []string, granted grantDetail) (wantedToken, error) {
	wanted := wantedToken{audience: granted.Resources, details: granted.Details}
	if asked := c.form.All("resource"); len(asked) > 0 {
		for _, resource := range asked {
			if !slices.Contains(granted.Resources, resource) && (len(granted.Resources) > 0 || resource != s.config.Issuer) {
				return wantedToken{}, oauth.Errorf(oauth.InvalidTarget, "resource was not part of the authorization request (RFC 8707 §2.2)")
			}
		}
		wanted.audience = slices.Compact(slices.Sorted(slices.Values(asked)))
	}
	if len(wanted.audience) == 0 {
		wanted.audience = []string{s.config.Issuer}
	}
	if raw := c.form.Get("authorization_details"); raw != "" && c.form.Get("grant_type") != ClientCredentials {
		asked, err := s.details.read(raw, c.client.Metadata.AuthorizationDetailsTypes)
		if err != nil {
			return wantedToken{}, err
		}
		if wanted.details, err = granted.Details.narrow(asked); err != nil {
			return wantedToken{}, err
		}
	}
	wanted.details = wanted.details.forResource(wanted.audience)
	// What the registration no longer holds is not issued any more, whatever was granted.
	wanted.scopes = s.meaningful(intersect(scopes, c.client.scopes), wanted.audience)
	if len(wanted.scopes) == 0 && len(wanted.details) == 0 {
		return wantedToken{}, oauth.Errorf(oauth.InvalidTarget, "nothing that was granted means anything to the resource %s", strings.Join(wanted.audience, " "))
	}
	return wanted, nil
}

// meaningful keeps the scopes that mean something to one of the resources.
func (s *Server) meaningful(scopes, resources []string) []string {
	var kept []string
	for _, name := range scopes {
		if slices.ContainsFunc(resources, func(resource string) bool { return s.means(name, resource) }) {
			kept = append(kept, name)
		}
	}
	return kept
}

// means tells whether a scope means something to a resource server.
func (s *Server) means(scope, resource string) bool {
	for _, known := range s.config.ResourceServers {
		if known.Identifier == resource && len(known.Scopes) > 0 {
			return slices.Contains(known.Scopes, scope)
		}
	}
	return true
}

// knownResource tells whether tokens can be issued for a resource.
func (s *Server) knownResource(resource string) bool {
	return resource == s.config.Issuer || slices.ContainsFunc(s.config.ResourceServers, func(known ResourceServer) bool {
		return known.Identifier == resource
	})
}

// knowsScope tells whether a scope value exists.
func (s *Server) knowsScope(name string) bool {
	return slices.ContainsFunc(s.scopes, func(known Scope) bool { return known.Name == name })
}

// scope finds a scope by its name.
func (s *Server) scope(name string) Scope {
	for _, known := range s.scopes {
		if known.Name == name {
			return known
		}
	}
	return Scope{Name: name, AlwaysAsk: true} // it was known when it was asked for
}
