package suite_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/conformance/suite"
)

// serve answers as a suite that is ready, with a certificate of its own.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestTrust: however a suite comes to be trusted, its roots are those by which others reach it, and nobody else's.
func TestTrust(t *testing.T) {
	server, stranger := serve(t), serve(t)
	file := filepath.Join(t.TempDir(), "suite.crt")
	shown := server.Certificate().Raw
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shown}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file) // read once in a process, at the first certificate that nothing else vouches for
	t.Setenv("SSL_CERT_DIR", filepath.Dir(file))
	digest, others := sha256.Sum256(shown), sha256.Sum256(stranger.Certificate().Raw)
	reach := func(t *testing.T, roots *x509.CertPool, address string) error {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get(address)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	for name, way := range map[string]struct {
		with             suite.Options
		trusted, refused *httptest.Server
	}{
		"a file":                   {suite.Options{CA: file}, server, stranger},
		"a fingerprint":            {suite.Options{Fingerprint: hex.EncodeToString(digest[:])}, server, stranger},
		"the system's authorities": {suite.Options{}, server, stranger},
		"what loopback shows":      {suite.Options{}, stranger, server},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			o := way.with
			o.URL, o.AnswerTime, o.Pause = way.trusted.URL, 10*time.Second, time.Millisecond
			client, err := suite.Connect(t.Context(), o, t.Logf)
			if err != nil {
				t.Fatal(err)
			}
			if err := reach(t, client.Roots(), way.trusted.URL); err != nil {
				t.Error(err)
			}
			if err := reach(t, client.Roots(), way.refused.URL); err == nil {
				t.Error("another one is trusted too")
			}
		})
	}
	t.Run("refuses another certificate than the pinned one", func(t *testing.T) {
		o := suite.Options{URL: server.URL, Fingerprint: hex.EncodeToString(others[:]), AnswerTime: 10 * time.Second, Pause: time.Millisecond}
		if client, err := suite.Connect(t.Context(), o, t.Logf); err == nil {
			t.Errorf("%v", client)
		}
	})
}
