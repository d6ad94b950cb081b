package detached_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"countersign/internal/jose"
	"countersign/internal/jose/detached"
)

// processed reports whether the tests process a critical member.
func processed(name string) bool { return strings.HasPrefix(name, "https://example.com/") }

func nothing(string) bool { return false }

// A signature that is detached from its payload verifies over that and no other, and what crit names has to be processed.
func TestDetached(t *testing.T) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	payload := json.RawMessage(`{"a":"\u003c<&>"}`)
	signed := func(critical map[string]any) string {
		t.Helper()
		compact, err := detached.Sign(t.Context(), key.SigningKey(), "JOSE", critical, payload)
		if err != nil {
			t.Fatal(err)
		}
		if part := strings.Split(compact, ".")[1]; part != base64.RawURLEncoding.EncodeToString(payload) {
			t.Errorf("the payload was changed: %s", part)
		}
		return detached.Of(compact)
	}
	one := signed(map[string]any{"https://example.com/iat": 1})
	options := []string{jose.ES256}
	t.Run("accepts one, with its critical members", func(t *testing.T) {
		token, err := detached.Parse(one, payload, options, processed)
		if err != nil {
			t.Fatal(err)
		}
		if err := token.VerifyWith(set); err != nil || string(token.Critical["https://example.com/iat"]) != "1" || len(token.Critical) != 1 {
			t.Errorf("%v, %v", token.Header, err)
		}
	})
	t.Run("accepts one without crit", func(t *testing.T) {
		if token, err := detached.Parse(signed(nil), payload, options, nothing); err != nil || token.Critical != nil || token.VerifyWith(set) != nil {
			t.Error(err)
		}
	})
	t.Run("refuses another payload", func(t *testing.T) {
		token, err := detached.Parse(one, bytes.ToUpper(payload), options, processed)
		if err != nil {
			t.Fatal(err)
		}
		if err := token.VerifyWith(set); !errors.Is(err, jose.ErrSignature) {
			t.Error(err)
		}
	})
	header := func(text string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(text)) + ".." + one[strings.Index(one, "..")+2:]
	}
	for name, text := range map[string]string{
		"crit that is not processed":  header(`{"alg":"ES256","crit":["other"],"other":1}`),
		"crit of a registered member": header(`{"alg":"ES256","crit":["alg"]}`),
		"an empty crit":               header(`{"alg":"ES256","crit":[]}`),
		"crit that is no list":        header(`{"alg":"ES256","crit":"https://example.com/a","https://example.com/a":1}`),
		"crit of what is not there":   header(`{"alg":"ES256","crit":["https://example.com/a"]}`),
		"crit that names one twice":   header(`{"alg":"ES256","crit":["https://example.com/a","https://example.com/a"],"https://example.com/a":1}`),
		"an unencoded payload":        header(`{"alg":"ES256","b64":false,"crit":["b64"]}`),
		"one that is not detached":    strings.Replace(one, "..", ".e30.", 1),
		"one of two parts":            strings.Replace(one, "..", ".", 1),
		"one without a header":        one[strings.Index(one, ".."):],
		"one of four parts":           one + ".x",
		"one without a signature":     one[:strings.Index(one, "..")+2],
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := detached.Parse(text, payload, options, processed); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refuses crit where nothing is processed", func(t *testing.T) {
		if _, err := detached.Parse(one, payload, options, nothing); !errors.Is(err, jose.ErrMalformed) {
			t.Error(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9..AA", []byte(`{}`))
	f.Add("eyJhbGciOiJQUzI1NiIsImNyaXQiOlsiaHR0cHM6Ly9leGFtcGxlLmNvbS9hIl0sImh0dHBzOi8vZXhhbXBsZS5jb20vYSI6MX0..AA", []byte("x"))
	f.Add("..", []byte{})
	f.Fuzz(func(t *testing.T, sent string, payload []byte) {
		token, err := detached.Parse(sent, payload, []string{jose.ES256, jose.PS256, jose.EdDSA}, processed)
		if err != nil {
			return
		}
		if detached.Of(token.Compact()) != sent {
			t.Errorf("%q became %q", sent, token.Compact())
		}
		for name := range token.Critical {
			if !processed(name) {
				t.Errorf("%q is not processed", name)
			}
		}
	})
}
