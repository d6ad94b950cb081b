package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// gate is a server with both listeners behind one name and certificate, as an issuer has them, and trust that can change
// while it runs. It says whether it lets a client in.
type gate struct {
	plain, mutual string
	roots         *x509.CertPool

	mu    sync.Mutex
	trust Trust
}

// newGate starts one. sharedTickets has both listeners take each other's session tickets, as two would that were made
// from one configuration.
func newGate(t *testing.T, trusted *authority, sharedTickets bool) *gate {
	t.Helper()
	g := &gate{trust: Trust{Roots: pool(trusted.certificate), Now: func() time.Time { return testTime }}}
	valid := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	root, key := newAuthority(t, "server root", nil, valid), newP256(t)
	leaf := root.issue(t, key, func(c *x509.Certificate) {
		valid(c)
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	g.roots = pool(root.certificate)
	start := func(mutual bool) string {
		server := httptest.NewUnstartedServer(http.HandlerFunc(g.answer))
		server.TLS = ServerConfig([]tls.Certificate{tlsCertificate(key, leaf)}, mutual)
		if sharedTickets {
			server.TLS.SetSessionTicketKeys([][32]byte{{1, 2, 3}})
		}
		server.EnableHTTP2 = true
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	g.plain, g.mutual = start(false), start(true)
	return g
}

func (g *gate) answer(w http.ResponseWriter, r *http.Request) {
	presented, err := Direct().Certificate(r)
	g.mu.Lock()
	trust := g.trust
	g.mu.Unlock()
	if err == nil {
		err = trust.Verify(presented)
	}
	name := "nobody"
	if presented != nil {
		name = presented.Leaf.Subject.CommonName
	}
	fmt.Fprintf(w, "in=%v name=%s resumed=%v connection=%s", err == nil, name, r.TLS.DidResume, r.RemoteAddr)
}

// change alters what is trusted from now on.
func (g *gate) change(alter func(*Trust)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	alter(&g.trust)
}

// visitor is a client with a memory for sessions, which it offers to both listeners.
type visitor struct {
	g      *gate
	config *tls.Config
}

func (g *gate) visitor(version uint16, certificates ...tls.Certificate) visitor {
	return visitor{g, &tls.Config{
		RootCAs: g.roots, ServerName: "127.0.0.1", MinVersion: version, MaxVersion: version,
		Certificates: certificates, ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}}
}

// with is the visitor with its sessions and another certificate, or none.
func (v visitor) with(certificates ...tls.Certificate) visitor {
	config := v.config.Clone()
	config.Certificates = certificates
	return visitor{v.g, config}
}

// again asks over a new connection.
func (v visitor) anew(t *testing.T, address string) string {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: v.config.Clone(), ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	return ask(t, &http.Client{Transport: transport, Timeout: 30 * time.Second}, address)
}

func ask(t *testing.T, client *http.Client, address string) string {
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
	return string(body)
}

// Covers: ATTACK-18, TL-04. No session of one listener is resumed on the other, even with shared ticket keys; no session
// brings a certificate that the connection did not show, and none outlives the trust in it.
func TestAttack18Resumption(t *testing.T) {
	ours, others := newAuthority(t, "our CA", nil, nil), newAuthority(t, "another CA", nil, nil)
	issue := func(by *authority, name string) tls.Certificate {
		key := newP256(t)
		return tlsCertificate(key, by.issue(t, key, func(c *x509.Certificate) { c.Subject.CommonName = name }))
	}
	alice, mallory := issue(ours, "alice"), issue(others, "mallory")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for keys, shared := range map[string]bool{"own ticket keys": false, "shared ticket keys": true} {
			suffix := ", " + tls.VersionName(version) + ", " + keys
			wants := func(title, got string, parts ...string) {
				t.Run(title+suffix, func(t *testing.T) {
					for _, part := range parts {
						if !strings.Contains(got, part+" ") {
							t.Errorf("answered %q, want %s", got, part)
						}
					}
				})
			}
			g := newGate(t, ours, shared)
			v := g.visitor(version, alice)
			v.anew(t, g.plain)
			wants("accepts a session again on the listener for browsers", v.anew(t, g.plain), "resumed=true", "name=nobody")
			wants("refuses a session of that one on the other, which asks for the certificate", v.anew(t, g.mutual), "resumed=false", "name=alice", "in=true")
			wants("refuses a session of the other, and one of its own", v.anew(t, g.mutual), "resumed=false", "name=alice", "in=true")
			wants("refuses to let in who shows no certificate and brings a session", v.with().anew(t, g.mutual), "resumed=false", "name=nobody", "in=false")
			wants("refuses to take another certificate for the one of the session", v.with(mallory).anew(t, g.mutual), "resumed=false", "name=mallory", "in=false")
			back := g.visitor(version, alice)
			back.anew(t, g.mutual)
			wants("refuses a session of the other on the listener for browsers", back.anew(t, g.plain), "resumed=false", "name=nobody", "in=false")
			g.change(func(trust *Trust) { trust.Roots = pool(others.certificate) })
			wants("refuses the certificate on a new connection once its CA is not trusted", v.anew(t, g.mutual), "resumed=false", "name=alice", "in=false")
			wants("accepts one of the new CA", v.with(mallory).anew(t, g.mutual), "resumed=false", "name=mallory", "in=true")
		}
	}
}

// Covers: ATTACK-18, ATTACK-53. A connection that stays open is no way around a change of trust: each request is judged for
// itself.
func TestAttack18OpenConnection(t *testing.T) {
	ours, others := newAuthority(t, "our CA", nil, nil), newAuthority(t, "another CA", nil, nil)
	key := newP256(t)
	certificate := tlsCertificate(key, ours.issue(t, key, func(c *x509.Certificate) { c.Subject.CommonName = "alice" }))
	for protocol, forceHTTP2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		for name, change := range map[string]func(*Trust){
			"its CA is not trusted any more": func(trust *Trust) { trust.Roots = pool(others.certificate) },
			"it has expired":                 func(trust *Trust) { trust.Now = func() time.Time { return testTime.Add(2 * time.Hour) } },
		} {
			g := newGate(t, ours, false)
			transport := &http.Transport{TLSClientConfig: g.visitor(tls.VersionTLS13, certificate).config, ForceAttemptHTTP2: forceHTTP2}
			client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
			before := ask(t, client, g.mutual)
			again := ask(t, client, g.mutual)
			g.change(change)
			after := ask(t, client, g.mutual)
			transport.CloseIdleConnections()
			t.Run("accepts a certificate on an open connection before "+name+", "+protocol, func(t *testing.T) {
				if !strings.HasPrefix(before, "in=true name=alice ") || again != before {
					t.Errorf("%q, then %q", before, again)
				}
			})
			t.Run("refuses it on that connection after "+name+", "+protocol, func(t *testing.T) {
				if after != strings.Replace(before, "in=true", "in=false", 1) { // the same connection
					t.Errorf("%q, before %q", after, before)
				}
			})
		}
	}
}
