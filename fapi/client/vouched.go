package client

import (
	"encoding/json"
	"slices"
	"strings"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/store"
)

// vouch restricts a client by what its directory says: its roles that are not active any more allow no scope, and keys that are listed
// as revoked sign nothing. The registration stays as it is.
func (c *Client) vouch(entry store.DirectoryEntry, roles func(store.DirectoryEntry) []string) {
	if entry.Directory == "" {
		return
	}
	rule := c.Profile.Registration
	c.RevokedKeys = c.statementText(rule.RevokedKeysMember)
	if c.OrganisationKeys = c.statementText(rule.OrganisationKeysMember); rule.OrganisationKeysWithout != "" {
		c.OrganisationKeys = without(c.OrganisationKeys, c.statementText(rule.OrganisationKeysWithout))
	}
	if roles == nil || len(rule.RoleScopes) == 0 {
		return
	}
	lost := roles(entry)
	if len(lost) == 0 {
		return
	}
	c.Scopes = slices.DeleteFunc(slices.Clone(c.Scopes), func(scope string) bool { return !allowedBy(rule, lost, scope) })
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

// statementText is a member of the software statement with which a client registered, which was verified then; empty where there is none.
func (c *Client) statementText(name string) string {
	if name == "" || c.Metadata.SoftwareStatement == "" {
		return ""
	}
	token, err := jose.Parse(c.Metadata.SoftwareStatement, jose.ParseOptions{Algorithms: profile.Algorithms()})
	if err != nil {
		return ""
	}
	var members map[string]json.RawMessage
	var text string
	if token.Claims(&members) != nil || json.Unmarshal(members[name], &text) != nil {
		return ""
	}
	return text
}
