package ciba

import (
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/jar"
)

// TestWords holds the texts of refusals, which clients are shown: they may match them.
func TestWords(t *testing.T) {
	key := newKey(t)
	at := func(d time.Duration) int64 { return noon().Add(d).Unix() }
	for name, test := range map[string]struct {
		typ   string
		alter map[string]any // nil deletes
		says  string
	}{
		"another typ":    {"at+jwt", nil, "the signed request has the typ of another kind of token; JWT is right"},
		"nested":         {"", map[string]any{"request": "x"}, "the signed request holds request, which may not stand inside it"},
		"authentication": {"", map[string]any{"client_secret": "x"}, "the signed request holds client_secret, which may not stand inside it"},
		"response_type":  {"", map[string]any{"response_type": "x"}, "the signed request holds response_type, which may not stand inside it"},
		"redirect_uri":   {"", map[string]any{"redirect_uri": "x"}, "the signed request holds redirect_uri: it is a request for a browser, and not one of CIBA"},
		"code_challenge": {"", map[string]any{"code_challenge": "x"}, "the signed request holds code_challenge: it is a request for a browser, and not one of CIBA"},
		"resource":       {"", map[string]any{"resource": []int{1}}, "resource in the signed request is neither a string nor an array of strings"},
		"claims":         {"", map[string]any{"iss": 1}, "the claims of the signed request cannot be read: payload: malformed: the JSON value that ends at byte 73 has the wrong type"},
		"another client": {"", map[string]any{"iss": "client-2"}, "iss of the signed request must be the client_id"},
		"another server": {"", map[string]any{"aud": "https://other.example"}, "aud of the signed request must be https://issuer.example, or an array that holds it"},
		"no jti":         {"", map[string]any{"jti": nil}, "the signed request needs a jti of at most 256 bytes"},
		"no iat":         {"", map[string]any{"iat": nil}, "the signed request needs iat, nbf and exp"},
		"expired":        {"", map[string]any{"exp": at(0)}, "the signed request has expired"},
		"nbf ahead":      {"", map[string]any{"nbf": at(31 * time.Second)}, "nbf or iat of the signed request is more than 30s ahead; check the clock"},
		"iat ahead":      {"", map[string]any{"iat": at(31 * time.Second)}, "nbf or iat of the signed request is more than 30s ahead; check the clock"},
		"old":            {"", map[string]any{"nbf": at(-time.Hour - time.Second)}, "nbf of the signed request is more than 1h0m0s ago"},
		"long":           {"", map[string]any{"exp": at(time.Hour + time.Second)}, "exp of the signed request is more than 1h0m0s after its nbf"},
		"an assertion":   {"", map[string]any{"sub": "client-1"}, "sub of the signed request is the client_id, as in a client assertion; leave sub out"},
		"other inside":   {"", map[string]any{"client_id": "client-2"}, "the client_id in the signed request is another client's"},
	} {
		t.Run(name, func(t *testing.T) {
			body := right()
			for member, value := range test.alter {
				if body[member] = value; value == nil {
					delete(body, member)
				}
			}
			_, err := check(t, key, rules(t, key), test.typ, body)
			wantText(t, err, test.says)
		})
	}
	r := rules(t, key)
	r.Algorithms = []string{jose.PS256, jose.EdDSA}
	_, err := check(t, key, r, "", right())
	wantText(t, err, "the request is signed with ES256; this client may sign with PS256, EdDSA")
	r = rules(t, key)
	r.Verify = jar.KeySet{}.Verify
	_, err = check(t, key, r, "", right())
	wantText(t, err, `the signature of the request: no matching key: the key set has no ES256 key with kid "`+key.SigningKey().ID+`"`)
}

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || err.Error() != InvalidRequest+": "+text {
		t.Errorf("says %v\nwant %s", err, text)
	}
}
