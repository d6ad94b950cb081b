package relyingparty

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// site is where the client of a plan is reached: the redirect URI, and what the suite calls by itself, pings and logout tokens. It is an origin of its
// own on a free port of loopback, with a certificate that it vouches for itself; the suite takes any.
type site struct {
	base        string
	certificate *x509.Certificate
	handler     atomic.Pointer[http.Handler]
	server      *http.Server
	served      chan struct{}
}

// openSite listens. Stop ends it.
func openSite(random io.Reader, now time.Time) (*site, error) {
	certificate, der, err := selfSigned(random, "conformance rp", x509.ExtKeyUsageServerAuth, now)
	if err != nil {
		return nil, err
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, err
	}
	s := &site{
		base:        (&url.URL{Scheme: "https", Host: net.JoinHostPort("localhost", port)}).String(),
		certificate: own, served: make(chan struct{}),
	}
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() {
		defer close(s.served)
		_ = s.server.ServeTLS(listener, "", "") // it ends when it is stopped
	}()
	return s, nil
}

// stop ends the site.
func (s *site) stop() {
	closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.server.Shutdown(closing) // what is open then ends with the process
	<-s.served
}

// serve has a handler answer what comes in; nil has nothing there.
func (s *site) serve(h http.Handler) {
	if h == nil {
		s.handler.Store(nil)
		return
	}
	s.handler.Store(&h)
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := s.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// trusting is a transport that trusts the suite, as the user's browser does.
func trusting(roots *x509.CertPool) *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 4}
}
