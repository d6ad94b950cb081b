//go:build !cgo || nopkcs11

package crypto11_test

import (
	"strings"
	"testing"

	"countersign/signer"
	"countersign/signer/crypto11"
	"countersign/signer/pkcs11"
)

// TestWithoutCgo: a binary that cannot load modules says so.
func TestWithoutCgo(t *testing.T) {
	b, err := crypto11.Prepare(pkcs11.Config{Module: "/none", Token: "pkcs11:token=test", PINFile: "/none"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, signErr := b.Sign(t.Context(), signer.Record{ID: strings.Repeat("A", 43), Algorithm: signer.PS256}, []byte("m"))
	for _, err := range []error{b.Connect(t.Context()), signErr} {
		if err == nil || !strings.Contains(err.Error(), "built without cgo and has no crypto11") {
			t.Errorf("said %v", err)
		}
	}
	if crypto11.Built {
		t.Error("it says that it is there")
	}
}
