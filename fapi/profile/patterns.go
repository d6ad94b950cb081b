package profile

import (
	"regexp"
	"sync"
)

// patterns returns the regular expressions of the rules, each for the whole of a text.
func (p Profile) patterns() []string {
	all := []string{p.Purpose.Pattern, p.Backchannel.BindingMessage.Pattern}
	for _, rule := range p.Scopes {
		all = append(all, rule.Parameter)
	}
	for _, rule := range p.Claims {
		all = append(all, rule.Pattern)
	}
	for _, rule := range p.Backchannel.Hints {
		all = append(all, rule.Pattern)
	}
	return all
}

// compiled are the patterns of all presets, compiled once.
var compiled = sync.OnceValue(func() map[string]*regexp.Regexp {
	all := map[string]*regexp.Regexp{}
	for _, each := range byName() {
		for _, text := range each.patterns() {
			if pattern, err := whole(text); err == nil { // ParsePreset compiled it
				all[text] = pattern
			}
		}
	}
	return all
})

// whole compiles a pattern for the whole of a text.
func whole(pattern string) (*regexp.Regexp, error) { return regexp.Compile("^(?:" + pattern + ")$") }

// MatchesWhole reports whether the whole of a text matches a pattern of a rule (RE2); an empty pattern is matched by any.
func MatchesWhole(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	of, ok := compiled()[pattern]
	if !ok {
		var err error
		if of, err = whole(pattern); err != nil {
			return false
		}
	}
	return of.MatchString(text)
}
