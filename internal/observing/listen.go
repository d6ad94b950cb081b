package observing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"countersign/internal/config/observe"
	"countersign/mtls"
)

// server serves the metrics.
type server struct {
	http *http.Server
	net.Listener
}

// listen opens the listener for metrics. Where it is not on this machine alone it is TLS, and wants a client certificate.
func listen(ctx context.Context, c observe.Metrics, metrics http.Handler, now func() time.Time, log *slog.Logger) (*server, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	s := &server{http: &http.Server{
		Handler: mux, MaxHeaderBytes: 8 << 10, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second,
		IdleTimeout: 2 * time.Minute, ErrorLog: stdlog.New(refusals{log}, "", 0),
	}}
	var secure *tls.Config
	var err error
	if !observe.Plain(c.Listen) {
		if secure, err = readers(c, now); err != nil {
			return nil, err
		}
	}
	if s.Listener, err = open(ctx, c.Listen); err != nil {
		return nil, fmt.Errorf("metrics.listen: %w", err)
	}
	if secure != nil {
		s.Listener = tls.NewListener(s.Listener, secure)
	}
	return s, nil
}

// open opens a port, or a socket that its owner and group may use.
func open(ctx context.Context, address string) (net.Listener, error) {
	name, socket := strings.CutPrefix(address, observe.SocketPrefix)
	if !socket {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	// A server that was killed leaves its socket behind. One that answers is another server's.
	if info, err := os.Lstat(name); err == nil && info.Mode().Type() == fs.ModeSocket {
		if other, err := new(net.Dialer).DialContext(ctx, "unix", name); err == nil {
			return nil, errors.Join(errors.New("another program uses this socket"), other.Close())
		}
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	opened, err := new(net.ListenConfig).Listen(ctx, "unix", name)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(name, 0o660); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

// readers is TLS for those who may read. The files are read again for each connection: they are few, and certificates short-lived.
func readers(c observe.Metrics, now func() time.Time) (*tls.Config, error) {
	if _, err := forReaders(c, now); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return forReaders(c, now) },
	}, nil
}

func forReaders(c observe.Metrics, now func() time.Time) (*tls.Config, error) {
	chain, err := os.ReadFile(c.CertificateFile.Path())
	if err != nil {
		return nil, fmt.Errorf("metrics.certificate_file: %w", err)
	}
	key, err := c.KeyFile.Read()
	if err != nil {
		return nil, fmt.Errorf("metrics.key_file: %w", err)
	}
	certificate, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("metrics.certificate_file and metrics.key_file: %w", err)
	}
	encoded, err := os.ReadFile(c.ClientCAFile.Path())
	if err != nil {
		return nil, fmt.Errorf("metrics.client_ca_file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(encoded) {
		return nil, fmt.Errorf("metrics.client_ca_file: %s holds no certificate in PEM form", c.ClientCAFile)
	}
	made := mtls.ServerConfig([]tls.Certificate{certificate}, false)
	made.NextProtos = []string{"http/1.1"}
	made.ClientAuth, made.ClientCAs, made.Time = tls.RequireAndVerifyClientCert, roots, now
	names := strings.Fields(c.ClientName)
	made.VerifyConnection = func(state tls.ConnectionState) error {
		if len(names) == 0 || len(state.PeerCertificates) > 0 && named(state.PeerCertificates[0], names) {
			return nil
		}
		return errors.New("the client certificate has none of the names of metrics.client_name")
	}
	return made, nil
}

// named reports whether a certificate has one of some names (RFC 5280 §4.2.1.6).
func named(leaf *x509.Certificate, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.Contains(leaf.DNSNames, name) || slices.ContainsFunc(leaf.URIs, func(uri *url.URL) bool { return uri.String() == name })
	})
}

// serve answers until the listener is closed.
func (s *server) serve(ctx context.Context, log *slog.Logger) {
	log.InfoContext(ctx, "metrics are served", "address", s.Addr().String())
	if err := s.http.Serve(s.Listener); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
		log.ErrorContext(ctx, "metrics are not served any more", "error", err.Error())
	}
}

// Close ends it: whoever is being answered asks again.
func (s *server) Close() error {
	err := s.http.Close()
	if closed := s.Listener.Close(); err == nil && !errors.Is(closed, net.ErrClosed) {
		err = closed
	}
	return err
}

// refusals logs what net/http says of connections.
type refusals struct{ log *slog.Logger }

// Write implements io.Writer for one line of package net/http.
func (r refusals) Write(line []byte) (int, error) {
	r.log.Debug("metrics connection error", "error", strings.TrimSpace(string(line)))
	return len(line), nil
}
