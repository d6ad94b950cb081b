package discovery

import (
	"encoding/json"
	"slices"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/set"
	"countersign/signer"
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

// namesOAEP reports whether one of the offered profiles names RSA-OAEP: no other client may encrypt with it. Nobody may where
// FIPS 140-3 is enforced.
func (h *Handler) namesOAEP() bool {
	return slices.Contains(jose.DecryptionAlgorithms(), jose.RSAOAEP) && slices.ContainsFunc(h.config.Profiles, func(name string) bool {
		of, _ := profile.Lookup(name)
		return slices.Contains(of.KeyEncryption, jose.RSAOAEP)
	})
}

// publicJWK returns the public half of a key. An RSA key that is encrypted to has no alg where clients of one ecosystem encrypt with
// RSA-OAEP and others with RSA-OAEP-256: alg is optional (RFC 7517 §4.4), and a library takes no key of another.
func publicJWK(record signer.Record, namesOAEP bool) (json.RawMessage, error) {
	if record.Algorithm != signer.RSAOAEP256 || !namesOAEP {
		return signer.PublicJWK(record)
	}
	key, err := jose.NewKey(record.ID, "", record.Public)
	if err != nil {
		return nil, err
	}
	key.Use = "enc"
	return key.MarshalJSON()
}

// ecosystemClaims are the claims that the offered profiles name; of those about the user, what can be had.
func (h *Handler) ecosystemClaims() []string {
	return slices.DeleteFunc(h.offered.ClaimNames(), func(name string) bool {
		about := slices.ContainsFunc(h.offered.Claims, func(rule profile.ClaimRule) bool {
			return rule.Name == name && rule.From == profile.FromUser
		})
		return about && !h.config.HasClaim(name)
	})
}
