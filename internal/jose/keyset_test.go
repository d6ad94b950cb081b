package jose

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// with returns a JWK with some members replaced; nil removes one.
func with(t testing.TB, jwk []byte, members map[string]any) string {
	t.Helper()
	var key map[string]any
	if err := json.Unmarshal(jwk, &key); err != nil {
		t.Fatal(err)
	}
	for name, value := range members {
		if value == nil {
			delete(key, name)
		} else {
			key[name] = value
		}
	}
	raw, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func keySet(t testing.TB, keys ...string) KeySet {
	t.Helper()
	set, err := ParseKeySet([]byte(`{"keys":[` + strings.Join(keys, ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestVerifyWithSelectsKeys(t *testing.T) {
	type members = map[string]any
	signer, other, rsaKey := newKey(t, ES256), newKey(t, ES256), newKey(t, PS256)
	own := signer.PublicJWK()
	for _, test := range []struct {
		name string
		kid  string
		set  []string
		want error
	}{
		{"by kid", "a", []string{with(t, other.PublicJWK(), members{"kid": "b"}), with(t, own, members{"kid": "a"})}, nil},
		{"kid is another's", "b", []string{with(t, other.PublicJWK(), members{"kid": "b"}), with(t, own, members{"kid": "a"})}, ErrSignature},
		{"unknown kid", "c", []string{with(t, own, members{"kid": "a"})}, ErrNoKey},
		{"kid, key without kid", "c", []string{with(t, own, members{"kid": nil})}, ErrNoKey},
		{"no kid, all tried", "", []string{with(t, other.PublicJWK(), nil), with(t, own, nil)}, nil},
		{"duplicate kid, same kind", "a", []string{with(t, other.PublicJWK(), members{"kid": "a"}), with(t, own, members{"kid": "a"})}, nil},
		{"duplicate kid, other kind first", "a", []string{with(t, rsaKey.PublicJWK(), members{"kid": "a"}), with(t, own, members{"kid": "a"})}, nil},
		{"use enc", "a", []string{with(t, own, members{"kid": "a", "use": "enc"})}, ErrNoKey},
		{"duplicate kid, one for encryption", "a", []string{with(t, own, members{"kid": "a", "use": "enc"}), with(t, own, members{"kid": "a"})}, nil},
		{"no use, no alg", "a", []string{with(t, own, members{"kid": "a", "use": nil, "alg": nil})}, nil},
		{"another alg", "a", []string{with(t, own, members{"kid": "a", "alg": "ECDH-ES"})}, ErrNoKey},
		{"key_ops verify", "a", []string{with(t, own, members{"kid": "a", "key_ops": []string{"verify"}})}, nil},
		{"key_ops others", "a", []string{with(t, own, members{"kid": "a", "key_ops": []string{"encrypt"}})}, ErrNoKey},
		{"empty set", "a", nil, ErrNoKey},
		{"kid case", "A", []string{with(t, own, members{"kid": "a"})}, ErrNoKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := signer.SigningKey()
			key.ID = test.kid
			signed, err := Sign(context.Background(), key, "", struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			token, err := Parse(signed, ParseOptions{Algorithms: allAlgorithms})
			if err != nil {
				t.Fatal(err)
			}
			if err := token.VerifyWith(keySet(t, test.set...)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestKidIsQuotedAndBounded(t *testing.T) {
	signed := signRaw(t, newKey(t, EdDSA), `{"alg":"EdDSA","kid":"\u001b[31m\n`+strings.Repeat("é", 100)+`"}`, `{}`)
	token, err := Parse(signed, ParseOptions{Algorithms: allAlgorithms})
	if err != nil {
		t.Fatal(err)
	}
	err = token.VerifyWith(KeySet{})
	if !errors.Is(err, ErrNoKey) || strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 400 {
		t.Errorf("%q", err)
	}
}

func TestParseKeySetLeavesOut(t *testing.T) {
	rsaKey, p256, ed := newKey(t, PS256), newKey(t, ES256), newKey(t, EdDSA)
	set := keySet(t,
		string(rsaKey.PublicJWK()), string(p256.PublicJWK()),
		`{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}`,
		`{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`,
		`{"kty":"OKP","crv":"X25519","x":"AA","use":"enc"}`,
		`{"kty":"OKP","crv":"Ed448","x":"AA"}`,
		`{"kty":"AKP","alg":"ML-DSA-65","pub":"AA"}`,
		with(t, rsaKey.PublicJWK(), map[string]any{"use": "enc", "alg": "RSA-OAEP-256"}),
		with(t, rsaKey.PublicJWK(), map[string]any{"alg": "RS256"}),
		`{"kty":"future","weird":{"a":[1]}}`,
		with(t, ed.PublicJWK(), map[string]any{"alg": "Ed25519", "unknown": 1}),
	)
	var thumbprints []string
	for _, key := range set.Keys() {
		thumbprints = append(thumbprints, key.Thumbprint())
	}
	want := []string{rsaKey.Key().Thumbprint(), p256.Key().Thumbprint(), ed.Key().Thumbprint()}
	if diff := cmp.Diff(want, thumbprints); diff != "" {
		t.Error(diff)
	}
}

func rsaJWK(modulus, exponent *big.Int) string {
	encode := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"%s"}`, encode(modulus.Bytes()), encode(exponent.Bytes()))
}

// Covers: ATTACK-14, SP-48.
func TestRefusedKeys(t *testing.T) {
	type members = map[string]any
	rsaKey, p256, ed := newKey(t, PS256), newKey(t, ES256), newKey(t, EdDSA)
	n := rsaKey.Key().Public.(*rsa.PublicKey).N
	encode := base64.RawURLEncoding.EncodeToString
	bits := func(size uint) *big.Int {
		odd := new(big.Int).Lsh(big.NewInt(1), size-1)
		return odd.Add(odd, big.NewInt(1))
	}
	tests := map[string]string{
		"symmetric":             `{"kty":"oct","k":"AAAA"}`,
		"symmetric without k":   `{"kty":"oct"}`,
		"private RSA":           string(rsaKey.PrivateJWK()),
		"private EC":            string(p256.PrivateJWK()),
		"private Ed25519":       string(ed.PrivateJWK()),
		"empty d":               with(t, p256.PublicJWK(), members{"d": ""}),
		"private of other kind": `{"kty":"EC","crv":"P-384","x":"AA","y":"AA","d":"AA"}`,
		"no kty":                with(t, p256.PublicJWK(), members{"kty": nil}),
		"RSA 1024":              rsaJWK(bits(1024), big.NewInt(65537)),
		"RSA 2047":              rsaJWK(bits(2047), big.NewInt(65537)),
		"RSA 4097":              rsaJWK(bits(4097), big.NewInt(65537)),
		"RSA 65536":             rsaJWK(bits(65536), big.NewInt(65537)),
		"RSA even":              rsaJWK(new(big.Int).Add(bits(2048), big.NewInt(1)), big.NewInt(65537)),
		"e = 1":                 rsaJWK(n, big.NewInt(1)),
		"e = 3":                 rsaJWK(n, big.NewInt(3)),
		"e even":                rsaJWK(n, big.NewInt(65536)),
		"e = 2^32+1":            rsaJWK(n, bits(33)),
		"e huge":                rsaJWK(n, bits(2048)),
		"e empty":               with(t, rsaKey.PublicJWK(), members{"e": ""}),
		"e with padding":        with(t, rsaKey.PublicJWK(), members{"e": "AQAB="}),
		"e with leading zero":   with(t, rsaKey.PublicJWK(), members{"e": "AAEAAQ"}),
		"n with leading zero":   with(t, rsaKey.PublicJWK(), members{"n": encode(append([]byte{0}, n.Bytes()...))}),
		"n empty":               with(t, rsaKey.PublicJWK(), members{"n": nil}),
		"n not base64url":       with(t, rsaKey.PublicJWK(), members{"n": "+" + encode(n.Bytes())}),
		"n with line break":     with(t, rsaKey.PublicJWK(), members{"n": encode(n.Bytes())[:8] + "\n" + encode(n.Bytes())[8:]}),
		"weak key, use enc":     with(t, []byte(rsaJWK(bits(1024), big.NewInt(65537))), members{"use": "enc"}),
		"x short":               with(t, p256.PublicJWK(), members{"x": "AA"}),
		"y missing":             with(t, p256.PublicJWK(), members{"y": nil}),
		"point at zero":         with(t, p256.PublicJWK(), members{"x": encode(make([]byte, 32)), "y": encode(make([]byte, 32))}),
		"point off the curve":   with(t, p256.PublicJWK(), members{"y": encode(append(make([]byte, 31), 7))}),
		"Ed25519 short":         with(t, ed.PublicJWK(), members{"x": "AA"}),
		"Ed25519 identity":      with(t, ed.PublicJWK(), members{"x": encode(append([]byte{1}, make([]byte, 31)...))}),
		"Ed25519 low order":     with(t, ed.PublicJWK(), members{"x": encode(make([]byte, 32))}),
		"kid too long":          with(t, p256.PublicJWK(), members{"kid": strings.Repeat("k", MaxKeyID+1)}),
		"kid a number":          with(t, p256.PublicJWK(), members{"kid": 1}),
		"x5c no certificate":    with(t, p256.PublicJWK(), members{"x5c": []string{"AAAA"}}),
		"x5c no base64":         with(t, p256.PublicJWK(), members{"x5c": []string{"-_"}}),
		"x5c of another key":    with(t, p256.PublicJWK(), members{"x5c": []string{certificate(t, newKey(t, ES256))}}),
		"duplicate member":      `{"kty":"EC","kty":"RSA"}`,
		"not an object":         `[]`,
	}
	// In a set, a private key refuses the others; a key that is only written in another way is read; the rest is left out.
	private := map[string]bool{"private RSA": true, "private EC": true, "private Ed25519": true, "empty d": true, "private of other kind": true}
	own := rsaKey.Key().Thumbprint()
	sameKey := map[string]string{"e with padding": own, "e with leading zero": own, "n with leading zero": own, "n with line break": own}
	for name, key := range tests {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := ParsePublicJWK([]byte(key)); !errors.Is(err, ErrMalformed) {
				t.Errorf("ParsePublicJWK: %v", err)
			}
			set, err := ParseKeySet([]byte(`{"keys":[` + string(p256.PublicJWK()) + `,` + key + `]}`))
			switch {
			case private[name]:
				if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "private") {
					t.Errorf("ParseKeySet: %v", err)
				}
			case err != nil:
				t.Errorf("the set is refused: %v", err)
			case sameKey[name] != "":
				if len(set.LeftOut(false)) != 0 || set.Keys()[len(set.Keys())-1].Thumbprint() != sameKey[name] {
					t.Errorf("%+v, %v", set.Keys(), set.LeftOut(false))
				}
			case len(set.Keys()) != 1 || len(set.LeftOut(true)) != 1 || set.LeftOut(true)[0].Position != 2 || set.LeftOut(true)[0].Reason == "":
				t.Errorf("%+v, left out %v", set.Keys(), set.LeftOut(true))
			}
		})
	}
	for _, unknown := range []string{`{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}`, `{"kty":"OKP","crv":"X25519","x":"AA"}`, `{"kty":"future"}`} {
		if _, err := ParsePublicJWK([]byte(unknown)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", unknown, err)
		}
	}
}

func TestParseKeySetLimits(t *testing.T) {
	key := string(newKey(t, EdDSA).PublicJWK())
	many := func(count int) string {
		return `{"keys":[` + strings.TrimSuffix(strings.Repeat(key+",", count), ",") + `]}`
	}
	for _, test := range []struct {
		name, set string
		ok        bool
	}{
		{"all keys", many(MaxKeys), true},
		{"a key too many", many(MaxKeys + 1), false},
		{"no keys", `{"keys":[]}`, true},
		{"other members", `{"keys":[],"iss":"x"}`, true},
		{"no member keys", `{}`, false},
		{"keys an object", `{"keys":{}}`, false},
		{"keys escaped", `{"k\u0065ys":[]}`, true},
		{"keys twice, once escaped", `{"k\u0065ys":[],"keys":[]}`, false},
		{"a byte order mark", "\xef\xbb\xbf" + `{"keys":[]}`, true},
		{"two byte order marks", "\xef\xbb\xbf\xef\xbb\xbf" + `{"keys":[]}`, false},
		{"another member twice", `{"keys":[],"a":1,"a":1}`, false},
		{"another member not UTF-8", "{\"keys\":[],\"a\":\"\xff\"}", false},
		{"a comma too many", `{"keys":[],}`, false},
		{"a key that does not end", `{"keys":[{"kty":"EC"]}`, false},
		{"keys null", `{"keys":null}`, false},
		{"Keys", `{"Keys":[]}`, false},
		{"array", `[]`, false},
		{"duplicate keys", `{"keys":[],"keys":[]}`, false},
		{"all bytes", `{"keys":[],"x":"` + strings.Repeat("a", MaxKeySetSize-18) + `"}`, true},
		{"a byte too many", `{"keys":[],"x":"` + strings.Repeat("a", MaxKeySetSize-17) + `"}`, false},
	} {
		if _, err := ParseKeySet([]byte(test.set)); (err == nil) != test.ok {
			t.Errorf("%s (%d bytes): %v", test.name, len(test.set), err)
		}
	}
}

func certificate(t testing.TB, private PrivateKey) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Signer().Public(), private.Signer())
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func TestCertificateOfKey(t *testing.T) {
	for _, algorithm := range allAlgorithms {
		private := newKey(t, algorithm)
		jwk := with(t, private.PublicJWK(), map[string]any{"x5c": []string{certificate(t, private), "ignored"}})
		if _, err := ParsePublicJWK([]byte(jwk)); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		set := keySet(t, jwk)
		if len(set.Keys()) != 1 || len(set.CertificateKeys(private.Key().Public)) != 1 {
			t.Errorf("%s: %+v", algorithm, set.Keys())
		}
	}
}

func TestKeysRoundTrip(t *testing.T) {
	for _, algorithm := range append([]string{ed25519Algorithm}, allAlgorithms...) {
		private := newKey(t, algorithm)
		again, err := ParsePrivateJWK(private.PrivateJWK())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(private.PrivateJWK()), string(again.PrivateJWK())); diff != "" {
			t.Error(diff)
		}
		if again.ID() != private.Key().Thumbprint() || again.Algorithm() != canonicalAlgorithm(algorithm) {
			t.Errorf("%s: %s %s", algorithm, again.ID(), again.Algorithm())
		}
		published, err := json.Marshal(NewKeySet(private.Key()))
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"keys":[` + string(private.PublicJWK()) + `]}`; string(published) != want {
			t.Errorf("published %s, want %s", published, want)
		}
		set, err := ParseKeySet(published)
		if err != nil {
			t.Fatal(err)
		}
		if len(set.Keys()) != 1 || !set.Keys()[0].Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(private.Key().Public) {
			t.Errorf("%s: the published key is not the same", algorithm)
		}
	}
	if raw, err := json.Marshal(KeySet{}); err != nil || string(raw) != `{"keys":[]}` {
		t.Errorf("empty set: %s, %v", raw, err)
	}
}

func TestPrivateKeyErrors(t *testing.T) {
	if _, err := NewPrivateKey("RS256"); !errors.Is(err, ErrAlgorithm) {
		t.Error(err)
	}
	for _, raw := range []string{``, `{}`, rfc7515Key, `{"kty":"oct","k":"AAAA"}`} {
		if _, err := ParsePrivateJWK([]byte(raw)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	for _, public := range []crypto.PublicKey{nil, "key", []byte{1}} {
		if _, err := Thumbprint(public); !errors.Is(err, ErrMalformed) {
			t.Errorf("%T: %v", public, err)
		}
	}
}

func TestVerifyEmbedded(t *testing.T) {
	for _, algorithm := range allAlgorithms {
		private := newKey(t, algorithm)
		signed, err := private.SignEmbedded(context.Background(), "dpop+jwt", struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		token, err := Parse(signed, ParseOptions{Algorithms: allAlgorithms, AllowJWK: true})
		if err != nil {
			t.Fatal(err)
		}
		key, err := token.VerifyEmbedded()
		if err != nil || key.Thumbprint() != private.Key().Thumbprint() {
			t.Errorf("%s: %v, %v", algorithm, key, err)
		}
	}
}

func TestVerifyEmbeddedRefuses(t *testing.T) {
	type members = map[string]any
	private, other := newKey(t, ES256), newKey(t, ES256)
	for _, test := range []struct {
		name, header string
		want         error
	}{
		{"no jwk", `{"alg":"ES256"}`, ErrMalformed},
		{"null", `{"alg":"ES256","jwk":null}`, ErrMalformed},
		{"a string", `{"alg":"ES256","jwk":"key"}`, ErrMalformed},
		{"private", `{"alg":"ES256","jwk":` + string(private.PrivateJWK()) + `}`, ErrMalformed},
		{"symmetric", `{"alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}`, ErrMalformed},
		{"another key", `{"alg":"ES256","jwk":` + string(other.PublicJWK()) + `}`, ErrSignature},
		{"key of another kind", `{"alg":"ES256","jwk":` + string(newKey(t, EdDSA).PublicJWK()) + `}`, ErrNoKey},
		{"for encryption", `{"alg":"ES256","jwk":` + with(t, private.PublicJWK(), members{"use": "enc"}) + `}`, ErrNoKey},
		{"for another algorithm", `{"alg":"ES256","jwk":` + with(t, private.PublicJWK(), members{"alg": "ES384"}) + `}`, ErrNoKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := Parse(signRaw(t, private, test.header, `{}`), ParseOptions{Algorithms: allAlgorithms, AllowJWK: true})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := token.VerifyEmbedded(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestOnEdwards25519 compares the check of the curve with the standard library: every key it makes is a point, and
// among arbitrary octets about one in two is.
func TestOnEdwards25519(t *testing.T) {
	for range 200 {
		if key := newKey(t, EdDSA).Key().Public.(ed25519.PublicKey); !onEdwards25519(key) {
			t.Errorf("%x is a key", key)
		}
	}
	points := 0
	for i := range 1000 {
		digest := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		if onEdwards25519(digest[:]) {
			points++
		}
	}
	if points < 400 || points > 600 {
		t.Errorf("%d of 1000 are points", points)
	}
	for y := range byte(12) { // by hand: (y²-1)/(dy²+1) modulo 2^255-19
		want := y != 2 && y != 7 && y != 8 && y != 11
		if got := onEdwards25519(append([]byte{y}, make([]byte, 31)...)); got != want {
			t.Errorf("y = %d: %v", y, got)
		}
	}
}
