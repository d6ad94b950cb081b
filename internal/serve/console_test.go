package serve_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/config"
	"countersign/internal/config/operators"
	"countersign/internal/devsetup/setuptest"
)

// Covers: NM-69. A running server has the console on the listener of its admin API: it says that the node works, and explains a request
// that the server has just refused. The other listeners have no console.
func TestNM69Console(t *testing.T) {
	i := setuptest.New(t)
	folder, authority := t.TempDir(), fapitest.NewAuthority(t, "Operators", time.Now())
	server, roots := fapitest.ServerCertificate(t)
	file := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := setuptest.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	i.Config.Audit.Node = "node-1"
	i.Config.Admin = operators.Admin{
		Listen: fmt.Sprint("127.0.0.1:", ports[0]), CertificateFile: config.File(file("server.crt", "CERTIFICATE", server.Certificate[0])), KeyFile: config.Secret(file("server.key", "PRIVATE KEY", key)),
		ClientCAFile: config.File(file("ca.crt", "CERTIFICATE", authority.Certificate.Raw)), PerMinute: 600, ApprovalsLast: config.Duration(time.Hour),
		Operators: []operators.Operator{{Name: "Rita", CertificateDN: "CN=rita", Roles: "reader"}},
	}
	running := start(t, i.Config)
	public := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.Roots}}}
	operator := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots, Certificates: []tls.Certificate{authority.Issue(t, "rita", time.Now())},
	}}}
	defer public.CloseIdleConnections()
	defer operator.CloseIdleConnections()
	get := func(client *http.Client, address string) (int, string) {
		t.Helper()
		response, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	console := fmt.Sprintf("https://127.0.0.1:%d/console/", ports[0])
	t.Run("accepts an operator", func(t *testing.T) {
		status, body := get(operator, console)
		for _, text := range []string{"This node works", "node-1", "Rita", "hsm", "listen.certificate_file", i.Config.Issuer} {
			if status != http.StatusOK || !strings.Contains(body, text) {
				t.Errorf("%d, no %q in %s", status, text, body)
			}
		}
	})
	t.Run("accepts the number of a request that was just refused", func(t *testing.T) {
		response, err := public.PostForm(i.Config.Issuer+"/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"stranger"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%s %v", response.Status, err)
		}
		status, body := 0, ""
		for range 200 { // it is stored within a second
			if status, body = get(operator, console+"search?q="+response.Header.Get("X-Correlation-Id")); strings.Contains(body, "client.unknown") {
				break
			}
			time.Sleep(25 * time.Millisecond)
		}
		for _, text := range []string{"No client with this client_id is served here", "client.unknown", "POST /token", "401 invalid_client"} {
			if status != http.StatusOK || !strings.Contains(body, text) {
				t.Errorf("%d, no %q in %s", status, text, body)
			}
		}
	})
	t.Run("refuses it at the other listeners", func(t *testing.T) {
		for _, address := range []string{i.Config.Issuer, i.Config.ListenMTLS.URL} {
			if status, body := get(public, address+"/console/"); status != http.StatusNotFound || strings.Contains(body, "Countersign console") {
				t.Errorf("%s: %d", address, status)
			}
		}
	})
	running.stop()
	if err := running.ended(); err != nil {
		t.Error(err)
	}
}
