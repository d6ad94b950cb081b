package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// ingressName is in the certificate that the ingress shows to the server.
const ingressName = "ingress.localhost"

// placed is what prepare made.
type placed struct {
	folder  string // of the ingress
	config  string // of the server
	backend string // port of the server's listener for client certificates
}

// prepare writes what the ingress and the server need to know each other.
func (s setup) prepare(now time.Time) (placed, error) {
	p := placed{
		folder: filepath.Join(s.state, "ingress", s.kind.Source),
		config: filepath.Join(s.state, "countersign."+s.kind.Source+".toml"),
	}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return p, err
	}
	for _, c := range []struct{ from, to string }{
		{"server.crt", "server.crt"}, {"server.key", "server.key"}, {"client-ca.crt", "clients-ca.crt"},
	} {
		content, err := os.ReadFile(filepath.Join(s.state, "tls", c.from))
		if err != nil {
			return p, fmt.Errorf("%w; countersign init --dev makes it", err)
		}
		if err := os.WriteFile(filepath.Join(p.folder, c.to), content, 0o600); err != nil {
			return p, err
		}
	}
	if err := s.unconstrained(filepath.Join(p.folder, "upstream-ca.crt")); err != nil {
		return p, err
	}
	if err := certify(p.folder, now); err != nil {
		return p, err
	}
	for _, name := range []string{"server", "ingress"} {
		certificate, err := os.ReadFile(filepath.Join(p.folder, name+".crt"))
		if err != nil {
			return p, err
		}
		key, err := os.ReadFile(filepath.Join(p.folder, name+".key"))
		if err != nil {
			return p, err
		}
		if err := os.WriteFile(filepath.Join(p.folder, name+".pem"), append(certificate, key...), 0o600); err != nil {
			return p, err
		}
	}
	var err error
	p.backend, err = s.configure(p)
	return p, err
}

// configure writes the server's configuration with another listener for client certificates: the same port, reached by
// the ingress alone, which has the public address. It returns the port.
func (s setup) configure(p placed) (string, error) {
	source := filepath.Join(s.state, "countersign.toml")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", fmt.Errorf("%w; countersign init --dev makes it", err)
	}
	var c map[string]any
	if err := toml.Unmarshal(text, &c); err != nil {
		return "", fmt.Errorf("%s: %w", source, err)
	}
	listener, _ := c["listen_mtls"].(map[string]any)
	address, _ := listener["address"].(string)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%s: listen_mtls.address: %w", source, err)
	}
	listener["url"] = "https://localhost:" + s.port
	listener["source"] = s.kind.Source
	listener["ingress_ca_file"] = filepath.Join(p.folder, "ingress-ca.crt")
	listener["ingress_name"] = ingressName
	changed, err := toml.Marshal(c)
	if err != nil {
		return "", err
	}
	return port, os.WriteFile(p.config, changed, 0o600)
}

// unconstrained writes the development authority as one without name constraints: the development one may vouch for
// loopback addresses only, and BoringSSL, which Envoy has, refuses constraints on addresses.
func (s setup) unconstrained(file string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(s.state, "tls", "ca.crt"), filepath.Join(s.state, "tls", "ca.key"))
	if err != nil {
		return fmt.Errorf("%w; countersign init --dev makes it", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return errors.New("the key of the development authority does not sign")
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(3), RawSubject: pair.Leaf.RawSubject, SubjectKeyId: pair.Leaf.SubjectKeyId,
		NotBefore: pair.Leaf.NotBefore, NotAfter: pair.Leaf.NotAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// certify makes the ingress's own certificate, and an authority that issued it and nothing else.
func certify(folder string, now time.Time) error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of the ingress"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(7 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: ingressName}, DNSNames: []string{ingressName},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(name, kind string, der []byte) error {
		return os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	return errors.Join(write("ingress-ca.crt", "CERTIFICATE", caDER), write("ingress.crt", "CERTIFICATE", leafDER), write("ingress.key", "PRIVATE KEY", keyDER))
}
