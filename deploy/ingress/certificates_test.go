package ingress

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// identity is a key with its certificate and what vouches for it.
type identity struct {
	certificate *x509.Certificate
	key         crypto.Signer
	above       []*x509.Certificate // intermediates
}

// issue makes an identity below another, or one that signs itself.
func issue(t *testing.T, by *identity, name string, change func(*x509.Certificate)) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	made := &identity{key: key}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.certificate, by.key
		if len(by.certificate.RawIssuer) > 0 && string(by.certificate.RawIssuer) != string(by.certificate.RawSubject) {
			made.above = append([]*x509.Certificate{by.certificate}, by.above...)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if made.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return made
}

func authority(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
}

func forServers(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c.DNSNames, c.IPAddresses = []string{host}, []net.IP{net.IPv4(127, 0, 0, 1)}
}

// tls joins a key and its chain; leafOnly leaves the chain out.
func (i *identity) tls(leafOnly bool) tls.Certificate {
	made := tls.Certificate{PrivateKey: i.key, Certificate: [][]byte{i.certificate.Raw}}
	if !leafOnly {
		for _, c := range i.above {
			made.Certificate = append(made.Certificate, c.Raw)
		}
	}
	return made
}

func (i *identity) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.certificate.Raw})
}

// write puts NAME.crt, NAME.key and NAME.pem, which holds both, where the configurations look for them.
func (i *identity) write(t *testing.T, folder, name string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	write(t, folder, name+".crt", i.pem())
	write(t, folder, name+".key", key)
	write(t, folder, name+".pem", append(i.pem(), key...))
}

func write(t *testing.T, folder, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// injection is a URI that ends the element of Envoy's header and begins another, with a certificate of somebody else's.
func injection(t *testing.T, of *identity) func(*x509.Certificate) {
	t.Helper()
	const uri = 6 // GeneralName, RFC 5280 §4.2.1.6
	text := `spiffe://a/b,Hash=` + digest(of) + `;Cert="` + strings.ReplaceAll(url.QueryEscape(string(of.pem())), "+", "%20") + `"`
	der, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: uri, Bytes: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}
	}
}
