package jose

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
)

// FuzzParse: what is accepted has one spelling, is within the limits, and is read alike by go-jose.
func FuzzParse(f *testing.F) {
	for _, algorithm := range allAlgorithms {
		f.Add(signRaw(f, newKey(f, algorithm), `{"alg":"`+algorithm+`","kid":"k","typ":"JWT"}`, `{"iss":"a"}`))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		token, err := Parse(raw, ParseOptions{Algorithms: allAlgorithms, AllowJWK: true})
		if err != nil {
			return
		}
		parts := strings.Split(raw, ".")
		encode := base64.RawURLEncoding.EncodeToString
		if len(raw) > MaxTokenSize || len(parts) != 3 || encode(token.payload) != parts[1] || encode(token.signature) != parts[2] ||
			token.signingInput != parts[0]+"."+parts[1] {
			t.Fatalf("%q has another spelling", raw)
		}
		if token.Header.JWK != nil {
			return // go-jose reads the key at once, we when it is used
		}
		var header map[string]any
		decoded, err := base64.RawURLEncoding.DecodeString(parts[0])
		if err != nil || json.Unmarshal(decoded, &header) != nil || header["alg"] == ed25519Algorithm {
			return // go-jose does not know the name Ed25519
		}
		for _, ignored := range []string{"nonce", "x5c", "x5t", "x5t#S256"} {
			if _, unusual := header[ignored]; unusual {
				return // go-jose demands something of them; we ignore them
			}
		}
		other, err := gojose.ParseSignedCompact(raw, []gojose.SignatureAlgorithm{gojose.PS256, gojose.ES256, gojose.EdDSA})
		if err != nil {
			t.Fatalf("go-jose refuses %q: %v", raw, err)
		}
		if string(other.UnsafePayloadWithoutVerification()) != string(token.payload) || other.Signatures[0].Header.KeyID != token.Header.KeyID {
			t.Fatalf("go-jose reads %q differently", raw)
		}
	})
}

// FuzzParseKeySet: keys that are accepted survive being published and read again.
func FuzzParseKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[` + rfc7515Key + `,` + rfc8037Key + `]}`))
	f.Add([]byte(`{"keys":[` + strings.Replace(rfc7638Key, "RS256", "PS256", 1) + `]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := ParseKeySet(raw)
		if err != nil {
			return
		}
		published, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseKeySet(published)
		if err != nil {
			t.Fatalf("%s: %v", published, err)
		}
		if len(again.keys) != len(set.keys) {
			t.Fatalf("%d keys became %d", len(set.keys), len(again.keys))
		}
		for i, key := range set.keys {
			if again.keys[i].thumbprint != key.thumbprint || again.keys[i].ID != key.ID {
				t.Fatalf("key %d changed", i)
			}
		}
	})
}
