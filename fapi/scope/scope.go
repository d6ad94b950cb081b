// Package scope has the scope values of the server and the resource servers at which they apply.
package scope

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"countersign/fapi/profile"
)

// Scope is a scope value (RFC 6749 §3.3) with its description on the consent page.
type Scope struct {
	Name        string
	Description string
	// Descriptions are descriptions by language tag.
	Descriptions map[string]string `json:",omitempty"`
	// Standard reports that the scope is one of OpenID Connect Core with no description of the configuration: pages have
	// one of their own in each language.
	Standard bool `json:",omitempty"`
	// Parameter is what follows the colon of a scope with a parameter, or empty.
	Parameter string `json:",omitempty"`
	// AlwaysAsk demands the user's consent each time; it is never remembered.
	AlwaysAsk bool
}

// ResourceServer is a protected resource that can be requested as resource (RFC 8707).
type ResourceServer struct {
	// Identifier is an absolute URI without a fragment: the value of the resource parameter and of aud.
	Identifier string
	// Name is what users call it, or empty.
	Name string
	// Scopes are the scope values that apply there; all when empty.
	Scopes []string
}

// NamesOf are what users call resource servers, by their identifiers.
func NamesOf(servers []ResourceServer) map[string]string {
	names := map[string]string{}
	for _, server := range servers {
		names[server.Identifier] = server.Name
	}
	return names
}

// Catalog holds the scopes and resource servers. It is immutable.
type Catalog struct {
	issuer  string
	scopes  []Scope
	servers []ResourceServer
	// families are the values with a parameter.
	families []profile.ScopeRule
}

// New makes a catalog. The issuer is always a resource server; openid, offline_access and the claim scopes of OpenID
// Connect Core §5.4 are always scopes; named are those of the offered profiles. The descriptions of all can be configured. Errors name the resource servers
// with an invalid identifier.
func New(issuer string, configured []Scope, named []profile.ScopeRule, servers []ResourceServer) (*Catalog, error) {
	var problems []error
	for _, server := range servers {
		if !IsResourceIdentifier(server.Identifier) {
			problems = append(problems, fmt.Errorf(
				"fapi: the resource server %q must be named by an absolute URI without a fragment (RFC 8707 §2)",
				server.Identifier))
		}
	}
	c := &Catalog{issuer: issuer, servers: servers, scopes: standard()}
	for _, rule := range named {
		if rule.Parameter != "" {
			c.families = append(c.families, rule)
			continue
		}
		if !c.Listed(rule.Name) {
			c.scopes = append(c.scopes, Scope{Name: rule.Name, Description: rule.Descriptions["en"], Descriptions: rule.Descriptions})
		}
	}
	for _, scope := range configured {
		i := slices.IndexFunc(c.scopes, func(known Scope) bool { return known.Name == scope.Name })
		if i >= 0 {
			c.scopes[i] = scope
			continue
		}
		c.scopes = append(c.scopes, scope)
	}
	return c, errors.Join(problems...)
}

// standard returns the scopes of OpenID Connect Core.
func standard() []Scope {
	scopes := []Scope{
		{Name: "openid", Description: "Know who you are: a stable identifier of your account"},
		{Name: "offline_access", Description: "Keep this access while you are away, until you end it"},
		{Name: "profile", Description: "See your name and basic profile"},
		{Name: "email", Description: "See your e-mail address"},
		{Name: "phone", Description: "See your phone number"},
		{Name: "address", Description: "See your postal address"},
	}
	for i := range scopes {
		scopes[i].Standard = true
	}
	return scopes
}

// maxResource bounds a resource identifier, in bytes.
const maxResource = 512

// IsResourceIdentifier reports whether text is an absolute URI without a fragment of at most 512 bytes (RFC 8707 §2).
func IsResourceIdentifier(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "") && !strings.Contains(text, "#") &&
		len(text) <= maxResource
}

// All returns the scopes in the order of the discovery document. The caller must not change it.
func (c *Catalog) All() []Scope { return c.scopes }

// Names returns the names of all scopes, in the order of the discovery document.
func (c *Catalog) Names() []string {
	var names []string
	for _, scope := range c.scopes {
		names = append(names, scope.Name)
	}
	return names
}

// Known reports whether a scope value exists: in the list, or as one with a parameter.
func (c *Catalog) Known(name string) bool { return c.Listed(name) || c.Parameterized(name) }

// Parameterized reports whether a scope value has a parameter, such as consent:{id}, by a rule of an offered profile.
func (c *Catalog) Parameterized(name string) bool {
	_, ok := c.family(name)
	return ok && !c.Listed(name)
}

func (c *Catalog) family(name string) (profile.ScopeRule, bool) {
	i := slices.IndexFunc(c.families, func(rule profile.ScopeRule) bool { return rule.Matches(name) })
	if i < 0 {
		return profile.ScopeRule{}, false
	}
	return c.families[i], true
}

// Satisfied reports whether scope values include one: itself, or itself with a parameter.
func (c *Catalog) Satisfied(have []string, needed string) bool {
	return slices.ContainsFunc(have, func(name string) bool {
		if name == needed {
			return true
		}
		rule, ok := c.family(name)
		return ok && rule.Name == needed
	})
}

// Listed reports whether a scope value is in the list, without a parameter.
func (c *Catalog) Listed(name string) bool {
	return slices.ContainsFunc(c.scopes, func(known Scope) bool { return known.Name == name })
}

// Lookup finds a scope by its name. One that was removed since it was requested always needs consent.
func (c *Catalog) Lookup(name string) Scope {
	for _, known := range c.scopes {
		if known.Name == name {
			return known
		}
	}
	if rule, ok := c.family(name); ok {
		_, parameter, _ := strings.Cut(name, ":")
		return Scope{
			Name: name, Description: rule.Descriptions["en"], Descriptions: rule.Descriptions, Parameter: parameter, AlwaysAsk: true,
		}
	}
	return Scope{Name: name, AlwaysAsk: true}
}

// LookupAll finds scopes by their names.
func (c *Catalog) LookupAll(names []string) []Scope {
	var found []Scope
	for _, name := range names {
		found = append(found, c.Lookup(name))
	}
	return found
}

// KnownResource reports whether access tokens can be issued for a resource: the issuer itself or a resource server.
func (c *Catalog) KnownResource(identifier string) bool {
	return identifier == c.issuer || slices.ContainsFunc(c.servers, func(known ResourceServer) bool {
		return known.Identifier == identifier
	})
}

// Filter keeps the scopes that apply to at least one of the resources.
func (c *Catalog) Filter(scopes, resources []string) []string {
	var kept []string
	for _, name := range scopes {
		if slices.ContainsFunc(resources, func(resource string) bool { return c.applies(name, resource) }) {
			kept = append(kept, name)
		}
	}
	return kept
}

// applies reports whether a scope applies to a resource. One with a parameter applies where its name does, or what it is
// registered by.
func (c *Catalog) applies(scope, resource string) bool {
	i := slices.IndexFunc(c.servers, func(known ResourceServer) bool { return known.Identifier == resource })
	if i < 0 || len(c.servers[i].Scopes) == 0 {
		return true
	}
	there := c.servers[i].Scopes
	if slices.Contains(there, scope) {
		return true
	}
	rule, ok := c.family(scope)
	return ok && (slices.Contains(there, rule.Name) ||
		slices.ContainsFunc(rule.RegisteredBy(), func(name string) bool { return slices.Contains(there, name) }))
}

// Audience returns the aud of access tokens for resources: the issuer when there are none (RFC 8707 §2).
func (c *Catalog) Audience(resources []string) []string {
	if len(resources) == 0 {
		return []string{c.issuer}
	}
	return resources
}
