package doctor_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/buildinfo"
	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/doctor"
	"countersign/mtls"
)

// examined are the findings of a doctor, one a line.
func examined(t *testing.T, c *config.Config, now time.Time) (lines string, failed bool) {
	t.Helper()
	d := doctor.New(doctor.Options{Config: c, File: "test.toml", Build: buildinfo.Info{Version: "test", Cgo: true}, Now: func() time.Time { return now }})
	defer d.Close()
	var all strings.Builder
	failed, err := doctor.Run(t.Context(), d.Checks(), func(f doctor.Finding) {
		all.WriteString(string(f.Outcome) + " " + f.Topic + " " + f.Text + "\n")
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String(), failed
}

func TestInstallation(t *testing.T) {
	i := setuptest.New(t)
	now := time.Now()
	lines, failed := examined(t, i.Config, now)
	if failed {
		t.Fatalf("a new installation fails:\n%s", lines)
	}
	for _, want := range []string{
		"ok config test.toml is correct", "ok build version test", "ok files listen.key_file: ", "ok files store.file: ",
		"ok ciba clients ask users over the backchannel, with poll and ping", "ok tls the certificate fits its key",
		"ok mtls listen_mtls: client certificates of", "is free: the server is not running", "ok store sqlite, ",
		"ok clients 2 clients registered and correct", "warn hsm the signing keys are in a development key file", "ok keys PS256 ",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	chmod := func(name string, mode os.FileMode) func(*testing.T, *config.Config) {
		return func(t *testing.T, _ *config.Config) {
			file := filepath.Join(i.Folder, name)
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(file, 0o600) })
		}
	}
	for _, test := range []struct {
		name   string
		spoil  func(*testing.T, *config.Config)
		at     time.Time
		failed bool
		want   string
	}{
		{"a database that others can read", chmod("countersign.db", 0o644), now, true, `FAIL files store\.file: .* is open to others \(mode 0644\); run: chmod 600 `},
		{"a secret that its group can read", chmod("tls/server.key", 0o640), now, false, `warn files listen\.key_file: .* is open to its group`},
		{"a certificate for another name", func(_ *testing.T, c *config.Config) { c.Issuer = "https://login.example" }, now, true,
			`FAIL tls the certificate is not for https://login\.example; get one that names login\.example`},
		{"a certificate that ends soon", nil, now.AddDate(0, 11, 10), false, `warn tls the certificate ends soon, on `},
		{"a certificate that ended", nil, now.AddDate(2, 0, 0), true, `FAIL tls the certificate ended on `},
		{"a clock that is behind", nil, now.AddDate(0, 0, -1), true, `FAIL tls the certificate is valid only from`},
		{"keys of the future", nil, now.Add(-10 * time.Minute), true, `FAIL clock the key .* was made later than now`},
		{"a key of another certificate", func(_ *testing.T, c *config.Config) {
			c.Listen.KeyFile = config.Secret(filepath.Join(i.Folder, "tls/client-ca.key"))
		}, now, true,
			`FAIL tls listen\.certificate_file and listen\.key_file: `},
		{"authorities that are absent", func(_ *testing.T, c *config.Config) { c.ListenMTLS.ClientCAFile = "absent.pem" }, now, true, `FAIL mtls listen_mtls, client_ca_file: `},
		{"no authorities", func(_ *testing.T, c *config.Config) { c.ListenMTLS.ClientCAFile = "" }, now, false, `warn mtls no listen_mtls\.client_ca_file`},
		{"a trust store with a list that is none", func(_ *testing.T, c *config.Config) {
			c.TrustStores = []config.TrustStore{{Name: "bank", ClientCAFile: c.ListenMTLS.ClientCAFile, CRLFile: c.ListenMTLS.ClientCAFile}}
		}, now, true, `FAIL mtls trust store bank, crl_file: `},
		{"no database", func(_ *testing.T, c *config.Config) { c.Store.File = "absent.db" }, now, true, `FAIL store `},
		{"a profile that is not offered", func(_ *testing.T, c *config.Config) { c.Profiles = "fapi1-advanced" }, now, false,
			`warn clients demo-dpop is refused: its profile fapi2-security is not offered`},
		{"another passphrase", func(t *testing.T, c *config.Config) {
			other := filepath.Join(t.TempDir(), "passphrase")
			if err := os.WriteFile(other, []byte("4711 4711 4711\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			c.Signer.PINFile = config.Secret(other)
		}, now, true, `FAIL hsm .*the passphrase does not open it`},
	} {
		t.Run(test.name, func(t *testing.T) {
			spoiled := *i.Config
			if test.spoil != nil {
				test.spoil(t, &spoiled)
			}
			lines, failed := examined(t, &spoiled, test.at)
			if failed != test.failed || !regexp.MustCompile("(?m)^"+test.want).MatchString(lines) || strings.Contains(lines, "4711") {
				t.Errorf("failed is %v, want %v and %q:\n%s", failed, test.failed, test.want, lines)
			}
		})
	}
}

// TestRun stops at a required check that fails and at one that could not examine, and nowhere else.
func TestRun(t *testing.T) {
	check := func(name string, required bool, outcome doctor.Outcome, err error) doctor.Check {
		return doctor.Check{Name: name, Required: required, Run: func(context.Context) (doctor.Findings, error) {
			return doctor.Findings{{Outcome: outcome, Topic: name}}, err
		}}
	}
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		checks []doctor.Check
		ran    string
		failed bool
		err    error
	}{
		{"all well", []doctor.Check{check("a", true, doctor.OK, nil), check("b", false, doctor.Warn, nil)}, "a b", false, nil},
		{"one fails", []doctor.Check{check("a", false, doctor.Fail, nil), check("b", false, doctor.OK, nil)}, "a b", true, nil},
		{"a required one fails", []doctor.Check{check("a", true, doctor.Fail, nil), check("b", false, doctor.OK, nil)}, "a", true, nil},
		{"one cannot examine", []doctor.Check{check("a", false, doctor.OK, broken), check("b", false, doctor.OK, nil)}, "a", true, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ran []string
			failed, err := doctor.Run(t.Context(), test.checks, func(f doctor.Finding) { ran = append(ran, f.Topic) })
			if failed != test.failed || !errors.Is(err, test.err) || strings.Join(ran, " ") != test.ran {
				t.Errorf("ran %v, failed is %v, %v", ran, failed, err)
			}
		})
	}
}

// TestIngress tells a server that believes certificates alone from one that believes headers.
func TestIngress(t *testing.T) {
	i := setuptest.New(t)
	own, err := tls.LoadX509KeyPair(filepath.Join(i.Folder, "demo", "demo-mtls.crt"), filepath.Join(i.Folder, "demo", "demo-mtls.key"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(i.Config.Listen.CertificateFile.Path(), filepath.Join(i.Folder, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	const (
		let     = `{"error":"unsupported_grant_type"}`
		none    = `{"error":"invalid_client","error_description":"the connection has none"}`
		another = `{"error":"invalid_client","error_description":"another certificate"}`
	)
	honest := func(r *http.Request) string {
		switch {
		case len(r.TLS.PeerCertificates) == 0:
			return none
		case r.TLS.PeerCertificates[0].Equal(own.Leaf):
			return let
		}
		return another
	}
	for _, test := range []struct {
		name   string
		answer func(*http.Request) string
		failed bool
		want   []string
	}{
		{"resumes sessions", honest, true, []string{"ok valid", "FAIL forgery a session of the client, without its certificate"}},
		{"honest", honest, false, []string{"ok valid", "ok none", "ok forgery spoofed nginx: refused", "ok size a certificate of 24 KiB is refused", "ok forgery a session"}},
		{"no certificate arrives", func(*http.Request) string { return none }, true, []string{"FAIL valid the certificate does not arrive"}},
		{"refuses the client", func(*http.Request) string { return another }, true, []string{"FAIL valid the client is not accepted"}},
		{"lets in everybody", func(*http.Request) string { return let }, true, []string{"FAIL none the client is let in WITHOUT", "FAIL forgery spoofed nginx: ", "FAIL size a certificate of 4 KiB of a stranger"}},
		{"believes a header", func(r *http.Request) string {
			if r.Header.Get("Client-Cert") != "" {
				return let
			}
			return honest(r)
		}, true, []string{"FAIL forgery spoofed " + mtls.SourceRFC9440, "FAIL forgery spoofed " + mtls.SourceRFC9440 + ", beside a certificate", "ok forgery spoofed nginx: refused"}},
		{"loses large certificates", func(r *http.Request) string {
			if len(r.TLS.PeerCertificates) > 0 && len(r.TLS.PeerCertificates[0].Raw) > 10<<10 {
				return none
			}
			return honest(r)
		}, true, []string{"ok size a certificate of 8 KiB", "FAIL size a certificate of 13 KiB disappears"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = w.Write([]byte(test.answer(r)))
			}))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: test.name != "resumes sessions"}
			server.StartTLS()
			defer server.Close()
			address := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // the certificate has names only
			checks, err := doctor.Ingress{URL: address + "/", ClientID: "demo-mtls", Certificate: own, Roots: i.Roots, Now: time.Now}.Checks()
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			failed, err := doctor.Run(t.Context(), checks, func(f doctor.Finding) {
				lines = append(lines, string(f.Outcome)+" "+f.Topic+" "+f.Text)
			})
			if err != nil || failed != test.failed {
				t.Errorf("failed is %v, %v:\n%s", failed, err, strings.Join(lines, "\n"))
			}
			for _, want := range test.want {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
					t.Errorf("no %q in\n%s", want, strings.Join(lines, "\n"))
				}
			}
		})
	}
	if _, err := (doctor.Ingress{URL: "http://localhost", Certificate: own}).Checks(); err == nil {
		t.Error("an address without TLS is accepted")
	}
}
