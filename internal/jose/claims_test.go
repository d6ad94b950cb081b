package jose

import (
	"countersign/internal/strictjson"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNumericDate(t *testing.T) {
	for raw, want := range map[string]string{
		`0`: "1970-01-01T00:00:00Z", `1700000000`: "2023-11-14T22:13:20Z", `1700000000.25`: "2023-11-14T22:13:20.25Z",
		`1.7e9`: "2023-11-14T22:13:20Z", `253402300799`: "9999-12-31T23:59:59Z",
	} {
		var date NumericDate
		if err := strictjson.Decode([]byte(raw), &date); err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := date.Time().UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("%s is %s, want %s", raw, got, want)
		}
	}
	for _, raw := range []string{`"1700000000"`, `-1`, `253402300800`, `1e999`, `1e300`, `true`, `{}`, `[1]`} {
		var date NumericDate
		if err := strictjson.Decode([]byte(raw), &date); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	var claims struct {
		Expires *NumericDate `json:"exp"`
	}
	for _, raw := range []string{`{}`, `{"exp":null}`} {
		if err := strictjson.Decode([]byte(raw), &claims); err != nil || claims.Expires != nil {
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
		if err := strictjson.Decode([]byte(raw), &got); err != nil {
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
		if err := strictjson.Decode([]byte(`{"aud":`+raw+`}`), &claims); !errors.Is(err, ErrMalformed) {
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
