package claims

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"countersign/fapi/claims/verified"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// Extra is a claim of an ecosystem that is not about the user, as it is requested.
type Extra struct {
	Name string `json:"name"`
	// In is where it is requested, [profile.InIDToken] or [profile.InUserinfo]; empty for a member of the claims parameter itself,
	// such as sharing_duration.
	In        string `json:"in,omitempty"`
	Essential bool   `json:"essential,omitempty"`
	// Value is the one that is requested, or nil.
	Value json.RawMessage `json:"value,omitempty"`
}

// maxExtra bounds the value of a claim of an ecosystem in a request, in bytes.
const maxExtra = 1024

func extraOf(name, place string, claim *Claim) Extra {
	extra := Extra{Name: name, In: place}
	if claim == nil {
		return extra
	}
	extra.Essential, extra.Value = claim.Essential, claim.Value
	if len(extra.Value) == 0 && len(claim.Values) == 1 {
		extra.Value = claim.Values[0]
	}
	return extra
}

func compareExtra(a, b Extra) int {
	return strings.Compare(a.Name+"\x00"+a.In, b.Name+"\x00"+b.In)
}

func find(rules []profile.ClaimRule, name string) (profile.ClaimRule, bool) {
	at := slices.IndexFunc(rules, func(rule profile.ClaimRule) bool { return rule.Name == name })
	if at < 0 {
		return profile.ClaimRule{}, false
	}
	return rules[at], true
}

// readExtra reads the members of the claims parameter itself that the ecosystem names, and holds all claims that it takes from
// requests to their rules.
func (r *Request) readExtra(top map[string]json.RawMessage, rules []profile.ClaimRule) error {
	for _, rule := range rules {
		if rule.From != profile.FromRequest {
			continue
		}
		if raw, sent := top[rule.Name]; sent && string(raw) != "null" {
			r.Extra = append(r.Extra, Extra{Name: rule.Name, Essential: rule.Essential, Value: raw})
		}
	}
	slices.SortFunc(r.Extra, compareExtra)
	for i, extra := range r.Extra {
		rule, _ := find(rules, extra.Name)
		if len(extra.Value) == 0 || rule.From != profile.FromRequest {
			continue
		}
		var compact bytes.Buffer
		switch {
		case len(extra.Value) > maxExtra || json.Compact(&compact, extra.Value) != nil:
			return oauth.Errorf(oauth.InvalidRequest, "the claim %s has a value of more than %d bytes", extra.Name, maxExtra)
		case !scalar(extra.Value):
			return oauth.Errorf(oauth.InvalidRequest, "the claim %s must have a text or a number as its value", extra.Name)
		case !Matches(rule.Pattern, extra.Value):
			return oauth.Errorf(oauth.InvalidRequest, "the claim %s has a value that is none of it", extra.Name)
		}
		r.Extra[i].Value = compact.Bytes()
		if !verified.Same(r.Value(extra.Name), extra.Value) {
			return oauth.Errorf(oauth.InvalidRequest, "the claim %s is requested with two values", extra.Name)
		}
	}
	return nil
}

func scalar(raw json.RawMessage) bool {
	var value any
	if strictjson.Decode(raw, &value) != nil {
		return false
	}
	switch value.(type) {
	case string, float64:
		return true
	}
	return false
}

// Matches reports whether a JSON text or number is one of a pattern: for all of it, an empty pattern for any. Of an array each
// element has to be.
func Matches(pattern string, raw json.RawMessage) bool {
	if pattern == "" {
		return true
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		return !slices.ContainsFunc(list, func(each json.RawMessage) bool { return !Matches(pattern, each) })
	}
	text := string(raw)
	if raw[0] == '"' && json.Unmarshal(raw, &text) != nil {
		return false
	}
	return profile.MatchesWhole(pattern, text)
}

// Value returns the value that the request has for a claim of its ecosystem, or nil.
func (r *Request) Value(name string) json.RawMessage {
	if r == nil {
		return nil
	}
	for _, extra := range r.Extra {
		if extra.Name == name && len(extra.Value) > 0 {
			return extra.Value
		}
	}
	return nil
}

// Asks reports whether the request asks for a claim of its ecosystem in a place.
func (r *Request) Asks(name, place string) bool {
	return r != nil && slices.ContainsFunc(r.Extra, func(extra Extra) bool { return extra.Name == name && extra.In == place })
}

// Need refuses requests without the claims that a profile demands: those from the request by value, the others at all; and those whose
// duration is no number of seconds. The error is an *[oauth.Error] with invalid_request.
func (r *Request) Need(of profile.Profile) error {
	if seconds := r.Value(of.DurationClaim); seconds != nil {
		if _, err := strconv.ParseUint(string(seconds), 10, 31); err != nil {
			return oauth.Errorf(oauth.InvalidRequest, "%s of the claims parameter must be a whole number of seconds", of.DurationClaim)
		}
	}
	for _, rule := range of.Claims {
		if !rule.Essential {
			continue
		}
		asked := r.Asks(rule.Name, profile.InIDToken) || r.Asks(rule.Name, profile.InUserinfo)
		switch {
		case rule.From == profile.FromRequest && r.Value(rule.Name) == nil:
			return oauth.Errorf(oauth.InvalidRequest, "the claims parameter must have %s with its value", rule.Name)
		case rule.From == profile.FromUser && !slices.Contains(r.Names(), rule.Name),
			rule.From != profile.FromRequest && rule.From != profile.FromUser && !asked:
			return oauth.Errorf(oauth.InvalidRequest, "the claims parameter must ask for %s", rule.Name)
		}
	}
	return nil
}

// Mismatch returns a claim of the ecosystem that is requested as essential with a value which is not the user's, or "": then nobody
// has authenticated whom the client asked for.
func (r *Request) Mismatch(known map[string]json.RawMessage, of profile.Profile) string {
	if r == nil {
		return ""
	}
	for _, rule := range of.Claims {
		if rule.From != profile.FromUser {
			continue
		}
		for _, wanted := range []map[string]*Claim{r.IDToken, r.UserInfo} {
			if claim := wanted[rule.Name]; claim != nil && claim.Essential && !claim.accepts(known[rule.Name]) {
				return rule.Name
			}
		}
	}
	return ""
}

// Restrains reports whether the request demands values of claims about the user, so that [Request.Mismatch] has to be asked; names
// are those claims.
func (r *Request) Restrains(of profile.Profile) (names []string) {
	if r == nil {
		return nil
	}
	for _, rule := range of.Claims {
		for _, wanted := range []map[string]*Claim{r.IDToken, r.UserInfo} {
			claim := wanted[rule.Name]
			if rule.From == profile.FromUser && claim != nil && claim.Essential && len(claim.Value)+len(claim.Values) > 0 {
				names = append(names, rule.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// RuleOf returns what a profile says of verified claims.
func RuleOf(of profile.Profile) verified.Rule {
	return verified.Rule{TrustFrameworks: of.VerifiedClaims.TrustFrameworks, Claims: of.VerifiedClaims.Claims}
}

// Known returns the claims about users that a directory or a source can have: those of OpenID Connect, then those that the rules of
// some profile name.
func Known() []string {
	names := Names()
	for _, name := range profile.UserClaims() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// checkExtra checks the value of a claim about a user that is none of OpenID Connect.
func checkExtra(name string, value json.RawMessage) error {
	if name == verified.Member {
		_, err := verified.ParseKnown(value)
		return err
	}
	if len(value) > MaxText {
		return fmt.Errorf("is longer than %d bytes", MaxText)
	}
	patterns := profile.UserClaimPatterns(name)
	if len(patterns) > 0 && !slices.ContainsFunc(patterns, func(pattern string) bool { return Matches(pattern, value) }) {
		return fmt.Errorf("is not of the form %s", strings.Join(patterns, " or "))
	}
	return nil
}
