package profile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// values are what the property below makes values of: some that profiles have, and some that they have not.
func values(t *rapid.T, kind reflect.Type) any {
	texts := []string{
		"PS256", "ES256", "EdDSA", "RS256", PrivateKeyJWT, TLSClientAuth, "client_secret_basic", "dpop", "mtls", "bearer", "code", "code id_token",
		"token", "query", "jwt", "fragment", AuthorizationCode, RefreshToken, "password", CIBA, "poll", "ping", "push", "refused", "allowed", "required",
		"always", "pushed", "never", "issuer string", "issuer or endpoint", "front-channel", "", "accounts",
	}
	number := func(least, most int) int { return rapid.IntRange(least, most).Draw(t, "number") }
	text := func() string { return rapid.SampledFrom(texts).Draw(t, "text") }
	switch {
	case kind == reflect.TypeFor[time.Duration]():
		return fmt.Sprint(time.Duration(number(-500, 7499)) * time.Second)
	case kind.Kind() == reflect.Bool:
		return number(0, 3) > 0
	case kind.Kind() == reflect.Int:
		return int64(number(-50, 549))
	case kind.Kind() == reflect.String:
		return text()
	case kind.Kind() == reflect.Slice:
		list := []any{}
		for range number(0, 3) {
			list = append(list, values(t, kind.Elem()))
		}
		return list
	case kind.Kind() == reflect.Map:
		table := map[string]any{}
		for range number(0, 2) {
			table[text()] = values(t, kind.Elem())
		}
		return table
	}
	table := map[string]any{}
	for i := range kind.NumField() {
		if name, _ := parseTag(kind.Field(i)); number(0, 2) > 0 && name != "pattern" && name != "parameter" {
			table[name] = values(t, kind.Field(i).Type)
		}
	}
	return table
}

// notWider reports whether a field of a profile allows nothing that it did not allow before. It knows nothing of how rules are
// applied.
func notWider(way string, before, after reflect.Value) bool {
	includes := func(all, some reflect.Value) bool {
		for i := range some.Len() {
			if !slices.ContainsFunc(slices.Collect(elements(all)), func(v any) bool { return reflect.DeepEqual(v, some.Index(i).Interface()) }) {
				return false
			}
		}
		return true
	}
	switch way {
	case asSubset:
		return includes(before, after) && after.Len() > 0
	case asRestriction:
		return before.Len() == 0 || after.Len() > 0 && includes(before, after)
	case asSubsets:
		for _, key := range after.MapKeys() {
			if !before.MapIndex(key).IsValid() || !includes(before.MapIndex(key), after.MapIndex(key)) {
				return false
			}
		}
		return after.Len() == before.Len()
	case asMax:
		return after.Int() > 0 && (before.Int() == 0 || after.Int() <= before.Int())
	case asMin:
		return after.Int() >= before.Int()
	case asDemand:
		return after.Bool() || !before.Bool()
	case asStricter:
		order := []string{"", "allowed", "front-channel", "pushed", "issuer or endpoint", "issuer string", "always", "refused", "required"}
		if before.Type() == reflect.TypeFor[RequestObjects]() && before.String() != "allowed" {
			return after.String() == before.String()
		}
		return slices.Index(order, after.String()) >= slices.Index(order, before.String())
	case asNames:
		if before.Kind() == reflect.Map {
			for _, key := range before.MapKeys() {
				if !includes(after.MapIndex(key), before.MapIndex(key)) {
					return false
				}
			}
			return true
		}
		return includes(after, before)
	}
	return before.IsZero() || before.String() == after.String()
}

func elements(list reflect.Value) func(func(any) bool) {
	return func(yield func(any) bool) {
		for i := range list.Len() {
			if !yield(list.Index(i).Interface()) {
				return
			}
		}
	}
}

// Covers: LP-02. Whatever rules are applied to a profile, in whatever order, what is accepted never widens it, changes no other
// field, and leaves the profile that it came from as it was.
func TestLP02PresetsOnlyTighten(t *testing.T) {
	type rule struct {
		name, way string
		index     []int
	}
	var rules []rule
	fields(reflect.TypeFor[Profile](), "", nil, func(name, way string, index []int) { rules = append(rules, rule{name, way, index}) })
	rounds, accepted, refused := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		for range 30 {
			rounds++
			start := rapid.SampledFrom([]Profile{FAPI1Advanced(), FAPI2Security(), FAPI2MessageSigning()}).Draw(t, "base")
			p := start
			for range rapid.IntRange(1, 6).Draw(t, "rules") {
				rule := rapid.SampledFrom(rules).Draw(t, "rule")
				before := p
				value := values(t, reflect.ValueOf(p).FieldByIndex(rule.index).Type())
				err := p.tighten(rule.name, value)
				if err != nil {
					refused++
					if !reflect.DeepEqual(before, p) {
						t.Fatalf("%s = %v was refused (%v) and changed the profile", rule.name, value, err)
					}
					continue
				}
				accepted++
				for _, each := range rules {
					was, is := reflect.ValueOf(before).FieldByIndex(each.index), reflect.ValueOf(p).FieldByIndex(each.index)
					if each.name != rule.name && !reflect.DeepEqual(was.Interface(), is.Interface()) {
						t.Fatalf("%s = %v changed %s", rule.name, value, each.name)
					}
					if each.name == rule.name && !notWider(each.way, was, is) {
						t.Fatalf("%s = %v widened %s to %s", rule.name, value, show(was), show(is))
					}
				}
			}
			if again := BuiltIn()[start.Name]; !reflect.DeepEqual(again, start) {
				t.Fatalf("the base %s was changed", start.Name)
			}
		}
	})
	if accepted < rounds/3 || refused < rounds/3 {
		t.Errorf("%d accepted, %d refused in %d rounds: the property shows nothing", accepted, refused, rounds)
	}
	for _, preset := range Presets() {
		for _, base := range preset.Bases {
			t.Run("accepts "+preset.Name+" on "+base, func(t *testing.T) {
				is, _ := Lookup(preset.Name + "/" + base)
				was := BuiltIn()[base]
				fields(reflect.TypeFor[Profile](), "", nil, func(name, way string, index []int) {
					if w, i := reflect.ValueOf(was).FieldByIndex(index), reflect.ValueOf(is).FieldByIndex(index); !reflect.DeepEqual(w.Interface(), i.Interface()) && !notWider(way, w, i) {
						t.Errorf("%s: %s is wider than %s", name, show(i), show(w))
					}
				})
			})
		}
	}
}

// Covers: LP-02, LP-03. The loader says what it refuses, and what was meant.
func TestLP03Loader(t *testing.T) {
	const source = "source = \"https://example.com/profile\"\nsection = \"5.2\"\ndate = \"2026-01-02\"\n"
	head := "title = \"Test\"\nbases = [\"fapi1-advanced\", \"fapi2-security\"]\n"
	rule := func(name, value string) string {
		return "[[rules]]\nrule = \"" + name + "\"\nvalue = " + value + "\n" + source
	}
	for name, body := range map[string]string{
		"no rule at all":               head,
		"a smaller maximum":            head + rule("max_access_token_lifetime", `"5m"`),
		"a table of fields":            head + rule("backchannel", `{ delivery_modes = ["poll"], max_age = "5m" }`),
		"a rule of one base":           head + rule("pkce", `"always"`) + "only = [\"fapi1-advanced\"]\n",
		"a scope with a parameter":     head + rule("scopes", `[{ name = "consent", parameter = "[a-z]+", consent = true }]`),
		"a demand that the base makes": head + rule("require_nonce", "true"),
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if _, err := ParsePreset("test", []byte(body)); err != nil {
				t.Error(err)
			}
		})
	}
	for name, test := range map[string]struct{ body, want string }{
		"an unknown rule":              {head + rule("max_acces_token_lifetime", `"5m"`), "did you mean max_access_token_lifetime?"},
		"an unknown rule of a table":   {head + rule("backchannel", `{ delivery_mode = ["poll"] }`), "did you mean backchannel.delivery_modes?"},
		"an unknown member":            {head + rule("scopes", `[{ nam = "x" }]`), "did you mean name?"},
		"an unknown key":               {head + rule("pkce", `"always"`) + "onyl = []\n", "onyl"},
		"an unknown base":              {"title = \"x\"\nbases = [\"fapi9\"]\n", "there is no base fapi9"},
		"no base":                      {"title = \"x\"\n", "bases are needed"},
		"a larger maximum":             {head + rule("max_access_token_lifetime", `"20m"`), "would widen the profile, which has 15m"},
		"a demand taken back":          {head + rule("require_nonce", "false"), "can only demand"},
		"an algorithm of no base":      {head + rule("algorithms", `["RS256"]`), "would widen"},
		"a use's algorithm of no base": {head + rule("id_token_algorithms", `["RS256"]`), "would widen"},
		"a looser rule":                {head + rule("request_objects", `"allowed"`), "would widen"},
		"a value of another type":      {head + rule("max_access_token_lifetime", "5"), "is not a time.Duration"},
		"a minimum above its maximum":  {head + rule("min_access_token_lifetime", `"20m"`), "the minimum is above the maximum"},
		"a pattern that is none":       {head + rule("scopes", `[{ name = "x", parameter = "(" }]`), "missing closing"},
		"a pattern of a text's rule":   {head + rule("purpose", `{ pattern = "(" }`), "missing closing"},
		"no source":                    {head + strings.Replace(rule("pkce", `"always"`), "https://example.com/profile", "", 1), "is not an https address"},
		"a source without https":       {head + strings.Replace(rule("pkce", `"always"`), "https:", "http:", 1), "is not an https address"},
		"no section":                   {head + strings.Replace(rule("pkce", `"always"`), "5.2", "", 1), "section"},
		"no date":                      {head + strings.Replace(rule("pkce", `"always"`), "2026-01-02", "", 1), "date"},
		"a date that is none":          {head + strings.Replace(rule("pkce", `"always"`), "2026-01-02", "2026-02-30", 1), "date"},
		"a base that is not its own":   {head + rule("pkce", `"always"`) + "only = [\"fapi2-message-signing\"]\n", "is not a base of the preset"},
		"what is no TOML":              {"title", "preset test"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ParsePreset("test", []byte(test.body)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	for _, preset := range Presets() {
		if len(preset.Rules) == 0 || len(preset.Notes) == 0 {
			t.Errorf("%s has %d rules and %d notes", preset.Name, len(preset.Rules), len(preset.Notes))
		}
	}
}
