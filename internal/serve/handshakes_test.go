package serve

import (
	"bytes"
	"countersign/internal/handshakes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/mtls"
)

// Covers: FD-125. A certificate with another's key is refused in the handshake, after it was read: the line has its subject.
func TestHandshakeSubject(t *testing.T) {
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, nil))
	refusals, seen := newRefusals(time.Now, logger), &handshakes.Seen{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = mtls.ServerConfig([]tls.Certificate{selfSigned(t, pkix.Name{CommonName: "server"})}, true)
	server.Config.TLSConfig = server.TLS
	server.Config.ErrorLog = log.New(connectionLog{refusals, seen, logger}, "", 0)
	seen.Watch(server.Config)
	server.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	ask := func(certificate tls.Certificate, version uint16) error {
		transport := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: "server", MaxVersion: version,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
		}}
		response, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get(server.URL)
		if err != nil {
			return err
		}
		if response.ProtoMajor != 2 {
			t.Errorf("%s", response.Proto)
		}
		return response.Body.Close()
	}
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	for name, version := range versions {
		t.Run("accepts its own key on TLS "+name, func(t *testing.T) {
			if err := ask(selfSigned(t, pkix.Name{CommonName: "own " + name}), version); err != nil {
				t.Error(err)
			}
		})
		t.Run("refuses another's key on TLS "+name, func(t *testing.T) {
			stolen := selfSigned(t, pkix.Name{CommonName: "stolen " + name})
			stolen.PrivateKey = selfSigned(t, pkix.Name{CommonName: "thief"}).PrivateKey
			if err := ask(stolen, version); err == nil {
				t.Error("answered")
			}
		})
	}
	server.Close() // and all that it writes has been written
	for name := range versions {
		if !strings.Contains(logged.String(), `client_address=127.0.0.1 certificate_subject="CN=stolen `+name+`" client_id="" error="invalid signature by the client certificate`) {
			t.Errorf("TLS %s:\n%s", name, logged.String())
		}
	}
	if strings.Contains(logged.String(), "own") {
		t.Errorf("the log:\n%s", logged.String())
	}
	if open := seen.Open(); open != 0 {
		t.Errorf("remembers %d", open)
	}
}
