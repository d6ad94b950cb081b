package discovery

import (
	"countersign/fapi/profile"
	"countersign/internal/set"
)

// addVerifiedClaims adds what can be verified (OpenID Connect for Identity Assurance 1.0, OP Metadata). Which evidence there is
// depends on the users: none is announced.
func addVerifiedClaims(document metadata, rule profile.VerifiedClaimsRule) {
	if len(rule.TrustFrameworks) == 0 {
		return
	}
	document["verified_claims_supported"] = true
	document["trust_frameworks_supported"] = rule.TrustFrameworks
	document["evidence_supported"] = []string{}
	document["claims_in_verified_claims_supported"] = rule.Claims
}

// among returns those of a list that a profile has; all where it does not restrict them.
func among(list, allowed []string) []string {
	if len(allowed) == 0 {
		return list
	}
	return set.Intersect(list, allowed)
}
