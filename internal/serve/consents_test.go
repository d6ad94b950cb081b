package serve

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/config"
)

// Covers: LC-15. The webhook is reached as the configuration says: with its certificate, in its networks, over TLS that its authority
// vouches for; and what is wrong with that is told at the start.
func TestConsentWebhook(t *testing.T) {
	t.Parallel()
	authority := fapitest.NewAuthority(t, "Bank CA", time.Now())
	trusted := x509.NewCertPool()
	trusted.AddCert(authority.Certificate)
	got := make(chan string, 10)
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.TLS.PeerCertificates[0].Subject.CommonName + " " + string(body)
		w.WriteHeader(http.StatusAccepted)
	}))
	receiver.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}
	receiver.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	receiver.StartTLS()
	t.Cleanup(receiver.Close)
	d := newDesk(t)
	known := pemOf(t, authority.Issue(t, "countersign", time.Now()))
	ca := d.write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})))
	whole := config.Consents{
		Webhook: receiver.URL + "/consents", WebhookNetworks: "127.0.0.1/32", WebhookCA: config.File(ca),
		WebhookCertificate: config.File(d.write("hook.crt", known.certificate)), WebhookKey: config.Secret(d.write("hook.key", known.key)),
	}
	send := func(change func(*config.Consents)) (status int, err error) {
		c := whole
		if change != nil {
			change(&c)
		}
		s := &server{Options: Options{Config: &config.Config{Issuer: "https://login.example", Consents: c}, Now: time.Now}, log: slog.New(slog.DiscardHandler), reload: d.Files}
		hook, err := s.consentWebhook()
		if err != nil || hook == nil {
			return 0, err
		}
		return hook.Send(t.Context(), hook.Address, http.Header{"Content-Type": {"application/secevent+jwt"}}, []byte("token"))
	}
	t.Run("accepts a webhook that is whole", func(t *testing.T) {
		status, err := send(nil)
		if err != nil || status != http.StatusAccepted {
			t.Fatalf("%d, %v", status, err)
		}
		if told := <-got; told != "countersign token" {
			t.Errorf("told %q", told)
		}
	})
	t.Run("accepts none", func(t *testing.T) {
		if status, err := send(func(c *config.Consents) { c.Webhook = "" }); status != 0 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
	})
	for name, test := range map[string]struct {
		change func(*config.Consents)
		want   string
	}{
		"an address in no network of its own": {func(c *config.Consents) { c.WebhookNetworks = "" }, ""},
		"a certificate of another authority":  {func(c *config.Consents) { c.WebhookCA = "" }, ""},
		"no client certificate":               {func(c *config.Consents) { c.WebhookCertificate, c.WebhookKey = "", "" }, ""},
		"what is no network":                  {func(c *config.Consents) { c.WebhookNetworks = "here" }, "consents.webhook_networks"},
		"a network that is never reached":     {func(c *config.Consents) { c.WebhookNetworks = "169.254.0.0/16" }, "consents.webhook_networks: 169.254.0.0/16: "},
		"an authority that is none":           {func(c *config.Consents) { c.WebhookCA = config.File(d.write("none.crt", "none")) }, "consents.webhook_ca_file"},
		"a certificate that is none":          {func(c *config.Consents) { c.WebhookCertificate = config.File(d.write("none.crt", "none")) }, "consents.webhook_certificate_file"},
		"an address that is none":             {func(c *config.Consents) { c.Webhook = "https://bank.example:99999/" }, "consents.webhook"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			status, err := send(test.change)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%d, %v", status, err)
			}
		})
	}
}
