package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/internal/claimsource"
	"countersign/internal/config"
	"countersign/internal/outbound"
)

// claimsSource makes the source of claims about users; nil is the built-in directory.
func (s *server) claimsSource() (*claims.Source, error) {
	c := s.Config.ClaimsSource
	if c.Address == "" {
		return nil, nil
	}
	policy := outbound.Policy{Now: s.Now, Timeout: c.Timeout.Std(), AllowLoopback: client.OnLoopback(s.Config.Issuer)}
	var err error
	for name := range strings.FieldsSeq(c.Networks) {
		network, err := netip.ParsePrefix(name)
		if err != nil {
			return nil, fmt.Errorf("claims_source.networks: %q is not a network, such as 10.1.2.0/28", name)
		}
		policy.Networks = append(policy.Networks, network)
	}
	if policy.Roots, err = authorities("claims_source.ca_file", c.CAFile); err != nil {
		return nil, err
	}
	shown, err := shownCertificate("claims_source.certificate_file", c.CertificateFile, "claims_source.key_file", c.KeyFile)
	if err != nil {
		return nil, err
	}
	policy.Certificate = new(atomic.Pointer[tls.Certificate])
	policy.Certificate.Store(shown)
	made, err := claimsource.New(claimsource.Config{
		Address: c.Address, Policy: policy, Claims: strings.Fields(c.Claims), CheckActive: c.CheckActive, Cache: c.Cache.Std(),
		CacheEntries: c.CacheEntries, AtOnce: c.AtOnce, Now: s.Now, Log: s.log, TracerProvider: s.traces,
	})
	if err != nil {
		return nil, err
	}
	s.reload.add("claims_source.certificate_file, claims_source.key_file", []config.Secret{config.Secret(c.CertificateFile), c.KeyFile}, func() (func(), error) {
		changed, err := shownCertificate("claims_source.certificate_file", c.CertificateFile, "claims_source.key_file", c.KeyFile)
		return func() { policy.Certificate.Store(changed) }, err
	})
	return made.Claims(), nil
}

// shownCertificate reads a certificate that is shown to others, with its key; nil where there is none. Errors begin with the
// keys of the configuration.
func shownCertificate(chainKey string, chainFile config.File, keyKey string, keyFile config.Secret) (*tls.Certificate, error) {
	if chainFile == "" {
		return nil, nil
	}
	chain, err := os.ReadFile(chainFile.Path())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", chainKey, err)
	}
	key, err := keyFile.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyKey, err)
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", chainKey, keyKey, err)
	}
	return &certificate, nil
}

// authorities are those of a file; nil, the system's, without one.
func authorities(key string, file config.File) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
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
