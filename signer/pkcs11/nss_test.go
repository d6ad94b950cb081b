//go:build cgo && !nopkcs11 && hsm

package pkcs11_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
)

// newNSS makes an empty key database of NSS, whose token has a fixed name.
func newNSS(t testing.TB) (c pkcs11.Config, database string) {
	t.Helper()
	modules, err := filepath.Glob("/usr/lib/*/libsoftokn3.so")
	if err != nil || len(modules) == 0 {
		t.Fatal("NSS is not installed; run: apt-get install libnss3 libnss3-tools")
	}
	folder := t.TempDir()
	pin, folder := written(t, filepath.Join(folder, "pin"), "12345678\n"), filepath.Join(folder, "database")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	ran(t, exec.Command("certutil", "-N", "-d", "sql:"+folder, "-f", pin))
	return pkcs11.Config{
		Module: modules[0], Token: pkcs11.URI{Token: "NSS Certificate DB"}.String(), PINFile: pin,
		ModuleParameters: "configdir='sql:" + folder + "' certPrefix='' keyPrefix='' secmod='' flags=",
		SignTimeout:      20 * time.Second, // an RSA key is decrypted again for each use
	}, folder
}

// nss can make a token's key with a list of allowed mechanisms neither by itself nor by copying.
func nss() candidate {
	return candidate{
		Module: signertest.Module{
			Name: "NSS softokn", Has: []signer.Algorithm{signer.PS256, signer.ES256, signer.ECDHES, signer.RSAOAEP256, signer.RSAOAEP}, Unpinned: true,
		},
		install: func(t testing.TB) (pkcs11.Config, func(testing.TB) func()) {
			c, folder := newNSS(t)
			return c, func(t testing.TB) func() { return moved(t, folder) }
		},
	}
}

func TestContractNSS(t *testing.T) { nss().hold(t) }

// TestNSSWantsParameters: without them the error says what is missing.
func TestNSSWantsParameters(t *testing.T) {
	c, _ := newNSS(t)
	c.ModuleParameters = ""
	if _, err := pkcs11.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "signer.module_parameters") {
		t.Errorf("got %v, want an error that names signer.module_parameters", err)
	}
}
