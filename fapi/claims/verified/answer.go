package verified

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"countersign/internal/strictjson"
)

// Known is one element of what is known about a user: claims that were verified in one way.
type Known struct {
	Verification json.RawMessage            `json:"verification"`
	Claims       map[string]json.RawMessage `json:"claims"`
}

// ParseKnown reads what is known about a user, an object or an array of several, each with verification and claims; the
// verification has its trust_framework.
func ParseKnown(raw json.RawMessage) ([]Known, error) {
	if err := strictjson.Check(raw); err != nil {
		return nil, err
	}
	elements := []json.RawMessage{raw}
	if raw[0] == '[' {
		if err := strictjson.Decode(raw, &elements); err != nil {
			return nil, err
		}
	}
	var all []Known
	for _, element := range elements {
		var known Known
		var verification struct {
			TrustFramework string `json:"trust_framework"`
		}
		if strictjson.DecodeObject(element, &known) != nil || len(known.Claims) == 0 ||
			strictjson.DecodeObject(known.Verification, &verification) != nil || verification.TrustFramework == "" {
			return nil, fmt.Errorf("is not verification, with its trust_framework, and claims")
		}
		all = append(all, known)
	}
	return all, nil
}

// Answer returns what is answered at a time: for each request what is known by the trust frameworks of the rule and matches it. It
// is an object, an array where there is more than one, and nil where nothing matches.
func Answer(requests []Request, known []Known, rule Rule, now time.Time) json.RawMessage {
	var answers []json.RawMessage
	for _, request := range requests {
		for _, each := range known {
			answer := request.answer(each, rule, now)
			if answer != nil && !slices.ContainsFunc(answers, func(one json.RawMessage) bool { return bytes.Equal(one, answer) }) {
				answers = append(answers, answer)
			}
		}
	}
	switch len(answers) {
	case 0:
		return nil
	case 1:
		return answers[0]
	}
	all, err := json.Marshal(answers)
	if err != nil { // of no JSON that was made here
		return nil
	}
	return all
}

// answer is the answer to one request from one element; nil where that does not match.
func (r Request) answer(known Known, rule Rule, now time.Time) json.RawMessage {
	var verification struct {
		TrustFramework string `json:"trust_framework"`
	}
	if json.Unmarshal(known.Verification, &verification) != nil || !slices.Contains(rule.TrustFrameworks, verification.TrustFramework) {
		return nil
	}
	part, fits := match(r.Verification, known.Verification, now)
	if !fits || part == nil {
		return nil
	}
	claims := map[string]json.RawMessage{}
	for name, wanted := range r.Claims {
		value, has := known.Claims[name]
		if !has || string(value) == "null" || !slices.Contains(rule.Claims, name) {
			continue
		}
		if wanted == nil || one(value, wanted.Value, wanted.Values) {
			claims[name] = value
		}
	}
	if len(claims) == 0 {
		return nil
	}
	answer, err := json.Marshal(Known{Verification: part, Claims: claims})
	if err != nil {
		return nil
	}
	return answer
}

// constraint are the members of a request that say which values match, and are no names of elements.
type constraint struct {
	Value  json.RawMessage   `json:"value"`
	Values []json.RawMessage `json:"values"`
	MaxAge *float64          `json:"max_age"`
}

// match returns the part of what is known that a template asks for, nil for what is not there; and whether what is known matches
// the template's values. A template is null for a whole element, an object with constraints for a value, an object of templates
// for an object, or an array of templates, of which one has to match, for the elements of an array.
func match(template, known json.RawMessage, now time.Time) (json.RawMessage, bool) {
	template, known = bytes.TrimSpace(template), bytes.TrimSpace(known)
	if len(template) == 0 || string(template) == "null" {
		return known, true
	}
	switch {
	case template[0] == '[':
		return matchArray(template, known, now)
	case template[0] != '{':
		return nil, false // a request that cannot be understood must not be answered with more than it asks for
	}
	if len(known) > 0 && known[0] == '{' {
		return matchObject(template, known, now)
	}
	var asked constraint
	if json.Unmarshal(template, &asked) != nil {
		return nil, false
	}
	if len(known) == 0 || string(known) == "null" {
		return nil, !constrains(template)
	}
	if !one(known, asked.Value, asked.Values) || asked.MaxAge != nil && !young(known, *asked.MaxAge, now) {
		return nil, false
	}
	return known, true
}

// constrains reports whether a template has values that something must match, at any depth.
func constrains(template json.RawMessage) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(template, &members) != nil {
		var elements []json.RawMessage
		return json.Unmarshal(template, &elements) == nil && slices.ContainsFunc(elements, constrains)
	}
	for name, member := range members {
		if name == "value" || name == "values" || name == "max_age" || constrains(member) {
			return true
		}
	}
	return false
}

func matchObject(template, known json.RawMessage, now time.Time) (json.RawMessage, bool) {
	var asked, has map[string]json.RawMessage
	if json.Unmarshal(template, &asked) != nil || json.Unmarshal(known, &has) != nil {
		return nil, false
	}
	delete(asked, "essential")
	delete(asked, "purpose")
	if len(asked) == 0 { // asks like null
		return known, true
	}
	part := map[string]json.RawMessage{}
	for name, each := range asked {
		value, fits := match(each, has[name], now)
		if !fits {
			return nil, false
		}
		if len(value) > 0 {
			part[name] = value
		}
	}
	if len(part) == 0 {
		return nil, true
	}
	answer, err := json.Marshal(part)
	return answer, err == nil
}

// matchArray returns the elements that match one of the templates, each as the first that it matches asks for it.
func matchArray(template, known json.RawMessage, now time.Time) (json.RawMessage, bool) {
	var asked, has []json.RawMessage
	if json.Unmarshal(template, &asked) != nil || len(known) == 0 || json.Unmarshal(known, &has) != nil {
		return nil, false
	}
	var kept []json.RawMessage
	for _, element := range has {
		for _, each := range asked {
			if value, fits := match(each, element, now); fits && len(value) > 0 {
				kept = append(kept, value)
				break
			}
		}
	}
	if len(kept) == 0 {
		return nil, false
	}
	answer, err := json.Marshal(kept)
	return answer, err == nil
}

// one reports whether a value is one of those that are asked for; any is where none is.
func one(value, wanted json.RawMessage, values []json.RawMessage) bool {
	if len(wanted) == 0 && values == nil {
		return true
	}
	for _, each := range append(slices.Clone(values), wanted) {
		if len(each) > 0 && Same(each, value) {
			return true
		}
	}
	return false
}

// Same reports whether two JSON values are the same, however they are written; numbers count by how they are written.
func Same(a, b json.RawMessage) bool {
	var one, other bytes.Buffer
	if json.Compact(&one, a) != nil || json.Compact(&other, b) != nil {
		return false
	}
	if bytes.Equal(one.Bytes(), other.Bytes()) {
		return true
	}
	return slices.Equal(canonical(a), canonical(b))
}

// canonical writes a value with the members of objects sorted and texts in one way.
func canonical(raw json.RawMessage) []byte {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return raw
	}
	written, err := json.Marshal(value)
	if err != nil {
		return raw
	}
	return written
}

// young reports whether a date or a time is at most some seconds ago, counted from the last second of a date.
func young(raw json.RawMessage, seconds float64, now time.Time) bool {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return false
	}
	moment, err := time.Parse("2006-01-02T15:04Z07:00", text)
	if err != nil {
		moment, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		if moment, err = time.Parse(time.DateOnly, text); err != nil {
			return false
		}
		moment = moment.AddDate(0, 0, 1).Add(-time.Second)
	}
	return now.Sub(moment).Seconds() <= seconds
}
