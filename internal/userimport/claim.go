package userimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"countersign/fapi/claims"
)

// Claim checks the JSON value of a claim about a user: see [claims.Check].
func Claim(name string, value json.RawMessage) error { return claims.Check(name, value) }

// FromText makes the value of a claim of a text, as a flag or a cell of a table has it. No error repeats the text.
func FromText(name, text string) (json.RawMessage, error) {
	switch name {
	case "address":
		return nil, errors.New("address is an object and fits into no text; give it in JSON")
	case "email_verified", "phone_number_verified":
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("%s is not true or false", name)
		}
		return json.RawMessage(text), nil
	case "updated_at":
		seconds, err := strconv.ParseUint(text, 10, 48)
		if err != nil {
			return nil, fmt.Errorf("%s is not a number of seconds", name)
		}
		return json.RawMessage(strconv.FormatUint(seconds, 10)), nil
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%s is not UTF-8", name)
	}
	value, err := json.Marshal(text)
	if err != nil {
		return nil, err
	}
	return value, Claim(name, value)
}

// ClaimsOf returns the names of claims in the order in which OpenID Connect Core has them, and others after them.
func ClaimsOf(all map[string]json.RawMessage) []string {
	var ordered []string
	for _, name := range claims.Known() {
		if _, has := all[name]; has {
			ordered = append(ordered, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(ordered, name) {
			ordered = append(ordered, name)
		}
	}
	return ordered
}
