package demo

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

func TestShown(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"scope", "openid accounts", "openid accounts"},
		{"sub", "ONCJUY25T6SP6J7Q25NZZKJMGG", "ONCJUY25T6SP6J7Q25NZZKJMGG"},
		{"jti", strings.Repeat("j", 43), "jjjjjjjj…"},
		{"code", "abcdefgh", "ab…(8 bytes)"},
		{"code", "", "…(0 bytes)"},
		{"refresh_token", strings.Repeat("r", 43), "rrrrrrrr…(43 bytes)"},
		{"other", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA", "eyJhbGc…(29 bytes)"},
		{"correlation_id", "a5a0751d-81d5-41e7-a15e-dfb27c59d4c9", "a5a0751d-81d5-41e7-a15e-dfb27c59d4c9"},
		{"aud", "https://" + strings.Repeat("a", 60) + ".example", "https://" + strings.Repeat("a", 60) + ".example"},
		{"name", "\x1b]0;title\a\u202etxt", "\uFFFD]0;title\uFFFD\uFFFDtxt"},
		{"error_description", strings.Repeat("é ", 600), strings.Repeat("é ", 500) + "…"},
	} {
		if got := shown(test.name, test.text); got != test.want {
			t.Errorf("%s %q is shown as %q, want %q", test.name, test.text, got, test.want)
		}
	}
}

func TestRelative(t *testing.T) {
	s := screen{now: func() time.Time { return began.Add(400 * time.Millisecond) }}
	for offset, want := range map[time.Duration]string{
		0: "now", time.Second: "now", -time.Second: "now", 60 * time.Second: "in 60 s", -5 * time.Minute: "5 min ago",
		3 * time.Hour: "in 3 h", 72 * time.Hour: "in 3 days",
	} {
		seconds, err := json.Marshal(began.Add(offset).Unix())
		if err != nil {
			t.Fatal(err)
		}
		if got := s.relative(json.Number(seconds)); got != want {
			t.Errorf("%s is %q, want %q", offset, got, want)
		}
	}
	for _, odd := range []json.Number{"-1", "1e300", "x"} {
		if got := s.relative(odd); got != "" {
			t.Errorf("%s is %q", odd, got)
		}
	}
}

func TestJSON(t *testing.T) {
	for _, test := range []struct {
		name, raw string
		only      []string
		want      string
	}{
		{"order is kept", `{"b":1,"a":[true,null,"x"]}`, nil, `       {"b": 1, "a": [true, null, "x"]}`},
		{"quotes", `{"a\"":"\\"}`, nil, `       {"a\"": "\\"}`},
		{"secrets in an array", `{"code":["abcdefgh"]}`, nil, `       {"code": ["ab…(8 bytes)"]}`},
		{"some members", `{"a":1,"b":2,"c":3}`, []string{"c", "a", "d"}, `       {"c": 3, "a": 1}`},
		{"some members within", `{"keys":[{"kid":"1","n":"x"}],"x":1}`, []string{"kid"}, `       {"keys": [{"kid": "1"}]}`},
		{"a time", `{"iat":1795435200}`, nil, "       {\n         \"iat\": 1795435200  · now\n       }"},
		{"not JSON", `<html>`, nil, `       (6 bytes that are not JSON)`},
		{"two values", `{}{}`, nil, `       (4 bytes that are not JSON)`},
		{"too deep", strings.Repeat("[", 1<<16), nil, `       (65536 bytes that are not JSON)`},
		{"a long text", `{"text":"` + strings.Repeat("word ", 20) + `end"}`, nil,
			"       {\n         \"text\":\n             \"" + strings.Repeat("word ", 12) + "word\n             " + strings.Repeat("word ", 7) + "end\"\n       }"},
	} {
		var out bytes.Buffer
		s := screen{out: &out, now: func() time.Time { return began }}
		s.json([]byte(test.raw), test.only...)
		if diff := cmp.Diff(test.want+"\n", out.String()); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// FuzzJSON: whatever is shown has nothing in it that a terminal would obey, and no whole secret.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"access_token":"eyJhbGciOiJFUzI1NiJ9.e30.AAAA","iat":1795435200}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var out bytes.Buffer
		s := screen{out: &out, now: func() time.Time { return began }}
		s.json(raw)
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q is shown as %q", raw, out.String())
			}
		}
		var object struct {
			Code string `json:"code"`
		}
		if json.Unmarshal(raw, &object) == nil && len(object.Code) > 43 && strings.Contains(out.String(), object.Code) {
			t.Fatalf("the code is shown whole: %s", out.String())
		}
	})
}
