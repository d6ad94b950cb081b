package issuing_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"countersign/internal/flowclient"
)

// ask sends a GET request with a Host of its own over a connection whose server name is another.
func (w *world) ask(t *testing.T, connection, host, path string, mutual bool) flowclient.Reply {
	t.Helper()
	port := w.Main.Listen.Address
	if mutual {
		port = w.Main.ListenMTLS.Address
	}
	trust := w.Trust(nil)
	trust.ServerName, trust.InsecureSkipVerify = connection, connection == "" // without a name there is nothing to verify
	through := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	defer through.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+port+path, nil)
	must(t, err)
	request.Host = host
	response, err := (&http.Client{Transport: through}).Do(request)
	must(t, err)
	return read(t, response)
}

// TestHosts: connections are led by their server name, requests by their host, and whoever comes for a host that nobody has learns
// nothing of those that somebody has.
//
// Covers: NM-75, NM-76, NM-77.
func TestHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, "b", "c")
	w.serve()
	clientAuthorities(t, w)
	certificates(t, w)
	const discovery = "/.well-known/openid-configuration"
	t.Run("accepts the hosts of each issuer on both listeners", func(t *testing.T) {
		for _, name := range w.Names {
			for _, host := range []string{name + ".localhost", "mtls." + name + ".localhost", strings.ToUpper(name) + ".LOCALHOST:443"} {
				server := strings.ToLower(strings.TrimSuffix(host, ":443"))
				reply := w.ask(t, server, host, discovery, false)
				if reply.Status != http.StatusOK || reply.Text("issuer") != w.Issuers[name].Config.Issuer {
					t.Errorf("%s: %d %s", host, reply.Status, reply.Body)
				}
				if reply := w.ask(t, server, host, "/userinfo", true); reply.Status != http.StatusUnauthorized {
					t.Errorf("%s with certificates: %d %s", host, reply.Status, reply.Body)
				}
			}
		}
	})
	t.Run("accepts probes of the process by its address", func(t *testing.T) {
		for _, path := range []string{"/health/live", "/health/ready"} {
			if reply := w.ask(t, "", w.Main.Listen.Address, path, false); reply.Status != http.StatusOK || strings.TrimSpace(string(reply.Body)) != `{"status":"ok"}` {
				t.Errorf("%s: %d %s", path, reply.Status, reply.Body)
			}
		}
	})
	t.Run("accepts no server name for the issuer of the main file", func(t *testing.T) {
		if reply := w.ask(t, "", "main.localhost", discovery, false); reply.Status != http.StatusOK {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
	t.Run("refuses a host that nobody has, without a word", func(t *testing.T) {
		for _, host := range []string{"stranger.localhost", "a.b.localhost", "localhost", "127.0.0.1", "[::1]:8443", "b.localhost."} {
			for _, path := range []string{discovery, "/", "/authorize", "/health/", "/health/ready/"} {
				reply := w.ask(t, "", host, path, false)
				if reply.Status != http.StatusMisdirectedRequest || strings.Contains(string(reply.Body), "localhost") {
					t.Errorf("%s%s: %d %s", host, path, reply.Status, reply.Body)
				}
				for name, values := range reply.Header {
					if strings.Contains(strings.Join(values, " "), "localhost") || name == "Set-Cookie" || name == "X-Correlation-Id" {
						t.Errorf("%s%s: %s: %s", host, path, name, values)
					}
				}
			}
		}
	})
	t.Run("refuses a server name that nobody has", func(t *testing.T) {
		trust := w.Trust(nil)
		trust.ServerName = "stranger.localhost"
		if connection, err := tls.Dial("tcp", w.Main.Listen.Address, trust); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%v, %v", connection, err)
		}
	})
	t.Run("refuses the host of one issuer on a connection for another", func(t *testing.T) {
		for _, connection := range append([]string{""}, w.Names...) {
			for _, name := range w.Names {
				if connection == name || connection == "" && name == "main" {
					continue
				}
				server := connection
				if server != "" {
					server += ".localhost"
				}
				for _, mutual := range []bool{false, true} {
					if reply := w.ask(t, server, name+".localhost", "/userinfo", mutual); reply.Status != http.StatusMisdirectedRequest || len(reply.Body) > 0 {
						t.Errorf("%s on a connection for %q: %d %s", name, connection, reply.Status, reply.Body)
					}
				}
			}
		}
	})
}

// certified is the client demo-mtls of an installation, whose certificate is of its own authority, at an issuer.
func (w *world) certified(t *testing.T, of, at string) *flowclient.Client {
	t.Helper()
	folder := filepath.Join(w.Issuers[of].Folder, "demo")
	certificate, err := tls.LoadX509KeyPair(filepath.Join(folder, "demo-mtls.crt"), filepath.Join(folder, "demo-mtls.key"))
	must(t, err)
	through := flowclient.NewHTTP(nil)
	through.Transport = w.Transport(&certificate)
	c := flowclient.New(flowclient.Config{
		Issuer: w.Issuers[at].Config.Issuer, HTTP: through, ID: "demo-mtls", RedirectURI: "https://localhost:8445/callback", Scope: "accounts", Certificate: true,
	})
	must(t, c.Discover(t.Context()))
	return c
}

// clientAuthorities: a certificate of one issuer's authority is nothing to another, though a client with this subject is registered
// there too; nor on a connection that is used for the hosts of both.
func clientAuthorities(t *testing.T, w *world) {
	t.Helper()
	for _, of := range w.Names {
		for _, at := range w.Names {
			c := w.certified(t, of, at)
			reply, err := c.Push(t.Context(), c.NewTransaction())
			must(t, err)
			if of == at {
				t.Run("accepts a certificate of the authority of "+at+" there", func(t *testing.T) {
					if reply.Status != http.StatusCreated {
						t.Errorf("%d %s", reply.Status, reply.Body)
					}
				})
				continue
			}
			t.Run("refuses a certificate of the authority of "+of+" at "+at, func(t *testing.T) {
				if reply.Status != http.StatusUnauthorized || reply.OAuthError().Code != "invalid_client" {
					t.Errorf("%d %s", reply.Status, reply.Body)
				}
			})
		}
	}
	t.Run("refuses a connection on which the certificate was shown to another issuer", func(t *testing.T) {
		c := w.certified(t, "b", "b")
		reply, err := c.Push(t.Context(), c.NewTransaction())
		must(t, err)
		if reply.Status != http.StatusCreated {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		// The same HTTP/2 connection, with the host of c.
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Endpoints.PAR, strings.NewReader("client_id=demo-mtls"))
		must(t, err)
		request.Host = w.Host("c", true)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := c.HTTP.Do(request)
		must(t, err)
		if answer := read(t, response); answer.Status != http.StatusMisdirectedRequest || response.ProtoMajor != 2 {
			t.Errorf("%s: %d %s", response.Proto, answer.Status, answer.Body)
		}
	})
}

// certificates: each host has its own.
func certificates(t *testing.T, w *world) {
	t.Helper()
	seen := map[string]*x509.Certificate{}
	for _, name := range w.Names {
		trust := w.Trust(nil)
		trust.ServerName = name + ".localhost"
		connection, err := tls.Dial("tcp", w.Main.Listen.Address, trust)
		must(t, err)
		seen[name] = connection.ConnectionState().PeerCertificates[0]
		must(t, connection.Close())
	}
	t.Run("accepts the name of each in its certificate", func(t *testing.T) {
		for name, certificate := range seen {
			if err := certificate.VerifyHostname(name + ".localhost"); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("refuses the certificate of another", func(t *testing.T) {
		if err := seen["main"].VerifyHostname("b.localhost"); err == nil || seen["main"].Equal(seen["b"]) {
			t.Errorf("%v", err)
		}
	})
}
