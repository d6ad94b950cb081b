package mtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

var testTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// authority is a certification authority of a test.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newP256(t testing.TB) crypto.Signer { return newEC(t, elliptic.P256()) }

func newEC(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newAuthority makes a root, or a CA below parent.
func newAuthority(t testing.TB, name string, parent *authority, change func(*x509.Certificate)) *authority {
	t.Helper()
	made := &authority{key: newP256(t)}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	signer := parent
	if parent == nil {
		signer = &authority{template, made.key}
	}
	made.certificate = signer.sign(t, template, made.key.Public())
	return made
}

// issue makes a client certificate.
func (a *authority) issue(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "client"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	return a.sign(t, template, key.Public())
}

func (a *authority) sign(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = testTime.Add(-time.Hour), testTime.Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// selfSigned makes a certificate for a key by the key itself.
func selfSigned(t testing.TB, key crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	self := &authority{&x509.Certificate{Subject: pkix.Name{CommonName: "client"}}, key}
	return self.issue(t, key, change)
}

func pool(certificates ...*x509.Certificate) *x509.CertPool {
	made := x509.NewCertPool()
	for _, certificate := range certificates {
		made.AddCert(certificate)
	}
	return made
}

func present(leaf *x509.Certificate, chain ...*x509.Certificate) *Presented {
	return &Presented{Leaf: leaf, Chain: chain}
}

func now() time.Time { return testTime }

// tlsCertificate joins a key and its chain for a handshake.
func tlsCertificate(key crypto.Signer, chain ...*x509.Certificate) tls.Certificate {
	made := tls.Certificate{PrivateKey: key}
	for _, certificate := range chain {
		made.Certificate = append(made.Certificate, certificate.Raw)
	}
	return made
}

func marshal(t testing.TB, value any) []byte {
	t.Helper()
	der, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// title names a subtest as internal/checklist counts them.
func title(accepted bool, name string) string {
	if accepted {
		return "accepts " + name
	}
	return "refuses " + name
}
