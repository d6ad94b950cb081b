package serve

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"countersign/fapi"
	"countersign/fapi/authorize"
	"countersign/fapi/client"
	"countersign/fapi/login"
	"countersign/internal/config"
	"countersign/internal/outbound"
	"countersign/mtls"
)

// loginSettings are those of a login of the operator's own; nil when there is none.
func loginSettings(c config.Login, reload *reloader) (*login.Settings, error) {
	if c.Address == "" {
		return nil, nil
	}
	settings := &login.Settings{
		HandOff: authorize.HandOff{
			Address: c.Address, Login: c.HandOff != "consent", Consent: c.HandOff != "login",
			ACRValues: strings.Fields(c.ACRValues), Lifetime: c.AnswerWithin.Std(),
		},
		Confirmations: c.Confirmations, ClientID: c.ClientID,
	}
	if c.CertificateDN != "" {
		settings.Subject = mtls.Subject{DN: c.CertificateDN}
		if err := settings.Subject.Validate(); err != nil {
			return nil, fmt.Errorf("login.certificate_dn: %w", err)
		}
	}
	if c.CertificateFile != "" {
		all, err := loginThumbprints(c)
		if err != nil {
			return nil, err
		}
		settings.Thumbprints = login.NewThumbprints(all...)
		reload.add("login.certificate_file", []config.Secret{config.Secret(c.CertificateFile)}, func() (func(), error) {
			changed, err := loginThumbprints(c)
			return func() { settings.Thumbprints.Set(changed) }, err
		})
	}
	return settings, nil
}

// resolveHints has hints of backchannel requests resolved by the login, where it does.
func (s *server) resolveHints(settings *fapi.Config) error {
	c := s.Config.Login
	if c.HintsAddress == "" || settings.Backchannel == nil {
		return nil
	}
	policy := outbound.Policy{
		Roots: settings.OutboundRoots, Timeout: hintTimeout, Now: s.Now, AllowLoopback: client.OnLoopback(s.Config.Issuer),
		Certificate: new(atomic.Pointer[tls.Certificate]),
	}
	for name := range strings.FieldsSeq(c.HintsNetworks) {
		network, err := netip.ParsePrefix(name)
		if err != nil {
			return fmt.Errorf("login.hints_networks: %q is not a network, such as 10.1.2.0/28", name)
		}
		policy.Networks = append(policy.Networks, network)
	}
	shown, err := hintsCertificate(c)
	if err != nil {
		return err
	}
	policy.Certificate.Store(shown)
	hints, err := login.NewHints(c.HintsAddress, policy)
	if err != nil {
		return fmt.Errorf("login.hints_address: %w", err)
	}
	s.reload.add("login.hints_certificate_file, login.hints_key_file", []config.Secret{config.Secret(c.HintsCertificate), c.HintsKey}, func() (func(), error) {
		changed, err := hintsCertificate(c)
		return func() { policy.Certificate.Store(changed) }, err
	})
	settings.Backchannel.ResolveHint = hints.Resolve
	return nil
}

// hintTimeout is how long the login may take to say whom a hint means.
const hintTimeout = 2 * time.Second

// hintsCertificate is what is shown to the login.
func hintsCertificate(c config.Login) (*tls.Certificate, error) {
	chain, err := os.ReadFile(c.HintsCertificate.Path())
	if err != nil {
		return nil, fmt.Errorf("login.hints_certificate_file: %w", err)
	}
	key, err := c.HintsKey.Read()
	if err != nil {
		return nil, fmt.Errorf("login.hints_key_file: %w", err)
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("login.hints_certificate_file and login.hints_key_file: %w", err)
	}
	return &certificate, nil
}

// maxLoginCertificates bounds those of a login: more than one is for a change.
const maxLoginCertificates = 8

// loginThumbprints reads those of the login's certificates.
func loginThumbprints(c config.Login) ([]string, error) {
	encoded, err := os.ReadFile(c.CertificateFile.Path())
	if err != nil {
		return nil, fmt.Errorf("login.certificate_file: %w", err)
	}
	all, err := thumbprints(encoded)
	if err != nil {
		return nil, fmt.Errorf("login.certificate_file: %w", err)
	}
	return all, nil
}

// thumbprints are those of certificates in PEM.
func thumbprints(encoded []byte) ([]string, error) {
	var all []string
	for {
		var block *pem.Block
		if block, encoded = pem.Decode(encoded); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("holds a %s; put certificates alone into it", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a certificate that cannot be read: %w", err)
		}
		all = append(all, mtls.Thumbprint(certificate))
	}
	if len(all) == 0 || len(all) > maxLoginCertificates {
		return nil, errors.New("holds no certificate in PEM form, or more than 8")
	}
	return all, nil
}
