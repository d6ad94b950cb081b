package jose

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// manyKeys is a set of a number of RSA keys, of which each is another, and the last of which is that of a client.
func manyKeys(t testing.TB, count int, last PrivateKey) []byte {
	t.Helper()
	n := new(big.Int).Set(newKey(t, PS256).Key().Public.(*rsa.PublicKey).N)
	var set strings.Builder
	set.WriteString(`{"keys":[`)
	for i := range count - 1 {
		n.Add(n, big.NewInt(2))
		fmt.Fprintf(&set, `{"kty":"RSA","kid":"k%d","use":"sig","n":"%s","e":"AQAB"},`, i, base64.RawURLEncoding.EncodeToString(n.Bytes()))
	}
	set.Write(last.PublicJWK())
	set.WriteString(`]}`)
	return []byte(set.String())
}

// Covers: FD-42. A set of a thousand keys or a mebibyte is one like any other: what a request does with it is the same as
// with two keys.
func TestFD42LargeKeySets(t *testing.T) {
	key := newKey(t, ES256)
	token := signedBy(t, key, key.ID())
	parsed := func(raw []byte) KeySet {
		set, err := ParseKeySet(raw)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	small, large := parsed(manyKeys(t, 2, key)), parsed(manyKeys(t, 1000, key))
	t.Run("accepts a signature by the last of 1,000 keys", func(t *testing.T) {
		if err := token.VerifyWith(large); err != nil {
			t.Error(err)
		}
		if by := token.VerifiedWith(); by.ID != key.ID() {
			t.Errorf("by %+v", by)
		}
		if _, _, err := large.VerifyMessage(key.ID(), "", []byte(token.SigningInput()), token.Signature()); err != nil {
			t.Error(err)
		}
		if len(large.CertificateKeys(key.Key().Public)) != 1 {
			t.Error("the key of the certificate is not found")
		}
	})
	t.Run("accepts 1 MiB, and chains of certificates in it", func(t *testing.T) {
		chain := strings.Repeat(`"`+strings.Repeat("A", 2000)+`",`, 2) + `"AA"`
		jwk := strings.TrimSuffix(string(key.PublicJWK()), "}") + `,"x5c":["` + certificate(t, key) + `",` + chain + `]}`
		set := parsed([]byte(`{"keys":[` + strings.Repeat(jwk+",", 220) + jwk + `],"pad":"` + strings.Repeat(" ", 1<<10) + `"}`))
		if len(set.Keys()) != 221 {
			t.Errorf("%d keys", len(set.Keys()))
		}
	})
	t.Run("accepts with the same work as with two keys", func(t *testing.T) {
		for name, do := range map[string]func(KeySet) error{
			"by kid":        token.VerifyWith,
			"without a kid": signedBy(t, key, "").VerifyWith,
			"message": func(set KeySet) error {
				_, _, err := set.VerifyMessage(key.ID(), ES256, []byte(token.SigningInput()), token.Signature())
				return err
			},
			"certificate": func(set KeySet) error {
				if len(set.CertificateKeys(key.Key().Public)) != 1 {
					return ErrNoKey
				}
				return nil
			},
		} {
			work := func(set KeySet) float64 {
				return testing.AllocsPerRun(20, func() {
					if err := do(set); err != nil {
						t.Fatal(err)
					}
				})
			}
			if few, many := work(small), work(large); many > few+1 {
				t.Errorf("%s: %v allocations with 1,000 keys, %v with two", name, many, few)
			}
			if found := len(large.candidates(key.ID(), ES256)); found != 1 {
				t.Errorf("%d keys are looked at", found)
			}
		}
	})
	t.Run("refuses to try more than 32 keys for one signature", func(t *testing.T) {
		stranger := newKey(t, PS256)
		err := signedBy(t, stranger, "").VerifyWith(large)
		if !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "more than 32 keys") {
			t.Errorf("without a kid: %v", err)
		}
		same := parsed([]byte(strings.ReplaceAll(string(manyKeys(t, 100, key)), `"kid":"k`, `"kid":"one","z":"`)))
		if err := signedBy(t, stranger, "one").VerifyWith(same); !errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), "more than 32 keys") {
			t.Errorf("with the kid of all: %v", err)
		}
	})
	t.Run("refuses nothing of a key that is in the set many times under other names", func(t *testing.T) {
		var keys []string
		for i := range 500 {
			keys = append(keys, with(t, key.PublicJWK(), map[string]any{"kid": fmt.Sprint("k", i)}))
		}
		set := keySet(t, keys...)
		if err := signedBy(t, key, "k499").VerifyWith(set); err != nil {
			t.Error(err)
		}
		if err := signedBy(t, newKey(t, ES256), "").VerifyWith(set); !errors.Is(err, ErrSignature) {
			t.Error(err)
		}
	})
}

// BenchmarkVerifyWith is what a request does with a set of 2 and of 1,000 keys.
func BenchmarkVerifyWith(b *testing.B) {
	key := newKey(b, ES256)
	for _, count := range []int{2, 1000} {
		for name, kid := range map[string]string{"kid": key.ID(), "no kid": ""} {
			b.Run(fmt.Sprintf("%d keys, %s", count, name), func(b *testing.B) {
				set, err := ParseKeySet(manyKeys(b, count, key))
				if err != nil {
					b.Fatal(err)
				}
				token := signedBy(b, key, kid)
				b.ReportAllocs()
				for b.Loop() {
					if err := token.VerifyWith(set); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkParseKeySet is what a refresh does, beside the requests.
func BenchmarkParseKeySet(b *testing.B) {
	raw := manyKeys(b, 1000, newKey(b, ES256))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := ParseKeySet(raw); err != nil {
			b.Fatal(err)
		}
	}
}
