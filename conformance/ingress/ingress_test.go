package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"countersign/internal/proxies"
)

const configuration = `issuer = "https://localhost:8443"
[listen]
address = "127.0.0.1:8443"
[listen_mtls]
address = "127.0.0.1:18444"
url = "https://localhost:18444"
client_ca_file = "tls/client-ca.crt"
[[scopes]]
name = "accounts"
`

// development is a folder as countersign init --dev leaves it, as far as it is needed here.
func development(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte{1}, PermittedDNSDomains: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.Mkdir(filepath.Join(folder, "tls"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"tls/server.crt": certificate, "tls/ca.crt": certificate, "tls/client-ca.crt": certificate,
		"tls/ca.key":       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		"tls/server.key":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		"countersign.toml": []byte(configuration),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestPrepare: only the listener for client certificates changes, and the ingress can prove itself to it.
func TestPrepare(t *testing.T) {
	kind, err := proxies.Find("envoy")
	if err != nil {
		t.Fatal(err)
	}
	s := setup{kind: kind, state: development(t), port: "8445"}
	p, err := s.prepare(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if p.backend != "18444" {
		t.Errorf("the backend's port is %s", p.backend)
	}
	text, err := os.ReadFile(p.config)
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if err := toml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if err := toml.Unmarshal([]byte(configuration), &want); err != nil {
		t.Fatal(err)
	}
	want["listen_mtls"] = map[string]any{
		"address": "127.0.0.1:18444", "url": "https://localhost:8445", "client_ca_file": "tls/client-ca.crt", "source": "envoy",
		"ingress_ca_file": filepath.Join(p.folder, "ingress-ca.crt"), "ingress_name": ingressName,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the configuration (-want +got):\n%s", diff)
	}
	roots := x509.NewCertPool()
	authority, err := os.ReadFile(filepath.Join(p.folder, "ingress-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(authority)
	upstream, err := os.ReadFile(filepath.Join(p.folder, "upstream-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(upstream); block == nil {
		t.Error("upstream-ca.crt is no PEM")
	} else if ca, err := x509.ParseCertificate(block.Bytes); err != nil || len(ca.PermittedDNSDomains) > 0 || ca.Subject.CommonName != "localhost" {
		t.Errorf("upstream-ca.crt: %v, %v", ca, err)
	}
	encoded, err := os.ReadFile(filepath.Join(p.folder, "ingress.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(encoded)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: ingressName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
}

func TestRun(t *testing.T) {
	port := func(t *testing.T) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	}
	t.Run("accepts being told to stop", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		address := port(t)
		ended := make(chan error, 1)
		go func() {
			ended <- run(ctx, []string{"-state", development(t), "-templates", "../../deploy/ingress", "-port", address, "-serve", "sleep 60"}, io.Discard)
		}()
		for range 200 {
			if connection, err := net.Dial("tcp", "127.0.0.1:"+address); err == nil {
				_ = connection.Close()
				cancel()
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if ctx.Err() == nil {
			cancel()
			t.Error("nginx does not listen; make packages-test installs it")
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := net.Dial("tcp", "127.0.0.1:"+address); err == nil {
			t.Error("nginx still listens")
		}
	})
	for name, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"an ingress that is not known": {[]string{"-kind", "squid"}, `there is no ingress "squid"; there are nginx,`},
		"a folder without a server":    {[]string{"-state", t.TempDir()}, "countersign init --dev makes it"},
		"no command":                   {[]string{"-serve", " "}, "there is no command"},
		"a server that ends":           {[]string{"-state", development(t), "-templates", "../../deploy/ingress", "-port", port(t), "-serve", "false"}, "the server has ended: exit status 1"},
		"an ingress that ends":         {[]string{"-state", development(t), "-templates", "../../deploy/ingress", "-port", "99999", "-serve", "sleep 60"}, "nginx has ended"},
		"a word too many":              {[]string{"nginx"}, "is not a flag"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if err := run(t.Context(), test.arguments, io.Discard); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
