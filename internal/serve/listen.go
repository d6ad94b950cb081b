package serve

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"countersign/internal/config"
	"countersign/internal/listening"
	"countersign/internal/listening/bounded"
	"countersign/internal/systemd"
	"countersign/mtls"
)

// listeners are the ports that are open, with what answers on them.
type listeners struct {
	open []listener
	live *live
	// closing has each answer end its connection.
	closing *atomic.Bool
}

type listener struct {
	net.Listener
	server *http.Server
	// plain is a unix socket, on which nothing has to be encrypted.
	plain bool
}

// listen opens the ports: one for browsers and most clients and, when configured, one that asks for client
// certificates.
func listen(ctx context.Context, c *config.Config, live *live, refusals *refusals, now func() time.Time, log *slog.Logger) (*listeners, error) {
	most, err := mostConnections(c)
	if err != nil {
		return nil, fmt.Errorf("read the limit of open files; set limits.connections: %w", err)
	}
	closing := &atomic.Bool{}
	live.connections = bounded.New(most, now, log)
	all := &listeners{live: live, closing: closing}
	add := func(key, address string, handler func(*generation) http.Handler, source string) error {
		opened, plain, err := listening.Open(ctx, address)
		if err != nil {
			return listening.Error(key, address, err)
		}
		server := &http.Server{
			Handler:           closeWhen(closing, live.handler(handler)),
			TLSConfig:         live.tls(source != ""),
			MaxHeaderBytes:    c.Limits.HeaderBytes,
			ReadHeaderTimeout: c.Limits.ReadHeaderTimeout.Std(),
			ReadTimeout:       c.Limits.ReadTimeout.Std(),
			WriteTimeout:      c.Limits.WriteTimeout.Std(),
			IdleTimeout:       c.Limits.IdleTimeout.Std(),
		}
		seen := &handshakes{}
		server.ErrorLog = stdlog.New(connectionLog{refusals, seen, log}, "", 0)
		if source != "" {
			seen.watch(server)
		}
		server.ConnState = live.connections.Watch(server.ConnState)
		opened = live.connections.Listener(opened)
		if source == mtls.SourceProxyProtocol {
			opened, server.ConnContext = mtls.ProxyListener(opened), mtls.ProxyContext
		}
		all.open = append(all.open, listener{opened, server, plain})
		return nil
	}
	if err := add("listen.address", c.Listen.Address, func(g *generation) http.Handler { return g.browsers }, ""); err != nil {
		return nil, err
	}
	if c.ListenMTLS.Address != "" {
		forCertificates := func(g *generation) http.Handler { return g.certificates }
		if err := add("listen_mtls.address", c.ListenMTLS.Address, forCertificates, c.ListenMTLS.Source); err != nil {
			return nil, errors.Join(err, all.open[0].Close())
		}
	}
	return all, nil
}

// close closes the ports.
func (l *listeners) close() error {
	var problems []error
	for _, each := range l.open {
		problems = append(problems, each.Close())
	}
	return errors.Join(problems...)
}

// serve answers until ctx ends or a listener fails, then lets requests in flight end. A second signal ends the
// program at once.
func (l *listeners) serve(ctx context.Context, log *slog.Logger) error {
	failed := make(chan error, len(l.open))
	for _, each := range l.open {
		go func() {
			if err := each.serve(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("listener %s: %w", each.Addr(), err)
			}
		}()
	}
	warn(log, "systemd notification failed", systemd.Notify(systemd.Ready))
	var err error
	select {
	case <-ctx.Done():
		log.Info("stopping; finishing requests in flight", "timeout", l.limits().ShutdownTimeout.Std())
	case err = <-failed:
	}
	warn(log, "systemd notification failed", systemd.Notify(systemd.Stopping))
	l.live.drain()
	l.closing.Store(true)
	// Meanwhile a load balancer notices.
	if drainFor := l.limits().DrainTime.Std(); err == nil && drainFor > 0 {
		log.Info("draining; readiness reports not ready", "drain_time", drainFor)
		over := time.NewTimer(drainFor)
		select {
		case <-over.C:
		case err = <-failed:
		}
		over.Stop()
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.limits().ShutdownTimeout.Std())
	defer cancel()
	ends := make(chan error, len(l.open))
	for _, each := range l.open {
		go func() { ends <- each.server.Shutdown(limited) }()
	}
	for range l.open {
		if end := <-ends; end != nil {
			log.Warn("requests aborted at shutdown timeout", "error", end.Error())
		}
	}
	log.Info("stopped")
	return err
}

// limits are those of the configuration in use.
func (l *listeners) limits() config.Limits { return l.live.current.Load().config.Limits }

// closeWhen has answers end their connections: HTTP/1.1 by Connection: close, and HTTP/2 by GOAWAY, which net/http sends
// for that header. So connections end by an answer, and none is cut off under a request that is on its way.
func closeWhen(closing *atomic.Bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if closing.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// serve answers on one port until it is closed.
func (l listener) serve() error {
	if l.plain {
		return l.server.Serve(l.Listener)
	}
	return l.server.ServeTLS(l.Listener, "", "")
}
