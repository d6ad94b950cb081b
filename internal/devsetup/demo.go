package devsetup

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"countersign/internal/config"
	"countersign/internal/jose"
)

// Demo is what the demo's client needs to be one.
type Demo struct {
	ClientID string
	Scope    string
	// Roots vouch for the server, and Callback is the certificate for the redirect.
	Roots    *x509.CertPool
	Callback tls.Certificate
	// ClientKey authenticates the client, and ProofKey signs DPoP proofs.
	ClientKey, ProofKey jose.PrivateKey
	// RedirectURI is where the demo takes its redirect.
	RedirectURI string
	// Password is that of alice and bob.
	Password string
}

// LoadDemo reads what [Make] made for the demo, beside the configuration.
func LoadDemo(c *config.Config) (Demo, error) {
	demo := Demo{ClientID: demoDPoP, Scope: "openid accounts offline_access", Roots: x509.NewCertPool()}
	tlsFolder := filepath.Dir(c.Listen.CertificateFile.Path())
	folder := filepath.Join(filepath.Dir(tlsFolder), "demo")
	authority, err := os.ReadFile(filepath.Join(tlsFolder, filepath.Base(authorityFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return demo, fmt.Errorf("%s is missing: the demo needs what countersign init --dev makes", filepath.Join(tlsFolder, filepath.Base(authorityFile)))
	}
	if err != nil {
		return demo, err
	}
	demo.Roots.AppendCertsFromPEM(authority)
	keyFile, err := c.Listen.KeyFile.Path()
	if err != nil {
		return demo, err
	}
	if demo.Callback, err = tls.LoadX509KeyPair(c.Listen.CertificateFile.Path(), keyFile); err != nil {
		return demo, fmt.Errorf("the certificate for the callback: %w", err)
	}
	if demo.ClientKey, err = readKey(filepath.Join(folder, demoDPoP+".jwk")); err != nil {
		return demo, fmt.Errorf("the demo's key (countersign init --dev makes it): %w", err)
	}
	if demo.ProofKey, err = readKey(filepath.Join(folder, demoDPoP+"-proof.jwk")); err != nil {
		return demo, fmt.Errorf("the demo's key (countersign init --dev makes it): %w", err)
	}
	redirect, err := os.ReadFile(filepath.Join(folder, filepath.Base(callbackFile)))
	switch {
	case errors.Is(err, fs.ErrNotExist): // made by an earlier release
		demo.RedirectURI = Callback(demoPort)
	case err != nil:
		return demo, err
	default:
		demo.RedirectURI = strings.TrimSpace(string(redirect))
	}
	password, err := os.ReadFile(filepath.Join(folder, filepath.Base(passwordFile)))
	demo.Password = strings.TrimSpace(string(password))
	return demo, err
}
