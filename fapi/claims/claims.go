// Package claims reads the claims parameter and releases claims about users (OpenID Connect Core §5).
package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

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
}

// Claim is how one claim is requested (§5.5.1); nil is a voluntary claim with any value.
type Claim struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
}

// Parse reads the claims parameter. Errors are *[oauth.Error] with invalid_request.
func Parse(raw string) (*Request, error) {
	if len(raw) > maxRequest {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the claims parameter is longer than %d bytes", maxRequest)
	}
	wanted := &Request{}
	if err := strictjson.Decode([]byte(raw), wanted); err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"the claims parameter is not correct JSON of OpenID Connect Core §5.5").Because(err)
	}
	known := append(Names(), "acr", "auth_time", "sub")
	for _, member := range []map[string]*Claim{wanted.UserInfo, wanted.IDToken} {
		maps.DeleteFunc(member, func(name string, _ *Claim) bool { return !slices.Contains(known, name) })
		for _, claim := range member {
			if claim != nil && len(claim.Values) > maxValues {
				return nil, oauth.Errorf(oauth.InvalidRequest, "a claim of the claims parameter has more than %d values", maxValues)
			}
		}
	}
	return wanted, nil
}

// Names returns the requested claims about the user, sorted.
func (r *Request) Names() []string {
	if r == nil {
		return nil
	}
	var names []string
	for _, name := range Names() {
		_, byUserInfo := r.UserInfo[name]
		_, byIDToken := r.IDToken[name]
		if byUserInfo || byIDToken {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Within returns the request without the claims about the user that no scope of a client includes: what the client may
// not request by scope it may not request by name either. Others, such as acr, remain.
func (r *Request) Within(scopes []string) *Request {
	if r == nil {
		return nil
	}
	return &Request{UserInfo: within(r.UserInfo, scopes), IDToken: within(r.IDToken, scopes)}
}

func within(wanted map[string]*Claim, scopes []string) map[string]*Claim {
	var allowed []string
	for _, scope := range scopes {
		allowed = append(allowed, OfScope(scope)...)
	}
	kept, known := maps.Clone(wanted), Names()
	maps.DeleteFunc(kept, func(name string, _ *Claim) bool {
		return slices.Contains(known, name) && !slices.Contains(allowed, name)
	})
	return kept
}

// Without returns the request without the claims about the user of which left says so; what else it holds stays.
func (r *Request) Without(left func(name string) bool) *Request {
	if r == nil {
		return nil
	}
	known := Names()
	kept := func(wanted map[string]*Claim) map[string]*Claim {
		wanted = maps.Clone(wanted)
		maps.DeleteFunc(wanted, func(name string, _ *Claim) bool { return slices.Contains(known, name) && left(name) })
		return wanted
	}
	return &Request{UserInfo: kept(r.UserInfo), IDToken: kept(r.IDToken)}
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

// accepts reports whether a claim's value is one that was requested.
func (r *Claim) accepts(value json.RawMessage) bool {
	if r == nil || len(r.Value) == 0 && len(r.Values) == 0 {
		return true
	}
	for _, wanted := range append(slices.Clone(r.Values), r.Value) {
		if len(wanted) > 0 && bytes.Equal(wanted, value) {
			return true
		}
	}
	return false
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
	names := Names()
	for name, claim := range wanted {
		if slices.Contains(names, name) && claim.accepts(known[name]) {
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
	known := Names()
	for name, claim := range wanted {
		if !slices.Contains(known, name) {
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
