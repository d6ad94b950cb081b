package rar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"countersign/internal/oauth"
)

// free is a type whose objects may hold anything below "content".
const free = `{"type":"object","additionalProperties":false,"required":["type"],"properties":{"type":{"const":"free"},"content":true,"locations":{"type":"array"}}}`

func freeTypes(t testing.TB) *Types {
	t.Helper()
	known, err := NewTypes([]Type{{Type: "free", Title: "Anything", Schema: json.RawMessage(free)}})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func TestNewTypesRefuses(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string][]Type{
		"no name":                {{Type: "", Schema: json.RawMessage(free)}},
		"a name with a space":    {{Type: "a b", Schema: json.RawMessage(free)}},
		"twice":                  {{Type: "a", Schema: json.RawMessage(free)}, {Type: "a", Schema: json.RawMessage(free)}},
		"no JSON":                {{Type: "a", Schema: json.RawMessage(`{`)}},
		"no object":              {{Type: "a", Schema: json.RawMessage(`true`)}},
		"unknown members":        {{Type: "a", Schema: json.RawMessage(`{"type":"object"}`)}},
		"unknown members, truly": {{Type: "a", Schema: json.RawMessage(`{"additionalProperties":true}`)}},
		"no schema":              {{Type: "a", Schema: json.RawMessage(`{"additionalProperties":false,"type":7}`)}},
		"a file elsewhere":       {{Type: "a", Schema: json.RawMessage(`{"additionalProperties":false,"$ref":"file:///etc/passwd"}`)}},
		"an address elsewhere":   {{Type: "a", Schema: json.RawMessage(`{"additionalProperties":false,"$ref":"https://schema.example/x"}`)}},
	} {
		if _, err := NewTypes(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestDetailsShowEverything: each value of an object is on the page once, whatever its shape: nobody allows what was not
// shown (ATTACK-43).
func TestDetailsShowEverything(t *testing.T) {
	t.Parallel()
	known := freeTypes(t)
	rapid.Check(t, func(t *rapid.T) {
		count := 0
		var value func(depth int) any
		value = func(depth int) any {
			kinds := 3
			if depth > 3 {
				kinds = 1
			}
			switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
			case 1:
				object := map[string]any{}
				for i := range rapid.IntRange(1, 3).Draw(t, "members") {
					object[fmt.Sprintf("member%d", i)] = value(depth + 1)
				}
				return object
			case 2:
				var list []any
				for range rapid.IntRange(1, 3).Draw(t, "elements") {
					list = append(list, value(depth+1))
				}
				return list
			}
			count++
			return fmt.Sprintf("<value %d>", count)
		}
		raw, err := json.Marshal([]any{map[string]any{"type": "free", "content": value(0)}})
		if err != nil {
			t.Fatal(err)
		}
		read, err := known.Read(string(raw), []string{"free"})
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		var shown strings.Builder
		for _, line := range read.View(known)[0].Lines {
			shown.WriteString(line.Value + "\n")
		}
		for i := range count {
			if n := strings.Count(shown.String(), fmt.Sprintf("<value %d>", i+1)); n != 1 {
				t.Fatalf("value %d of %s is shown %d times:\n%s", i+1, raw, n, shown.String())
			}
		}
	})
}

// TestDetailsCanonical: the same object written differently is the same object, numbers are not touched, and reading
// what was read changes nothing.
func TestDetailsCanonical(t *testing.T) {
	t.Parallel()
	known := freeTypes(t)
	first, err := known.Read(`[{"type":"free","content":{"b":1.10,"a":123456789012345678901234567890}}]`, []string{"free"})
	if err != nil {
		t.Fatal(err)
	}
	second, err := known.Read("[ {\"content\" : {\"a\":123456789012345678901234567890, \"b\":1.10},\n\"type\":\"fre\\u0065\"} ]", []string{"free"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"content":{"a":123456789012345678901234567890,"b":1.10},"type":"free"}`; string(first[0]) != want || !bytes.Equal(first[0], second[0]) {
		t.Errorf("got %s and %s, want %s", first[0], second[0], want)
	}
}

// FuzzAuthorizationDetails: whatever is read is small, valid, canonical and shown, and whatever is refused is refused as
// invalid_authorization_details.
func FuzzAuthorizationDetails(f *testing.F) {
	known := freeTypes(f)
	for _, seed := range []string{
		``, `[]`, `{}`, `null`, `[null]`, `[{}]`, `[{"type":"free"}]`, `[{"type":"free","type":"free"}]`, `[{"type":7}]`, `[{"type":"other"}]`,
		`[{"type":"free","content":{"a":[1,2.50,"x",null,true,{}]}}]`, `[{"type":"free","locations":["https://a.example"]}]`, `[{"type":"free","extra":1}]`,
		`[{"type":"free","content":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}]`, `[{"type":"free"}],"objects":[]`, `[{"type":"free","content":"\ud800"}]`,
		`[{"type":"free","content":1e400}]`, "[{\"type\":\"free\",\"content\":\"<b>\u202e\"}]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		read, err := known.Read(raw, []string{"free"})
		if err != nil {
			if oauth.AsError(err).Code != oauth.InvalidAuthorizationDetails {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if len(read) == 0 || len(read) > maxDetails || len(read.View(known)) != len(read) {
			t.Errorf("%q: %d objects, %d shown", raw, len(read), len(read.View(known)))
		}
		again, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		reread, err := known.Read(string(again), []string{"free"})
		if len(again) <= maxDetailsSize && (err != nil || !bytes.Equal(reread[0], read[0])) {
			t.Errorf("%q: read as %s, and that as %s (%v)", raw, again, reread, err)
		}
	})
}
