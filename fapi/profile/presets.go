package profile

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"
)

//go:embed presets/*.toml
var files embed.FS

// Preset is what an ecosystem asks beyond a base profile, as data: presets/NAME.toml.
type Preset struct {
	// Name is what it is configured by, Title what people call it.
	Name  string `toml:"-"`
	Title string `toml:"title"`
	// Bases are the names of the built-in profiles that it can be on; the first is the default.
	Bases []string `toml:"bases"`
	// Notes say what of the ecosystem is not a rule here.
	Notes []string `toml:"notes"`
	Rules []Rule   `toml:"rules"`
}

// Rule is one rule of a preset.
type Rule struct {
	// Rule is the name of a field ([RuleNames]) or of a table of fields, Value what the field is tightened with.
	Rule  string `toml:"rule" json:"rule"`
	Value any    `toml:"value" json:"value"`
	// Source is the address of the text that asks for it and Section the place there; Date is that of the text's version,
	// or when one without a date was read (YYYY-MM-DD).
	Source  string `toml:"source" json:"source"`
	Section string `toml:"section" json:"section,omitempty"`
	Date    string `toml:"date" json:"date"`
	// Only are the bases for which it is a rule; empty: all of the preset.
	Only []string `toml:"only" json:"only,omitempty"`
}

// presets are those of the files, read once. Only a broken build has a wrong one: tests load each.
var presets = sync.OnceValue(func() map[string]Preset {
	entries, err := files.ReadDir("presets")
	if err != nil {
		panic(err)
	}
	all := map[string]Preset{}
	for _, entry := range entries {
		raw, err := files.ReadFile("presets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		preset, err := ParsePreset(strings.TrimSuffix(entry.Name(), ".toml"), raw)
		if err != nil {
			panic(err)
		}
		all[preset.Name] = preset
	}
	return all
})

// Presets returns the presets, sorted by name. They are not to be changed.
func Presets() []Preset {
	all := presets()
	var list []Preset
	for _, name := range sorted(all) {
		list = append(list, all[name])
	}
	return list
}

// ParsePreset reads a preset. The error lists all problems: unknown rules and members, rules without a source or a date,
// and those that would widen one of the bases.
func ParsePreset(name string, raw []byte) (Preset, error) {
	preset := Preset{Name: name}
	decoder := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields()
	if err := decoder.Decode(&preset); err != nil {
		if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			key := strings.Join(unknown.Errors[0].Key(), ".")
			return Preset{}, fmt.Errorf("preset %s: there is no key %s", name, key)
		}
		return Preset{}, fmt.Errorf("preset %s: %w", name, err)
	}
	var problems []error
	if preset.Title == "" || len(preset.Bases) == 0 {
		problems = append(problems, errors.New("title and bases are needed"))
	}
	for i, rule := range preset.Rules {
		if err := rule.check(preset.Bases); err != nil {
			problems = append(problems, fmt.Errorf("rule %d (%s): %w", i+1, rule.Rule, err))
		}
	}
	for _, base := range preset.Bases {
		known, ok := BuiltIn()[base]
		if !ok {
			problems = append(problems, fmt.Errorf("there is no base %s", base))
			continue
		}
		if _, err := preset.on(known); err != nil {
			problems = append(problems, fmt.Errorf("on %s: %w", base, err))
		}
	}
	if len(problems) > 0 {
		return Preset{}, fmt.Errorf("preset %s: %w", name, errors.Join(problems...))
	}
	return preset, nil
}

func (r Rule) check(bases []string) error {
	if u, err := url.Parse(r.Source); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("source: %q is not an https address", r.Source)
	}
	if r.Section == "" {
		return errors.New("section: missing; say where in the text it is")
	}
	if _, err := time.Parse(time.DateOnly, r.Date); err != nil {
		return fmt.Errorf("date: %w", err)
	}
	for _, base := range r.Only {
		if !slices.Contains(bases, base) {
			return fmt.Errorf("only: %s is not a base of the preset", base)
		}
	}
	return nil
}

// on returns the base with the preset's rules.
func (p Preset) on(base Profile) (Profile, error) {
	var problems []error
	for _, rule := range p.RulesOn(base.Name) {
		if err := base.tighten(rule.Rule, rule.Value); err != nil {
			problems = append(problems, err)
		}
	}
	problems = append(problems, base.contradictions()...)
	base.Name = p.nameOn(base.Name)
	return base, errors.Join(problems...)
}

// contradictions are what no single rule shows: a minimum above its maximum, algorithms that the profile does not have; and patterns
// that are none.
func (p Profile) contradictions() []error {
	var problems []error
	for _, each := range []struct {
		name     string
		min, max time.Duration
	}{
		{"request_uri_lifetime", p.MinRequestURILifetime, p.MaxRequestURILifetime},
		{"access_token_lifetime", p.MinAccessTokenLifetime, p.MaxAccessTokenLifetime},
		{"id_token_lifetime", p.MinIDTokenLifetime, p.MaxIDTokenLifetime},
		{"backchannel.id_token_lifetime", p.Backchannel.MinIDTokenLifetime, p.Backchannel.MaxIDTokenLifetime},
	} {
		if each.max > 0 && each.min > each.max {
			problems = append(problems, fmt.Errorf("%s: the minimum is above the maximum", each.name))
		}
	}
	for name, list := range map[string][]string{
		"id_token_algorithms": p.IDTokenAlgorithms, "request_object_algorithms": p.RequestObjectAlgorithms,
		"registration.algorithms": p.Registration.Algorithms,
	} {
		for _, algorithm := range list {
			if !slices.Contains(p.Algorithms, algorithm) {
				problems = append(problems, fmt.Errorf("%s: %q would widen the profile, which has %s",
					name, algorithm, strings.Join(p.Algorithms, " ")))
			}
		}
	}
	for _, pattern := range p.patterns() {
		if _, err := regexp.Compile(pattern); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// RulesOn returns the rules that the preset has on a base, in the order of the file.
func (p Preset) RulesOn(base string) []Rule {
	var rules []Rule
	for _, rule := range p.Rules {
		if len(rule.Only) == 0 || slices.Contains(rule.Only, base) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// nameOn is the name of the preset on a base: without the base if it is the default.
func (p Preset) nameOn(base string) string {
	if base == p.Bases[0] {
		return p.Name
	}
	return p.Name + "/" + base
}

// Split takes a profile's name apart: a base alone, or a preset with the base that it is on.
func Split(name string) (preset, base string, ok bool) {
	if _, ok := BuiltIn()[name]; ok {
		return "", name, true
	}
	preset, base, explicit := strings.Cut(name, "/")
	known, ok := presets()[preset]
	switch {
	case !ok:
		return "", "", false
	case !explicit:
		return preset, known.Bases[0], true
	}
	return preset, base, slices.Contains(known.Bases, base)
}

// Lookup returns a profile by its name: BASE, PRESET (on its default base) or PRESET/BASE. The slices and maps are the
// caller's to read only.
func Lookup(name string) (Profile, bool) {
	found, ok := byName()[name]
	return found, ok
}

// Offers reports whether a profile is among offered ones, whatever form either name has: PRESET is PRESET on its default base.
func Offers(offered []string, name string) bool {
	wanted, ok := Lookup(name)
	return ok && slices.ContainsFunc(offered, func(each string) bool {
		known, ok := Lookup(each)
		return ok && known.Name == wanted.Name
	})
}

// byName are all profiles, by each of their names.
var byName = sync.OnceValue(func() map[string]Profile {
	all := BuiltIn()
	for name, preset := range presets() {
		for _, base := range preset.Bases {
			found, err := preset.on(BuiltIn()[base])
			if err != nil { // ParsePreset tried it
				panic(err)
			}
			all[name+"/"+base], all[found.Name] = found, found
		}
	}
	return all
})

// Bases returns the names of the built-in profiles, sorted.
func Bases() []string { return sorted(BuiltIn()) }

// Names returns the names of all profiles, sorted; a preset on its default base has its short name.
func Names() []string {
	names := sorted(BuiltIn())
	for name, preset := range presets() {
		names = append(names, name)
		for _, base := range preset.Bases[1:] {
			names = append(names, name+"/"+base)
		}
	}
	slices.Sort(names)
	return names
}
