package serve

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
	"countersign/internal/config"
	"countersign/mtls"
)

// Covers: KE-24. What [login] names is read at the start; a file that cannot be used is refused by its key, in one line.
func TestKE24LoginFiles(t *testing.T) {
	certificate := fapitest.Authority{}.Issue(t, "login", time.Now())
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	file := func(t *testing.T, content string) config.File {
		t.Helper()
		name := filepath.Join(t.TempDir(), "login.pem")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return config.File(name)
	}
	base := config.Login{
		Address: "https://login.bank.example/", HandOff: "login-and-consent", ACRValues: "urn:bank:sca  urn:bank:password",
		AnswerWithin: config.Duration(5 * time.Minute),
	}
	t.Run("accepts certificates, and what they are for", func(t *testing.T) {
		c := base
		c.CertificateFile = file(t, string(one)+string(one))
		settings, err := loginSettings(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(settings.Thumbprints.All()) != 2 || settings.Thumbprints.All()[0] != mtls.Thumbprint(certificate.Leaf) || !settings.HandOff.Login ||
			!settings.HandOff.Consent || len(settings.HandOff.ACRValues) != 2 || settings.HandOff.Lifetime != 5*time.Minute || settings.Check(true) != nil {
			t.Errorf("%+v, %v", settings, settings.Check(true))
		}
	})
	t.Run("accepts each kind of hand-off", func(t *testing.T) {
		for kind, want := range map[string][2]bool{"login": {true, false}, "consent": {false, true}, "login-and-consent": {true, true}} {
			c := base
			c.HandOff, c.ClientID = kind, "the-login"
			settings, err := loginSettings(c, nil)
			if err != nil || settings.HandOff.Login != want[0] || settings.HandOff.Consent != want[1] || settings.ClientID != "the-login" {
				t.Errorf("%s: %+v %v", kind, settings, err)
			}
		}
	})
	t.Run("accepts none", func(t *testing.T) {
		if settings, err := loginSettings(config.Login{HandOff: "login"}, nil); settings != nil || err != nil {
			t.Errorf("%+v %v", settings, err)
		}
	})
	for name, content := range map[string]string{
		"an empty file": "", "no PEM": "certificate", "a key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"a broken certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "too many": strings.Repeat(string(one), 9),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			c := base
			c.CertificateFile = file(t, content)
			wantLine(t, err2(loginSettings(c, nil)), "login.certificate_file: ")
		})
	}
	t.Run("refuses a file that is not there, and a subject that is none", func(t *testing.T) {
		c := base
		c.CertificateFile = config.File(filepath.Join(t.TempDir(), "absent"))
		wantLine(t, err2(loginSettings(c, nil)), "login.certificate_file: ")
		c = base
		c.CertificateDN = "nobody"
		wantLine(t, err2(loginSettings(c, nil)), "login.certificate_dn: ")
	})
	resolving := func(change func(*config.Login)) error {
		c := &config.Config{Issuer: "https://login.example", Login: base}
		c.Login.HintsAddress = "https://10.1.2.3/hints"
		c.Login.HintsNetworks = "10.1.2.0/28"
		c.Login.HintsCertificate, c.Login.HintsKey = file(t, string(one)), config.Secret(file(t, "no key"))
		change(&c.Login)
		return (&server{Options: Options{Config: c, Now: time.Now}}).resolveHints(&fapi.Config{Backchannel: &backchannel.Settings{}})
	}
	t.Run("refuses a key of hints that is none", func(t *testing.T) {
		wantLine(t, resolving(func(*config.Login) {}), "login.hints_certificate_file and login.hints_key_file: ")
	})
	t.Run("refuses networks that are none", func(t *testing.T) {
		wantLine(t, resolving(func(l *config.Login) { l.HintsNetworks = "here" }), "login.hints_networks: ")
	})
	t.Run("refuses a network that is never reached", func(t *testing.T) {
		wantLine(t, resolving(func(l *config.Login) { l.HintsNetworks = "169.254.0.0/16" }), "login.hints_networks: 169.254.0.0/16: ")
	})
	t.Run("refuses a certificate of hints that is not there", func(t *testing.T) {
		wantLine(t, resolving(func(l *config.Login) { l.HintsCertificate = "/absent" }), "login.hints_certificate_file: ")
		wantLine(t, resolving(func(l *config.Login) { l.HintsCertificate = "" }), "login.hints_certificate_file: ")
	})
}

func err2[T any](_ T, err error) error { return err }

// wantLine demands an error of one line that begins with a key.
func wantLine(t *testing.T, err error, key string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), key) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v, want %s", err, key)
	}
}

// Covers: KE-50. The certificates of a login are read again when they change; a file that cannot be used changes nothing, and is
// reported.
func TestKE50CertificateAgain(t *testing.T) {
	d := newDesk(t)
	day := time.Now().Add(24 * time.Hour)
	old, renewed := newPair(t, "old", day), newPair(t, "renewed", day)
	print := func(p pair) string {
		t.Helper()
		all, err := thumbprints([]byte(p.certificate))
		if err != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	settings, err := loginSettings(config.Login{
		Address: "https://login.bank.example/", HandOff: "login", ACRValues: "urn:bank:sca", AnswerWithin: config.Duration(time.Minute),
		CertificateFile: config.File(d.write("login.crt", old.certificate)),
	}, d.Files)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(t *testing.T, want ...string) {
		t.Helper()
		if got := settings.Thumbprints.All(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
	t.Run("accepts both during a change, and then the new one alone", func(t *testing.T) {
		expect(t, print(old))
		d.write("login.crt", old.certificate+renewed.certificate)
		d.ticks(1)
		expect(t, print(old), print(renewed))
		d.write("login.crt", renewed.certificate)
		d.ticks(1)
		expect(t, print(renewed))
	})
	for name, content := range map[string]string{"an empty file": "", "a key": old.key, "half of one": old.certificate[:len(old.certificate)/2]} {
		t.Run("refuses "+name, func(t *testing.T) {
			d.write("login.crt", content)
			if reported := d.ticks(3); reported != 1 {
				t.Errorf("reported %d times", reported)
			}
			expect(t, print(renewed))
		})
	}
}
