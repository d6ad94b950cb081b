package config

import (
	"net/url"
	"regexp"
	"strings"
)

// Consents is about consents that clients lodge before they ask for an authorization.
type Consents struct {
	Webhook            string `toml:"webhook" doc:"https address to which each change of a consent is posted, as a signed security event token (RFC 8417, RFC 8935), until it is acknowledged, for a week; empty tells nobody. See docs/consents.md."`
	WebhookCertificate File   `toml:"webhook_certificate_file" doc:"Certificate, PEM, that is shown at webhook, where that asks for one. Read again when it changes."`
	WebhookKey         Secret `toml:"webhook_key_file" doc:"Private key of that certificate, PEM."`
	WebhookCA          File   `toml:"webhook_ca_file" doc:"Certificate authorities, PEM, of the certificate of webhook; the system's when absent."`
	WebhookNetworks    string `toml:"webhook_networks" doc:"Networks that are not public and in which webhook may be, such as 10.1.2.0/28, separated by spaces. Without them only public addresses are reached."`

	Namespace         string `toml:"namespace" doc:"Name of the institution in the names of consents (urn:NAMESPACE:…, RFC 8141 §2): letters in lower case, digits and hyphens; made of the issuer's host when absent. See docs/consent-apis.md."`
	Organisation      string `toml:"organisation" doc:"Identifier of the institution in the directory of its ecosystem: iss of signed answers where the ecosystem wants an organisation's, as Open Finance Brasil for payments."`
	QuotaClient       int    `toml:"quota_client" lax:"more" default:"1000" min:"1" max:"10000000" doc:"How many consents of one client may await a decision."`
	QuotaOrganisation int    `toml:"quota_organisation" lax:"more" default:"5000" min:"1" max:"10000000" doc:"How many of all clients of one organisation may."`

	Source            string   `toml:"source" doc:"https address of a consent system of the bank's own, which then serves the consent APIs itself; names of operations are appended. Empty keeps consents here."`
	SourceCertificate File     `toml:"source_certificate_file" doc:"Certificate, PEM, that is shown to it. Read again when it changes."`
	SourceKey         Secret   `toml:"source_key_file" doc:"Private key of that certificate, PEM."`
	SourceCA          File     `toml:"source_ca_file" doc:"Certificate authorities, PEM, of its certificate; the system's when absent."`
	SourceNetworks    string   `toml:"source_networks" doc:"Networks that are not public and in which it may be, separated by spaces. Without them only public addresses are reached."`
	SourceTimeout     Duration `toml:"source_timeout" default:"2s" min:"100ms" max:"10s" doc:"How long a question may take, with the time that it waits for its turn."`
	SourceAtOnce      int      `toml:"source_at_once" default:"32" min:"1" max:"64" doc:"Questions that are asked at once, on each node."`
}

// namespacePattern is what a namespace may be: shape.CheckNamespace checks it.
var namespacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}[a-z0-9]$`)

// consentSource wants a source that is whole, or none, and names that can be used.
func consentSource(c *collector, s *Consents) {
	if s.Namespace != "" && !namespacePattern.MatchString(s.Namespace) {
		c.add("consents.namespace", quote(s.Namespace), "not 2 to 32 letters in lower case, digits or hyphens (RFC 8141 §2)")
	}
	pair(c, "consents.source_certificate_file", string(s.SourceCertificate), "consents.source_key_file", string(s.SourceKey))
	if s.Source == "" {
		const off = "has no meaning without consents.source; set it too"
		c.unneeded("consents.source_certificate_file", string(s.SourceCertificate), quote(string(s.SourceCertificate)), off)
		c.unneeded("consents.source_ca_file", string(s.SourceCA), quote(string(s.SourceCA)), off)
		c.unneeded("consents.source_networks", s.SourceNetworks, quote(s.SourceNetworks), off)
		return
	}
	if s.SourceKey == "" {
		c.needed("consents.source_certificate_file", string(s.SourceCertificate), "missing: the source is called with mutual TLS, and has to be shown a certificate")
	}
	c.networks("consents.source_networks", s.SourceNetworks)
}

// consents wants a webhook that is whole, or none.
func (c *collector) consents(s *Consents) {
	const address = "consents.webhook"
	pair(c, "consents.webhook_certificate_file", string(s.WebhookCertificate), "consents.webhook_key_file", string(s.WebhookKey))
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
