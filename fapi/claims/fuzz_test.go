package claims

import (
	"encoding/json"
	"strings"
	"testing"

	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// FuzzClaimsParameter: nothing but known claims stays of the claims parameter, and nothing panics on what does.
func FuzzClaimsParameter(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"id_token":null}`, `{"id_token":{"acr":{"essential":true,"values":["a","b"]},"email":null}}`,
		`{"userinfo":{"name":{"value":"Alice"},"unknown":{"essential":true}}}`, `{"id_token":{"sub":{"value":"x"}}}`, `{"id_token":{"acr":{"value":7}}}`,
		`{"id_token":{"acr":{"essential":"yes"}}}`, `{"id_token":{},"id_token":{}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		request, err := Parse(raw, profile.FAPI2Security())
		if err != nil {
			if oauth.AsError(err).Code != oauth.InvalidRequest {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		for _, name := range request.Names() {
			if !strings.Contains(strings.Join(Names(), " "), name) {
				t.Errorf("%q: the claim %q stays", raw, name)
			}
		}
		request.ACR()
		request.Subject()
		Release(map[string]json.RawMessage{"name": json.RawMessage(`"Alice"`)}, nil, map[string]*Claim{"name": nil})
		stored, err := json.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		var back Request
		if err := strictjson.Decode(stored, &back); err != nil {
			t.Errorf("%q: what is stored cannot be read: %v", raw, err)
		}
	})
}
