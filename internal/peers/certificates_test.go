package peers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// makeCertificates makes what Node.js cannot: certificates of clients. Each has a name, under which the scripts load it:
// client and other are of the authority that the server trusts, renewed has the subject of client and another key,
// stranger has the subject of client but no authority behind it, and self-signed and self-signed-other stand alone.
func (i *installation) makeCertificates() string {
	i.t.Helper()
	folder := i.t.TempDir()
	authority, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "tls", "client-ca.crt"), filepath.Join(i.folder, "tls", "client-ca.key"))
	if err != nil {
		i.t.Fatal(err)
	}
	for name, subject := range map[string]string{"client": "peer-client", "renewed": "peer-client", "other": "peer-other"} {
		makeCertificate(i.t, folder, name, subject, authority.Leaf, authority.PrivateKey)
	}
	for name, subject := range map[string]string{"stranger": "peer-client", "self-signed": "peer-self", "self-signed-other": "peer-self"} {
		makeCertificate(i.t, folder, name, subject, nil, nil)
	}
	return folder
}

// makeCertificate writes a certificate and its key. Without an issuer it signs itself.
func makeCertificate(t *testing.T, folder, name, subject string, issuer *x509.Certificate, signer crypto.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: subject},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if issuer == nil {
		issuer, signer = template, key
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(folder, name+".crt"), "CERTIFICATE", certificate)
	writePEM(t, filepath.Join(folder, name+".key"), "PRIVATE KEY", private)
}

func writePEM(t *testing.T, file, kind string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
}
