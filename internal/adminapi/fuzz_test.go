package adminapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"countersign/internal/adminapi"
	"countersign/internal/adminapi/access"
)

// refusedRightly demands that an error is the problem of a request that is wrong.
func refusedRightly(t *testing.T, err error) {
	t.Helper()
	if p, ok := errors.AsType[*access.Problem](err); !ok || p.Status != http.StatusBadRequest {
		t.Errorf("refused with %v", err)
	}
}

// Covers: NM-58. Whatever is sent as a body is refused as wrong, or is an object of known members, each once, none null.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{`{"username":"a","password":"b"}`, `{"username":null}`, `{"username":"a","username":"b"}`, `{"other":1}`, `[]`, ``, "{\"username\":\"\\u0000\"}", `{"claims":{"a":null}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		again, err := adminapi.ParseBody(raw)
		if err != nil {
			refusedRightly(t, err)
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatalf("%q was read, and is no object: %v", raw, err)
		}
		for name, value := range members {
			if !strings.Contains(" username sub password claims ", " "+name+" ") || string(value) == "null" {
				t.Errorf("%q was read with %s: %s", raw, name, value)
			}
		}
		if _, err := adminapi.ParseBody(bytes.ReplaceAll(again, []byte(`"claims":null`), []byte(`"claims":{}`))); err != nil {
			t.Errorf("%q was read as %q, which is not: %v", raw, again, err)
		}
	})
}

// Covers: NM-58. Whatever is sent as a cursor is refused as wrong, or comes to the same position again.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "e30", "eyJrIjoiYSJ9", "eyJrIjoiYSIsInQiOjF9", "eyJuIjo1fQ", "eyJ0IjotMX0", "x", "eyJrIjoiXHUwMDAwIn0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		again, err := adminapi.ParseCursor(text)
		if err != nil {
			refusedRightly(t, err)
			return
		}
		if text == "" {
			return
		}
		if twice, err := adminapi.ParseCursor(again); err != nil || twice != again {
			t.Errorf("%q is %q, which is %q: %v", text, again, twice, err)
		}
	})
}

// Covers: NM-58. A cursor of a list is read again, and others are refused.
func TestNM58Cursors(t *testing.T) {
	t.Run("accepts a cursor of a list", func(t *testing.T) {
		if again, err := adminapi.ParseCursor("eyJrIjoiYSIsInQiOjF9"); err != nil || again != "eyJrIjoiYSIsInQiOjF9" {
			t.Errorf("%q %v", again, err)
		}
	})
	for _, wrong := range []string{"e30", "x", "eyJ0IjotMX0", "eyJrIjoiYSIsImsiOiJiIn0", "eyJrIjoiYSJ9=", "bnVsbA", "W10", "eyJ0Ijo5OTk5OTk5OTk5OTk5OTk5OTk5fQ"} {
		t.Run("refuses "+wrong, func(t *testing.T) {
			if again, err := adminapi.ParseCursor(wrong); err == nil {
				t.Errorf("is %q", again)
			} else {
				refusedRightly(t, err)
			}
		})
	}
}
