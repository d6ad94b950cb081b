package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"testing"

	"countersign/internal/jose/anysigner"
)

// TestSigningKey: any crypto.Signer signs with the algorithm of its kind, and nothing else.
func TestSigningKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherCurve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, key := range map[string]crypto.Signer{PS256: rsaKey, RS256: rsaKey, ES256: ecKey, EdDSA: edKey, "Ed25519": edKey} {
		t.Run("accepts "+algorithm, func(t *testing.T) {
			signing, err := NewSigningKey("k", algorithm, key)
			if err != nil {
				t.Fatal(err)
			}
			public, err := NewKey("k", canonicalAlgorithm(algorithm), key.Public())
			if err != nil {
				t.Fatal(err)
			}
			for range 20 { // r and s have leading zeros now and then
				compact, err := Sign(t.Context(), signing, "JWT", map[string]any{"sub": "alice"})
				if err != nil {
					t.Fatal(err)
				}
				token, err := Parse(compact, ParseOptions{Algorithms: []string{canonicalAlgorithm(algorithm)}, PKCS1: true})
				if err != nil {
					t.Fatal(err)
				}
				if err := token.Verify(public.Public); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	for name, test := range map[string]struct {
		algorithm string
		key       crypto.Signer
	}{
		"no key":                     {ES256, nil},
		"a key of another kind":      {ES256, rsaKey},
		"a key on another curve":     {ES256, otherCurve},
		"an algorithm of secrets":    {"HS256", ecKey},
		"no algorithm":               {"none", ecKey},
		"an algorithm of other size": {"RS512", rsaKey},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := NewSigningKey("k", test.algorithm, test.key); !errors.Is(err, ErrAlgorithm) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("refuses what a signer returns that is no signature", func(t *testing.T) {
		for _, returned := range []string{"", "\x30\x00", "\x30\x06\x02\x01\x00\x02\x01\x01", "\x30\x06\x02\x01\x01\x02\x01\x01x"} {
			signing, err := NewSigningKey("k", ES256, broken{ecKey, []byte(returned)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Sign(t.Context(), signing, "JWT", map[string]any{}); !errors.Is(err, anysigner.ErrForm) {
				t.Errorf("%q: %v", returned, err)
			}
		}
	})
}

// broken is a signer that returns something else.
type broken struct {
	crypto.Signer
	returned []byte
}

// Sign implements [crypto.Signer].
func (b broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.returned, nil }

// TestPKCS1: the keys of a set verify RS256 for who asks for it, and nothing that says PS256 passes as RS256.
func TestPKCS1(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := func(alg string, keys ...*rsa.PrivateKey) KeySet {
		all := ""
		for _, key := range keys {
			public, err := NewKey("k", alg, key.Public())
			if err != nil {
				t.Fatal(err)
			}
			raw, err := public.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if all != "" {
				all += ","
			}
			all += string(raw)
		}
		parsed, err := ParseKeySet([]byte(`{"keys":[` + all + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	signed := func(algorithm string) *Token {
		signing, err := NewSigningKey("k", algorithm, private)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := Sign(t.Context(), signing, "JWT", map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		token, err := Parse(compact, ParseOptions{Algorithms: []string{RS256, PS256}, PKCS1: true})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, test := range map[string]struct {
		token *Token
		set   KeySet
		want  error
	}{
		"accepts RS256 with a key for it":             {signed(RS256), set(RS256, private), nil},
		"accepts RS256 with a key for anything":       {signed(RS256), set("", private), nil},
		"accepts RS256 with the second key of a kid":  {signed(RS256), set(RS256, other, private), nil},
		"accepts PS256 with a key for anything":       {signed(PS256), set("", private), nil},
		"refuses RS256 with a key for PS256":          {signed(RS256), set(PS256, private), ErrNoKey},
		"refuses PS256 with a key for RS256":          {signed(PS256), set(RS256, private), ErrNoKey},
		"refuses RS256 with another key":              {signed(RS256), set(RS256, other), ErrSignature},
		"refuses RS256 with a set that was not given": {signed(RS256), KeySet{}, ErrNoKey},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.token.VerifyWith(test.set); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			_, err := test.set.Find("k", test.token.Header.Algorithm)
			if found := err == nil; found != (test.want == nil || errors.Is(test.want, ErrSignature)) {
				t.Errorf("found %v: %v", found, err)
			}
		})
	}
}
