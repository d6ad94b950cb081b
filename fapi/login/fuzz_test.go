package login

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzAnswer: what is read of an answer is what a plain reader of JSON finds in it, and nothing is there that is not known.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"request_digest":"d","error":"access_denied"}`, `{"request_digest":"d","subject":"s","acr":"a","amr":["pwd"],"auth_time":1700000000}`,
		`{"subject":"s","allowed":{"scopes":["openid"],"claims":[],"authorization_details":[{"type":"t"}]}}`, `{"subject":"s","subject":"t"}`,
		`{"claims":{"name":"A"}}`, `{"auth_time":1e400}`, `{"auth_time":-1}`, `{"username":null}`, `{"allowed":{"all":true}}`, `[]`, `null`, `{"subject":"\ud800"}`,
		`{"Subject":"s"}`, `{"allowed":{"SCOPES":["openid"]}}`,
	} {
		f.Add([]byte(seed))
	}
	known := []string{"request_digest", "error", "subject", "username", "acr", "amr", "auth_time", "claims", "allowed"}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/login/v1/interactions/x", strings.NewReader(string(body)))
		r.Header.Set("Content-Type", "application/json")
		answer, err := readAnswer(httptest.NewRecorder(), r)
		if err != nil {
			return
		}
		var plain map[string]json.RawMessage
		if err := json.Unmarshal(body, &plain); err != nil {
			t.Fatalf("%q is taken and is no JSON object: %v", body, err)
		}
		for name := range plain {
			if !slices.Contains(known, name) {
				t.Errorf("%q: %s is taken", body, name)
			}
		}
		said := func(name string) string {
			var text string
			if raw, there := plain[name]; there {
				if err := json.Unmarshal(raw, &text); err != nil {
					t.Errorf("%q: %s is taken and is no text", body, name)
				}
			}
			return text
		}
		if answer.Digest != said("request_digest") || answer.Error != said("error") || answer.Subject != said("subject") ||
			answer.Username != said("username") || answer.ACR != said("acr") {
			t.Errorf("%q is read as %+v", body, answer)
		}
		if _, there := plain["allowed"]; there != (answer.Allowed != nil) {
			t.Errorf("%q is read as %+v", body, answer)
		}
		if _, there := plain["auth_time"]; there == answer.AuthTime.IsZero() {
			t.Errorf("%q is read as %+v", body, answer)
		}
	})
}
