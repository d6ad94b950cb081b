// Package claims reads the claims parameter and releases claims about users (OpenID Connect Core §5).
package claims

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"countersign/fapi/claims/verified"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// OfScope returns the claims that a scope requests (OpenID Connect Core §5.4).
func OfScope(scope string) []string {
	switch scope {
	case "profile":
		return []string{"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile",
			"picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"}
	case "email":
		return []string{"email", "email_verified"}
	case "phone":
		return []string{"phone_number", "phone_number_verified"}
	case "address":
		return []string{"address"}
	}
	return nil
}

// Names returns the claims about the user that can be requested by name.
func Names() []string {
	var names []string
	for _, scope := range []string{"profile", "email", "phone", "address"} {
		names = append(names, OfScope(scope)...)
	}
	return names
}

const (
	// maxRequest bounds the claims parameter, in bytes.
	maxRequest = 16 << 10
	// maxValues bounds the values of one claim.
	maxValues = 20
)

// Request is the claims parameter (OpenID Connect Core §5.5). Unknown claims are left out. A nil *Request requests
// nothing.
type Request struct {
	UserInfo map[string]*Claim `json:"userinfo,omitempty"`
	IDToken  map[string]*Claim `json:"id_token,omitempty"`
	// UserInfoVerified and IDTokenVerified are their members verified_claims.
	UserInfoVerified []verified.Request `json:"userinfo_verified,omitempty"`
	IDTokenVerified  []verified.Request `json:"id_token_verified,omitempty"`
	// Extra are claims of the client's ecosystem that are not about the user.
	Extra []Extra `json:"extra,omitempty"`
}

// Claim is how one claim is requested (§5.5.1); nil is a voluntary claim with any value.
type Claim struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
}

// Parse reads the claims parameter of a client with a profile, which can name claims of its own ([profile.ClaimRule]). Errors are
// *[oauth.Error] with invalid_request.
func Parse(raw string, of profile.Profile) (*Request, error) {
	if len(raw) > maxRequest {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the claims parameter is longer than %d bytes", maxRequest)
	}
	var members struct {
		UserInfo map[string]json.RawMessage `json:"userinfo"`
		IDToken  map[string]json.RawMessage `json:"id_token"`
	}
	var top map[string]json.RawMessage
	if strictjson.Decode([]byte(raw), &members) != nil || strictjson.Decode([]byte(raw), &top) != nil {
		return nil, malformed(nil)
	}
	wanted := &Request{}
	var err error
	if wanted.UserInfo, wanted.UserInfoVerified, err = wanted.read(members.UserInfo, profile.InUserinfo, of); err != nil {
		return nil, err
	}
	if wanted.IDToken, wanted.IDTokenVerified, err = wanted.read(members.IDToken, profile.InIDToken, of); err != nil {
		return nil, err
	}
	return wanted, wanted.readExtra(top, of.Claims)
}

func malformed(cause error) error {
	return oauth.Errorf(oauth.InvalidRequest, "the claims parameter is not correct JSON of OpenID Connect Core §5.5").Because(cause)
}

// read reads the claims that are wanted in one place. Those of the ecosystem that are not about the user become Extra.
func (r *Request) read(members map[string]json.RawMessage, place string, of profile.Profile) (map[string]*Claim, []verified.Request, error) {
	var about []verified.Request
	var wanted map[string]*Claim
	for name, raw := range members {
		if name == verified.Member && len(of.VerifiedClaims.TrustFrameworks) > 0 {
			var err error
			if about, err = verified.Parse(raw, RuleOf(of)); err != nil {
				return nil, nil, err
			}
			continue
		}
		rule, ruled := find(of.Claims, name)
		if !ruled && !slices.Contains(known(), name) {
			continue
		}
		var claim *Claim
		if err := strictjson.Decode(raw, &claim); err != nil {
			return nil, nil, malformed(err)
		}
		if claim != nil && len(claim.Values) > maxValues {
			return nil, nil, oauth.Errorf(oauth.InvalidRequest, "a claim of the claims parameter has more than %d values", maxValues)
		}
		if ruled && rule.From != profile.FromUser {
			r.Extra = append(r.Extra, extraOf(name, place, claim))
			continue
		}
		if ruled && !slices.Contains(rule.In, place) {
			continue
		}
		if wanted == nil {
			wanted = map[string]*Claim{}
		}
		wanted[name] = claim
	}
	slices.SortFunc(r.Extra, compareExtra)
	return wanted, about, nil
}

// known are the claims that anybody may ask for by name.
func known() []string { return append(Names(), protocol()...) }

// protocol are the claims about the sign-in.
func protocol() []string { return []string{"acr", "auth_time", "sub"} }

// Names returns the requested claims about the user, sorted, those among them that are to be verified too.
func (r *Request) Names() []string {
	if r == nil {
		return nil
	}
	names := append(verified.Names(r.UserInfoVerified), verified.Names(r.IDTokenVerified)...)
	for _, wanted := range []map[string]*Claim{r.UserInfo, r.IDToken} {
		for name := range wanted {
			if !slices.Contains(protocol(), name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Within returns the request without the claims about the user that no scope of a client includes, nor the rules of its profile:
// what the client may not request by scope it may not request by name either. Others, such as acr, remain.
func (r *Request) Within(scopes []string, of profile.Profile) *Request {
	if r == nil {
		return nil
	}
	part := *r
	part.UserInfo = within(r.UserInfo, scopes, of, profile.InUserinfo)
	part.IDToken = within(r.IDToken, scopes, of, profile.InIDToken)
	rule := RuleOf(of)
	unknown := func(name string) bool { return len(rule.TrustFrameworks) == 0 || !slices.Contains(rule.Claims, name) }
	part.UserInfoVerified = verified.Without(r.UserInfoVerified, unknown)
	part.IDTokenVerified = verified.Without(r.IDTokenVerified, unknown)
	return &part
}

func within(wanted map[string]*Claim, scopes []string, of profile.Profile, place string) map[string]*Claim {
	allowed := protocol()
	for _, scope := range scopes {
		allowed = append(allowed, OfScope(scope)...)
	}
	kept := maps.Clone(wanted)
	maps.DeleteFunc(kept, func(name string, _ *Claim) bool {
		rule, ruled := find(of.Claims, name)
		if ruled && rule.From == profile.FromUser {
			return !slices.Contains(rule.In, place)
		}
		return !slices.Contains(allowed, name)
	})
	return kept
}

// Without returns the request without the claims about the user of which left says so; what else it holds stays.
func (r *Request) Without(left func(name string) bool) *Request {
	if r == nil {
		return nil
	}
	kept := func(wanted map[string]*Claim) map[string]*Claim {
		wanted = maps.Clone(wanted)
		maps.DeleteFunc(wanted, func(name string, _ *Claim) bool { return !slices.Contains(protocol(), name) && left(name) })
		return wanted
	}
	part := *r
	part.UserInfo, part.IDToken = kept(r.UserInfo), kept(r.IDToken)
	part.UserInfoVerified, part.IDTokenVerified = verified.Without(r.UserInfoVerified, left), verified.Without(r.IDTokenVerified, left)
	return &part
}

// ACR returns the acr values requested for the ID token, and whether reaching one of them is essential (§5.5.1.1).
func (r *Request) ACR() (values []string, essential bool) {
	if r == nil || r.IDToken["acr"] == nil {
		return nil, false
	}
	claim := r.IDToken["acr"]
	for _, raw := range append(slices.Clone(claim.Values), claim.Value) {
		var value string
		if len(raw) > 0 && json.Unmarshal(raw, &value) == nil && value != "" {
			values = append(values, value)
		}
	}
	return values, claim.Essential
}

// Subject returns the sub that is requested by value (§5.5.1), or "".
func (r *Request) Subject() string {
	if r == nil {
		return ""
	}
	for _, member := range []map[string]*Claim{r.IDToken, r.UserInfo} {
		var value string
		if claim := member["sub"]; claim != nil && len(claim.Value) > 0 && json.Unmarshal(claim.Value, &value) == nil {
			return value
		}
	}
	return ""
}

// accepts reports whether a claim's value is one that was requested. Of a claim that has several values one suffices.
func (r *Claim) accepts(value json.RawMessage) bool {
	if r == nil || len(r.Value) == 0 && len(r.Values) == 0 {
		return true
	}
	for _, wanted := range append(slices.Clone(r.Values), r.Value) {
		if len(wanted) > 0 && hasValue(value, wanted) {
			return true
		}
	}
	return false
}

// hasValue reports whether a value is the wanted one or, where it is an array, has it, or each element of it.
func hasValue(value, wanted json.RawMessage) bool {
	if verified.Same(value, wanted) {
		return true
	}
	var has, each []json.RawMessage
	if json.Unmarshal(value, &has) != nil {
		return false
	}
	if json.Unmarshal(wanted, &each) != nil {
		each = []json.RawMessage{wanted}
	}
	for _, one := range each {
		if !slices.ContainsFunc(has, func(of json.RawMessage) bool { return verified.Same(of, one) }) {
			return false
		}
	}
	return len(each) > 0
}

// Release returns those of a user's claims that scopes request or that are requested by name. Claims without a value
// are left out (§5.3.2).
func Release(known map[string]json.RawMessage, scopes []string, wanted map[string]*Claim) map[string]json.RawMessage {
	released := map[string]json.RawMessage{}
	put := func(name string) {
		value, ok := known[name]
		if ok && string(value) != "null" && string(value) != `""` {
			released[name] = value
		}
	}
	for _, scope := range scopes {
		for _, name := range OfScope(scope) {
			put(name)
		}
	}
	for name, claim := range wanted {
		if !slices.Contains(protocol(), name) && claim.accepts(known[name]) {
			put(name)
		}
	}
	return released
}

// ErrUserGone is the error for a user who is disabled or deleted.
var ErrUserGone = errors.New("fapi: the user is disabled or deleted")

// Wanted returns the names of the claims that [Release] would release, sorted, and those of them that are requested as
// essential.
func Wanted(scopes []string, wanted map[string]*Claim) (names, essential []string) {
	for _, scope := range scopes {
		names = append(names, OfScope(scope)...)
	}
	for name, claim := range wanted {
		if slices.Contains(protocol(), name) {
			continue
		}
		names = append(names, name)
		if claim != nil && claim.Essential {
			essential = append(essential, name)
		}
	}
	slices.Sort(names)
	slices.Sort(essential)
	return slices.Compact(names), essential
}

// AboutUser reports whether a scope applies only to grants of a user (OpenID Connect Core §5.4, §11).
func AboutUser(scope string) bool {
	return scope == "openid" || scope == "offline_access" || len(OfScope(scope)) > 0
}
