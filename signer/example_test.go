package signer_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"countersign/signer"
)

// exampleHSM is a backend with one Ed25519 key, and the catalogue that knows of it. A real one is signer/pkcs11; a real
// catalogue is a database that all nodes share.
type exampleHSM struct{ key ed25519.PrivateKey }

func (h exampleHSM) Sign(_ context.Context, _ signer.Record, message []byte) ([]byte, error) {
	return ed25519.Sign(h.key, message), nil
}

func (exampleHSM) Close() error { return nil }

func (h exampleHSM) Keys(context.Context) ([]signer.Record, error) {
	kid, err := signer.Thumbprint(h.key.Public())
	if err != nil {
		return nil, err
	}
	return []signer.Record{{
		ID: kid, Algorithm: signer.EdDSA, Uses: []signer.Use{signer.UseIDToken}, State: signer.Active, Public: h.key.Public(),
		ActivatedAt: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
	}}, nil
}

// A pinned key has an ID, an algorithm and a private half that belong together, whatever happens to its state meanwhile.
func ExampleSigner_Active() {
	ctx := context.Background()
	hsm := exampleHSM{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))} // a key that everybody knows
	s, err := signer.New(ctx, signer.Config{Catalogue: hsm, Replicas: []signer.Replica{{Backend: hsm}}})
	if err != nil {
		fmt.Println(err)
		return
	}

	key, err := s.Active(ctx, signer.UseIDToken, signer.EdDSA)
	if err != nil {
		fmt.Println(err)
		return
	}
	message := []byte("eyJhbGciOiJFZERTQSJ9.e30") // the signing input of a JWS (RFC 7515 §5.1) with key.ID as kid
	signature, err := key.Sign(ctx, message)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("kid:", key.ID)
	fmt.Println("verifies:", signer.Verify(key.Public, key.Algorithm, message, signature))

	_, err = s.Active(ctx, signer.UseAccessToken, signer.EdDSA) // the key was not made for that
	fmt.Println("no key:", errors.Is(err, signer.ErrNoKey))
	// Output:
	// kid: 9ZP03Nu8GrXPAUkbKNxHOKBzxPX83SShgFkRNK-f2lw
	// verifies: true
	// no key: true
}

// The key set is published as JWKs (RFC 7517).
func ExamplePublicJWK() {
	hsm := exampleHSM{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	records, err := hsm.Keys(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	jwk, err := signer.PublicJWK(records[0])
	fmt.Println(string(jwk), err)
	// Output:
	// {"use":"sig","kty":"OKP","kid":"9ZP03Nu8GrXPAUkbKNxHOKBzxPX83SShgFkRNK-f2lw","crv":"Ed25519","alg":"EdDSA","x":"O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"} <nil>
}
