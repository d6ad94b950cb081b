package claims

import (
	"encoding/json"
	"maps"
	"slices"

	"countersign/fapi/claims/verified"
)

// Merge returns the request with what another one, of a grant that is kept, asks for besides. Where both ask for a claim, the
// request's own way counts. What the other one says of its sign-in (acr, auth_time, sub) is over.
func (r *Request) Merge(kept *Request) *Request {
	if kept == nil {
		return r
	}
	var merged Request
	if r != nil {
		merged = *r
	}
	merged.UserInfo, merged.IDToken = mergeClaims(merged.UserInfo, kept.UserInfo), mergeClaims(merged.IDToken, kept.IDToken)
	merged.UserInfoVerified = mergeVerified(merged.UserInfoVerified, kept.UserInfoVerified)
	merged.IDTokenVerified = mergeVerified(merged.IDTokenVerified, kept.IDTokenVerified)
	merged.Extra = slices.Clone(merged.Extra)
	for _, extra := range kept.Extra {
		if !slices.ContainsFunc(merged.Extra, func(own Extra) bool { return own.Name == extra.Name }) {
			merged.Extra = append(merged.Extra, extra)
		}
	}
	slices.SortFunc(merged.Extra, compareExtra)
	return &merged
}

func mergeClaims(own, kept map[string]*Claim) map[string]*Claim {
	merged := maps.Clone(own)
	for name, claim := range kept {
		if _, asked := own[name]; asked || slices.Contains(protocol(), name) {
			continue
		}
		if merged == nil {
			merged = map[string]*Claim{}
		}
		merged[name] = claim
	}
	return merged
}

func mergeVerified(own, kept []verified.Request) []verified.Request {
	merged := slices.Clone(own)
	for _, each := range kept {
		if !slices.ContainsFunc(merged, func(one verified.Request) bool { return sameJSON(one, each) }) {
			merged = append(merged, each)
		}
	}
	return merged
}

// sameJSON reports whether two values are stored in the same way.
func sameJSON(a, b verified.Request) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}
