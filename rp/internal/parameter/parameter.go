// Package parameter holds the parameters of a request to a provider, which are written as a form or as the claims of a request object.
package parameter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Set is the parameters of a request, by their names.
type Set map[string]parameter

// parameter is one, as it is written in a form and as a claim.
type parameter struct {
	texts []string
	claim any
}

// Error is a parameter that cannot be sent.
type Error struct {
	Name   string
	Reason string
}

// Error has both.
func (e *Error) Error() string { return e.Name + ": " + e.Reason }

// Text adds a parameter; an empty one is left out.
func (s Set) Text(name, text string) {
	if text != "" {
		s[name] = parameter{[]string{text}, text}
	}
}

// Texts adds parameters; empty ones are left out.
func (s Set) Texts(texts map[string]string) {
	for name, text := range texts {
		s.Text(name, text)
	}
}

// Words adds a list that is separated by spaces; an empty one is left out.
func (s Set) Words(name string, words []string) { s.Text(name, strings.Join(words, " ")) }

// Number adds a number, which is one in a request object.
func (s Set) Number(name string, number int64) {
	s[name] = parameter{[]string{strconv.FormatInt(number, 10)}, number}
}

// Several adds a parameter that may come several times.
func (s Set) Several(name string, values []string) {
	if len(values) > 0 {
		s[name] = parameter{slices.Clone(values), slices.Clone(values)}
	}
}

// JSON adds a parameter that is JSON; nil is left out. Errors are an [*Error].
func (s Set) JSON(name string, value any) error {
	if value == nil {
		return nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return &Error{name, fmt.Sprintf("it cannot be written as JSON: %v", err)}
	}
	s[name] = parameter{[]string{string(raw)}, json.RawMessage(raw)}
	return nil
}

// Details adds authorization_details, an array; another value becomes its only element, and nil is left out. Errors are an [*Error].
func (s Set) Details(value any) error {
	const name = "authorization_details"
	if err := s.JSON(name, value); err != nil {
		return err
	}
	if own, ok := s[name]; ok && !strings.HasPrefix(own.texts[0], "[") {
		return s.JSON(name, []any{json.RawMessage(own.texts[0])})
	}
	return nil
}

// reserved are never the caller's to add.
var reserved = [...]string{
	"request", "request_uri", "client_id", "client_secret", "client_assertion", "client_assertion_type", "state", "nonce", "code_verifier", "grant_type",
}

// Extra adds the caller's own, each with one value. Those that the package sends itself are refused with an [*Error].
func (s Set) Extra(extra url.Values) error {
	for name, values := range extra {
		if _, known := s[name]; known || slices.Contains(reserved[:], name) {
			return &Error{name, "it is not the caller's to set"}
		}
		if len(values) != 1 {
			return &Error{name, "it needs one value"}
		}
		s.Text(name, values[0])
	}
	return nil
}

// Common adds what most requests may have. Errors are an [*Error].
func (s Set) Common(details any, resources []string, extra url.Values) error {
	s.Several("resource", resources) // RFC 8707 §2
	return errors.Join(s.Details(details), s.Extra(extra))
}

// Form writes them as a form.
func (s Set) Form() url.Values {
	form := url.Values{}
	for name, one := range s {
		form[name] = slices.Clone(one.texts)
	}
	return form
}

// Claims writes them as claims.
func (s Set) Claims() map[string]any {
	claims := map[string]any{}
	for name, one := range s {
		claims[name] = one.claim
	}
	return claims
}
