package serve

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"strings"
	"testing"
	"time"

	"countersign/fapi/claims"
	"countersign/fapi/fapitest"
	"countersign/internal/config"
)

// pemOf is a certificate with its key in PEM form.
func pemOf(t *testing.T, certificate tls.Certificate) pair {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
}

// Covers: KB-27, KB-25. The source of the configuration is asked with the certificate that its file has, and with another one
// once both files have changed.
func TestKB27ClaimsSourceCertificate(t *testing.T) {
	t.Parallel()
	bank, d := fapitest.NewBank(t), newDesk(t)
	bank.Knows("sub-alice", map[string]any{"name": "Alice"})
	shown, _ := fapitest.ServerCertificate(t)
	stranger := pemOf(t, fapitest.NewAuthority(t, "Other CA", time.Now()).Issue(t, "countersign", time.Now()))
	known := pemOf(t, bank.Authority.Issue(t, "countersign", time.Now()))
	c := &config.Config{Issuer: "https://login.example", ClaimsSource: config.ClaimsSource{
		Address: bank.Address, Networks: "127.0.0.1/32", Claims: "name", Timeout: config.Duration(5 * time.Second), CacheEntries: 1, AtOnce: 1,
		CertificateFile: config.File(d.write("claims.crt", stranger.certificate)), KeyFile: config.Secret(d.write("claims.key", stranger.key)),
		CAFile: config.File(d.write("ca.crt", pemOf(t, shown).certificate)),
	}}
	s := &server{Options: Options{Config: c, Now: time.Now}, log: slog.New(slog.DiscardHandler), reload: d.Files}
	source, err := s.claimsSource()
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (claims.Answer, error) {
		return source.Ask(t.Context(), claims.Question{Subject: "sub-alice", ClientID: "c", Names: []string{"name"}})
	}
	t.Run("refuses with the first certificate, which the bank does not trust", func(t *testing.T) {
		if answer, err := ask(); err == nil {
			t.Errorf("answered %v", answer)
		}
	})
	t.Run("refuses a certificate without its key", func(t *testing.T) {
		d.write("claims.crt", known.certificate)
		if n := d.ticks(2); n != 1 || !strings.Contains(d.logged.String(), "claims_source.certificate_file and claims_source.key_file") {
			t.Error(d.logged.String())
		}
	})
	t.Run("accepts both, from the next question on", func(t *testing.T) {
		d.write("claims.key", known.key)
		if n := d.ticks(1); n != 0 {
			t.Error(d.logged.String())
		}
		if answer, err := ask(); err != nil || string(answer.Claims["name"]) != `"Alice"` {
			t.Errorf("%v %v", answer, err)
		}
	})
	t.Run("accepts no source", func(t *testing.T) {
		none := &server{Options: Options{Config: &config.Config{}, Now: time.Now}, log: s.log}
		if source, err := none.claimsSource(); source != nil || err != nil {
			t.Errorf("%v %v", source, err)
		}
	})
}
