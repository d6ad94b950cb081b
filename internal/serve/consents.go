package serve

import (
	"fmt"

	told "countersign/fapi/consent/notify"
	"countersign/internal/outbound"
)

// consentWebhook makes what tells of changes of consents; nil tells nobody.
func (s *server) consentWebhook() (*told.Webhook, error) {
	c := s.Config.Consents
	if c.Webhook == "" {
		return nil, nil
	}
	policy, err := s.policy(reach{
		prefix: "consents.webhook_", timeout: told.Timeout, networks: c.WebhookNetworks, authorities: c.WebhookCA,
		certificate: c.WebhookCertificate, key: c.WebhookKey,
	})
	if err != nil {
		return nil, err
	}
	if err := policy.CheckAddress(c.Webhook); err != nil {
		return nil, fmt.Errorf("consents.webhook: %w", err)
	}
	return &told.Webhook{Address: c.Webhook, Send: outbound.New(policy).Send}, nil
}
