package config

import (
	"net/url"
	"strings"
)

// Consents is about consents that clients lodge before they ask for an authorization.
type Consents struct {
	Webhook            string `toml:"webhook" doc:"https address to which each change of a consent is posted, as a signed security event token (RFC 8417, RFC 8935), until it is acknowledged, for a week; empty tells nobody. See docs/consents.md."`
	WebhookCertificate File   `toml:"webhook_certificate_file" doc:"Certificate, PEM, that is shown at webhook, where that asks for one. Read again when it changes."`
	WebhookKey         Secret `toml:"webhook_key_file" doc:"Private key of that certificate, PEM."`
	WebhookCA          File   `toml:"webhook_ca_file" doc:"Certificate authorities, PEM, of the certificate of webhook; the system's when absent."`
	WebhookNetworks    string `toml:"webhook_networks" doc:"Networks that are not public and in which webhook may be, such as 10.1.2.0/28, separated by spaces. Without them only public addresses are reached."`
}

// consents wants a webhook that is whole, or none.
func (c *collector) consents(s *Consents) {
	const address = "consents.webhook"
	c.pair("consents.webhook_certificate_file", string(s.WebhookCertificate), "consents.webhook_key_file", string(s.WebhookKey))
	if s.Webhook == "" {
		const off = "has no meaning without consents.webhook; set it too"
		c.unneeded("consents.webhook_certificate_file", string(s.WebhookCertificate), quote(string(s.WebhookCertificate)), off)
		c.unneeded("consents.webhook_ca_file", string(s.WebhookCA), quote(string(s.WebhookCA)), off)
		c.unneeded("consents.webhook_networks", s.WebhookNetworks, quote(s.WebhookNetworks), off)
		return
	}
	u, err := url.Parse(s.Webhook)
	if !c.bad(address) && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(s.Webhook, "#")) {
		c.add(address, quote(s.Webhook), `not an https address without user information and fragment, such as "https://core.bank.example/consents"`)
	}
	c.networks("consents.webhook_networks", s.WebhookNetworks)
}
