package signertest

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// decrypts holds a token's keys of one algorithm that decrypts to the contract.
func decrypts(t *testing.T, token Token, alg signer.Algorithm, module Module) {
	record, err := token.Generate(t.Context(), alg)
	if err != nil {
		t.Fatal(err)
	}
	if record.Algorithm != alg || !signer.Fits(record.Public, alg) {
		t.Fatalf("the new key is for %s", record.Algorithm)
	}
	held, err := token.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if at := slices.IndexFunc(held, func(k pkcs11.Key) bool { return k.Record.ID == record.ID }); at < 0 || held[at].Refused != "" || !held[at].Record.Algorithm.Does(alg) {
		t.Fatalf("the new key is not listed as good: %+v", held)
	}
	attested, err := token.Attest(t.Context(), record.ID)
	if err != nil {
		t.Fatal(err)
	}
	attributes(t, attested, alg, module)
	t.Run("proves that it decrypts, for many at once", func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 25 {
					if err := signer.Prove(t.Context(), token, record); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	})
	t.Run("gives one secret for one message", func(t *testing.T) {
		first, again := useTwice(t, token, record)
		if !bytes.Equal(first, again) || len(first) != 32 {
			t.Errorf("got %d and %d bytes, which are not the same 32", len(first), len(again))
		}
	})
	t.Run("refuses what was not encrypted to it, and goes on", func(t *testing.T) {
		for name, input := range strangers(t, record) {
			var secret []byte
			var err error
			if alg == signer.ECDHES {
				secret, err = token.Agree(t.Context(), record, input)
			} else {
				secret, err = token.Unwrap(t.Context(), record, input)
			}
			if !errors.Is(err, signer.ErrCiphertext) || errors.Is(err, signer.ErrUnavailable) {
				t.Errorf("%s: got %d bytes, %v; want ErrCiphertext", name, len(secret), err)
			}
		}
		if err := signer.Prove(t.Context(), token, record); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("does not sign", func(t *testing.T) {
		for _, as := range []signer.Algorithm{alg, signer.PS256, signer.ES256} {
			other := record
			other.Algorithm = as
			if signature, err := token.Sign(t.Context(), other, []byte("message")); err == nil {
				t.Errorf("signed as %s: %x", as, signature)
			}
		}
	})
	t.Run("keys that sign do not decrypt", func(t *testing.T) {
		sibling := signer.ES256
		if alg.Unwraps() {
			sibling = signer.PS256
		}
		signing, err := token.Generate(t.Context(), sibling)
		if err != nil {
			t.Fatal(err)
		}
		signing.Algorithm = alg
		if err := signer.Prove(t.Context(), token, signing); err == nil {
			t.Errorf("a %s key decrypted", sibling)
		}
	})
	t.Run("refuses a destroyed key", func(t *testing.T) {
		if err := token.Destroy(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		if err := signer.Prove(t.Context(), token, record); !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
	})
}

// useTwice decrypts one thing twice.
func useTwice(t *testing.T, token Token, record signer.Record) (first, again []byte) {
	t.Helper()
	use := token.Agree
	var input []byte
	if public, ok := record.Public.(*rsa.PublicKey); ok {
		use = token.Unwrap
		input = wrapped(t, public, record.Algorithm)
	} else {
		input = newPoint(t)
	}
	var err error
	if first, err = use(t.Context(), record, input); err != nil {
		t.Fatal(err)
	}
	if again, err = use(t.Context(), record, input); err != nil {
		t.Fatal(err)
	}
	return first, again
}

// strangers are inputs that no honest client makes.
func strangers(t *testing.T, record signer.Record) map[string][]byte {
	t.Helper()
	public, ok := record.Public.(*rsa.PublicKey)
	if !ok {
		off := newPoint(t)
		off[64] ^= 1
		// A point of the curve y² = x³ - 3x + b' with another b' is how a key is stolen from code that does not look.
		return map[string][]byte{
			"a point beside the curve": off, "nothing": nil, "a point cut short": newPoint(t)[:64],
			"the point at infinity": make([]byte, 65), "a compressed point": compressed(t),
		}
	}
	other, err := rsa.GenerateKey(rand.Reader, public.Size()*8)
	if err != nil {
		t.Fatal(err)
	}
	damaged := wrapped(t, public, record.Algorithm)
	damaged[10] ^= 1
	made := make([]byte, public.Size()) // below the modulus, and of no padding that is known
	if _, err := rand.Read(made[1:]); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"for another key": wrapped(t, &other.PublicKey, record.Algorithm), "wrapped with another hash": wrapped(t, public, otherHash(record.Algorithm)), "damaged": damaged, "nothing": {}, "short": damaged[:100], "made up": made,
	}
}

// otherHash is the algorithm of RSA-OAEP with the other hash.
func otherHash(alg signer.Algorithm) signer.Algorithm {
	if alg == signer.RSAOAEP {
		return signer.RSAOAEP256
	}
	return signer.RSAOAEP
}

// wrapped encrypts for an RSA key, with the hash of an algorithm (RFC 7518 §4.3).
func wrapped(t *testing.T, public *rsa.PublicKey, alg signer.Algorithm) []byte {
	t.Helper()
	hash := sha256.New()
	if alg == signer.RSAOAEP {
		hash = sha1.New()
	}
	raw, err := rsa.EncryptOAEP(hash, rand.Reader, public, make([]byte, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newPoint(t *testing.T) []byte {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key.PublicKey().Bytes()
}

func compressed(t *testing.T) []byte {
	t.Helper()
	point := newPoint(t)
	return append([]byte{2 + point[64]&1}, point[1:33]...)
}
