package serve

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/directories"
	"countersign/fapi/fapitest"
	"countersign/internal/config"
	"countersign/internal/outbound"
	"countersign/mtls"
)

// Covers: LD-26. A directory of the configuration is reached as that says: with its authorities, its networks, its header and its
// certificate.
func TestLD26Directories(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	directory, err := standin.New(standin.UK, "Example directory", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var header string
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("Authorization")
		directory.ServeHTTP(w, r)
	}))
	certificate, _ := fapitest.ServerCertificate(t)
	site.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	site.StartTLS()
	t.Cleanup(site.Close)
	entry := config.Directory{
		Name: "ob", Kind: "uk", Issuer: "Example directory", Profile: "uk-openbanking", KeysAddress: site.URL + "/jwks",
		ParticipantsAddress: site.URL, Networks: "127.0.0.1/32", CAFile: config.File(d.write("ca.crt", pemOf(t, certificate).certificate)),
		Authorization: config.Secret(d.write("token", "Bearer first\n")), Audiences: "bank-1 bank-2", Quota: 3,
		Refresh: config.Duration(time.Minute), Outage: config.Duration(time.Hour),
	}
	made := func(change func(*config.Directory)) (directories.Settings, error) {
		one := entry
		if change != nil {
			change(&one)
		}
		c := &config.Config{Issuer: "https://login.example", Directories: []config.Directory{one}}
		all, err := (&server{Options: Options{Config: c, Now: time.Now}, log: slog.New(slog.DiscardHandler), reload: d.Files}).directories()
		if err != nil {
			return directories.Settings{}, err
		}
		return all[0], nil
	}
	settings, err := made(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts it in its network, by its authority, with the header of now", func(t *testing.T) {
		if err := settings.Check(); err != nil {
			t.Fatal(err)
		}
		d.write("token", "Bearer second\n")
		value, err := settings.Authorization()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := outbound.New(settings.Policy).GetWith(t.Context(), settings.ParticipantsAddress+"/OBThirdPartyProviders", http.Header{"Authorization": {value}}); err != nil {
			t.Fatal(err)
		}
		if header != "Bearer second" || len(settings.Audiences) != 2 || settings.Quota != 3 {
			t.Errorf("%q, %+v", header, settings)
		}
	})
	for name, change := range map[string]func(*config.Directory){
		"refuses it elsewhere":                      func(c *config.Directory) { c.Networks = "10.1.2.0/28" },
		"refuses it by the authorities of a system": func(c *config.Directory) { c.CAFile = "" },
	} {
		t.Run(name, func(t *testing.T) {
			settings, err := made(change)
			if err == nil {
				_, err = outbound.New(settings.Policy).Get(t.Context(), settings.KeysAddress, "")
			}
			if err == nil {
				t.Error("reached")
			}
		})
	}
	for key, change := range map[string]func(*config.Directory){
		"directories[0].networks":         func(c *config.Directory) { c.Networks = "169.254.0.0/16" },
		"directories[0].ca_file":          func(c *config.Directory) { c.CAFile = "nowhere.crt" },
		"directories[0].certificate_file": func(c *config.Directory) { c.CertificateFile, c.KeyFile = "nowhere.crt", "nowhere.key" },
	} {
		t.Run("refuses "+key, func(t *testing.T) {
			if _, err := made(change); err == nil || !strings.HasPrefix(err.Error(), key) {
				t.Errorf("%v", err)
			}
		})
	}
}
