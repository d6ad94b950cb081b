//go:build !cgo || nopkcs11

package pkcs11_test

import (
	"strings"
	"testing"

	"countersign/signer/pkcs11"
)

// TestWithoutPKCS11: a binary that cannot load modules says so.
func TestWithoutPKCS11(t *testing.T) {
	b, err := pkcs11.Open(t.Context(), pkcs11.Config{Module: "/none", Token: "pkcs11:token=test", PINFile: "/none"})
	if err == nil {
		b.Close()
		t.Fatal("opened")
	}
	if pkcs11.Built || !strings.Contains(err.Error(), "built without cgo") {
		t.Errorf("said %q", err)
	}
}
