package serve

import (
	"bytes"
	"countersign/internal/handshakes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/fapi/endpoint"
	"countersign/mtls"
	"countersign/mtls/dn"
	"countersign/store/sqlite"
)

// bankPair is a self-signed certificate with a text in the place of another. Its signature is wrong then, which no
// handshake looks at, but that of the handshake itself is right.
func bankPair(t *testing.T, from, to string) tls.Certificate {
	t.Helper()
	made := selfSigned(t, pkix.Name{CommonName: "client", Organization: []string{"Bank_1"}})
	if len(from) != len(to) || !bytes.Contains(made.Certificate[0], []byte(from)) {
		t.Fatalf("%q is not there", from)
	}
	made.Certificate[0] = bytes.Replace(made.Certificate[0], []byte(from), []byte(to), 1)
	made.Leaf = &x509.Certificate{PublicKey: made.PrivateKey.(*ecdsa.PrivateKey).Public(), PublicKeyAlgorithm: x509.ECDSA}
	return made
}

// Covers: FD-50, FD-51. What a client meets in the handshake, on both versions of TLS, and what the log says of it.
func TestHandshakeRefusals(t *testing.T) {
	var logged bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&logged, nil)) // level info
	now := time.Now()
	refusals := newRefusals(func() time.Time { return now }, logger)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if presented, err := mtls.Direct().Certificate(r); err == nil && presented != nil {
			if name, err := dn.OfSubject(presented.Leaf); err == nil {
				_, _ = w.Write([]byte(name.String()))
			}
		}
	}))
	server.TLS = mtls.ServerConfig([]tls.Certificate{selfSigned(t, pkix.Name{CommonName: "server"})}, true)
	seen := &handshakes.Seen{}
	server.Config.ErrorLog = log.New(connectionLog{refusals, seen, logger}, "", 0)
	server.Config.TLSConfig = server.TLS
	seen.Watch(server.Config)
	server.StartTLS()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	ask := func(certificate tls.Certificate, version uint16) (string, error) {
		transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			RootCAs: roots, ServerName: "server", MaxVersion: version,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
		}}
		response, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get(server.URL)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		var body bytes.Buffer
		_, err = body.ReadFrom(response.Body)
		return body.String(), err
	}
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run("accepts a negative serial number on TLS "+name, func(t *testing.T) {
			if got, err := ask(bankPair(t, "\x02\x02\x12\x34", "\x02\x02\xed\xcc"), version); err != nil || got != "CN=client,O=Bank_1" {
				t.Errorf("%q, %v", got, err)
			}
		})
		t.Run("refuses an underscore in a PrintableString on TLS "+name, func(t *testing.T) {
			for range 3 {
				if got, err := ask(bankPair(t, "\x0c\x06Bank_1", "\x13\x06Bank_1"), version); err == nil {
					t.Errorf("%q", got)
				}
			}
		})
	}
	server.Close() // and all that it writes has been written
	refusals.lines.Flush(true)
	lines := strings.Split(strings.TrimSpace(logged.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `level=WARN msg="client certificate refused" client_address=127.0.0.1 `) ||
		!strings.Contains(lines[0], "invalid PrintableString") || !strings.Contains(lines[1], "repeated=5") {
		t.Errorf("the log:\n%s", logged.String())
	}
}

// Covers: FD-51. What is noise stays so, and what is not has its address and cause.
func TestRefusedCertificate(t *testing.T) {
	const from = "http: TLS handshake error from "
	for line, want := range map[string][2]string{
		from + "192.0.2.1:5: tls: failed to parse client certificate: x509: negative serial number":       {"192.0.2.1:5", "negative serial number"},
		from + "[2001:db8::1]:5: tls: failed to parse client certificate: x509: SAN dNSName is malformed": {"[2001:db8::1]:5", "SAN dNSName is malformed"},
		from + "192.0.2.1:5: tls: client certificate contains an unsupported public key of type <nil>": {
			"192.0.2.1:5", "client certificate contains an unsupported public key of type <nil>"},
		from + "192.0.2.1:5: tls: client sent certificate containing RSA key larger than 8192 bits": {
			"192.0.2.1:5", "client sent certificate containing RSA key larger than 8192 bits"},
		from + "192.0.2.1:5: tls: invalid signature by the client certificate: x": {"192.0.2.1:5", "invalid signature by the client certificate: x"},
	} {
		t.Run("accepts "+line, func(t *testing.T) {
			if address, cause, ok := refusedCertificate(line); !ok || address != want[0] || cause != want[1] {
				t.Errorf("%q %q %v", address, cause, ok)
			}
		})
	}
	for _, line := range []string{
		from + "192.0.2.1:5: EOF", from + "192.0.2.1:5: tls: first record does not look like a TLS handshake",
		from + "192.0.2.1:5: remote error: tls: bad certificate", "http2: received GOAWAY", from, "",
	} {
		t.Run("refuses "+line, func(t *testing.T) {
			if address, cause, ok := refusedCertificate(line); ok {
				t.Errorf("%q %q", address, cause)
			}
		})
	}
}

// Covers: FD-51. A scanner does not fill the log.
func TestRefusalsAreCounted(t *testing.T) {
	var logged strings.Builder
	now := time.Now()
	refusals := newRefusals(func() time.Time { return now }, slog.New(slog.NewTextHandler(&logged, nil)))
	count := func(text string) int {
		defer logged.Reset()
		return strings.Count(logged.String(), text)
	}
	const line = `msg="client certificate refused"`
	t.Run("accepts the first of each bank", func(t *testing.T) {
		refusals.report(t.Context(), refusal{remote: "192.0.2.1:1", subject: "CN=a", cause: "bad"})
		refusals.report(t.Context(), refusal{remote: "192.0.2.1:2", subject: "CN=b", cause: "bad"})
		refusals.report(t.Context(), refusal{remote: "192.0.2.2:1", subject: "CN=a", cause: "bad"})
		refusals.report(t.Context(), refusal{remote: "[2001:db8::1]:1", subject: "CN=a", cause: "bad"})
		if got := count(line); got != 4 {
			t.Errorf("%d lines", got)
		}
	})
	t.Run("refuses to repeat them", func(t *testing.T) {
		refusals.report(t.Context(), refusal{remote: "192.0.2.1:7", subject: "CN=a", cause: "bad"})
		refusals.report(t.Context(), refusal{remote: "[2001:db8::2]:1", subject: "CN=a", cause: "bad"}) // the same /64
		if got := count(line); got != 0 {
			t.Errorf("%d lines", got)
		}
		now = now.Add(refusalAgain)
		refusals.lines.Flush(false)
		refusals.lines.Flush(false)
		if got := count("repeated=1"); got != 2 {
			t.Errorf("%d summaries", got)
		}
	})
	t.Run("accepts one again after a minute", func(t *testing.T) {
		now = now.Add(refusalAgain)
		refusals.lines.Flush(false)
		refusals.report(t.Context(), refusal{remote: "192.0.2.1:8", subject: "CN=a", cause: "bad"})
		if got := count(line); got != 1 {
			t.Errorf("%d lines", got)
		}
	})
	t.Run("refuses a flood of different ones", func(t *testing.T) {
		for i := range 1000 {
			refusals.report(t.Context(), refusal{remote: "192.0.2.1:8", subject: big.NewInt(int64(i)).String(), cause: "bad"})
		}
		if got := count(line); got > refusalKinds {
			t.Errorf("%d lines", got)
		}
	})
	t.Run("accepts what an endpoint refuses", func(t *testing.T) {
		now = now.Add(refusalAgain)
		refusals.lines.Flush(false)
		request := httptest.NewRequest(http.MethodPost, "/token", http.NoBody)
		server := &server{alarms: &alarms{refusals: refusals}}
		for _, cause := range []string{"expired at one time", "expired at another"} {
			server.certificateRefused(request, endpoint.RefusedCertificate{ClientID: "c1", Subject: "CN=c", Cause: errors.New(cause)})
		}
		if got := count(`client_address=192.0.2.1 certificate_subject="CN=c" client_id=c1 error="expired at one time"`); got != 1 {
			t.Errorf("%d lines", got)
		}
	})
}

// Covers: FD-50, FD-51, FD-52. Behind an ingress the certificate is at hand: the log and the answer say what is wrong with it.
func TestCertificateOfIngressRefused(t *testing.T) {
	settings := sqlite.Config{File: filepath.Join(t.TempDir(), "test.db"), Now: time.Now}
	if _, err := sqlite.Migrate(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var logged strings.Builder
	alarms, err := newAlarms(s, "node", time.Now, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	source, err := mtls.Header(mtls.SourceRFC9440)
	if err != nil {
		t.Fatal(err)
	}
	reached := ""
	guarded := guardCertificates(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if presented, err := mtls.Admitted().Certificate(r); err == nil && presented != nil {
			reached = presented.Leaf.Subject.CommonName
		}
	}), fixedGate(mtls.Gate{Source: source, Headers: mtls.SourceHeaders(mtls.SourceRFC9440)}), alarms)
	ask := func(name string) *httptest.ResponseRecorder {
		text, err := os.ReadFile(filepath.Join("..", "..", "mtls", "testdata", "banks", name+".crt"))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		request := httptest.NewRequest(http.MethodPost, "https://login.example/token", http.NoBody)
		request.RemoteAddr = "192.0.2.1:1"
		request.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(block.Bytes)+":")
		answer := httptest.NewRecorder()
		reached = ""
		guarded.ServeHTTP(answer, request)
		return answer
	}
	for _, name := range []string{"negserial", "underscore", "pss", "noeku"} {
		t.Run("accepts "+name, func(t *testing.T) {
			if ask(name); reached != name {
				t.Errorf("%q arrived", reached)
			}
		})
	}
	t.Run("refuses brainpool", func(t *testing.T) {
		for range 3 {
			answer := ask("brainpool")
			if answer.Code != http.StatusBadRequest || reached != "" || !strings.Contains(answer.Body.String(), "the client certificate cannot be used: its key is brainpoolP256r1") {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		}
		if got := strings.Count(logged.String(), `msg="client certificate refused" client_address=192.0.2.1 certificate_subject="CN=brainpool,O=Bank,C=BR" client_id="" error="its key is brainpoolP256r1`); got != 1 {
			t.Errorf("the log:\n%s", logged.String())
		}
	})
}

// selfSigned makes a certificate of now.
func selfSigned(t *testing.T, name pkix.Name) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x1234), Subject: name, DNSNames: []string{"server"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
