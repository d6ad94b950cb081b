package profile

import (
	"slices"
	"sync"
)

// userClaims are the rules for claims about users of all presets, by name.
var userClaims = sync.OnceValue(func() map[string][]ClaimRule {
	rules := map[string][]ClaimRule{}
	for _, name := range Names() {
		each, _ := Lookup(name)
		for _, rule := range each.Claims {
			if rule.From == FromUser {
				rules[rule.Name] = append(rules[rule.Name], rule)
			}
		}
		if len(each.VerifiedClaims.TrustFrameworks) > 0 {
			rules["verified_claims"] = append(rules["verified_claims"], ClaimRule{Name: "verified_claims", From: FromUser})
		}
	}
	return rules
})

// UserClaims returns the names of the claims about users that some preset names, sorted: what a directory or a claims source can
// have beside those of OpenID Connect Core §5.1.
func UserClaims() []string { return sorted(userClaims()) }

// UserClaimPatterns returns the patterns of a claim about users: its values have to match one of them; none allows any.
func UserClaimPatterns(name string) []string {
	var patterns []string
	for _, rule := range userClaims()[name] {
		if rule.Pattern == "" {
			return nil
		}
		if !slices.Contains(patterns, rule.Pattern) {
			patterns = append(patterns, rule.Pattern)
		}
	}
	return patterns
}
