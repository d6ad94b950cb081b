// Package claim compares claims.
package claim

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Includes reports whether a claim is an array, or words with spaces between, that has all of the values.
func Includes(value any, wanted []any) bool {
	var has []any
	switch value := value.(type) {
	case []any:
		has = value
	case string:
		for _, word := range strings.Fields(value) {
			has = append(has, word)
		}
	}
	for _, each := range wanted {
		if !slices.ContainsFunc(has, func(one any) bool { return Equal(one, each) }) {
			return false
		}
	}
	return true
}

// Equal reports whether two values are the same JSON; the order of members does not count.
func Equal(a, b any) bool {
	first, err := json.Marshal(a)
	if err != nil {
		return false
	}
	second, err := json.Marshal(b)
	if err != nil {
		return false
	}
	return bytes.Equal(canonical(first), canonical(second))
}

// canonical is JSON with its members in order.
func canonical(raw []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return raw
	}
	ordered, err := json.Marshal(value)
	if err != nil {
		return raw
	}
	return ordered
}
