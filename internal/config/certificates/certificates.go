// Package certificates reads the certificates that the configuration names, their keys and their authorities. Errors begin with the
// keys of the configuration.
package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"countersign/internal/config/value"
)

// Pair reads a certificate chain, PEM, and its private key.
func Pair(chainKey string, chainFile value.File, keyKey string, keyFile value.Secret) (tls.Certificate, error) {
	chain, err := os.ReadFile(chainFile.Path())
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", chainKey, err)
	}
	key, err := keyFile.Read()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", keyKey, err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s: %w", chainKey, keyKey, err)
	}
	return pair, nil
}

// Authorities reads certificates of authorities, PEM.
func Authorities(key string, file value.File) (*x509.CertPool, error) {
	encoded, err := os.ReadFile(file.Path())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(encoded) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM form", key, file)
	}
	return roots, nil
}
