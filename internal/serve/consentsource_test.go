package serve

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/fapitest"
	"countersign/internal/config"
)

// Covers: LC-65. The source of the configuration is asked with the certificate that its files have, and with another one once both have
// changed; what is wrong with it stops the start and names its key.
func TestLC65ConsentSource(t *testing.T) {
	t.Parallel()
	authority, d := fapitest.NewAuthority(t, "Bank CA", time.Now()), newDesk(t)
	trusted := x509.NewCertPool()
	trusted.AddCert(authority.Certificate)
	shown, _ := fapitest.ServerCertificate(t)
	bank := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"outcome":"ok","consent":{"id":"c-1","client_id":"app","kind":"uk-accounts","status":"awaiting","version":1,"shown":{"type":"uk-accounts"},`+
			`"created_at":"2026-11-30T12:00:00Z","changed_at":"2026-11-30T12:00:00Z","expires_at":"2099-01-01T00:00:00Z"}}`)
	}))
	bank.TLS = &tls.Config{Certificates: []tls.Certificate{shown}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MinVersion: tls.VersionTLS12}
	bank.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	bank.StartTLS()
	t.Cleanup(bank.Close)
	stranger := pemOf(t, fapitest.NewAuthority(t, "Other CA", time.Now()).Issue(t, "countersign", time.Now()))
	known := pemOf(t, authority.Issue(t, "countersign", time.Now()))
	whole := config.Consents{
		Namespace: "bank", Organisation: "org", QuotaClient: 7, QuotaOrganisation: 8, Source: bank.URL, SourceNetworks: "127.0.0.1/32",
		SourceTimeout: config.Duration(5 * time.Second), SourceAtOnce: 1, SourceCA: config.File(d.write("bank.crt", pemOf(t, shown).certificate)),
		SourceCertificate: config.File(d.write("consents.crt", stranger.certificate)), SourceKey: config.Secret(d.write("consents.key", stranger.key)),
	}
	settings, err := consentSettings(d, whole)
	if err != nil {
		t.Fatal(err)
	}
	if settings.ConsentAPIs.Namespace != "bank" || settings.ConsentAPIs.Organisation != "org" || settings.Consents.Quota.Client != 7 || settings.Consents.Quota.Organisation != 8 {
		t.Errorf("%+v %+v", settings.ConsentAPIs, settings.Consents.Quota)
	}
	t.Run("refuses with the first certificate, which the bank does not trust", func(t *testing.T) {
		if c, err := settings.Consents.Source.Read(t.Context(), "app", "c-1"); err == nil {
			t.Errorf("%+v", c)
		}
	})
	t.Run("accepts another, from the next question on", func(t *testing.T) {
		d.write("consents.crt", known.certificate)
		d.write("consents.key", known.key)
		if n := d.ticks(2); n != 0 {
			t.Error(d.logged.String())
		}
		if c, err := settings.Consents.Source.Read(t.Context(), "app", "c-1"); err != nil || c.ID != "c-1" {
			t.Errorf("%+v %v", c, err)
		}
	})
	t.Run("accepts none", func(t *testing.T) {
		c := whole
		c.Source = ""
		if settings, err := consentSettings(d, c); err != nil || settings.Consents.Source != nil {
			t.Errorf("%v %v", settings.Consents.Source, err)
		}
	})
	for name, one := range map[string]struct {
		change func(*config.Consents)
		text   string
	}{
		"an address in no network":   {func(c *config.Consents) { c.Source, c.SourceNetworks = "https://10.1.2.3", "" }, "consents.source_networks"},
		"what is no network":         {func(c *config.Consents) { c.SourceNetworks = "x" }, "consents.source_networks"},
		"an authority that is none":  {func(c *config.Consents) { c.SourceCA = config.File(d.write("none.crt", "none")) }, "consents.source_ca_file"},
		"a certificate that is none": {func(c *config.Consents) { c.SourceCertificate = config.File(d.write("none.crt", "none")) }, "consents.source_certificate_file"},
		"no certificate":             {func(c *config.Consents) { c.SourceCertificate = "" }, "consents.source_certificate_file"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			c := whole
			one.change(&c)
			if _, err := consentSettings(d, c); err == nil || !strings.Contains(err.Error(), one.text) {
				t.Errorf("%v, want %s", err, one.text)
			}
		})
	}
}

// consentSettings are what a configuration makes of the settings.
func consentSettings(d *desk, c config.Consents) (settings fapi.Config, err error) {
	s := &server{Options: Options{Config: &config.Config{Issuer: "https://login.example", Consents: c}, Now: time.Now}, log: slog.New(slog.DiscardHandler), reload: d.Files}
	err = s.consentAPIs(&settings)
	return settings, err
}
