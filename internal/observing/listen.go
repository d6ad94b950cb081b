package observing

import (
	"context"
	"crypto/tls"
	"errors"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"countersign/internal/config/certificates"
	"countersign/internal/config/observe"
	"countersign/internal/listening"
	"countersign/internal/metrics"
	"countersign/mtls"
)

// Process serves the metrics of all issuers of a process. Make one with [NewProcess].
type Process struct {
	metrics *metrics.Process
	server  *server
	log     *slog.Logger
}

// NewProcess opens the listener for metrics; it returns nil where there is none. version is that of the program, node the name of this
// node, and open says of each issuer that should be served whether it could be opened.
func NewProcess(ctx context.Context, o Options, open func() map[string]bool) (*Process, error) {
	c := o.Config.Metrics
	if c.Listen == "" {
		return nil, nil
	}
	p := &Process{metrics: metrics.NewProcess(o.Version, o.Node), log: o.Log}
	p.metrics.Open(open)
	var err error
	p.server, err = listen(ctx, c, p.metrics.Handler(), o.Now, o.Log)
	return p, err
}

// Serve answers until [Process.Close].
func (p *Process) Serve(ctx context.Context) {
	if p != nil {
		p.server.serve(ctx, p.log)
	}
}

// Close closes the listener.
func (p *Process) Close() error {
	if p == nil {
		return nil
	}
	return p.server.Close()
}

// server serves the metrics.
type server struct {
	http *http.Server
	net.Listener
}

// listen opens the listener for metrics. Where it is not on this machine alone it is TLS, and wants a client certificate.
func listen(ctx context.Context, c observe.Metrics, answers http.Handler, now func() time.Time, log *slog.Logger) (*server, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", answers)
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
	if s.Listener, _, err = listening.Open(ctx, c.Listen); err != nil {
		return nil, listening.Error("metrics.listen", c.Listen, err)
	}
	if secure != nil {
		s.Listener = tls.NewListener(s.Listener, secure)
	}
	return s, nil
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
	certificate, err := certificates.Pair("metrics.certificate_file", c.CertificateFile, "metrics.key_file", c.KeyFile)
	if err != nil {
		return nil, err
	}
	roots, err := certificates.Authorities("metrics.client_ca_file", c.ClientCAFile)
	if err != nil {
		return nil, err
	}
	made := mtls.ServerConfig([]tls.Certificate{certificate}, false)
	made.NextProtos = []string{"http/1.1"}
	made.ClientAuth, made.ClientCAs, made.Time = tls.RequireAndVerifyClientCert, roots, now
	names := strings.Fields(c.ClientName)
	made.VerifyConnection = func(state tls.ConnectionState) error {
		if len(names) == 0 || len(state.PeerCertificates) > 0 && mtls.HasName(state.PeerCertificates[0], names) {
			return nil
		}
		return errors.New("the client certificate has none of the names of metrics.client_name")
	}
	return made, nil
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
