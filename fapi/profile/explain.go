package profile

import (
	"fmt"
	"reflect"
	"strings"

	"countersign/internal/suggest"
)

// Explained is one rule of a profile, and where it comes from.
type Explained struct {
	Rule  string `json:"rule"`
	Value string `json:"value"`
	// Preset is the preset whose rule it is, or empty for the base's own.
	Preset string `json:"preset,omitempty"`
	// Source, Section and Date are those of [Rule]; of a base's own they name its specification.
	Source  string `json:"source"`
	Section string `json:"section,omitempty"`
	Date    string `json:"date"`
}

// text is a specification of a base, and its clauses by rule (builtin.go has them too, with what they say).
type text struct {
	address, date string
	clauses       map[string]string
}

// texts are the specifications of a base, the one that has the last word first.
func texts(base string) []text {
	ciba := text{"https://openid.net/specs/openid-financial-api-ciba-ID1.html", "2019-08-15", map[string]string{
		"backchannel.delivery_modes": "5.2.2-3, -4, -5", "backchannel.signed": "5.2.2-6", "backchannel.max_age": "5.2.2-9",
		"backchannel.max_lifetime": "5.2.2-9",
	}}
	if base == FAPI1Advanced().Name {
		return []text{ciba, {"https://openid.net/specs/openid-financial-api-part-2-1_0.html", "2021-03-12", map[string]string{
			"client_auth_methods": "5.2.2-14", "algorithms": "8.6", "sender_constraints": "5.2.2-5, -6", "response_types": "5.2.2-2",
			"response_modes": "5.2.2-2", "request_objects": "5.2.2-1", "pkce": "5.2.2-18", "require_nonce": "Part 1 5.2.2.2, 5.2.2.3",
			"answers_interaction_id": "Part 1 6.2.1-11", "max_request_object_age": "5.2.2-17", "max_request_object_lifetime": "5.2.2-13",
		}}}
	}
	security := text{"https://openid.net/specs/fapi-security-profile-2_0-final.html", "2025-02-22", map[string]string{
		"client_auth_methods": "5.3.2.1-6", "algorithms": "5.4.1-1.2", "sender_constraints": "5.3.2.1-5", "grant_types": "5.3.2.1-2",
		"response_types": "5.3.2.2-1", "require_pushed": "5.3.2.2-3", "pkce": "5.3.2.2-5", "assertion_audience": "5.3.2.1-8",
		"max_ahead": "5.3.2.1-13", "max_request_uri_lifetime": "5.3.2.2-12", "max_code_lifetime": "5.3.2.1-11",
	}}
	if base == FAPI2Security().Name {
		return []text{ciba, security}
	}
	return []text{ciba, {"https://openid.net/specs/fapi-message-signing-2_0-final.html", "2025-09-23", map[string]string{
		"response_modes": "5.4.1-1", "request_objects": "5.3.1-1", "max_request_object_age": "5.3.1-3", "max_request_object_lifetime": "5.3.1-4",
	}}, security}
}

// ownBound is the section of what no clause has.
const ownBound = "a bound of this server: the text names none"

// clause returns where a base's own rule comes from.
func clause(base, field string) (address, section, date string) {
	all := texts(base)
	for _, each := range all {
		if section, ok := each.clauses[field]; ok {
			return each.address, section, each.date
		}
	}
	last := all[len(all)-1]
	return last.address, ownBound, last.date
}

// Unknown is the error for a name that names no profile.
func Unknown(name string) error {
	return fmt.Errorf("there is no profile %s; %s", name,
		suggest.Hint(name, Names(), "known are "+strings.Join(sorted(BuiltIn()), ", ")+", and those of countersign profile list"))
}

// Explain returns every rule of a profile with its source, in the order of the fields. A field that several rules have shaped is
// listed with each.
func Explain(name string) ([]Explained, error) {
	preset, base, ok := Split(name)
	found, known := Lookup(name)
	if !ok || !known {
		return nil, Unknown(name)
	}
	var rules []Rule
	if preset != "" {
		rules = presets()[preset].RulesOn(base)
	}
	var all []Explained
	fields(reflect.TypeFor[Profile](), "", nil, func(field, _ string, index []int) {
		value := reflect.ValueOf(found).FieldByIndex(index)
		if value.IsZero() {
			return
		}
		line := Explained{Rule: field, Value: show(value)}
		line.Source, line.Section, line.Date = clause(base, field)
		count := len(all)
		for _, rule := range rules {
			if rule.shapes(field) {
				line.Preset, line.Source, line.Section, line.Date = preset, rule.Source, rule.Section, rule.Date
				all = append(all, line)
			}
		}
		if len(all) == count {
			all = append(all, line)
		}
	})
	return all, nil
}

// shapes reports whether the rule, or a member of its table, is one for a field.
func (r Rule) shapes(field string) bool {
	if r.Rule == field {
		return true
	}
	inside, ok := strings.CutPrefix(field, r.Rule+".")
	value := r.Value
	for ok && inside != "" {
		var name string
		name, inside, _ = strings.Cut(inside, ".")
		table, isTable := value.(map[string]any)
		if value, ok = table[name]; !isTable {
			ok = false
		}
	}
	return ok
}

// Difference is a rule that two profiles do not have alike.
type Difference struct {
	Rule string `json:"rule"`
	A    string `json:"a"`
	B    string `json:"b"`
}

// Diff returns the rules in which two profiles differ, in the order of the fields; a rule that one does not have is empty there.
func Diff(a, b string) ([]Difference, error) {
	first, ok := Lookup(a)
	if !ok {
		return nil, Unknown(a)
	}
	second, ok := Lookup(b)
	if !ok {
		return nil, Unknown(b)
	}
	var all []Difference
	for _, rule := range RuleNames() {
		x, _ := first.Value(rule)
		y, _ := second.Value(rule)
		if x != y {
			all = append(all, Difference{rule, x, y})
		}
	}
	return all, nil
}

// Listed is a profile as it is listed.
type Listed struct {
	Name  string `json:"name"`
	Base  string `json:"base"`
	Title string `json:"title"`
	// Rules counts those of the preset on the base.
	Rules int `json:"rules"`
}

// List returns all profiles, the bases first.
func List() []Listed {
	all := []Listed{
		{Name: "fapi1-advanced", Base: "fapi1-advanced", Title: "FAPI 1.0 Security Profile, Part 2: Advanced, Final"},
		{Name: "fapi2-message-signing", Base: "fapi2-message-signing", Title: "FAPI 2.0 Message Signing, Final"},
		{Name: "fapi2-security", Base: "fapi2-security", Title: "FAPI 2.0 Security Profile, Final"},
	}
	for _, preset := range Presets() {
		for _, base := range preset.Bases {
			all = append(all, Listed{Name: preset.nameOn(base), Base: base, Title: preset.Title, Rules: len(preset.RulesOn(base))})
		}
	}
	return all
}
