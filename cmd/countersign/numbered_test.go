package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Covers: SP-01, SP-03, RULE-01, AM-03. The running server speaks TLS on both ports and nothing else.
func TestSP01TLSOnly(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	for name, address := range map[string]string{"the main listener": i.address, "the listener for certificates": i.mtls} {
		t.Run("accepts TLS with a certificate of its name at "+name, func(t *testing.T) {
			response, err := i.client.Get("https://" + address + "/nothing")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusNotFound || response.TLS.Version != tls.VersionTLS13 {
				t.Errorf("%d, %s", response.StatusCode, tls.VersionName(response.TLS.Version))
			}
		})
		t.Run("refuses plain HTTP at "+name, func(t *testing.T) {
			connection, err := net.DialTimeout("tcp", address, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(connection, "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusBadRequest || strings.Contains(string(body), "issuer") {
				t.Errorf("%d %s, %v", response.StatusCode, body, err)
			}
		})
		for version, number := range map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11} {
			t.Run("refuses TLS "+version+" at "+name, func(t *testing.T) {
				if connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: i.roots, MinVersion: tls.VersionTLS10, MaxVersion: number}); err == nil {
					connection.Close()
					t.Error("accepted")
				}
			})
		}
		t.Run("refuses a client that knows another authority at "+name, func(t *testing.T) {
			if connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
				connection.Close()
				t.Error("accepted")
			}
		})
	}
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
}
