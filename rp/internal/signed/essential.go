package signed

import (
	"encoding/json"
	"reflect"
	"slices"
)

// Essential reads from a claims parameter the claims of an ID token that were asked for as essential with one of some values (OpenID Connect Core
// §5.5.1); nil if there are none. What is malformed asks for nothing: the provider is who refuses it.
func Essential(claims any) map[string][]json.RawMessage {
	if claims == nil {
		return nil
	}
	encoded, err := json.Marshal(claims)
	if err != nil {
		return nil
	}
	var asked struct {
		IDToken map[string]*struct {
			Essential bool              `json:"essential"`
			Value     json.RawMessage   `json:"value"`
			Values    []json.RawMessage `json:"values"`
		} `json:"id_token"`
	}
	if err := json.Unmarshal(encoded, &asked); err != nil {
		return nil
	}
	var essential map[string][]json.RawMessage
	for name, claim := range asked.IDToken {
		if claim == nil || !claim.Essential {
			continue
		}
		values := slices.Clone(claim.Values)
		if claim.Value != nil {
			values = append(values, claim.Value)
		}
		if len(values) == 0 {
			continue
		}
		if essential == nil {
			essential = map[string][]json.RawMessage{}
		}
		essential[name] = values
	}
	return essential
}

// checkEssential compares the claims that were asked for as essential with a value. The token of the front channel may leave them to that of the token
// endpoint.
func checkEssential(payload json.RawMessage, expected Expected) error {
	if len(expected.Essential) == 0 {
		return nil
	}
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(payload, &claims); err != nil {
		return refuse("malformed", "%v", err)
	}
	for name, values := range expected.Essential {
		got, there := claims[name]
		if !there && expected.FrontChannel {
			continue
		}
		if !slices.ContainsFunc(values, func(value json.RawMessage) bool { return sameJSON(got, value) }) {
			return refuse(name, "it is not what was asked for as essential (OpenID Connect Core §5.5.1)")
		}
	}
	return nil
}

// sameJSON reports whether two values are the same, however they are written.
func sameJSON(x, y json.RawMessage) bool {
	var a, b any
	return json.Unmarshal(x, &a) == nil && json.Unmarshal(y, &b) == nil && reflect.DeepEqual(a, b)
}
