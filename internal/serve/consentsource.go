package serve

import (
	"time"

	"countersign/fapi"
	"countersign/fapi/consent"
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
	policy, err := s.consentPolicy()
	if err != nil {
		return err
	}
	source, err := consentsource.New(consentsource.Config{
		Address: c.Source, Policy: policy, AtOnce: c.SourceAtOnce, Store: s.store, Now: s.Now, Log: s.log, TracerProvider: s.traces,
	})
	if err != nil {
		return err
	}
	settings.Consents.Source = source
	return nil
}

// ConsentSource is the operator's own system of consents of a configuration, with how it is reached, for who
// examines it without a server; nil where there is none.
func ConsentSource(c *config.Config, now func() time.Time) (consent.Source, outbound.Policy, error) {
	s := examiner(c, now)
	policy, err := s.consentPolicy()
	if err != nil {
		return nil, outbound.Policy{}, err
	}
	var settings fapi.Config
	err = s.consentAPIs(&settings)
	return settings.Consents.Source, policy, err
}

// consentPolicy is how the operator's own system is reached.
func (s *server) consentPolicy() (outbound.Policy, error) {
	c := s.Config.Consents
	return s.policy(reach{
		prefix: "consents.source_", timeout: c.SourceTimeout.Std(), networks: c.SourceNetworks, authorities: c.SourceCA,
		certificate: c.SourceCertificate, key: c.SourceKey,
	})
}
