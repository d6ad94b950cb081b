package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"countersign/ciba"
	"countersign/fapi"
	"countersign/internal/config"
	"countersign/internal/directory"
	"countersign/internal/jose"
)

// backchannel makes the settings of CIBA; nil when it is not offered.
func backchannel(c config.CIBA, now func() time.Time) (*fapi.Backchannel, error) {
	if !c.Enabled {
		return nil, nil
	}
	settings := &fapi.Backchannel{
		Lifetime: c.Lifetime.Std(), MaxLifetime: c.MaxLifetime.Std(), Interval: c.Interval.Std(), LongPoll: c.LongPoll.Std(),
		PendingPerPerson: c.PendingPerPerson, PendingPerClient: c.PendingPerClient,
		PersonPerMinute: float64(c.PersonPerMinute), PersonBurst: c.PersonBurst,
		RequireBindingMessage: c.BindingMessage == "always", LoginHint: c.LoginHint, UserCodes: directory.NewUserCodes(now),
	}
	if c.PingKeys != "" {
		text, err := c.PingKeys.Read()
		if err != nil {
			return nil, fmt.Errorf("ciba.ping_keys_file: %w", err)
		}
		if settings.Seals, err = ciba.NewSealer(text); err != nil {
			return nil, fmt.Errorf("ciba.ping_keys_file: %w", err)
		}
	}
	for i, known := range c.HintIssuers {
		text, err := os.ReadFile(known.JWKSFile.Path())
		if err != nil {
			return nil, fmt.Errorf("ciba.login_hint_issuers[%d].jwks_file: %w", i, err)
		}
		keys, err := jose.ParseKeySet(text)
		if err != nil {
			return nil, fmt.Errorf("ciba.login_hint_issuers[%d].jwks_file: %w", i, err)
		}
		settings.HintIssuers = append(settings.HintIssuers, fapi.HintIssuer{Issuer: known.Issuer, Keys: keys})
	}
	var err error
	settings.Certificate, err = pingCertificate(c)
	return settings, err
}

// pingCertificate is what notification endpoints are shown that ask for a certificate.
func pingCertificate(c config.CIBA) (*tls.Certificate, error) {
	if c.ClientCertificate == "" {
		return nil, nil
	}
	chain, err := os.ReadFile(c.ClientCertificate.Path())
	if err != nil {
		return nil, fmt.Errorf("ciba.ping_certificate_file: %w", err)
	}
	key, err := c.ClientCertificateKey.Read()
	if err != nil {
		return nil, fmt.Errorf("ciba.ping_key_file: %w", err)
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("ciba.ping_certificate_file and ciba.ping_key_file: %w", err)
	}
	return &certificate, nil
}

// keysPingKey makes a key that lies in a file and not in the HSM.
type keysPingKey struct{}

// Help implements kong.HelpProvider.
func (keysPingKey) Help() string {
	return `Makes a key that closes notifications while they wait in the database (docs/ciba.md). It is no
signing key and lies in a file, the same on all nodes.

To change it, put the new key above the old one, on every node, and take the old one away an hour later.

Example:
  (umask 077; countersign keys ping-key > ping.keys)`
}

// Run implements the command.
func (keysPingKey) Run(p *program) error {
	p.printf("%s\n", ciba.NewSealKey())
	return nil
}

// ciba reads what backchannel authentication needs.
func (d *diagnosis) ciba(c *config.Config) {
	settings, err := backchannel(c.CIBA, d.p.now)
	switch {
	case err != nil:
		d.fail("ciba", "%v", err)
	case settings == nil:
	case settings.Seals == nil:
		d.ok("ciba", "clients ask people over the backchannel and poll; there is no ciba.ping_keys_file for ping")
	default:
		d.ok("ciba", "clients ask people over the backchannel, with poll and ping")
	}
}
