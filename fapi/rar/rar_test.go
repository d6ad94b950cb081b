package rar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
)

// free is a type whose objects may hold much below "content".
const free = `{"x-display":{"kind":"other","times":"until","heading":{"en":"Allow this?"}},"type":"object","additionalProperties":false,"required":["type"],
"properties":{"type":{"const":"free"},"locations":{"type":"array","items":{"type":"string"},"x-display":{"label":{"en":"Where"}}},"content":{"$ref":"#/$defs/content"}},
"$defs":{"content":{"type":"object","additionalProperties":false,"x-display":{"label":{"en":"Content"}},"properties":{
"a":{"type":["string","number","null"],"x-display":{"label":{"en":"A"}}},"b":{"type":["string","number","boolean"],"x-display":{"label":{"en":"B"}}},
"list":{"type":"array","items":{"type":["string","number"]},"x-display":{"label":{"en":"List"}}},
"things":{"type":"array","x-display":{"label":{"en":"Things"}},"items":{"type":"object","additionalProperties":false,"required":["a"],"properties":{
"a":{"type":"string","x-display":{"label":{"en":"Thing"}}},"list":{"type":"array","items":{"type":"string"},"x-display":{"label":{"en":"List of the thing"}}}}}}}}}}`

func freeTypes(t testing.TB) *Types {
	t.Helper()
	known, err := NewTypes([]Type{{Type: "free", Schema: json.RawMessage(free)}}, nil)
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
		"nothing to read":        {{Type: "a", Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"type":{"const":"a"}}}`)}},
		"an address elsewhere":   {{Type: "a", Schema: json.RawMessage(`{"additionalProperties":false,"$ref":"https://schema.example/x"}`)}},
	} {
		if _, err := NewTypes(bad, nil); err == nil {
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
		value := func() any {
			count++
			return fmt.Sprintf("<value %d>", count)
		}
		several := func(each func() any) any {
			list := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "elements") {
				list = append(list, each())
			}
			return list
		}
		content := map[string]any{"a": value(), "b": value(), "list": several(value), "things": several(func() any {
			return map[string]any{"a": value(), "list": several(value)}
		})}
		for _, name := range []string{"a", "b", "list", "things"} {
			if rapid.IntRange(0, 4).Draw(t, "without "+name) == 0 {
				delete(content, name)
			}
		}
		encoded, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal([]any{map[string]any{"type": "free", "content": content}})
		if err != nil {
			t.Fatal(err)
		}
		read, err := known.Read(string(raw), []string{"free"})
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		var shown strings.Builder
		views, err := read.View(known, "en", display.Asker{})
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range views[0].Groups {
			for _, line := range group.Lines {
				shown.WriteString(line.Value + "\n")
			}
		}
		for i := range count {
			if !strings.Contains(string(encoded), fmt.Sprintf("value %d\\u003e", i+1)) {
				continue // it was left out
			}
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
		`[{"type":"free","content":{"a":2.50,"b":true,"list":[1,"x"],"things":[{"a":"x"}]}}]`, `[{"type":"free","locations":["https://a.example"]}]`, `[{"type":"free","extra":1}]`,
		`[{"type":"free","content":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}]`, `[{"type":"free"}],"objects":[]`, `[{"type":"free","content":{"a":"\ud800"}}]`,
		`[{"type":"free","content":{"a":1e400}}]`, "[{\"type\":\"free\",\"content\":{\"a\":\"<b>\u202e\"}}]",
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
		views, err := read.View(known, "en", display.Asker{})
		if err != nil || len(read) == 0 || len(read) > maxDetails || len(views) != len(read) {
			t.Errorf("%q: %d objects, %d shown, %v", raw, len(read), len(views), err)
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
