package relyingparty

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"time"

	"countersign/conformance/keys"
	"countersign/rp/client"
)

// identity is a client of a plan, with keys of its own.
type identity struct {
	id, secret string
	// key authenticates the client and signs its requests; public is what the suite is told of it.
	key    client.Key
	public keys.JWK
	// decrypter opens ID tokens that the suite encrypts to encryption; only clients that are to get such have it.
	decrypter  *client.Decrypter
	encryption keys.JWK
	// certificate is the client's, shown is its PEM; nil and empty if the plan has no use for one.
	certificate *tls.Certificate
	shown       string
}

// newIdentity makes a client of a plan. Its key is for PS256 or ES256.
func newIdentity(random io.Reader, p plan, id, algorithm string, encrypted bool, now time.Time) (identity, error) {
	made := identity{id: id}
	newKey := keys.NewPS256
	if algorithm == "ES256" {
		newKey = keys.NewES256
	}
	private, err := newKey(random, id+"-key")
	if err != nil {
		return identity{}, err
	}
	encoded, err := json.Marshal(private)
	if err != nil {
		return identity{}, err
	}
	if made.key, err = client.ParseKey(encoded); err != nil {
		return identity{}, err
	}
	made.public = private.Public()
	if made.secret, err = random32(random); err != nil {
		return identity{}, err
	}
	if encrypted {
		if err := made.decryptable(random); err != nil {
			return identity{}, err
		}
	}
	if p.usesCertificate() {
		if err := made.certify(random, now); err != nil {
			return identity{}, err
		}
	}
	return made, nil
}

// decryptable adds a key that ID tokens are encrypted to.
func (i *identity) decryptable(random io.Reader) error {
	private, err := rsa.GenerateKey(random, 2048)
	if err != nil {
		return err
	}
	kid := i.id + "-enc"
	decrypter, err := client.NewDecrypter(private, kid)
	if err != nil {
		return err
	}
	i.decrypter, i.encryption = &decrypter, keys.OfRSA(private, kid, encryptionAlgorithm, "enc").Public()
	return nil
}

// certify adds a certificate that the client vouches for itself; the suite compares it with the one that it was told of.
func (i *identity) certify(random io.Reader, now time.Time) error {
	made, der, err := selfSigned(random, i.id, x509.ExtKeyUsageClientAuth, now)
	if err != nil {
		return err
	}
	i.certificate, i.shown = &made, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return nil
}

// selfSigned makes a certificate for a use, which is valid for localhost too.
func selfSigned(random io.Reader, name string, use x509.ExtKeyUsage, now time.Time) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	serial, err := rand.Int(random, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(7 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, der, nil
}

// random32 is 32 random bytes in hexadecimal.
func random32(random io.Reader) (string, error) {
	bytes := make([]byte, 32)
	if _, err := io.ReadFull(random, bytes); err != nil {
		return "", err
	}
	return hex.EncodeToString(bytes), nil
}
