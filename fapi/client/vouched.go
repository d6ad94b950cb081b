package client

import (
	"encoding/json"
	"slices"
	"strings"

	"countersign/fapi/profile"
	"countersign/internal/jose"
)

// vouch restricts a client of a directory by what that says: lost, its roles that are not active any more, allow no scope, and keys that
// are listed as revoked sign nothing. The registration stays as it is.
func (c *Client) vouch(lost []string) {
	if c.Directory == "" {
		return
	}
	rule, said := c.Profile.Registration, c.statement()
	c.RevokedKeys = said(rule.RevokedKeysMember)
	if c.OrganisationKeys = said(rule.OrganisationKeysMember); rule.OrganisationKeysWithout != "" {
		c.OrganisationKeys = without(c.OrganisationKeys, said(rule.OrganisationKeysWithout))
	}
	if len(lost) > 0 {
		c.Scopes = slices.DeleteFunc(slices.Clone(c.Scopes), func(scope string) bool { return !allowedBy(rule, lost, scope) })
	}
}

// without leaves a part out of the path of an address; empty where it is not there, or more than once.
func without(address, part string) string {
	if part == "" || strings.Count(address, "/"+part+"/") != 1 {
		return ""
	}
	return strings.Replace(address, "/"+part+"/", "/", 1)
}

// allowedBy reports whether a scope is allowed without some roles: another role allows it, or no role is needed for it.
func allowedBy(rule profile.RegistrationRule, lost []string, scope string) bool {
	governed := false
	for role, scopes := range rule.RoleScopes {
		if !slices.Contains(scopes, scope) {
			continue
		}
		if !slices.Contains(lost, role) {
			return true
		}
		governed = true
	}
	return !governed
}

// statement reads the software statement with which a client registered, which was verified then, and returns its members by name;
// empty where there is none.
func (c *Client) statement() func(name string) string {
	var members map[string]json.RawMessage
	if token, err := jose.Parse(c.Metadata.SoftwareStatement, jose.ParseOptions{Algorithms: profile.Algorithms()}); err != nil || token.Claims(&members) != nil {
		return func(string) string { return "" }
	}
	return func(name string) string {
		var text string
		if name == "" || json.Unmarshal(members[name], &text) != nil {
			return ""
		}
		return text
	}
}
