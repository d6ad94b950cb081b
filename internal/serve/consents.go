package serve

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"

	"countersign/fapi/client"
	told "countersign/fapi/consent/notify"
	"countersign/internal/config"
	"countersign/internal/outbound"
)

// consentWebhook makes what tells of changes of consents; nil tells nobody.
func (s *server) consentWebhook() (*told.Webhook, error) {
	c := s.Config.Consents
	if c.Webhook == "" {
		return nil, nil
	}
	policy := outbound.Policy{Now: s.Now, Timeout: told.Timeout, AllowLoopback: client.OnLoopback(s.Config.Issuer)}
	for name := range strings.FieldsSeq(c.WebhookNetworks) {
		network, err := netip.ParsePrefix(name)
		if err != nil {
			return nil, fmt.Errorf("consents.webhook_networks: %q is not a network, such as 10.1.2.0/28", name)
		}
		policy.Networks = append(policy.Networks, network)
	}
	var err error
	if policy.Roots, err = authorities("consents.webhook_ca_file", c.WebhookCA); err != nil {
		return nil, err
	}
	if err := policy.CheckAddress(c.Webhook); err != nil {
		return nil, fmt.Errorf("consents.webhook: %w", err)
	}
	const chainKey, keyKey = "consents.webhook_certificate_file", "consents.webhook_key_file"
	if c.WebhookCertificate != "" {
		shown, err := shownCertificate(chainKey, c.WebhookCertificate, keyKey, c.WebhookKey)
		if err != nil {
			return nil, err
		}
		policy.Certificate = new(atomic.Pointer[tls.Certificate])
		policy.Certificate.Store(shown)
		s.reload.add(chainKey+", "+keyKey, []config.Secret{config.Secret(c.WebhookCertificate), c.WebhookKey}, func() (func(), error) {
			changed, err := shownCertificate(chainKey, c.WebhookCertificate, keyKey, c.WebhookKey)
			return func() { policy.Certificate.Store(changed) }, err
		})
	}
	return &told.Webhook{Address: c.Webhook, Send: outbound.New(policy).Send}, nil
}
