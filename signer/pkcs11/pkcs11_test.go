//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"testing"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

func newToken(t testing.TB, folder string) softhsm.Token {
	t.Helper()
	token, err := softhsm.Create(t.Context(), folder, "test", pkcs11.InitialiseToken)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func config(token softhsm.Token) pkcs11.Config {
	return pkcs11.Config{Module: token.Module, Token: token.URI, PINFile: token.PINFile, Environment: token.Environment}
}

func open(t testing.TB, c pkcs11.Config) *pkcs11.Backend {
	t.Helper()
	b, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func generate(t testing.TB, b *pkcs11.Backend, alg signer.Algorithm) signer.Record {
	t.Helper()
	record, err := b.Generate(t.Context(), alg)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func algorithms() []signer.Algorithm {
	return []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA}
}

// TestKeysSurvive finds the same keys in a second worker, with a strict policy on each.
func TestKeysSurvive(t *testing.T) {
	token := newToken(t, t.TempDir())
	first := open(t, config(token))
	made := map[string]signer.Algorithm{}
	for _, alg := range algorithms() {
		made[generate(t, first, alg).ID] = alg
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	keys, err := open(t, config(token)).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if made[key.Record.ID] != key.Record.Algorithm || key.Refused != "" {
			t.Errorf("key %+v", key)
		}
	}
	if len(keys) != len(made) {
		t.Errorf("%d keys, want %d", len(keys), len(made))
	}
}

func TestRSASize(t *testing.T) {
	record := generate(t, open(t, config(newToken(t, t.TempDir()))), signer.PS256)
	if key, ok := record.Public.(*rsa.PublicKey); !ok || key.N.BitLen() != 2048 || key.E != 65537 {
		t.Errorf("key %v", record.Public)
	}
}

func BenchmarkSign(b *testing.B) {
	backend := open(b, config(newToken(b, b.TempDir())))
	for _, alg := range algorithms() {
		record := generate(b, backend, alg)
		message := bytes.Repeat([]byte("m"), 700)
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := backend.Sign(b.Context(), record, message); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/parallel", func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := backend.Sign(context.Background(), record, message); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
