// Package hosts leads requests to one of several issuers by their host (RFC 9110 §7.2), and connections to its TLS certificate by their
// server name (RFC 6066 §3). Whoever comes for a host that nobody has learns nothing of those that somebody has.
package hosts

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// Site is where an issuer is served. It is not changed after it was put into a [Table].
type Site struct {
	// Issuer is the name of the issuer.
	Issuer string
	// Hosts are its hosts, in lower case and without port.
	Hosts []string
	// Certificate is what is shown to whoever asks for one of the hosts.
	Certificate func() *tls.Certificate
	// Browsers answers on the listener for browsers, Certificates on the one for client certificates.
	Browsers, Certificates http.Handler
	// Ready reports whether requests should be sent to the issuer on this node.
	Ready func(ctx context.Context) bool

	// serving is held for reading while a request is answered, and for writing from the end on.
	serving sync.RWMutex
}

// End has the site answer no more requests, and waits for those that are being answered; false when ctx ended before they did.
// Take the site out of its table first.
func (s *Site) End(ctx context.Context) bool {
	ended := make(chan struct{})
	go func() {
		s.serving.Lock() // and never unlocked: who still has the site cannot begin
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve answers a request, unless the site has ended.
func (s *Site) serve(handler http.Handler, w http.ResponseWriter, r *http.Request) bool {
	if !s.serving.TryRLock() {
		return false
	}
	defer s.serving.RUnlock()
	handler.ServeHTTP(w, r)
	return true
}

// Table has the sites. Make one with [New].
type Table struct {
	current  atomic.Pointer[sites]
	draining atomic.Bool
}

type sites struct {
	byHost map[string]*Site
	// first is for connections without a server name.
	first *Site
	all   []*Site
}

// New makes a table of sites, the first of which is for connections without a server name.
func New(all ...*Site) (*Table, error) {
	t := &Table{}
	return t, t.Set(all...)
}

// Set replaces the sites at once. It refuses two with the same host.
func (t *Table) Set(all ...*Site) error {
	made := &sites{byHost: map[string]*Site{}, all: all}
	for i, site := range all {
		if i == 0 {
			made.first = site
		}
		for _, host := range site.Hosts {
			if other := made.byHost[host]; other != nil {
				return fmt.Errorf("the issuers %s and %s have the same host %s", other.Issuer, site.Issuer, host)
			}
			made.byHost[host] = site
		}
	}
	t.current.Store(made)
	return nil
}

// Drain makes readiness answer 503 to whoever asks for the process.
func (t *Table) Drain() { t.draining.Store(true) }

// Certificate is a [tls.Config.GetCertificate]: a connection for a host that nobody has ends with the alert unrecognized_name, and one
// that names none gets the certificate of the first site.
func (t *Table) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	site := t.current.Load().named(hello.ServerName)
	if site == nil {
		return nil, nil // which is unrecognized_name (crypto/tls)
	}
	return site.Certificate(), nil
}

// Issuer is the name of the issuer that connections for a server name are for; empty when nobody has it.
func (t *Table) Issuer(server string) string {
	if site := t.current.Load().named(server); site != nil {
		return site.Issuer
	}
	return ""
}

// named is the site of a server name; nil when nobody has it.
func (s *sites) named(server string) *Site {
	if server == "" {
		return s.first
	}
	return s.byHost[strings.ToLower(server)]
}

// Handler answers on the listener for browsers, or with certificates on the one for client certificates. Unless an ingress terminates
// TLS in front of it, as ingress says at each request, a request that came on a connection for another issuer's host is refused with
// 421, as is one for a host that nobody has (RFC 9110 §15.5.20): clients put requests for several hosts on one HTTP/2 connection
// (RFC 9113 §9.1.1), and the certificate that a client has shown there it has shown to one issuer alone.
func (t *Table) Handler(certificates bool, ingress func() bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			current := t.current.Load()
			site := current.byHost[hostOf(r)]
			if site == nil {
				t.strange(current, w, r)
				return
			}
			if r.TLS != nil && !ingress() && current.named(r.TLS.ServerName) != site {
				misdirected(w)
				return
			}
			handler := site.Browsers
			if certificates {
				handler = site.Certificates
			}
			if site.serve(handler, w, r) {
				return
			}
			if t.current.Load() == current { // it has ended, and nobody is in its place
				misdirected(w)
				return
			}
		}
	})
}

// hostOf is the host of a request, in lower case and without port.
func hostOf(r *http.Request) string {
	return strings.ToLower((&url.URL{Host: r.Host}).Hostname())
}

// strange answers a request for a host that nobody has. Load balancers ask for the health of the process by its address.
func (t *Table) strange(current *sites, w http.ResponseWriter, r *http.Request) {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case read && r.URL.Path == "/health/live":
		health(w, http.StatusOK, "ok")
	case read && r.URL.Path == "/health/ready" && t.draining.Load():
		health(w, http.StatusServiceUnavailable, "draining")
	case read && r.URL.Path == "/health/ready" && !current.ready(r.Context()):
		health(w, http.StatusServiceUnavailable, "unavailable")
	case read && r.URL.Path == "/health/ready":
		health(w, http.StatusOK, "ok")
	default:
		misdirected(w)
	}
}

// ready reports whether one of the issuers is ready: were it all of them, one that is away would take the others with it.
func (s *sites) ready(ctx context.Context) bool {
	for _, site := range s.all {
		if site.Ready(ctx) {
			return true
		}
	}
	return false
}

func misdirected(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusMisdirectedRequest)
}

func health(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "{\"status\":%q}\n", word) // response already started; error ignored
}
