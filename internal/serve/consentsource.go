package serve

import (
	"countersign/fapi"
	"countersign/fapi/consents"
	"countersign/internal/consentsource"
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
	policy, err := s.policy(reach{
		prefix: "consents.source_", timeout: c.SourceTimeout.Std(), networks: c.SourceNetworks, authorities: c.SourceCA,
		certificate: c.SourceCertificate, key: c.SourceKey,
	})
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
