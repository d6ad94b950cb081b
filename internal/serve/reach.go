package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"countersign/fapi/client"
	"countersign/internal/config"
	"countersign/internal/config/certificates"
	"countersign/internal/outbound"
)

// reach is what the configuration says of how somebody is called.
type reach struct {
	// prefix is what the keys begin with that are named networks, ca_file, certificate_file and key_file.
	prefix      string
	timeout     time.Duration // 0 is that of package outbound
	networks    string
	authorities config.File
	certificate config.File
	key         config.Secret
}

// policy reads the files of r, and has the certificate read again when its files change. Without authorities the system's are trusted,
// without a certificate none is shown. Errors begin with keys of the configuration.
func (s *server) policy(r reach) (outbound.Policy, error) {
	policy := outbound.Policy{Now: s.Now, Timeout: r.timeout, AllowLoopback: client.OnLoopback(s.Config.Issuer)}
	for name := range strings.FieldsSeq(r.networks) {
		network, err := netip.ParsePrefix(name)
		if err != nil {
			return outbound.Policy{}, fmt.Errorf("%snetworks: %q is not a network, such as 10.1.2.0/28", r.prefix, name)
		}
		if err := outbound.CheckNetwork(network); err != nil {
			return outbound.Policy{}, fmt.Errorf("%snetworks: %s: %w", r.prefix, network, err)
		}
		policy.Networks = append(policy.Networks, network)
	}
	var err error
	if policy.Roots, err = authorities(r.prefix+"ca_file", r.authorities); err != nil {
		return outbound.Policy{}, err
	}
	chainKey, keyKey := r.prefix+"certificate_file", r.prefix+"key_file"
	shown, err := shownCertificate(chainKey, r.certificate, keyKey, r.key)
	if err != nil || shown == nil {
		return policy, err
	}
	certificate := new(atomic.Pointer[tls.Certificate])
	certificate.Store(shown)
	s.reload.Add(chainKey+", "+keyKey, []config.Secret{config.Secret(r.certificate), r.key}, func() (func(), error) {
		changed, err := shownCertificate(chainKey, r.certificate, keyKey, r.key)
		return func() { certificate.Store(changed) }, err
	})
	policy.Certificate = certificate
	return policy, nil
}

// shownCertificate reads a certificate that is shown to others, with its key; nil where there is none. Errors begin with the
// keys of the configuration.
func shownCertificate(chainKey string, chainFile config.File, keyKey string, keyFile config.Secret) (*tls.Certificate, error) {
	if chainFile == "" {
		return nil, nil
	}
	certificate, err := certificates.Pair(chainKey, chainFile, keyKey, keyFile)
	if err != nil {
		return nil, err
	}
	return &certificate, nil
}

// authorities are those of a file; nil, the system's, without one.
func authorities(key string, file config.File) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	return certificates.Authorities(key, file)
}
