package client_test

import (
	"crypto"
	"log"
	"testing"

	"countersign/internal/jose"
)

// exampleTest is a test for examples, which have none: what fails ends the program.
type exampleTest struct{ testing.TB }

// Helper implements testing.TB.
func (exampleTest) Helper() {}

// Cleanup implements testing.TB; examples close what they open.
func (exampleTest) Cleanup(func()) {}

// Fatal implements testing.TB.
func (exampleTest) Fatal(values ...any) { log.Fatal(values...) }

// Error implements testing.TB.
func (exampleTest) Error(values ...any) { log.Fatal(values...) }

func generatedSigner() crypto.Signer {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		log.Fatal(err)
	}
	return key.Signer()
}
