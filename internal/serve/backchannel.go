package serve

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"countersign/ciba"
	"countersign/fapi/backchannel"
	"countersign/internal/config"
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/internal/reread"
)

// Backchannel says what of CIBA a server with this configuration offers.
type Backchannel struct {
	// Enabled reports whether clients may use backchannel authentication at all, and Ping whether they may be notified.
	Enabled, Ping bool
}

// CheckBackchannel reads the files that CIBA needs, as Run does.
func CheckBackchannel(c config.CIBA, now func() time.Time) (Backchannel, error) {
	settings, err := backchannelSettings(c, now)
	if err != nil || settings == nil {
		return Backchannel{}, err
	}
	return Backchannel{Enabled: true, Ping: settings.Seals != nil}, nil
}

// backchannelSettings makes the settings of CIBA; nil when it is not offered.
func backchannelSettings(c config.CIBA, now func() time.Time) (*backchannel.Settings, error) {
	if !c.Enabled {
		return nil, nil
	}
	settings := &backchannel.Settings{
		Lifetime: c.Lifetime.Std(), MaxLifetime: c.MaxLifetime.Std(), Interval: c.Interval.Std(), LongPoll: c.LongPoll.Std(),
		PendingPerUser: c.PendingPerUser, PendingPerClient: c.PendingPerClient,
		PendingPerOrganisation: c.PendingPerOrg,
		UserPerMinute:          float64(c.UserPerMinute), UserBurst: c.UserBurst,
		OrganisationPerMinute: float64(c.OrgPerMinute), OrganisationBurst: c.OrgBurst,
		AllPerMinute: float64(c.TotalPerMinute), AllBurst: c.TotalBurst, DenialPause: c.DenialPause.Std(),
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
		settings.HintIssuers = append(settings.HintIssuers, backchannel.HintIssuer{Issuer: known.Issuer, Keys: keys})
	}
	certificate, err := pingCertificate(c)
	if certificate != nil {
		settings.Certificate = new(atomic.Pointer[tls.Certificate])
		settings.Certificate.Store(certificate)
	}
	return settings, err
}

// pingCertificate is what notification endpoints are shown that ask for a certificate.
func pingCertificate(c config.CIBA) (*tls.Certificate, error) {
	return shownCertificate("ciba.ping_certificate_file", c.ClientCertificate, "ciba.ping_key_file", c.ClientCertificateKey)
}

// rereadPings has the keys that seal pings, and the certificate that is shown with them, read again.
func rereadPings(reload *reread.Files, c config.CIBA, settings *backchannel.Settings) {
	if settings == nil {
		return
	}
	if settings.Seals != nil {
		reload.Add("ciba.ping_keys_file", []config.Secret{c.PingKeys}, func() (func(), error) {
			text, err := c.PingKeys.Read()
			if err != nil {
				return nil, err
			}
			changed, err := ciba.NewSealer(text)
			return func() { settings.Seals.Replace(changed) }, err
		})
	}
	if settings.Certificate != nil {
		reload.Add("ciba.ping_certificate_file, ciba.ping_key_file", []config.Secret{config.Secret(c.ClientCertificate), c.ClientCertificateKey}, func() (func(), error) {
			changed, err := pingCertificate(c)
			return func() { settings.Certificate.Store(changed) }, err
		})
	}
}
