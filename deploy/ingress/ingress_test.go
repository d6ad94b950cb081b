// Package ingress holds a configuration for each kind of ingress, and the test that they are safe as they stand.
package ingress

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/mtls"
)

// host is the name of the listener in all configurations.
const host = "mtls.login.example"

func digest(of *identity) string {
	sum := sha256.Sum256(of.certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// What the backend, which has the gate and the trust of the server, finds.
const (
	nobody  = "nobody"
	refused = "refused" // with 400, by the ingress, or without an answer
)

// wantAddress has the backend answer with the address of the client that it finds.
const wantAddress = "Want-Address"

// unreached is an answer by the ingress that the backend gave none.
func unreached(status int) string {
	return fmt.Sprintf("status %d: the backend is not reached", status)
}

func trusted(name string) string   { return "trusted " + name }
func untrusted(name string) string { return "untrusted " + name }

// backend answers with what it finds, behind a listener as the server has it.
func backend(t *testing.T, source string, certificate tls.Certificate, trust mtls.Trust, ingress mtls.Ingress) string {
	t.Helper()
	read, err := mtls.Header(source)
	if err != nil {
		t.Fatal(err)
	}
	gate := mtls.Gate{Source: read, Headers: mtls.SourceHeaders(source), Ingress: ingress, ForwardedFor: true}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, err := gate.Admit(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, err.Error())
			return
		}
		if r.Header.Get(wantAddress) != "" {
			host, _, _ := net.SplitHostPort(admitted.RemoteAddr)
			_, _ = io.WriteString(w, host)
			return
		}
		presented, err := mtls.Admitted().Certificate(admitted)
		switch {
		case err != nil:
			w.WriteHeader(http.StatusInternalServerError)
		case presented == nil:
			_, _ = io.WriteString(w, nobody)
		case trust.Verify(presented) != nil:
			_, _ = io.WriteString(w, untrusted(presented.Leaf.Subject.CommonName))
		default:
			_, _ = io.WriteString(w, trusted(presented.Leaf.Subject.CommonName))
		}
	}))
	server.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	server.Config.MaxHeaderBytes = 32 << 10 // the default of limits.header_bytes
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// scene is an ingress between clients and the backend.
type scene struct {
	address string
	roots   *x509.CertPool
}

// ask sends a request, with header lines, and gives what came of it.
func (s scene) ask(config *tls.Config, lines ...string) (string, bool) {
	config.RootCAs, config.ServerName = s.roots, host
	transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", s.address)
	}}
	defer transport.CloseIdleConnections()
	_, port, _ := net.SplitHostPort(s.address)
	request, err := http.NewRequest(http.MethodGet, "https://"+net.JoinHostPort(host, port)+"/", nil)
	if err != nil {
		return err.Error(), false
	}
	for i := 0; i < len(lines); i += 2 {
		request.Header.Add(lines[i], lines[i+1])
	}
	response, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(request)
	if err != nil {
		if _, timeout := errors.AsType[net.Error](err); timeout && strings.Contains(err.Error(), "Timeout") {
			return err.Error(), false
		}
		return refused, false
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return refused, false
	case response.StatusCode == http.StatusOK:
		return string(body), response.TLS.DidResume
	case response.StatusCode == http.StatusBadGateway || response.StatusCode == http.StatusServiceUnavailable:
		return unreached(response.StatusCode), false
	}
	return refused, false
}

// spoof are the lines in which the victim's certificate is claimed, as the source reads them.
func spoof(source string, victim *identity) []string {
	var lines []string
	for _, line := range mtls.Spell(source, victim.certificate) {
		lines = append(lines, line.Name, line.Value)
	}
	return lines
}

// twice are the lines of a spoof, each sent two times.
func twice(lines []string) []string { return append(append([]string{}, lines...), lines...) }

// Covers: ATTACK-16, ATTACK-17, ATTACK-18, BC-09, FD-123. The same twelve scenarios before each real ingress.
func TestIngress(t *testing.T) {
	for _, p := range started() {
		p.try(t)
	}
}

// stage is a real ingress before a backend, with everybody who may come.
type stage struct {
	scene
	backend                          string
	middle, stranger, victim, client *identity
}

// build makes a stage; replace are pairs of texts, to spoil the configuration.
func (p proxy) build(t *testing.T, replace ...string) stage {
	t.Helper()
	root := issue(t, nil, "clients root", authority)
	middle := issue(t, root, "clients middle", authority)
	internal := issue(t, nil, "internal root", authority)
	server, ingress := issue(t, internal, "server", forServers), issue(t, internal, "ingress", func(c *x509.Certificate) { c.DNSNames = []string{"ingress.example"} })
	folder := t.TempDir()
	server.write(t, folder, "server")
	ingress.write(t, folder, "ingress")
	write(t, folder, "upstream-ca.crt", internal.pem())
	write(t, folder, "clients-ca.crt", root.pem())
	roots, intermediates, inside := x509.NewCertPool(), x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root.certificate)
	intermediates.AddCert(middle.certificate)
	inside.AddCert(internal.certificate)
	address := backend(t, p.Source, server.tls(false), mtls.Trust{Roots: roots, Intermediates: intermediates, Now: time.Now},
		mtls.IngressCertificate{Roots: inside, Names: []string{"ingress.example"}, Now: time.Now})
	return stage{
		scene{p.start(t, folder, address, replace...), inside}, address,
		middle, issue(t, nil, "stranger", authority), issue(t, middle, "victim", nil), issue(t, middle, "client", nil),
	}
}

// with is a client that shows its certificate whatever authorities the ingress names.
func with(i *identity) *tls.Config {
	return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c := i.tls(false)
		return &c, nil
	}}
}

func (p proxy) try(t *testing.T) {
	s := p.build(t)
	middle, stranger, victim, client := s.middle, s.stranger, s.victim, s.client
	big := func(size int) *identity {
		return issue(t, middle, "big", func(c *x509.Certificate) {
			for range size / 64 {
				c.DNSNames = append(c.DNSNames, strings.Repeat("a", 54)+".example")
			}
		})
	}
	spoofed := spoof(p.Source, victim)
	named := strings.Join(mtls.SourceHeaders(p.Source), ", ")
	resuming := with(client)
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for _, test := range []struct {
		name   string
		config *tls.Config
		lines  []string
		want   []string // the first is what is best; the others are safe too
	}{
		{"valid", with(client), nil, []string{trusted("client")}},
		{"none", &tls.Config{}, nil, []string{nobody}},
		{"spoofed header", &tls.Config{}, spoofed, []string{nobody, refused}},
		{"spoofed beside a valid one", with(client), spoofed, []string{trusted("client"), refused}},
		{"self-signed", with(issue(t, nil, "self", nil)), nil, []string{untrusted("self")}},
		{"expired", with(issue(t, middle, "expired", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		})), nil, []string{untrusted("expired"), refused}},
		{"wrong CA", with(issue(t, stranger, "foreign", nil)), nil, []string{untrusted("foreign"), refused}},
		{"leaf only", &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			c := client.tls(true)
			return &c, nil
		}}, nil, []string{trusted("client")}},
		{"big certificate of 4 KiB", with(big(4 << 10)), nil, []string{trusted("big")}},
		{"big certificate of 13 KiB", with(big(13 << 10)), nil, []string{trusted("big"), refused}},
		{"big certificate of 30 KiB", with(big(30 << 10)), nil, []string{refused, unreached(http.StatusBadGateway)}},
		{"resumed session", resuming, nil, []string{trusted("client")}},
		{"resumed session, again", resuming, nil, []string{trusted("client")}},
		{"two headers", with(client), twice(spoofed), []string{trusted("client"), refused}},
		{"two headers without a certificate", &tls.Config{}, twice(spoofed), []string{nobody, refused}},
		{"XFCC injection by a name", with(issue(t, middle, "injector", injection(t, victim))), nil, []string{trusted("injector"), refused}},
		// RFC 9110 §7.6.1: a proxy that removes what Connection names may remove what it has set itself. Then there is
		// nobody, and never somebody else.
		{"headers that Connection names", with(client), []string{"Connection", named}, []string{trusted("client"), nobody, refused}},
		{"a spoofed header that Connection names", &tls.Config{}, append([]string{"Connection", named}, spoofed...), []string{nobody, refused}},
		{"the header of another ingress", &tls.Config{}, []string{"X-Arr-ClientCert", base64.StdEncoding.EncodeToString(victim.certificate.Raw)}, []string{refused}},
	} {
		verb := "refuses "
		if strings.HasPrefix(test.want[0], "trusted") {
			verb = "accepts "
		}
		t.Run(verb+test.name+", "+p.Source, func(t *testing.T) {
			got, _ := s.ask(test.config, test.lines...)
			t.Log(got)
			if slices.Contains(test.want, got) {
				return
			}
			t.Errorf("%q, want one of %q", got, test.want)
		})
	}
	t.Run("refuses the address that a client says it has, "+p.Source, func(t *testing.T) {
		for _, claimed := range [][]string{nil, {"X-Forwarded-For", "203.0.113.9"}, {"X-Forwarded-For", "203.0.113.9, 203.0.113.10"}, twice([]string{"X-Forwarded-For", "203.0.113.9"})} {
			// Envoy tells of a client on its own machine with another address of the machine.
			if got, _ := s.ask(with(client), append([]string{wantAddress, "1"}, claimed...)...); !isOurs(t, got) {
				t.Errorf("%q: %q", claimed, got)
			}
		}
	})
	t.Run("refuses a neighbour who goes around the ingress, "+p.Source, func(t *testing.T) {
		around := scene{s.backend, s.roots}
		if got, _ := around.ask(with(client), spoofed...); got != refused {
			t.Errorf("%q", got)
		}
		if got, _ := around.ask(with(client)); got != nobody {
			t.Errorf("without headers: %q", got)
		}
	})
}

// TestSpoiltEnvoy: two ways to configure Envoy wrongly let forged elements through it. They are refused all the same.
func TestSpoiltEnvoy(t *testing.T) {
	envoy := everyRun()[2]
	t.Run("refuses Envoy's elements with uri asked for", func(t *testing.T) {
		s := envoy.build(t, "cert: true, chain: true", "cert: true, chain: true, uri: true")
		// Envoy sends the key even for a certificate without a URI, so the operator learns of it with the first client.
		for name, each := range map[string]*identity{"an injected element": issue(t, s.middle, "injector", injection(t, s.victim)), "no URI": s.client} {
			if got, _ := s.ask(with(each)); got != refused {
				t.Errorf("%s: %q", name, got)
			}
		}
		if got, _ := s.ask(&tls.Config{}); got != nobody {
			t.Errorf("without a certificate: %q", got)
		}
	})
	t.Run("refuses a second element with APPEND_FORWARD", func(t *testing.T) {
		s := envoy.build(t, "SANITIZE_SET", "APPEND_FORWARD")
		if got, _ := s.ask(with(s.client), spoof("envoy", s.victim)...); got != refused {
			t.Errorf("two elements: %q", got)
		}
		if got, _ := s.ask(with(s.client)); got != trusted("client") {
			t.Errorf("one element: %q", got)
		}
	})
}

// isOurs reports whether an address is one of this machine.
func isOurs(t *testing.T, address string) bool {
	t.Helper()
	ours, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(ours, func(a net.Addr) bool {
		network, ok := a.(*net.IPNet)
		return ok && network.IP.String() == address
	})
}
