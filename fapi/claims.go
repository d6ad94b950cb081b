package fapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/store"
)

// claimsOf lists the claims that each scope stands for (OpenID Connect Core §5.4).
func claimsOf(scope string) []string {
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

// personClaims are all claims about a person that can be asked for by name.
func personClaims() []string {
	var names []string
	for _, scope := range []string{"profile", "email", "phone", "address"} {
		names = append(names, claimsOf(scope)...)
	}
	return names
}

// maxClaimsRequest bounds the claims parameter, in bytes.
const maxClaimsRequest = 16 << 10

// claimsRequest is the claims parameter (OpenID Connect Core §5.5). Claims that are not known are left out.
type claimsRequest struct {
	UserInfo map[string]*claimRequest `json:"userinfo,omitempty"`
	IDToken  map[string]*claimRequest `json:"id_token,omitempty"`
}

// claimRequest says how one claim is wanted (§5.5.1); nil means voluntarily, with any value.
type claimRequest struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
}

// readClaims reads the claims parameter. It needs openid in the scope: without it no ID token is made and no UserInfo
// answered.
func (s *Server) readClaims(_ *Client, form oauth.Form, request *authorizationRequest) error {
	raw := form.Get("claims")
	if raw == "" || !slices.Contains(request.Scopes, "openid") {
		return nil
	}
	if len(raw) > maxClaimsRequest {
		return oauth.Errorf(oauth.InvalidRequest, "the claims parameter is longer than %d bytes", maxClaimsRequest)
	}
	wanted := &claimsRequest{}
	if err := jose.DecodeStrict([]byte(raw), wanted); err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "the claims parameter is not correct JSON of OpenID Connect Core §5.5").Because(err)
	}
	known := append(personClaims(), "acr", "auth_time", "sub")
	for _, member := range []map[string]*claimRequest{wanted.UserInfo, wanted.IDToken} {
		maps.DeleteFunc(member, func(name string, _ *claimRequest) bool { return !slices.Contains(known, name) })
		for _, claim := range member {
			if claim != nil && len(claim.Values) > maxACRs {
				return oauth.Errorf(oauth.InvalidRequest, "a claim of the claims parameter has more than %d values", maxACRs)
			}
		}
	}
	request.Claims = wanted
	return nil
}

// names are the claims about the person that are asked for, sorted.
func (r *claimsRequest) names() []string {
	if r == nil {
		return nil
	}
	var names []string
	for _, name := range personClaims() {
		_, byUserInfo := r.UserInfo[name]
		_, byIDToken := r.IDToken[name]
		if byUserInfo || byIDToken {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// acr gives the acr values asked for in the ID token, and whether reaching one of them is essential.
func (r *claimsRequest) acr() (values []string, essential bool) {
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

// subject is the sub that is asked for by value (§5.5.1), or "".
func (r *claimsRequest) subject() string {
	if r == nil {
		return ""
	}
	for _, member := range []map[string]*claimRequest{r.IDToken, r.UserInfo} {
		var value string
		if claim := member["sub"]; claim != nil && len(claim.Value) > 0 && json.Unmarshal(claim.Value, &value) == nil {
			return value
		}
	}
	return ""
}

// accepts tells whether a claim's value is one that was asked for.
func (r *claimRequest) accepts(value json.RawMessage) bool {
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

// release picks from what is known about a person the claims that scopes stand for and those asked for by name. A
// claim without a value is left out (§5.3.2).
func release(known map[string]json.RawMessage, scopes []string, wanted map[string]*claimRequest) map[string]json.RawMessage {
	released := map[string]json.RawMessage{}
	put := func(name string) {
		value, ok := known[name]
		if ok && string(value) != "null" && string(value) != `""` {
			released[name] = value
		}
	}
	for _, scope := range scopes {
		for _, name := range claimsOf(scope) {
			put(name)
		}
	}
	names := personClaims()
	for name, claim := range wanted {
		if slices.Contains(names, name) && claim.accepts(known[name]) {
			put(name)
		}
	}
	return released
}

// person reads what is known about a person; errGone for one who is disabled or no longer there.
func (s *Server) person(ctx context.Context, subject string) (map[string]json.RawMessage, error) {
	user, err := s.store.User(ctx, subject)
	if errors.Is(err, store.ErrNotFound) || err == nil && user.Disabled {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	known := map[string]json.RawMessage{}
	if len(user.Claims) > 0 {
		if err := json.Unmarshal(user.Claims, &known); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// errGone is a person, or a client, that is disabled or no longer there.
var errGone = errors.New("fapi: the person or the client is disabled or gone")
