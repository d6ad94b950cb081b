package jar

import (
	"testing"
	"time"

	"countersign/internal/jose"
)

// TestWords holds the texts of refusals, which clients are shown: they may match them.
func TestWords(t *testing.T) {
	key := newKey(t, jose.ES256)
	at := func(d time.Duration) int64 { return noon().Add(d).Unix() }
	for name, test := range map[string]struct {
		typ   string
		alter map[string]any // nil deletes
		says  string
	}{
		"another typ":    {"at+jwt", nil, "it has the typ of another kind of token; oauth-authz-req+jwt is right"},
		"nested":         {Type, map[string]any{"request": "x"}, "it holds request, which may not stand inside one (RFC 9101 §4)"},
		"an address":     {Type, map[string]any{"request_uri": "x"}, "it holds request_uri, which may not stand inside one (RFC 9101 §4)"},
		"resource":       {Type, map[string]any{"resource": []int{1}}, "its resource is neither a string nor an array of strings"},
		"claims":         {Type, map[string]any{"sub": 1}, "payload: malformed: the JSON value that ends at byte 107 has the wrong type"},
		"another client": {Type, map[string]any{"iss": "client-2"}, "its iss must be the client_id"},
		"an assertion":   {Type, map[string]any{"sub": "client-1"}, "its sub is the client_id, as in a client assertion; leave sub out (RFC 9101 §10.8)"},
		"another server": {Type, map[string]any{"aud": "https://other.example"}, "its aud must be https://issuer.example, or an array that holds it"},
		"other inside":   {Type, map[string]any{"client_id": "client-2"}, "the client_id inside is another client's (RFC 9101 §5)"},
		"no nbf":         {Type, map[string]any{"nbf": nil}, "it needs both nbf and exp"},
		"no exp":         {Type, map[string]any{"exp": nil}, "it needs both nbf and exp"},
		"expired":        {Type, map[string]any{"exp": at(0)}, "it has expired"},
		"ahead":          {Type, map[string]any{"nbf": at(31 * time.Second)}, "it is not valid yet: its nbf is more than 30s ahead; check the clock"},
		"old":            {Type, map[string]any{"nbf": at(-time.Hour - time.Second)}, "its nbf is more than 1h0m0s ago"},
		"long":           {Type, map[string]any{"exp": at(time.Hour + time.Second)}, "its exp is more than 1h0m0s after its nbf"},
		"future":         {Type, map[string]any{"iat": at(31 * time.Second)}, "it is from the future: its iat is more than 30s ahead; check the clock"},
	} {
		t.Run(name, func(t *testing.T) {
			body := right()
			for member, value := range test.alter {
				if body[member] = value; value == nil {
					delete(body, member)
				}
			}
			object, err := Parse(signed(t, key, test.typ, body), algorithms())
			if err == nil {
				_, err = rules(t, key).Check(t.Context(), object)
			}
			if want := "the request object is not acceptable: " + test.says; err == nil || err.Error() != want {
				t.Errorf("says %v\nwant %s", err, want)
			}
		})
	}
	for name, change := range map[string]struct {
		rules func(*Rules)
		says  string
	}{
		"algorithm": {func(r *Rules) { r.Algorithms = []string{"PS256", "EdDSA"} }, "it is signed with ES256; this client may sign with PS256, EdDSA"},
		"signature": {func(r *Rules) { r.Verify = KeySet{}.Verify }, "no matching key: the key set has no ES256 key with kid " + quoted(key)},
	} {
		t.Run(name, func(t *testing.T) {
			object, err := Parse(signed(t, key, Type, right()), algorithms())
			if err != nil {
				t.Fatal(err)
			}
			changed := rules(t, key)
			change.rules(&changed)
			if _, err := changed.Check(t.Context(), object); err == nil || err.Error() != "the request object is not acceptable: "+change.says {
				t.Errorf("says %v", err)
			}
		})
	}
}

func quoted(key jose.PrivateKey) string { return `"` + key.SigningKey().ID + `"` }
