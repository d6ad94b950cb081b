package certificates_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/config/certificates"
	"countersign/internal/config/value"
)

// pair is a certificate that is its own authority, and its key, PEM.
func pair(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// TestRead: an error names the keys of the configuration, and repeats nothing of a private key.
func TestRead(t *testing.T) {
	folder := t.TempDir()
	certificate, key := pair(t)
	_, other := pair(t)
	files := map[string][]byte{"crt": certificate, "key": key, "other": other, "empty": nil}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(chain, private string) error {
		_, err := certificates.Pair("a.crt", value.File(filepath.Join(folder, chain)), "a.key", value.Secret(filepath.Join(folder, private)))
		return err
	}
	authorities := func(name string) error {
		_, err := certificates.Authorities("a.ca", value.File(filepath.Join(folder, name)))
		return err
	}
	t.Run("accepts a pair, and authorities", func(t *testing.T) {
		if err := read("crt", "key"); err != nil {
			t.Error(err)
		}
		if err := authorities("crt"); err != nil {
			t.Error(err)
		}
	})
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"a chain that is not there":          {read("none", "key"), "a.crt: open "},
		"a key that is not there":            {read("crt", "none"), "a.key: "},
		"the key of another":                 {read("crt", "other"), "a.crt and a.key: tls: private key does not match public key"},
		"authorities that are not there":     {authorities("none"), "a.ca: open "},
		"a file without a certificate in it": {authorities("empty"), "empty holds no certificate in PEM form"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if test.err == nil || !strings.Contains(test.err.Error(), test.want) || strings.Contains(test.err.Error(), "PRIVATE") {
				t.Errorf("%v, want %s", test.err, test.want)
			}
		})
	}
}
