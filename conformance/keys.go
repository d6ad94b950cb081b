package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"
)

// authority issues the clients' certificates. The server has to trust it.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         string
}

// readAuthority reads a certificate and its PKCS#8 or EC key in PEM form.
func readAuthority(certificateFile, keyFile string) (*authority, error) {
	certificatePEM, err := os.ReadFile(certificateFile)
	if err != nil {
		return nil, fmt.Errorf("-client-ca-cert: %w", err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("-client-ca-key: %w", err)
	}
	block, _ := pem.Decode(certificatePEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if block == nil || keyBlock == nil {
		return nil, errors.New("-client-ca-cert, -client-ca-key: not in PEM form")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("-client-ca-cert: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		parsed, err = x509.ParseECPrivateKey(keyBlock.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("-client-ca-key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("-client-ca-key: not a signing key")
	}
	return &authority{certificate: certificate, key: key, pem: string(certificatePEM)}, nil
}

// certificate is a client's certificate as the suite wants it.
type certificate struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
	CA   string `json:"ca,omitempty"`
	// subject is that of the certificate (RFC 4514).
	subject string
}

// issue makes a client certificate for a subject.
func (a *authority) issue(random io.Reader, subject pkix.Name, now time.Time) (certificate, error) {
	key, err := rsa.GenerateKey(random, 2048)
	if err != nil {
		return certificate{}, err
	}
	serial, err := rand.Int(random, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: subject,
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(7 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(random, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return certificate{}, err
	}
	issued, err := x509.ParseCertificate(der)
	if err != nil {
		return certificate{}, err
	}
	name, err := distinguishedName(issued.RawSubject)
	if err != nil {
		return certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return certificate{}, err
	}
	return certificate{
		Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
		CA:   a.pem, subject: name,
	}, nil
}

// distinguishedName writes a name as RFC 4514 does: attributes without a short name by their number and encoding (§2.4), which
// ecosystems compare.
func distinguishedName(der []byte) (string, error) {
	var names pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &names); err != nil {
		return "", err
	}
	var encoded []relativeNameSET
	if _, err := asn1.Unmarshal(der, &encoded); err != nil {
		return "", err
	}
	var parts []string
	for i, name := range slices.Backward(names) {
		part := pkix.RDNSequence{name}.String()
		if part != "" && part[0] >= '0' && part[0] <= '9' {
			part = fmt.Sprintf("%s=#%x", encoded[i][0].Type, encoded[i][0].Value.FullBytes)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ","), nil
}

// relativeNameSET is a relative distinguished name with its values as they are encoded; the suffix is what encoding/asn1 knows a SET by.
type relativeNameSET []struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}
