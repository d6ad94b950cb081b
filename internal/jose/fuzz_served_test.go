package jose

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

// FuzzServedKeySet: a key of a set that is accepted is public, and is the same key by the letter of RFC 7518; each other is
// named; and no set is accepted that holds a private member.
func FuzzServedKeySet(f *testing.F) {
	for _, key := range []string{rfc7515Key, rfc7638Key, rfc8037Key} {
		f.Add([]byte(`{"keys":[` + key + `]}`))
	}
	files, err := os.ReadDir("testdata/served")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile("testdata/served/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := ParseKeySet(raw)
		if err != nil {
			checkShown(t, err)
			return
		}
		var plain struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(TrimByteOrderMark(raw), &plain); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if len(plain.Keys) != set.size || len(set.keys)+len(set.others) != set.size {
			t.Fatalf("%d keys, %d of them and %d others are known", len(plain.Keys), len(set.keys), len(set.others))
		}
		for _, other := range set.others {
			checkShown(t, errors.New(other.String()))
			if other.Reason == "" || other.Position < 1 || other.Position > set.size {
				t.Fatalf("%+v", other)
			}
		}
		for _, key := range set.keys {
			published, err := json.Marshal(key)
			if err != nil {
				t.Fatal(err)
			}
			strict, err := ParsePublicJWK(published)
			if err != nil || strict.Thumbprint() != key.Thumbprint() {
				t.Fatalf("%s: %v", published, err)
			}
		}
	})
}

// FuzzCertifiedKey: a certificate that crypto/x509 reads has the key that is read here.
func FuzzCertifiedKey(f *testing.F) {
	key := newKey(f, EdDSA)
	der, err := base64.StdEncoding.DecodeString(certificate(f, key))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		read, err := x509.ParseCertificate(der)
		if err != nil {
			certifiedKey(der)
			return
		}
		if _, err := x509.MarshalPKIXPublicKey(read.PublicKey); err != nil {
			return
		}
		switch read.PublicKey.(type) {
		case *rsa.PublicKey, *ecdsa.PublicKey:
		default:
			return
		}
		if err := checkLooseCertificate(base64.StdEncoding.EncodeToString(der), read.PublicKey); err != nil {
			t.Errorf("%x: %v", der, err)
		}
	})
}
