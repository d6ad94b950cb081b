package claimsource

import (
	"bytes"
	"encoding/json"
	"slices"

	"countersign/fapi/claims"
	"countersign/fapi/rar/display"
	"countersign/internal/strictjson"
)

// read reads an answer about a subject: what was asked for is checked and taken, whatever else there is is left. Errors are
// [claims.ErrWrongSubject] or *[Error].
func read(raw []byte, subject string, names []string) (claims.Answer, error) {
	var members map[string]json.RawMessage
	if strictjson.DecodeObject(raw, &members) != nil {
		return claims.Answer{}, &Error{Reason: "its answer is not a JSON object as the contract has it"}
	}
	var about string
	if strictjson.Decode(members["sub"], &about) != nil || about == "" {
		return claims.Answer{}, &Error{Reason: "its answer does not say by sub whom it is about"}
	}
	if about != subject {
		return claims.Answer{}, claims.ErrWrongSubject
	}
	if raw, said := members["active"]; said {
		var active *bool
		if strictjson.Decode(raw, &active) != nil || active == nil {
			return claims.Answer{}, &Error{Reason: "active in its answer is not true or false"}
		}
		if !*active {
			return claims.Answer{Inactive: true}, nil
		}
	}
	taken := map[string]json.RawMessage{}
	for _, name := range names {
		value, given := members[name]
		if !given || string(value) == "null" || string(value) == `""` { // OpenID Connect Core §5.3.2
			continue
		}
		if err := claims.Check(name, value); err != nil {
			return claims.Answer{}, &Error{Reason: "the claim " + err.Error()}
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return claims.Answer{}, &Error{Reason: "its answer is not a JSON object as the contract has it"}
		}
		taken[name] = compact.Bytes()
	}
	return claims.Answer{Claims: taken}, nil
}

// readAccounts reads the accounts in an answer, which has the member where they were asked for: that a source does not know it does not
// mean that the user has none. Those for other types are left.
func readAccounts(raw []byte, types []string) ([]display.Offered, error) {
	var said struct {
		Accounts *[]display.Offered `json:"accounts"`
	}
	if err := strictjson.Decode(raw, &said); err != nil || said.Accounts == nil {
		return nil, &Error{Reason: "its answer has no list of accounts as the contract has it"}
	}
	return slices.DeleteFunc(*said.Accounts, func(account display.Offered) bool { return !slices.Contains(types, account.Type) }), nil
}
