package outbound

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// name is the host name of the servers of these tests; it resolves to loopback by the hook of [site.client].
const name = "keys.example"

var loopback = netip.MustParseAddr("127.0.0.1")

// TestMain names a proxy that is out of order, so that whatever goes by the environment fails.
func TestMain(m *testing.M) {
	for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		if err := os.Setenv(variable, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// site is a real TLS server on loopback with a certificate by an authority of its own.
type site struct {
	address     string // https://keys.example:port
	port        string
	roots       *x509.CertPool
	connections atomic.Int64
}

func serve(t *testing.T, handler http.HandlerFunc) *site {
	t.Helper()
	return serveTLS(t, &tls.Config{}, name, time.Now(), handler)
}

// serveTLS begins with a TLS configuration, the name in the certificate and the middle of its life.
func serveTLS(t *testing.T, config *tls.Config, certified string, at time.Time, handler http.HandlerFunc) *site {
	t.Helper()
	made := &site{roots: x509.NewCertPool()}
	config.Certificates = []tls.Certificate{made.certificate(t, certified, at)}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	made.setAddress(t, server.Listener.Addr())
	return made
}

func (s *site) setAddress(t *testing.T, listening net.Addr) {
	t.Helper()
	_, port, err := net.SplitHostPort(listening.String())
	if err != nil {
		t.Fatal(err)
	}
	s.port, s.address = port, "https://"+net.JoinHostPort(name, port)
}

func (s *site) certificate(t *testing.T, certified string, at time.Time) tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if literal := net.ParseIP(certified); literal != nil {
		template.IPAddresses = []net.IP{literal}
	} else {
		template.DNSNames = []string{certified}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

// client is a client that trusts the site's authority and finds it on loopback.
func (s *site) client(policy Policy) *Client {
	policy.AllowLoopback, policy.Roots = true, s.roots
	if policy.Now == nil {
		policy.Now = time.Now
	}
	made := New(policy)
	made.lookup = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{loopback}, nil }
	return made
}

// refused checks that an error is an [*Error] with a text in its reason, and that it repeats nothing of a secret that
// the servers of these tests send.
func refused(t *testing.T, err error, reason string) {
	t.Helper()
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v (%T), want a refusal: %s", err, err, reason)
	}
	if !strings.Contains(failure.Reason, reason) {
		t.Errorf("the reason is %q, want %q", failure.Reason, reason)
	}
	if strings.Contains(failure.Error(), canary) {
		t.Errorf("the error repeats the answer: %q", failure)
	}
}

// canary is in what servers send, and may be in no error.
const canary = "canary-7f3a"

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}
