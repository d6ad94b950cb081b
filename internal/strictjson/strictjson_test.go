package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDecodeAccepts(t *testing.T) {
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
		if err := Decode([]byte(raw), &strict); err != nil {
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

func TestDecodeRefuses(t *testing.T) {
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
		if err := Decode([]byte(raw), &into); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.60q: %v", raw, err)
		}
		if into != nil {
			t.Errorf("%.60q: decoded %v", raw, into)
		}
	}
}

func TestDecodeChecksWhatItSkips(t *testing.T) {
	var into struct {
		Kept json.RawMessage `json:"kept"`
	}
	for _, raw := range []string{`{"kept":{"a":1,"a":2}}`, `{"unknown":{"a":1,"a":2}}`, `{"kept":["\ud800"]}`} {
		if err := Decode([]byte(raw), &into); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestDecodeTypes(t *testing.T) {
	var into struct {
		Name string `json:"name"`
	}
	for raw, ok := range map[string]bool{
		`{"name":"x"}`: true, `{"Name":"y"}`: true, `{}`: true, `{"name":1}`: false, `{"name":["x"]}`: false, `[]`: false,
	} {
		into.Name = ""
		err := Decode([]byte(raw), &into)
		if (err == nil) != ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
		if into.Name == "y" {
			t.Errorf("%s: the case of a member name was folded", raw)
		}
	}
}

// TestElements: a doubtful element is that element's fault, everything else refuses the whole.
func TestElements(t *testing.T) {
	for raw, want := range map[string]string{
		`{"keys":[]}`:                             "",
		`{"a":1,"keys":[1, {"b":2} ],"z":[3]}`:    `1 {"b":2} `,
		`{"keys":[{"b":1,"b":2},3]}`:              `{"b":1,"b":2}! 3 `,
		"{\"keys\":[\"\xff\",\"\\ud800\",\"c\"]}": "\"\xff\"! \"\\ud800\"! \"c\" ",
	} {
		var got strings.Builder
		found, err := Elements([]byte(raw), "keys", func(e Element) error {
			got.Write(e.Raw)
			if e.Fault != nil {
				got.WriteByte('!')
			}
			got.WriteByte(' ')
			return nil
		})
		if err != nil || !found || got.String() != want {
			t.Errorf("%s: %q, %v, %v", raw, got.String(), found, err)
		}
	}
	ignore := func(Element) error { return nil }
	for _, raw := range []string{
		``, `[]`, `null`, `{"keys":[1`, `{"keys":[1]`, `{"keys":[1]}x`, `{"keys":[nul]}`, `{"keys":[],"keys":[]}`, `{"a":{"b":1,"b":2},"keys":[]}`,
	} {
		if _, err := Elements([]byte(raw), "keys", ignore); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if _, err := Elements([]byte(`{"keys":{}}`), "keys", ignore); !errors.Is(err, ErrNotArray) {
		t.Errorf("an object for the array: %v", err)
	}
	if found, err := Elements([]byte(`{"a":[]}`), "keys", ignore); found || err != nil {
		t.Errorf("no such member: %v, %v", found, err)
	}
	stop := errors.New("stop")
	if _, err := Elements([]byte(`{"keys":[1,2]}`), "keys", func(Element) error { return stop }); err != stop {
		t.Errorf("the error of visit: %v", err)
	}
}

// TestArray: as of a member; each element has its place.
func TestArray(t *testing.T) {
	var got strings.Builder
	raw := "[1,\n {\"b\":2,\"b\":3} ]\n"
	err := Array([]byte(raw), func(e Element) error {
		if !strings.HasPrefix(raw[e.Offset:], string(e.Raw)) {
			t.Errorf("%q is not at %d", e.Raw, e.Offset)
		}
		fmt.Fprintf(&got, "%d:%s:%v ", e.Offset, e.Raw, e.Fault != nil)
		return nil
	})
	if err != nil || got.String() != `1:1:false 5:{"b":2,"b":3}:true ` {
		t.Errorf("%q, %v", got.String(), err)
	}
	for _, raw := range []string{``, `{}`, `[1`, `[1]x`, `[nul]`, strings.Repeat("[", MaxDepth+1)} {
		if err := Array([]byte(raw), func(Element) error { return nil }); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	stop := errors.New("stop")
	if err := Array([]byte(`[1,2]`), func(Element) error { return stop }); err != stop {
		t.Errorf("the error of visit: %v", err)
	}
}

// FuzzDecode: what is accepted is JSON to the standard library too, and means the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":[1,2.5,"\u00e9",null,true],"b":{"a":{}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var strict, standard any
		if err := Decode(raw, &strict); err != nil {
			return
		}
		if err := json.Unmarshal(raw, &standard); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if !reflect.DeepEqual(standard, strict) {
			t.Fatalf("%q is decoded as %v, not %v", raw, strict, standard)
		}
	})
}
