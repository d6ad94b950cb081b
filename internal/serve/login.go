package serve

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"countersign/fapi"
	"countersign/fapi/authorize"
	"countersign/fapi/login"
	"countersign/internal/config"
	"countersign/internal/reread"
	"countersign/mtls"
)

// loginSettings are those of a login of the operator's own; nil when there is none.
func loginSettings(c config.Login, reload *reread.Files) (*login.Settings, error) {
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
		reload.Add("login.certificate_file", []config.Secret{config.Secret(c.CertificateFile)}, func() (func(), error) {
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
	policy, err := s.policy(reach{
		prefix: "login.hints_", timeout: hintTimeout, networks: c.HintsNetworks, certificate: c.HintsCertificate, key: c.HintsKey,
	})
	if err != nil {
		return err
	}
	if policy.Certificate == nil {
		return errors.New("login.hints_certificate_file: missing: the login is called with mutual TLS")
	}
	policy.Roots = settings.OutboundRoots
	hints, err := login.NewHints(c.HintsAddress, policy)
	if err != nil {
		return fmt.Errorf("login.hints_address: %w", err)
	}
	settings.Backchannel.ResolveHint = hints.Resolve
	return nil
}

// hintTimeout is how long the login may take to say whom a hint means.
const hintTimeout = 2 * time.Second

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
