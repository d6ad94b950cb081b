package observing_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/observe"
	"countersign/internal/observing"
)

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	made, key := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	var err error
	if a.certificate, err = x509.ParseCertificate(made); err != nil {
		t.Fatal(err)
	}
	a.key = key
	return a
}

func (a *authority) issue(t *testing.T, template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.serial++
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(a.serial), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	made, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

// reader is the certificate of one who reads.
func (a *authority) reader(t *testing.T, names ...string) tls.Certificate {
	t.Helper()
	made, key := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "reader"}, DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}
}

func pemFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// observed starts the listener of some settings, without a server, until the test ends.
func observed(t *testing.T, settings observe.Metrics) error {
	t.Helper()
	o, err := observing.NewProcess(t.Context(), observing.Options{
		Config: &config.Config{Metrics: settings}, Node: "node", Version: "v1", Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}, nil)
	if err != nil {
		return err
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		o.Serve(context.Background())
	}()
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return nil
}

// Covers: NM-17. Beyond this machine metrics are TLS, and only for whoever shows a certificate of the authority with one of the names.
func TestReaders(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	made, key := ours.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"metrics.bank.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	probe, err := net.Listen("tcp", "0.0.0.0:0") // all addresses: not loopback, and reachable on it
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().(*net.TCPAddr)
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	if err := observed(t, observe.Metrics{
		Listen: fmt.Sprintf("0.0.0.0:%d", address.Port), CertificateFile: config.File(pemFile(t, "CERTIFICATE", made)), KeyFile: config.Secret(pemFile(t, "PRIVATE KEY", encoded)),
		ClientCAFile: config.File(pemFile(t, "CERTIFICATE", ours.certificate.Raw)), ClientName: "prometheus.bank.example other.bank.example",
	}); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ours.certificate)
	ask := func(scheme, path string, shown ...tls.Certificate) (int, string, error) {
		transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: "metrics.bank.example", GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(shown) == 0 {
					return &tls.Certificate{}, nil
				}
				return &shown[0], nil
			},
		}}
		response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, address.Port, path))
		if err != nil {
			return 0, "", err
		}
		body, err := io.ReadAll(response.Body)
		return response.StatusCode, string(body), errors.Join(err, response.Body.Close())
	}
	t.Run("accepts the reader", func(t *testing.T) {
		if status, body, err := ask("https", "/metrics", ours.reader(t, "prometheus.bank.example")); status != http.StatusOK || !strings.Contains(body, "target_info{") {
			t.Errorf("%d %v", status, err)
		}
	})
	for name, shown := range map[string][]tls.Certificate{
		"nobody": nil, "another authority's": {theirs.reader(t, "prometheus.bank.example")}, "another name": {ours.reader(t, "app.bank.example")},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if status, _, err := ask("https", "/metrics", shown...); err == nil {
				t.Errorf("answered %d", status)
			}
		})
	}
	t.Run("refuses plain text", func(t *testing.T) {
		if status, body, err := ask("http", "/metrics"); err == nil && (status == http.StatusOK || strings.Contains(body, "countersign_build")) {
			t.Errorf("answered %d %s", status, body)
		}
	})
	t.Run("refuses other paths", func(t *testing.T) {
		if status, _, err := ask("https", "/debug/pprof/", ours.reader(t, "other.bank.example")); status != http.StatusNotFound {
			t.Errorf("%d %v", status, err)
		}
	})
}

// Covers: NM-17. A socket is for its owner and group; one that a killed server left is replaced.
func TestSocket(t *testing.T) {
	folder, err := os.MkdirTemp("", "metrics") // t.TempDir may be longer than a socket's name can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	name := filepath.Join(folder, "s")
	left, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false) // as a kill leaves it
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	settings := observe.Metrics{Listen: "unix:" + name}
	if err := observed(t, settings); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", name)
	}}}
	defer client.CloseIdleConnections()
	t.Run("accepts a reader at the socket", func(t *testing.T) {
		address := &url.URL{Scheme: "http", Host: "metrics", Path: "/metrics"}
		response, err := client.Get(address.String())
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || !bytes.Contains(body, []byte("target_info{")) {
			t.Errorf("%s, %v", response.Status, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	})
	t.Run("refuses the socket of another server", func(t *testing.T) {
		if err := observed(t, settings); err == nil || !strings.Contains(err.Error(), "metrics.listen: another program uses this socket") {
			t.Error(err)
		}
	})
}

// Covers: NM-17. What cannot be read is an error that names its key, before anything is served.
func TestListenRefuses(t *testing.T) {
	ours := newAuthority(t)
	made, key := ours.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "server"}})
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	good := observe.Metrics{
		Listen: "0.0.0.0:0", CertificateFile: config.File(pemFile(t, "CERTIFICATE", made)), KeyFile: config.Secret(pemFile(t, "PRIVATE KEY", encoded)),
		ClientCAFile: config.File(pemFile(t, "CERTIFICATE", ours.certificate.Raw)),
	}
	t.Run("accepts good files", func(t *testing.T) {
		if err := observed(t, good); err != nil {
			t.Error(err)
		}
	})
	for want, spoil := range map[string]func(*observe.Metrics){
		"metrics.certificate_file: ": func(m *observe.Metrics) { m.CertificateFile = "absent" },
		"metrics.key_file: ":         func(m *observe.Metrics) { m.KeyFile = "absent" },
		"metrics.certificate_file and metrics.key_file: ": func(m *observe.Metrics) {
			m.CertificateFile = config.File(pemFile(t, "CERTIFICATE", ours.certificate.Raw))
		},
		"metrics.client_ca_file: ": func(m *observe.Metrics) { m.ClientCAFile = "absent" },
		"holds no certificate in PEM form": func(m *observe.Metrics) {
			m.ClientCAFile = config.File(pemFile(t, "PRIVATE KEY", encoded))
		},
		"metrics.listen: ": func(m *observe.Metrics) { m.Listen = "192.0.2.1:9464" },
	} {
		t.Run("refuses "+want, func(t *testing.T) {
			spoiled := good
			spoil(&spoiled)
			if err := observed(t, spoiled); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}
