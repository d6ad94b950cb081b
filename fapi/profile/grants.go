package profile

import (
	"slices"

	"countersign/internal/set"
)

// GrantManagementRule is what a profile says of Grant Management for OAuth 2.0
// (https://openid.net/specs/oauth-v2-grant-management-ID1.html). The zero value has none: its parameters are not known then.
type GrantManagementRule struct {
	// Actions are those that clients may use (§7.1), such as [GrantMerge].
	Actions []string `rule:"actions,subset"`
	// Required refuses authorization requests without an action.
	Required bool `rule:"required,demand"`
}

// Actions of Grant Management for OAuth 2.0: of authorization requests (Grant Management for OAuth 2.0 §5.2), and of the API.
const (
	GrantCreate  = "create"
	GrantMerge   = "merge"
	GrantReplace = "replace"
	GrantQuery   = "query"
	GrantRevoke  = "revoke"
)

// Scopes of access tokens for the API (Grant Management for OAuth 2.0 §6.1). No user grants them.
const (
	ScopeGrantQuery  = "grant_management_query"
	ScopeGrantRevoke = "grant_management_revoke"
)

func grantActions() []string {
	return []string{GrantQuery, GrantRevoke, GrantMerge, GrantReplace, GrantCreate}
}

// Allows reports whether clients may use an action.
func (g GrantManagementRule) Allows(action string) bool { return slices.Contains(g.Actions, action) }

// Scopes are the scopes of the API.
func (g GrantManagementRule) Scopes() []ScopeRule {
	var scopes []ScopeRule
	if g.Allows(GrantQuery) {
		scopes = append(scopes, ScopeRule{Name: ScopeGrantQuery, Descriptions: map[string]string{"en": "Read grants of its own"}})
	}
	if g.Allows(GrantRevoke) {
		scopes = append(scopes, ScopeRule{Name: ScopeGrantRevoke, Descriptions: map[string]string{"en": "End grants of its own"}})
	}
	return scopes
}

func (g GrantManagementRule) union(other GrantManagementRule) GrantManagementRule {
	return GrantManagementRule{Actions: set.Union(g.Actions, other.Actions), Required: g.Required && other.Required}
}
