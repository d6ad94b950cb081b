package claims

import (
	"encoding/json"
	"slices"
	"time"

	"countersign/fapi/claims/verified"
	"countersign/fapi/profile"
)

// Asked is what is asked about a user in one place: an ID token, or UserInfo.
type Asked struct {
	claims   map[string]*Claim
	verified []verified.Request
	rule     verified.Rule
}

// At returns what the request asks about the user in a place ([profile.InIDToken], [profile.InUserinfo]), as far as a client may ask
// for it, by the scopes that it is registered for and by its profile.
func (r *Request) At(place string, scopes []string, of profile.Profile) Asked {
	part := r.Within(scopes, of)
	switch {
	case part == nil:
		return Asked{}
	case place == profile.InIDToken:
		return Asked{claims: part.IDToken, verified: part.IDTokenVerified, rule: RuleOf(of)}
	}
	return Asked{claims: part.UserInfo, verified: part.UserInfoVerified, rule: RuleOf(of)}
}

// Empty reports whether nothing is asked.
func (a Asked) Empty() bool { return len(a.claims) == 0 && len(a.verified) == 0 }

// Names returns the names of the claims that [Asked.Release] would release beside those of scopes, sorted, and those of them that are
// requested as essential.
func (a Asked) Names(scopes []string) (names, essential []string) {
	names, essential = Wanted(scopes, a.claims)
	if len(a.verified) > 0 {
		names = append(names, verified.Member)
		slices.Sort(names)
	}
	return names, essential
}

// Release returns those of a user's claims that scopes request or that are asked for, at a time.
func (a Asked) Release(known map[string]json.RawMessage, scopes []string, now time.Time) map[string]json.RawMessage {
	released := Release(known, scopes, a.claims)
	if len(a.verified) == 0 || len(known[verified.Member]) == 0 {
		return released
	}
	about, err := verified.ParseKnown(known[verified.Member])
	if err != nil { // it was checked when it was stored or answered
		return released
	}
	if answer := verified.Answer(a.verified, about, a.rule, now); answer != nil {
		released[verified.Member] = answer
	}
	return released
}

// AddAlways adds the claims about the user that a profile has released without being asked, so that they are shown and granted as
// those that are asked for.
func (r *Request) AddAlways(of profile.Profile) *Request {
	for _, rule := range of.Claims {
		if rule.From != profile.FromUser || !rule.Always {
			continue
		}
		for _, place := range rule.In {
			if r == nil {
				r = &Request{}
			}
			var into *map[string]*Claim
			switch place {
			case profile.InIDToken:
				into = &r.IDToken
			case profile.InUserinfo:
				into = &r.UserInfo
			default:
				continue
			}
			if *into == nil {
				*into = map[string]*Claim{}
			}
			if _, asked := (*into)[rule.Name]; !asked {
				(*into)[rule.Name] = nil
			}
		}
	}
	return r
}
