package verified

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/oauth"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// rule is what can be verified in the tests.
func rule() Rule {
	return Rule{TrustFrameworks: []string{"au_connectid", "silver"}, Claims: []string{"over18", "over21", "given_name", "address"}}
}

const known = `[
	{"verification": {"trust_framework": "au_connectid", "time": "2026-11-01T10:00Z", "evidence": [
		{"type": "document", "method": "pipp", "document": {"type": "passport", "number": "P1"}},
		{"type": "vouch", "method": "vcrypt"}]},
	 "claims": {"over18": true, "over21": false, "given_name": "Alice", "address": {"country": "AU", "locality": "Perth"}, "email": "a@example.com"}},
	{"verification": {"trust_framework": "silver", "time": "2020-01-01"}, "claims": {"given_name": "Alicia"}},
	{"verification": {"trust_framework": "unknown_here"}, "claims": {"given_name": "Allie"}}
]`

// Covers: LR-20. What is answered is what was asked for, and matches what was asked.
func TestLR20Answer(t *testing.T) {
	t.Parallel()
	about, err := ParseKnown(json.RawMessage(known))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, request, want string }{
		{"accepts a trust framework by value", `{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over18":null,"over21":{"essential":true}}}`,
			`{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true,"over21":false}}`},
		{"accepts any trust framework, and answers for each", `{"verification":{"trust_framework":null},"claims":{"given_name":null}}`,
			`[{"verification":{"trust_framework":"au_connectid"},"claims":{"given_name":"Alice"}},{"verification":{"trust_framework":"silver"},"claims":{"given_name":"Alicia"}}]`},
		{"accepts values", `{"verification":{"trust_framework":{"values":["gold","silver"]}},"claims":{"given_name":null}}`,
			`{"verification":{"trust_framework":"silver"},"claims":{"given_name":"Alicia"}}`},
		{"accepts a claim's value, however it is written", `{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"address":{"value":{"locality":"Perth", "country":"\u0041U"}}}}`,
			`{"verification":{"trust_framework":"au_connectid"},"claims":{"address":{"country":"AU","locality":"Perth"}}}`},
		{"accepts evidence by type, and answers with no more of it", `{"verification":{"trust_framework":{"value":"au_connectid"},"evidence":[{"type":{"value":"document"},"document":{"type":null}}]},"claims":{"over18":null}}`,
			`{"verification":{"evidence":[{"document":{"type":"passport"},"type":"document"}],"trust_framework":"au_connectid"},"claims":{"over18":true}}`},
		{"accepts a verification that is young enough", `{"verification":{"trust_framework":null,"time":{"max_age":3000000}},"claims":{"given_name":null}}`,
			`{"verification":{"time":"2026-11-01T10:00Z","trust_framework":"au_connectid"},"claims":{"given_name":"Alice"}}`},
		{"accepts several elements, each for itself", `[{"verification":{"trust_framework":{"value":"silver"}},"claims":{"given_name":null}},{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over18":null}}]`,
			`[{"verification":{"trust_framework":"silver"},"claims":{"given_name":"Alicia"}},{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}]`},
		{"accepts elements that are not there and need not match", `{"verification":{"trust_framework":{"value":"silver"},"assurance_level":null,"assurance_process":{"policy":null}},"claims":{"given_name":null}}`,
			`{"verification":{"trust_framework":"silver"},"claims":{"given_name":"Alicia"}}`},
		{"refuses a framework that the data has not", `{"verification":{"trust_framework":{"value":"gold"}},"claims":{"given_name":null}}`, ``},
		{"refuses a framework that is not known here", `{"verification":{"trust_framework":{"value":"unknown_here"}},"claims":{"given_name":null}}`, ``},
		{"refuses a claim of another value, and answers the rest", `{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over21":{"value":true},"over18":null}}`,
			`{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}`},
		{"refuses a claim of another value where it is the only one", `{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over21":{"value":true}}}`, ``},
		{"refuses evidence of another type", `{"verification":{"trust_framework":{"value":"au_connectid"},"evidence":[{"type":{"value":"electronic_record"}}]},"claims":{"over18":null}}`, ``},
		{"refuses where what must match is not there", `{"verification":{"trust_framework":{"value":"silver"},"assurance_process":{"policy":{"value":"x"}}},"claims":{"given_name":null}}`, ``},
		{"refuses a verification that is too old", `{"verification":{"trust_framework":{"value":"silver"},"time":{"max_age":60}},"claims":{"given_name":null}}`, ``},
		{"refuses a claim that cannot be verified here", `{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"email":null,"over18":null}}`,
			`{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}`},
		{"refuses a template that is none", `{"verification":{"trust_framework":null,"time":"2026"},"claims":{"over18":null}}`, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			requests, err := Parse(json.RawMessage(test.request), rule())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(Answer(requests, about, rule(), now))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Covers: LR-21. A request that is none is invalid_request.
func TestLR21Parse(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"no object": `true`, "an empty array": `[]`, "nothing": ``, "an object without members": `{}`,
		"no claims":            `{"verification":{"trust_framework":null}}`,
		"empty claims":         `{"verification":{"trust_framework":null},"claims":{}}`,
		"claims that are none": `{"verification":{"trust_framework":null},"claims":["over18"]}`,
		"no verification":      `{"claims":{"over18":null}}`,
		"no trust framework":   `{"verification":{},"claims":{"over18":null}}`,
		"one bad element":      `[{"verification":{"trust_framework":null},"claims":{"over18":null}},{}]`,
		"too many":             `[` + strings.Repeat(`{"verification":{"trust_framework":null},"claims":{"over18":null}},`, 8) + `{"verification":{"trust_framework":null},"claims":{"over18":null}}]`,
		"too deep":             `{"verification":{"trust_framework":null,"a":` + strings.Repeat(`{"a":`, 10) + `null` + strings.Repeat(`}`, 10) + `},"claims":{"over18":null}}`,
		"a purpose too short":  `{"verification":{"trust_framework":null},"claims":{"over18":{"purpose":"no"}}}`,
		"a purpose too long":   `{"verification":{"trust_framework":null},"claims":{"over18":{"purpose":"` + strings.Repeat("é", 301) + `"}}}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := Parse(json.RawMessage(request), rule())
			if refused, ok := errors.AsType[*oauth.Error](err); !ok || refused.Code != oauth.InvalidRequest {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("accepts a purpose of 300 characters, and claims that are unknown, which it leaves out", func(t *testing.T) {
		read, err := Parse(json.RawMessage(`{"verification":{"trust_framework":null},"claims":{"over18":{"purpose":"`+strings.Repeat("é", 300)+`"},"x":null}}`), rule())
		if diff := cmp.Diff([]string{"over18"}, Names(read)); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	})
	t.Run("accepts a part of the claims", func(t *testing.T) {
		read, err := Parse(json.RawMessage(`[{"verification":{"trust_framework":null},"claims":{"over18":null,"over21":null}},{"verification":{"trust_framework":null},"claims":{"over21":null}}]`), rule())
		if err != nil {
			t.Fatal(err)
		}
		part := Without(read, func(name string) bool { return name == "over21" })
		if len(part) != 1 || !cmp.Equal(Names(part), []string{"over18"}) || len(Names(read)) != 2 {
			t.Errorf("%v of %v", part, read)
		}
	})
}

// FuzzVerified: whatever is asked for, what is answered is known, was asked for by its name, and is of a framework that is known.
func FuzzVerified(f *testing.F) {
	for _, seed := range []string{
		`{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over18":null}}`,
		`[{"verification":{"trust_framework":null,"evidence":[{"type":{"value":"document"}}]},"claims":{"address":{"value":{}}}}]`,
		`{"verification":{"trust_framework":{"max_age":1}},"claims":{"given_name":{"values":[]}}}`, `[`, `{"claims":{"over18":null}}`, `null`,
	} {
		f.Add(seed)
	}
	about, err := ParseKnown(json.RawMessage(known))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		requests, err := Parse(json.RawMessage(raw), rule())
		if err != nil {
			return
		}
		answer := Answer(requests, about, rule(), now)
		if answer == nil {
			return
		}
		read, err := ParseKnown(answer)
		if err != nil {
			t.Fatalf("%s is answered by %s: %v", raw, answer, err)
		}
		names := Names(requests)
		for _, each := range read {
			for name, value := range each.Claims {
				from := func(one Known) bool { return one.Claims[name] != nil && Same(one.Claims[name], value) }
				if !contains(names, name) || !from(about[0]) && !from(about[1]) {
					t.Errorf("%s is answered by %s", raw, answer)
				}
			}
		}
	})
}

func contains(names []string, name string) bool {
	for _, each := range names {
		if each == name {
			return true
		}
	}
	return false
}

// Covers: LR-20. What is known about a user is checked before it is kept.
func TestParseKnown(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{``, `true`, `[]x`, `{}`, `{"verification":{},"claims":{"a":1}}`, `{"verification":{"trust_framework":"x"},"claims":{}}`, `[{"claims":{"a":1}}]`} {
		if _, err := ParseKnown(json.RawMessage(raw)); err == nil {
			t.Errorf("accepted %q", raw)
		}
	}
}
