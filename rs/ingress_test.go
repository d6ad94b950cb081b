package rs_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/logbuffer"
	"countersign/internal/proxies"
	"countersign/mtls"
	"countersign/rs"
)

// writeIdentity writes a certificate and its key, in two files and in one.
func writeIdentity(t *testing.T, folder, name string, of tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(of.PrivateKey.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: of.Leaf.Raw})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	writeFile(t, folder, name+".crt", certificate)
	writeFile(t, folder, name+".key", private)
	writeFile(t, folder, name+".pem", slices.Concat(certificate, private))
}

func writeFile(t *testing.T, folder, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// start runs an ingress in front of an API until the test ends.
func start(t *testing.T, kind proxies.Kind, folder, port string, a *api) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../deploy/ingress", kind.File))
	if err != nil {
		t.Fatal(err)
	}
	_, backend, err := net.SplitHostPort(a.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	log := &logbuffer.Buffer{}
	process, err := kind.Start(text, proxies.Place{Folder: folder, Port: port, Backend: backend, Host: "localhost"}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		process.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", kind.Program, log)
		}
	})
	for range 300 {
		select {
		case <-process.Ended():
			t.Fatalf("%s ended: %v", kind.Program, process.Err())
		case <-time.After(50 * time.Millisecond):
		}
		if connection, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = connection.Close()
			return
		}
	}
	t.Fatalf("%s does not listen", kind.Program)
}

// Covers: RS-24. Behind real ingresses that terminate TLS: the certificate of the client comes in a header, which is believed if it comes from
// the ingress alone, and proofs are for the public address.
func TestRS24Ingress(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	now := w.Clock.Now()
	byDPoP := w.Register("client-1", fapitest.AllScopes)
	bound := w.Register("client-2", fapitest.All(fapitest.AllScopes, fapitest.CertificateBound))
	other := w.ClientCA.Issue(t, bound.ID, now)
	authority := fapitest.NewAuthority(t, "Ingress CA", now)
	identity := authority.IssueAs(t, now, func(c *x509.Certificate) { c.DNSNames = []string{"ingress.example"} })
	roots := x509.NewCertPool()
	roots.AddCert(authority.Certificate)
	server, _ := fapitest.ServerCertificate(t)
	for _, kind := range proxies.All()[:3] {
		folder := t.TempDir()
		writeIdentity(t, folder, "server", server)
		writeIdentity(t, folder, "ingress", identity)
		writeFile(t, folder, "upstream-ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Leaf.Raw}))
		writeFile(t, folder, "clients-ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.ClientCA.Certificate.Raw}))
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
		listener.Close()
		source, err := mtls.Header(kind.Source)
		if err != nil {
			t.Fatal(err)
		}
		a := newAPI(t, w, func(config *rs.Config) {
			config.BaseURL = "https://localhost:" + port
			config.Gate = &mtls.Gate{
				Source: source, Headers: mtls.SourceHeaders(kind.Source),
				Ingress: mtls.IngressCertificate{Roots: roots, Names: []string{"ingress.example"}, Now: w.Clock.Now},
			}
		})
		start(t, kind, folder, port, a)
		send := func(c *fapitest.Client, base, token string, alter func(http.Header)) fapitest.Reply {
			request, err := http.NewRequest(http.MethodGet, base+"/accounts", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+token)
			if c.DPoP {
				request.Header.Set("Authorization", "DPoP "+token)
				request.Header.Set("DPoP", c.Proof("GET", "https://localhost:"+port+"/accounts", token, nil))
			}
			if alter != nil {
				alter(request.Header)
			}
			return c.Do(request)
		}
		public := "https://localhost:" + port
		t.Run("accepts a certificate through "+kind.Program, func(t *testing.T) {
			r := send(bound, public, tokenOf(bound), nil)
			if r.Status != http.StatusOK || r.Text("Client") != bound.ID {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		})
		t.Run("accepts a proof for the public address through "+kind.Program, func(t *testing.T) {
			fapitest.WantOK(t, send(byDPoP, public, tokenOf(byDPoP), nil))
		})
		t.Run("refuses another certificate, and none, through "+kind.Program, func(t *testing.T) {
			token := tokenOf(bound)
			a.want(t, send(bound.WithCertificate(&other), public, token, nil), http.StatusUnauthorized, "invalid_token", rs.WrongSender)
			a.want(t, send(bound.WithCertificate(nil), public, token, nil), http.StatusUnauthorized, "invalid_token", rs.WrongSender)
		})
		claim := func(h http.Header) {
			for _, line := range mtls.Spell(kind.Source, bound.Certificate.Leaf) {
				h.Set(line.Name, line.Value)
			}
		}
		t.Run("refuses a certificate in a header of the client's own through "+kind.Program, func(t *testing.T) {
			if r := send(bound.WithCertificate(&other), public, tokenOf(bound), claim); r.Status == http.StatusOK {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		})
		t.Run("refuses one past "+kind.Program, func(t *testing.T) {
			a.want(t, send(bound.WithCertificate(&other), a.URL, tokenOf(bound), claim), http.StatusBadRequest, "invalid_request", rs.ForgedCertificate)
		})
	}
}
