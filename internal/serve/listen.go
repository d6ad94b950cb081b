package serve

import (
	"context"
	"countersign/internal/handshakes"
	"crypto/tls"
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
	open  []listener
	front front
	// closing has each answer end its connection.
	closing *atomic.Bool
}

type listener struct {
	net.Listener
	server *http.Server
	// plain is a unix socket, on which nothing has to be encrypted.
	plain bool
}

// front is what is behind the listeners: one issuer, or several by their hosts.
type front struct {
	// certificate chooses the TLS certificate of a connection.
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// handler answers on the listener for browsers, or on the one for client certificates.
	handler func(mutual bool) http.Handler
	// refusals are told of certificates that the handshake refuses.
	refusals *refusals
	// drain has readiness report not ready.
	drain func()
	// limits are those in use.
	limits func() config.Limits
	// connections are those of all listeners.
	connections *bounded.Connections
}

// listen opens the ports: one for browsers and most clients and, when configured, one that asks for client
// certificates.
func listen(ctx context.Context, c *config.Config, f front, log *slog.Logger) (*listeners, error) {
	closing := &atomic.Bool{}
	all := &listeners{front: f, closing: closing}
	add := func(key, address string, mutual bool, source string) error {
		opened, plain, err := listening.Open(ctx, address)
		if err != nil {
			return listening.Error(key, address, err)
		}
		server := &http.Server{
			Handler:           closeWhen(closing, f.handler(mutual)),
			TLSConfig:         tlsConfig(f.certificate, mutual),
			MaxHeaderBytes:    c.Limits.HeaderBytes,
			ReadHeaderTimeout: c.Limits.ReadHeaderTimeout.Std(),
			ReadTimeout:       c.Limits.ReadTimeout.Std(),
			WriteTimeout:      c.Limits.WriteTimeout.Std(),
			IdleTimeout:       c.Limits.IdleTimeout.Std(),
		}
		seen := &handshakes.Seen{}
		server.ErrorLog = stdlog.New(connectionLog{f.refusals, seen, log}, "", 0)
		if mutual {
			seen.Watch(server)
		}
		server.ConnState = f.connections.Watch(server.ConnState)
		opened = f.connections.Listener(opened)
		if source == mtls.SourceProxyProtocol {
			opened, server.ConnContext = mtls.ProxyListener(opened), mtls.ProxyContext
		}
		all.open = append(all.open, listener{opened, server, plain})
		return nil
	}
	if err := add("listen.address", c.Listen.Address, false, ""); err != nil {
		return nil, err
	}
	if c.ListenMTLS.Address != "" {
		if err := add("listen_mtls.address", c.ListenMTLS.Address, true, c.ListenMTLS.Source); err != nil {
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
		log.Info("stopping; finishing requests in flight", "timeout", l.front.limits().ShutdownTimeout.Std())
	case err = <-failed:
	}
	warn(log, "systemd notification failed", systemd.Notify(systemd.Stopping))
	l.front.drain()
	l.closing.Store(true)
	// Meanwhile a load balancer notices.
	if drainFor := l.front.limits().DrainTime.Std(); err == nil && drainFor > 0 {
		log.Info("draining; readiness reports not ready", "drain_time", drainFor)
		over := time.NewTimer(drainFor)
		select {
		case <-over.C:
		case err = <-failed:
		}
		over.Stop()
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.front.limits().ShutdownTimeout.Std())
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
