package serve

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"countersign/fapi"
	"countersign/fapi/client"
	"countersign/fapi/consents"
	"countersign/internal/config"
	"countersign/internal/consentsource"
	"countersign/internal/outbound"
	"countersign/store"
)

// consentAPIs says where consents are, and how the consent APIs name them.
func (s *server) consentAPIs(settings *fapi.Config) error {
	c := s.Config.Consents
	settings.ConsentAPIs = consents.Settings{Namespace: c.Namespace, Organisation: c.Organisation}
	settings.Consents.Quota = store.ConsentQuota{Client: c.QuotaClient, Organisation: c.QuotaOrganisation}
	if c.Source == "" {
		return nil
	}
	policy := outbound.Policy{Now: s.Now, Timeout: c.SourceTimeout.Std(), AllowLoopback: client.OnLoopback(s.Config.Issuer)}
	var err error
	for name := range strings.FieldsSeq(c.SourceNetworks) {
		network, err := netip.ParsePrefix(name)
		if err != nil {
			return fmt.Errorf("consents.source_networks: %q is not a network, such as 10.1.2.0/28", name)
		}
		policy.Networks = append(policy.Networks, network)
	}
	const chainKey, keyKey = "consents.source_certificate_file", "consents.source_key_file"
	if policy.Roots, err = authorities("consents.source_ca_file", c.SourceCA); err != nil {
		return err
	}
	shown, err := shownCertificate(chainKey, c.SourceCertificate, keyKey, c.SourceKey)
	if err != nil {
		return err
	}
	policy.Certificate = new(atomic.Pointer[tls.Certificate])
	policy.Certificate.Store(shown)
	source, err := consentsource.New(consentsource.Config{
		Address: c.Source, Policy: policy, AtOnce: c.SourceAtOnce, Store: s.store, Now: s.Now, Log: s.log, TracerProvider: s.traces,
	})
	if err != nil {
		return err
	}
	settings.Consents.Source = source
	s.reload.add(chainKey+", "+keyKey, []config.Secret{config.Secret(c.SourceCertificate), c.SourceKey}, func() (func(), error) {
		changed, err := shownCertificate(chainKey, c.SourceCertificate, keyKey, c.SourceKey)
		return func() { policy.Certificate.Store(changed) }, err
	})
	return nil
}
