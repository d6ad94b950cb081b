package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Covers: KA-14. Behind a real nginx the audit log has the address of the browser, and no other that somebody claims.
func TestAuditedAddressBehindIngress(t *testing.T) {
	i := newInstallation(t)
	text, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte("[listen]\n"), []byte("[listen]\ningress_networks = \"127.0.0.1/32\"\n"), 1)
	if bytes.Equal(changed, text) {
		t.Fatal("the configuration has no [listen]")
	}
	if err := os.WriteFile(i.config(), changed, 0o600); err != nil {
		t.Fatal(err)
	}
	server := i.serve()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(i.address, ":")
	certificate := filepath.Join(i.folder, "tls", "server")
	ingress := startNginx(t, t.TempDir(), ports[0], fmt.Sprintf(`
user root;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:%s ssl;
        ssl_certificate %s.crt;
        ssl_certificate_key %s.key;
        location / {
            proxy_pass https://127.0.0.1:%s;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }
    }
}
`, ports[0], certificate, certificate, port))
	// signIn tries a wrong password from an address of this machine: to, or where the browser would go.
	signIn := func(t *testing.T, from, to string) {
		t.Helper()
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		roots := i.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if to != "" {
					address = strings.TrimPrefix(to, "https://")
				}
				dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
				return dialer.DialContext(ctx, "tcp4", address)
			},
		}
		defer transport.CloseIdleConnections()
		client := &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}
		ask := func(method string, form url.Values) string {
			t.Helper()
			request, err := http.NewRequest(method, "https://localhost:"+port+"/device/settings", strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set("X-Forwarded-For", "203.0.113.9")
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("%d %s, %v", response.StatusCode, body, err)
			}
			return string(body)
		}
		token := regexp.MustCompile(`name="form_token" value="([^"]+)"`).FindStringSubmatch(ask(http.MethodGet, nil))
		if token == nil {
			t.Fatal("the page has no form token")
		}
		ask(http.MethodPost, url.Values{"form_token": {token[1]}, "action": {"sign-in"}, "username": {"alice"}, "password": {"not the password"}})
	}
	signIn(t, "127.0.0.2", ingress)
	signIn(t, "127.0.0.3", "")
	server.signal(syscall.SIGTERM)
	server.wait()
	output, err := exec.Command("countersign", "audit", "export", "--config", i.config()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	var failed []string
	for line := range strings.Lines(string(output)) {
		if strings.Contains(line, `"event":"sign_in_failed"`) {
			failed = append(failed, line)
		}
	}
	if len(failed) != 2 {
		t.Fatalf("recorded %s", output)
	}
	t.Run("accepts the address that the ingress tells", func(t *testing.T) {
		if !strings.Contains(failed[0], `"address":"127.0.0.2"`) || !strings.Contains(failed[0], `"reason":"wrong password"`) || !strings.Contains(failed[0], `"subject":"`) {
			t.Errorf("recorded %s", failed[0])
		}
	})
	t.Run("refuses what the client says itself", func(t *testing.T) {
		if !strings.Contains(failed[1], `"address":"127.0.0.3"`) || strings.Contains(string(output), "203.0.113.9") || strings.Contains(string(output), "not the password") {
			t.Errorf("recorded %s", output)
		}
	})
}
