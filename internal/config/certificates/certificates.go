// Package certificates reads the certificates that the configuration names, their keys and their authorities. Errors begin with the
// keys of the configuration.
package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

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
		return tls.Certificate{}, fmt.Errorf("%s and %s: %w", chainKey, keyKey, unusable(chainFile.Path(), chain, key, err))
	}
	return pair, nil
}

// unusable says of files that are no pair what crypto/tls does not say of them: that they are of another form.
func unusable(name string, chain, key []byte, err error) error {
	if block, _ := pem.Decode(chain); block == nil {
		if _, bad := x509.ParseCertificates(chain); bad == nil {
			return fmt.Errorf("%s is DER and not PEM; convert it: openssl x509 -inform DER -in %[1]s -out server.pem", name)
		}
		return err
	}
	for block, rest := pem.Decode(key); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return errors.New("the key is encrypted with a passphrase, which nobody enters when the server starts; write it without one (openssl pkey)")
		}
	}
	return err
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
