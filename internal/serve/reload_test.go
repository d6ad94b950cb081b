package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/ciba"
	"countersign/fapi/backchannel"
	"countersign/internal/config"
	"countersign/internal/reread"
	"countersign/mtls"
)

// pairHost is the host for which all pairs are.
const pairHost = "login.example"

// pair is a certificate and its key in PEM form.
type pair struct{ certificate, key string }

func newPair(t *testing.T, name string, ends time.Time) pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{pairHost},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: ends, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pair{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))}
}

// desk is a reloader with its folder and its log.
type desk struct {
	*reread.Files
	t      *testing.T
	folder string
	logged strings.Builder
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, folder: t.TempDir()}
	d.Files = &reread.Files{Log: slog.New(slog.NewTextHandler(&d.logged, nil))}
	return d
}

func (d *desk) write(name, text string) string {
	d.t.Helper()
	file := filepath.Join(d.folder, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return file
}

// ticks lets the reloader look so often, and returns how often it reported a failure.
func (d *desk) ticks(count int) int {
	d.t.Helper()
	d.logged.Reset()
	for range count {
		d.Check(d.t.Context(), false)
	}
	return strings.Count(d.logged.String(), `msg="file reload failed; keeping previous"`)
}

// Covers: FD-116. The certificate of the listeners and its key are read again when they change, as a pair: not one without the other,
// nothing that has expired or cannot be read, and what cannot be used is reported once, when it has had time to be whole.
func TestFD116Certificate(t *testing.T) {
	d := newDesk(t)
	day := time.Now().Add(24 * time.Hour)
	first, second, third := newPair(t, "first", day), newPair(t, "second", day), newPair(t, "third", day)
	c := config.Listen{CertificateFile: config.File(d.write("server.crt", first.certificate)), KeyFile: config.Secret(d.write("server.key", first.key))}
	s, err := newServed(c, time.Now, d.Files)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var live live
	live.current.Store(&generation{shown: s})
	listener := tls.NewListener(server.Listener, tlsConfig(live.certificate, false))
	go func() { _ = server.Config.Serve(listener) }()
	defer server.Config.Close()
	roots := x509.NewCertPool()
	for _, each := range []pair{first, second, third} {
		roots.AppendCertsFromPEM([]byte(each.certificate))
	}
	shown := func() string {
		t.Helper()
		connection, err := tls.Dial("tcp", server.Listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: pairHost})
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	expect := func(t *testing.T, name string) {
		t.Helper()
		if got := shown(); got != name {
			t.Errorf("the server shows %s, not %s\n%s", got, name, d.logged.String())
		}
	}
	expect(t, "first")
	t.Run("accepts nothing new", func(t *testing.T) {
		if n := d.ticks(3); n != 0 || d.logged.Len() != 0 {
			t.Error(d.logged.String())
		}
	})
	t.Run("refuses one half, without a word while the other may come", func(t *testing.T) {
		d.write("server.crt", second.certificate)
		if n := d.ticks(1); n != 0 {
			t.Error(d.logged.String())
		}
		expect(t, "first")
	})
	t.Run("accepts both", func(t *testing.T) {
		d.write("server.key", second.key)
		if n := d.ticks(1); n != 0 || !strings.Contains(d.logged.String(), "event=files_reloaded") {
			t.Error(d.logged.String())
		}
		expect(t, "second")
	})
	for name, change := range map[string]struct {
		do   func()
		want string
	}{
		"half a pair":   {func() { d.write("server.key", third.key) }, "private key does not match public key"},
		"an empty file": {func() { d.write("server.crt", "") }, "listen.certificate_file"},
		"no file":       {func() { _ = os.Remove(filepath.Join(d.folder, "server.key")) }, "no such file"},
		"nonsense":      {func() { d.write("server.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") }, "listen.certificate_file"},
		"an expired one": {func() {
			p := newPair(t, "expired", time.Now().Add(-time.Hour))
			d.write("server.crt", p.certificate)
			d.write("server.key", p.key)
		}, "the certificate expired on "},
		"a key in its place": {func() { d.write("server.crt", second.key) }, "listen.certificate_file"},
	} {
		t.Run("refuses "+name+", and says so once", func(t *testing.T) {
			change.do()
			if n := d.ticks(5); n != 1 || !strings.Contains(d.logged.String(), change.want) || strings.Contains(d.logged.String(), "PRIVATE KEY") {
				t.Errorf("%d times\n%s", n, d.logged.String())
			}
			expect(t, "second")
			d.logged.Reset()
			d.Check(t.Context(), true)
			if n := strings.Count(d.logged.String(), "keeping previous"); n != 1 {
				t.Errorf("told to read it: %d times\n%s", n, d.logged.String())
			}
			d.write("server.crt", second.certificate)
			d.write("server.key", second.key)
			if n := d.ticks(2); n != 0 {
				t.Errorf("back again: %s", d.logged.String())
			}
			expect(t, "second")
		})
	}
	t.Run("accepts the next one after all that", func(t *testing.T) {
		d.write("server.crt", third.certificate)
		d.write("server.key", third.key)
		d.ticks(1)
		expect(t, "third")
	})
}

// Covers: FD-117. What recognises the ingress is read again when it changes: its CA, and its secrets while they rotate.
func TestFD117Ingress(t *testing.T) {
	request := func(secret string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "https://login.example/token", http.NoBody)
		r.RemoteAddr = "10.1.2.3:1"
		r.Header.Set("Countersign-Ingress-Secret", secret)
		return r
	}
	d := newDesk(t)
	old, next := strings.Repeat("o", 43), strings.Repeat("n", 43)
	c := config.ListenMTLS{Source: mtls.SourceRFC9440, IngressNetworks: "10.1.2.0/28", IngressSecret: config.Secret(d.write("secret", old))}
	g, err := newGates(c, time.Now, d.Files)
	if err != nil {
		t.Fatal(err)
	}
	admitted := func(secret string) bool {
		_, err := g.current.Load().Admit(request(secret))
		return err == nil
	}
	t.Run("accepts the secret of the file, and no other", func(t *testing.T) {
		if !g.authenticates(request(old)) || g.authenticates(request(next)) || !admitted(old) {
			t.Error("the first secret")
		}
		d.write("secret", next)
		d.ticks(1)
		if g.authenticates(request(old)) || !g.authenticates(request(next)) {
			t.Error("the second secret")
		}
	})
	t.Run("refuses a secret that is too short, and keeps the one before", func(t *testing.T) {
		d.write("secret", "short")
		if n := d.ticks(3); n != 1 || strings.Contains(d.logged.String(), "=short") || !g.authenticates(request(next)) {
			t.Errorf("%d\n%s", n, d.logged.String())
		}
	})
	t.Run("accepts another CA, and refuses one that holds nothing", func(t *testing.T) {
		d := newDesk(t)
		first, second := newPair(t, "ca1", time.Now().Add(time.Hour)), newPair(t, "ca2", time.Now().Add(time.Hour))
		c := config.ListenMTLS{Source: mtls.SourceRFC9440, IngressName: "ingress", IngressCAFile: config.File(d.write("ca.crt", first.certificate))}
		g, err := newGates(c, time.Now, d.Files)
		if err != nil {
			t.Fatal(err)
		}
		roots := func() *x509.CertPool {
			ingress, _ := g.current.Load().Ingress.(mtls.IngressCertificate)
			return ingress.Roots
		}
		before := roots()
		d.write("ca.crt", second.certificate)
		d.ticks(1)
		after := roots()
		d.write("ca.crt", "nothing")
		if n := d.ticks(3); n != 1 || before.Equal(after) || !roots().Equal(after) {
			t.Errorf("%d reports\n%s", n, d.logged.String())
		}
	})
}

// authenticates reports whether a request comes from the ingress.
func (g *gates) authenticates(r *http.Request) bool {
	return g.current.Load().Ingress.Authenticate(r) == nil
}

// Covers: FD-117. The keys that seal pings, and the certificate that is shown with them, are read again when they change.
func TestFD117Pings(t *testing.T) {
	d := newDesk(t)
	one, two := ciba.NewSealKey(), ciba.NewSealKey()
	first, second := newPair(t, "first", time.Now().Add(time.Hour)), newPair(t, "second", time.Now().Add(time.Hour))
	c := config.CIBA{
		Enabled: true, PingKeys: config.Secret(d.write("keys", one)),
		ClientCertificate: config.File(d.write("ping.crt", first.certificate)), ClientCertificateKey: config.Secret(d.write("ping.key", first.key)),
	}
	settings, err := backchannelSettings(c, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	rereadPings(d.Files, c, settings)
	sealed, err := settings.Seals.Seal([32]byte{1}, ciba.Notification{AuthReqID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	opens := func() bool {
		_, err := settings.Seals.Open([32]byte{1}, sealed)
		return err == nil
	}
	before := settings.Certificate.Load()
	t.Run("accepts a new key above the old one, and the certificate", func(t *testing.T) {
		d.write("keys", two+"\n"+one)
		d.write("ping.crt", second.certificate)
		d.write("ping.key", second.key)
		if n := d.ticks(1); n != 0 || !opens() || settings.Certificate.Load() == before {
			t.Errorf("%d\n%s", n, d.logged.String())
		}
		d.write("keys", two)
		d.ticks(1)
		if opens() {
			t.Error("the key that was taken out still opens")
		}
	})
	t.Run("refuses what is no key", func(t *testing.T) {
		d.write("keys", "nonsense")
		if n := d.ticks(3); n != 1 || strings.Contains(d.logged.String(), "nonsense") {
			t.Errorf("%d\n%s", n, d.logged.String())
		}
	})
	rereadPings(d.Files, config.CIBA{}, nil)
	rereadPings(d.Files, config.CIBA{}, &backchannel.Settings{})
}
