// Package signertest is the contract of a PKCS#11 token behind a signer: one suite for every module.
package signertest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// Token is what is held to the contract.
type Token interface {
	signer.Impatient
	signer.Decrypter
	Generate(ctx context.Context, alg signer.Algorithm) (signer.Record, error)
	List(ctx context.Context) ([]pkcs11.Key, error)
	Destroy(ctx context.Context, kid string) error
	Attest(ctx context.Context, kid string) (pkcs11.Attestation, error)
}

// Module is what a module is known to be like. The contract fails where it is worse, and where it is better by now.
type Module struct {
	Name string
	// Has are the algorithms that it has. It has to refuse the others, and say so.
	Has []signer.Algorithm
	// ListsInVain are algorithms whose mechanism it lists and which it refuses all the same.
	ListsInVain []signer.Algorithm
	// Unpinned modules do not read back which mechanism a key is allowed.
	Unpinned bool
	// ClaimsDecrypt is said of modules whose signing keys have CKA_DECRYPT, and are kept from it by their one allowed
	// mechanism.
	ClaimsDecrypt bool
	// Software is no HSM: it has to say that nothing keeps its keys inside.
	Software bool
}

// Run holds a token to the contract, and tells for which algorithms it kept it.
func Run(t *testing.T, token Token, module Module) map[signer.Algorithm]bool {
	kept := map[signer.Algorithm]bool{}
	for _, alg := range Algorithms() {
		switch {
		case !slices.Contains(module.Has, alg):
			t.Run(fmt.Sprintf("refuses %s, which the module does not have", alg), func(t *testing.T) { refuses(t, token, alg) })
		case alg.Decrypts():
			kept[alg] = t.Run(string(alg), func(t *testing.T) { decrypts(t, token, alg, module) })
		default:
			kept[alg] = t.Run(string(alg), func(t *testing.T) { contract(t, token, alg, module) })
		}
	}
	return kept
}

// Algorithms are those that a module can have.
func Algorithms() []signer.Algorithm {
	return []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA, signer.ECDHES, signer.RSAOAEP256, signer.RSAOAEP}
}

// refuses asks for a key of an algorithm that the module has not: it says so, and nothing stays on the token.
func refuses(t *testing.T, token Token, alg signer.Algorithm) {
	before, err := token.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if record, err := token.Generate(t.Context(), alg); err == nil {
		t.Errorf("made %s: the module has %s by now", record.ID, alg)
	} else if errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("the module did not refuse but fail: %v", err)
	}
	if after, err := token.List(t.Context()); err != nil || len(after) != len(before) {
		t.Errorf("the token has %d keys, had %d, %v", len(after), len(before), err)
	}
}

// lists compares what a token says it has with what it is known to have.
func lists(t *testing.T, listed []signer.Algorithm, module Module) {
	for _, alg := range Algorithms() {
		got, want := slices.Contains(listed, alg), slices.Contains(module.Has, alg) || slices.Contains(module.ListsInVain, alg)
		if got != want {
			t.Errorf("the token lists %s: %v, want %v", alg, got, want)
		}
	}
}

// attributes holds what a token says of a key to what is expected of it.
func attributes(t *testing.T, attested pkcs11.Attestation, alg signer.Algorithm, module Module) {
	if module.Software {
		for name, want := range map[string]bool{"CKA_SENSITIVE": false, "CKA_EXTRACTABLE": true} {
			if got, known := attested.Attributes[name]; !known || got != want {
				t.Errorf("%s is %v (known: %v), want %v: software cannot keep a key inside", name, got, known, want)
			}
		}
		return
	}
	for name, want := range map[string]bool{
		"CKA_PRIVATE": true, "CKA_SENSITIVE": true, "CKA_EXTRACTABLE": false, "CKA_SIGN": !alg.Decrypts(),
	} {
		if got, known := attested.Attributes[name]; !known || got != want {
			t.Errorf("%s is %v (known: %v), want %v", name, got, known, want)
		}
	}
	for name, want := range map[string]bool{
		"CKA_UNWRAP": false, "CKA_SIGN_RECOVER": false, "CKA_MODIFIABLE": false,
		"CKA_DERIVE": alg == signer.ECDHES, "CKA_DECRYPT": alg.Unwraps() || module.ClaimsDecrypt,
	} {
		if got, known := attested.Attributes[name]; known && got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	mechanisms := map[signer.Algorithm][]string{
		signer.PS256: {"CKM_RSA_PKCS_PSS"}, signer.ES256: {"CKM_ECDSA"}, signer.EdDSA: {"CKM_EDDSA"},
		signer.ECDHES: {"CKM_ECDH1_DERIVE"}, signer.RSAOAEP256: {"CKM_RSA_PKCS_OAEP"}, signer.RSAOAEP: {"CKM_RSA_PKCS_OAEP"},
	}[alg]
	if module.Unpinned {
		mechanisms = nil
	}
	if !slices.Equal(attested.Mechanisms, mechanisms) {
		t.Errorf("the key is allowed %v, want %v", attested.Mechanisms, mechanisms)
	}
	lists(t, attested.Offered, module)
}

func contract(t *testing.T, token Token, alg signer.Algorithm, module Module) {
	record, err := token.Generate(t.Context(), alg)
	if err != nil {
		t.Fatal(err)
	}
	if thumbprint, err := signer.Thumbprint(record.Public); err != nil || thumbprint != record.ID || !signer.Fits(record.Public, alg) {
		t.Fatalf("the kid %s is not the thumbprint %s of a key for %s, %v", record.ID, thumbprint, alg, err)
	}
	held, err := token.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(held, func(k pkcs11.Key) bool { return k.Record.ID == record.ID })
	if at < 0 || held[at].Refused != "" {
		t.Fatalf("the new key is not listed as good: %+v", held)
	}
	attested, err := token.Attest(t.Context(), record.ID)
	if err != nil {
		t.Fatal(err)
	}
	attributes(t, attested, alg, module)

	message := []byte("message")
	t.Run("signs what the published key verifies", func(t *testing.T) {
		count := 20
		if alg == signer.ES256 {
			count = 1500 // r or s with a leading zero is among them: one of 128
		}
		for i := range count {
			message := fmt.Appendf(nil, "message %d", i)
			signature, err := token.Sign(t.Context(), record, message)
			if err != nil {
				t.Fatal(err)
			}
			if !signer.Verify(record.Public, alg, message, signature) {
				t.Fatalf("signature %d is wrong", i)
			}
			if signer.Verify(record.Public, alg, append(message, 'x'), signature) {
				t.Fatal("the signature fits another message")
			}
		}
	})
	if public, ok := record.Public.(*rsa.PublicKey); ok {
		t.Run("salts with 32 bytes and no others", func(t *testing.T) {
			signature, err := token.Sign(t.Context(), record, message)
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256(message)
			for salt, want := range map[int]bool{32: true, 20: false, 31: false, 33: false, public.Size() - 34: false} {
				err := rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: salt})
				if (err == nil) != want {
					t.Errorf("with a salt of %d bytes: %v", salt, err)
				}
			}
		})
	}
	t.Run("signs for many at once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for n := range 8 {
					message := []byte{byte(i), byte(n)}
					signature, err := token.SignNow(t.Context(), record, message)
					if err != nil || !signer.Verify(record.Public, alg, message, signature) {
						t.Errorf("caller %d: %v", i, err)
					}
				}
			})
		}
		all.Wait()
	})
	t.Run("refuses an unknown key", func(t *testing.T) {
		other := record
		other.ID = string(bytes.Repeat([]byte{'A'}, len(record.ID)))
		if _, err := token.Sign(t.Context(), other, message); !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
	})
	t.Run("refuses the key's use with another algorithm", func(t *testing.T) {
		other := record
		other.Algorithm = map[signer.Algorithm]signer.Algorithm{signer.PS256: signer.ES256, signer.ES256: signer.EdDSA, signer.EdDSA: signer.PS256}[alg]
		if signature, err := token.Sign(t.Context(), other, message); err == nil {
			t.Errorf("signed: %x", signature)
		}
	})
	t.Run("refuses a destroyed key", func(t *testing.T) {
		if err := token.Destroy(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := token.Sign(t.Context(), record, message); !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("got %v, want ErrNoKey", err)
		}
		if err := token.Destroy(t.Context(), record.ID); !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("destroyed twice: %v, want ErrNoKey", err)
		}
	})
}
