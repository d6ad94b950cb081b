package serve

import (
	"crypto/x509"
	"time"

	"countersign/fapi"
	"countersign/fapi/login"
	"countersign/fapi/upstream"
	"countersign/internal/config"
	"countersign/internal/signin"
	"countersign/signer"
)

// upstream has users signed in by a provider elsewhere, where the configuration names one.
func (s *server) upstream(settings *fapi.Config) error {
	c := s.Config.Login
	if c.Issuer == "" {
		return nil
	}
	made, err := s.upstreamSettings(settings.OutboundRoots, func() *signer.Signer { return s.keys.Signer })
	settings.Login = &login.Settings{Upstream: &made, HandOff: made.HandOff(s.Config.Issuer, c.AnswerWithin.Std())}
	return err
}

// Upstream are the settings of the provider of a configuration, for who examines it without a server. keys may be nil where it is not
// authenticated to with one of them.
func Upstream(c *config.Config, now func() time.Time, keys *signer.Signer) (upstream.Settings, error) {
	roots, err := outboundRoots(c.Outbound.CAFile)
	if err != nil {
		return upstream.Settings{}, err
	}
	return examiner(c, now).upstreamSettings(roots, func() *signer.Signer { return keys })
}

// upstreamSettings are those of the configuration. keys is called when one is needed.
func (s *server) upstreamSettings(roots *x509.CertPool, keys func() *signer.Signer) (upstream.Settings, error) {
	c := s.Config.Login
	policy, err := s.policy(reach{prefix: "login.issuer_", networks: c.IssuerNetworks, certificate: c.ClientCertificate, key: c.ClientKey})
	policy.Roots = roots
	return signin.Settings(c, policy, keys), err
}
