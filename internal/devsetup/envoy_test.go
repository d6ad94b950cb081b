package devsetup

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/internal/proxies"
)

// TestEnvoyAcceptsOurCertificate: a real Envoy, whose BoringSSL does not know constraints of addresses, accepts the
// development server's certificate; and one with an address it refuses, which is why there is none.
//
// Covers: FD-108.
func TestEnvoyAcceptsOurCertificate(t *testing.T) {
	kind, err := proxies.Find("envoy")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../deploy/ingress/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		address net.IP
		status  int
	}{
		"accepts the certificate as it is made": {nil, http.StatusOK},
		"refuses one with an address":           {net.IPv4(127, 0, 0, 1), http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			folder, now := t.TempDir(), time.Now()
			hosts := []string{"localhost", "127.0.0.1", "::1"}
			servers, _, err := developmentAuthority(folder, "upstream-ca", "Test CA", hosts, now)
			if err != nil {
				t.Fatal(err)
			}
			wanted := serverCredential(hosts)
			if test.address != nil {
				wanted.template.IPAddresses = []net.IP{test.address}
			}
			if _, _, err := ensure(folder, wanted, &servers, now); err != nil {
				t.Fatal(err)
			}
			for _, other := range []string{"ingress", "clients-ca"} {
				if _, _, err := ensure(folder, credential{other, clientCredential(other).template, generateRSA}, &servers, now); err != nil {
					t.Fatal(err)
				}
			}
			pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
			if err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			server.StartTLS()
			defer server.Close()
			place := proxies.Place{Folder: folder, Port: freePort(t), Host: "localhost"}
			if _, place.Backend, err = net.SplitHostPort(server.Listener.Addr().String()); err != nil {
				t.Fatal(err)
			}
			output := new(bytes.Buffer)
			envoy, err := kind.Start(text, place, output)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				envoy.Stop()
				if t.Failed() {
					t.Logf("%s", output)
				}
			}()
			client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: rootsOf(servers), ServerName: "localhost"},
			}}
			var response *http.Response
			for range 200 {
				if response, err = client.Get("https://127.0.0.1:" + place.Port); err == nil {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status {
				t.Errorf("%s %s %v, want %d", response.Status, body, err, test.status)
			}
		})
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
