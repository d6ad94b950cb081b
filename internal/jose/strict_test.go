package jose

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeStrictAccepts(t *testing.T) {
	wide := make([]string, 200)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"m%d":{"a":%d,"b":[{"a":1},{"a":2}]}`, i, i)
	}
	for _, raw := range []string{
		`null`, `true`, `false`, `0`, `-0`, `12`, `-1.5`, `1e5`, `1E+5`, `1.25e-3`, `""`, `"a"`,
		`"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"`, `"é😀"`, "\"\u007f\u2028\"",
		`[]`, `[ ]`, `[1,[2,[3]],{}]`, `{}`, ` { "a" : 1 , "b" : [ ] } `, "\t\n\r{}\n",
		`{"a":{"a":{"a":1}},"b":{"a":1}}`, `[{"a":1},{"a":1}]`, `{"a":1,"A":2}`, `{"":1}`,
		strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth),
		`{` + strings.Join(wide, ",") + `}`,
	} {
		var strict, standard any
		if err := DecodeStrict([]byte(raw), &strict); err != nil {
			t.Errorf("%.60s: %v", raw, err)
			continue
		}
		if err := json.Unmarshal([]byte(raw), &standard); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(standard, strict) { // cmp.Diff takes forever on deep nesting
			t.Errorf("%.60s: decoded as %v", raw, strict)
		}
	}
}

func TestDecodeStrictRefuses(t *testing.T) {
	wide := make([]string, 100)
	for i := range wide {
		wide[i] = fmt.Sprintf(`"m%d":1`, i)
	}
	for _, raw := range []string{
		``, ` `, `nul`, `nulll`, `True`, `NaN`, `Infinity`, `01`, `-`, `+1`, `.5`, `1.`, `1e`, `1e+`, `0x1`, `1 2`, `1,`,
		`'a'`, `"a`, `"\x41"`, `"\u12"`, `"\u12g4"`, `"\`, `"\u`, `"\ud800"`, `"\ud800\u0041"`, `"\ud800\ud800"`, `"\udc00"`, `"\ud800x"`,
		`"\u0000"`, "\"\x00\"", "\"\n\"", "\"\x1f\"", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\\n\xff\"", "\"\\n\n\"",
		`[`, `[1`, `[1,]`, `[,1]`, `[1 2]`, `]`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{,}`, `{a:1}`, `{1:1}`, `{"a" 1}`, `{"a":1 "b":2}`, `}`,
		`{"a":1}x`, `{"a":1}{"a":1}`, `{} []`, `{}` + "\x00", "\xef\xbb\xbf{}", `/**/{}`, `{"a":1,//
		"b":2}`,
		`{"a":1,"a":1}`, `{"a":1,"b":2,"a":3}`, `{"x":{"a":1,"a":1}}`, `[[{"a":1,"a":1}]]`, `{"a":1,"\u0061":1}`, `{"é":1,"\u00e9":1}`,
		`{"a/b":1,"a\/b":1}`,
		`{` + strings.Join(wide, ",") + `,"m0":1}`, `{` + strings.Join(wide, ",") + `,"m99":1}`,
		strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1),
		strings.Repeat(`{"a":`, MaxDepth+1) + "1" + strings.Repeat("}", MaxDepth+1),
		strings.Repeat("[", 1<<20),
	} {
		var into any
		if err := DecodeStrict([]byte(raw), &into); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60q: %v", raw, err)
		}
		if into != nil {
			t.Errorf("%.60q: decoded %v", raw, into)
		}
	}
}

func TestDecodeStrictChecksWhatItSkips(t *testing.T) {
	var into struct {
		Kept json.RawMessage `json:"kept"`
	}
	for _, raw := range []string{`{"kept":{"a":1,"a":2}}`, `{"unknown":{"a":1,"a":2}}`, `{"kept":["\ud800"]}`} {
		if err := DecodeStrict([]byte(raw), &into); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestDecodeStrictTypes(t *testing.T) {
	var into struct {
		Name string `json:"name"`
	}
	for raw, ok := range map[string]bool{
		`{"name":"x"}`: true, `{"Name":"y"}`: true, `{}`: true, `{"name":1}`: false, `{"name":["x"]}`: false, `[]`: false,
	} {
		into.Name = ""
		err := DecodeStrict([]byte(raw), &into)
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
		if into.Name == "y" {
			t.Errorf("%s: the case of a member name was folded", raw)
		}
	}
}

func TestNumericDate(t *testing.T) {
	for raw, want := range map[string]string{
		`0`: "1970-01-01T00:00:00Z", `1700000000`: "2023-11-14T22:13:20Z", `1700000000.25`: "2023-11-14T22:13:20.25Z",
		`1.7e9`: "2023-11-14T22:13:20Z", `253402300799`: "9999-12-31T23:59:59Z",
	} {
		var date NumericDate
		if err := DecodeStrict([]byte(raw), &date); err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := date.Time().UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("%s is %s, want %s", raw, got, want)
		}
	}
	for _, raw := range []string{`"1700000000"`, `-1`, `253402300800`, `1e999`, `1e300`, `true`, `{}`, `[1]`} {
		var date NumericDate
		if err := DecodeStrict([]byte(raw), &date); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	var claims struct {
		Expires *NumericDate `json:"exp"`
	}
	for _, raw := range []string{`{}`, `{"exp":null}`} {
		if err := DecodeStrict([]byte(raw), &claims); err != nil || claims.Expires != nil {
			t.Errorf("%s: %v, %v", raw, claims.Expires, err)
		}
	}
	raw, err := json.Marshal(NewNumericDate(time.Unix(1700000000, 999)))
	if err != nil || string(raw) != "1700000000" {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestAudience(t *testing.T) {
	for raw, want := range map[string]Audience{
		`"a"`:       {Values: []string{"a"}, Single: true},
		`["a"]`:     {Values: []string{"a"}},
		`["a","b"]`: {Values: []string{"a", "b"}},
		`[]`:        {},
		`""`:        {Values: []string{""}, Single: true},
	} {
		var got Audience
		if err := DecodeStrict([]byte(raw), &got); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
	}
	for _, raw := range []string{`1`, `true`, `null`, `{}`, `[1]`, `[["a"]]`, `[null]`, `["a",null]`} {
		var claims struct {
			Audience Audience `json:"aud"`
		}
		if err := DecodeStrict([]byte(`{"aud":`+raw+`}`), &claims); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	for want, audience := range map[string]Audience{`"a"`: {Values: []string{"a"}, Single: true}, `["a"]`: {Values: []string{"a"}}, `["a","b"]`: {Values: []string{"a", "b"}, Single: true}} {
		if raw, err := json.Marshal(audience); err != nil || string(raw) != want {
			t.Errorf("%s, %v, want %s", raw, err, want)
		}
	}
	if a := (Audience{Values: []string{"x", "y"}}); !a.Contains("y") || a.Contains("Y") {
		t.Error("Contains")
	}
}
