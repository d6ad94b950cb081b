package profile_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/profile"
)

// Covers: LP-03, LP-09. Every rule of every profile is explained, with an https address, a place there and a date; those that a
// preset has shaped by the preset.
func TestLP09Explain(t *testing.T) {
	for _, name := range profile.Names() {
		t.Run("accepts "+name, func(t *testing.T) {
			rules, err := profile.Explain(name)
			if err != nil {
				t.Fatal(err)
			}
			known, _ := profile.Lookup(name)
			explained := map[string]profile.Explained{}
			for _, rule := range rules {
				explained[rule.Rule] = rule
				if u, err := url.Parse(rule.Source); err != nil || u.Scheme != "https" || u.Host == "" || rule.Section == "" {
					t.Errorf("%s has the source %q %q", rule.Rule, rule.Source, rule.Section)
				}
				if at, err := time.Parse(time.DateOnly, rule.Date); err != nil || at.Year() < 2018 {
					t.Errorf("%s has the date %q", rule.Rule, rule.Date)
				}
			}
			preset, base, _ := profile.Split(name)
			was, _ := profile.Lookup(base)
			for _, rule := range profile.RuleNames() {
				is, _ := known.Value(rule)
				before, _ := was.Value(rule)
				if line := explained[rule]; line.Value != is || is != before && line.Preset != preset || is != before && preset == "" {
					t.Errorf("%s is %q (%q on the base), and explained as %+v", rule, is, before, line)
				}
			}
		})
	}
	for _, name := range []string{"uk-openbankin", "uk-openbanking/fapi1", ""} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := profile.Explain(name); err == nil || !strings.Contains(err.Error(), "there is no profile "+name) {
				t.Error(err)
			}
			if _, err := profile.Diff("fapi1-advanced", name); err == nil {
				t.Error("compared")
			}
			if _, err := profile.Diff(name, "fapi1-advanced"); err == nil {
				t.Error("compared")
			}
		})
	}
	differences, err := profile.Diff("fapi1-advanced", "nz")
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, each := range differences {
		rules = append(rules, each.Rule)
	}
	want := []string{
		"client_auth_methods", "acr_names", "scopes", "claims", "consent.by", "consent.claim", "consent.required", "consent.scopes",
	}
	if !slices.Equal(rules, want) {
		t.Errorf("%q", rules)
	}
	if same, err := profile.Diff("nz", "nz"); err != nil || len(same) > 0 {
		t.Errorf("%v, %v", same, err)
	}
	var listed []string
	for _, each := range profile.List() {
		listed = append(listed, each.Name)
	}
	if slices.Sort(listed); !slices.Equal(listed, profile.Names()) {
		t.Errorf("listed are %q", listed)
	}
}
