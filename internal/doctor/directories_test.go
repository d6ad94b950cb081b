package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/devsetup/setuptest"
	"countersign/store"
)

// ownCertificate writes a certificate that is shown to others, valid until a time.
func ownCertificate(t *testing.T, folder string, until time.Time) (config.File, config.Secret) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bank"}, NotBefore: until.Add(-2000 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"own.crt": {Type: "CERTIFICATE", Bytes: der}, "own.key": {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config.File(filepath.Join(folder, "own.crt")), config.Secret(filepath.Join(folder, "own.key"))
}

// wants looks for a line in what was found.
func wants(t *testing.T, lines, want string) {
	t.Helper()
	if !regexp.MustCompile(`(?m)^` + want).MatchString(lines) {
		t.Errorf("no %q in\n%s", want, lines)
	}
}

// Covers: LX-10. Doctor asks each directory for its keys and lists, and says when a node last read them, and until when the
// certificate lasts that is shown.
func TestLX10Directories(t *testing.T) {
	i := setuptest.New(t)
	directory, err := standin.New(standin.Brazil, "Example directory", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	directory.SetOrganisation("org-1", "Active")
	site := httptest.NewUnstartedServer(directory)
	pair, err := tls.LoadX509KeyPair(i.Config.Listen.CertificateFile.Path(), filepath.Join(i.Folder, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	site.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	site.StartTLS()
	t.Cleanup(site.Close)
	address := regexp.MustCompile(`127\.0\.0\.1`).ReplaceAllString(site.URL, "localhost")
	now := time.Now()
	examine := func(change func(*config.Config, *config.Directory), until time.Time) (string, bool) {
		t.Helper()
		c := *i.Config
		entry := config.Directory{
			Name: "example", Kind: "brazil", Issuer: "Example directory", Profile: "brazil-openfinance", KeysAddress: address + "/jwks",
			ParticipantsAddress: address, Networks: "127.0.0.0/8", Quota: 3, Refresh: config.Duration(2 * time.Minute), Outage: config.Duration(time.Hour),
		}
		entry.CertificateFile, entry.KeyFile = ownCertificate(t, i.Folder, until)
		c.Profiles += " brazil-openfinance"
		c.Tokens.AccessTokenLifetime = config.Duration(10 * time.Minute)
		if change != nil {
			change(&c, &entry)
		}
		c.Directories = []config.Directory{entry}
		return examined(t, &c, now)
	}
	t.Run("accepts a directory that answers", func(t *testing.T) {
		lines, _ := examine(nil, now.Add(1000*time.Hour))
		for _, want := range []string{
			`ok directories example: certificate_file is valid until `, `ok directories example: its keys are read, for PS256`,
			`ok directories example: its lists are read, with 1 entries`, `warn directories example: no node has read its lists yet`,
		} {
			wants(t, lines, want)
		}
	})
	chosen, err := database.New(i.Config, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := chosen.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for kind, at := range map[string]time.Time{"participants": now.Add(-time.Hour), "keys": now.Add(-time.Minute)} {
		if err := s.PutDirectoryDocument(t.Context(), store.DirectoryDocument{Directory: "example", Kind: kind, Body: []byte("{}"), FetchedAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Run("refuses lists that no node has read for long", func(t *testing.T) {
		lines, _ := examine(nil, now.Add(1000*time.Hour))
		wants(t, lines, `warn directories example: its lists were last read by a node 1h0m0s ago: is a server running\?`)
		wants(t, lines, `ok directories example: a node read its keys 1m0s ago`)
	})
	for name, test := range map[string]struct {
		change func(*config.Config, *config.Directory)
		until  time.Time
		want   string
	}{
		"refuses a certificate that ended":        {nil, now.Add(-time.Hour), `FAIL directories example: certificate_file ended on `},
		"refuses one that ends soon, with a word": {nil, now.Add(72 * time.Hour), `warn directories example: certificate_file ends soon`},
		"refuses an address without keys":         {func(_ *config.Config, d *config.Directory) { d.KeysAddress = address + "/none" }, now.Add(1000 * time.Hour), `FAIL directories example: keys_address: `},
		"refuses an address without lists":        {func(_ *config.Config, d *config.Directory) { d.ParticipantsAddress = address + "/none" }, now.Add(1000 * time.Hour), `FAIL directories example: participants_address: `},
		"refuses to suspend nobody, with a word":  {func(_ *config.Config, d *config.Directory) { d.ParticipantsAddress = "" }, now.Add(1000 * time.Hour), `warn directories example: no participants_address`},
	} {
		t.Run(name, func(t *testing.T) {
			lines, _ := examine(test.change, test.until)
			wants(t, lines, test.want)
		})
	}
	t.Run("refuses one that is away", func(t *testing.T) {
		directory.SetAway(true)
		lines, failed := examine(nil, now.Add(1000*time.Hour))
		wants(t, lines, `FAIL directories example: keys_address: `)
		wants(t, lines, `FAIL directories example: participants_address: `)
		if !failed {
			t.Error("nothing failed")
		}
	})
}

// Covers: LX-10. Doctor asks the consent source for a consent that does not exist, which has to be told so.
func TestLX10ConsentSource(t *testing.T) {
	i := setuptest.New(t)
	status, answer := http.StatusOK, ""
	site := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/consents/read" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	pair, err := tls.LoadX509KeyPair(i.Config.Listen.CertificateFile.Path(), filepath.Join(i.Folder, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	site.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert}
	site.StartTLS()
	t.Cleanup(site.Close)
	now := time.Now()
	c := *i.Config
	c.Profiles += " uk-openbanking"
	c.Consents.Source = regexp.MustCompile(`127\.0\.0\.1`).ReplaceAllString(site.URL, "localhost") + "/consents"
	c.Consents.SourceNetworks, c.Consents.SourceCA = "127.0.0.0/8", i.Config.Outbound.CAFile
	c.Consents.SourceTimeout, c.Consents.SourceAtOnce = config.Duration(5*time.Second), 4
	c.Consents.SourceCertificate, c.Consents.SourceKey = ownCertificate(t, i.Folder, now.Add(1000*time.Hour))
	for _, test := range []struct {
		name   string
		status int
		answer string
		want   string
	}{
		{"accepts one that knows no such consent", 200, `{"outcome":"not_found"}`, `ok consents consents\.source answers`},
		{"refuses one that answers what is not of the contract", 200, `{"found":false}`, `FAIL consents consents\.source: `},
		{"refuses one that fails", 500, `{}`, `FAIL consents consents\.source: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, answer = test.status, test.answer
			lines, _ := examined(t, &c, now)
			wants(t, lines, test.want)
			wants(t, lines, `ok consents consents\.source_certificate_file is valid until `)
		})
	}
}
