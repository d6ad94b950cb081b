package client

import (
	"slices"

	"countersign/internal/set"
)

// HasScope reports whether the client may request a scope value: it is registered, or it is one with a parameter that the
// profile knows and that a registered value stands behind ([profile.ScopeRule].Registered).
func (c *Client) HasScope(name string) bool {
	if slices.Contains(c.Scopes, name) {
		return true
	}
	rule, ok := c.Profile.ScopeWithParameter(name)
	return ok && len(set.Intersect(rule.RegisteredBy(), c.Scopes)) > 0
}

// Allowed returns those of the scope values that the client may request.
func (c *Client) Allowed(scopes []string) []string {
	var allowed []string
	for _, name := range scopes {
		if c.HasScope(name) {
			allowed = append(allowed, name)
		}
	}
	return allowed
}
