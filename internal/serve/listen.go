package serve

import (
	"context"
	"crypto/tls"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"countersign/internal/adminlistener"
	"countersign/internal/config"
	"countersign/internal/handshakes"
	"countersign/internal/listening/bounded"
	"countersign/internal/listening/ports"
	"countersign/internal/systemd"
	"countersign/mtls"
)

// front is what is behind the listeners of the process: one issuer, or several by their hosts.
type front struct {
	ports *ports.Ports
	// certificate chooses the TLS certificate of a connection.
	certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// handler answers on the listener for browsers, or on the one for client certificates.
	handler func(mutual bool) http.Handler
	// operated is the issuer whose admin API is served; nil when that is not open.
	operated func() *live
	// refusals are told of certificates that the handshake refuses.
	refusals *refusals
	// drain has readiness report not ready.
	drain func()
	// config is that of the process which is in use.
	config atomic.Pointer[config.Config]
	// connections are those of all listeners, and most is how many a configuration allows.
	connections *bounded.Connections
	most        func(*config.Config) (int, error)
	log         *slog.Logger
}

// newFront makes a front for a configuration, whose ports are opened later.
func newFront(c *config.Config, log *slog.Logger) *front {
	f := &front{log: log}
	f.config.Store(c)
	f.ports = ports.New(func() ports.Times {
		return ports.Times{Drain: f.limits().DrainTime.Std(), Shutdown: f.limits().ShutdownTimeout.Std()}
	}, log)
	return f
}

// limits are those in use.
func (f *front) limits() config.Limits { return f.config.Load().Limits }

// settings are what connections are answered by.
type settings struct {
	headerBytes                   int
	readHeader, read, write, idle time.Duration
	source                        string
}

// wants are the listeners of a configuration: one for browsers and most clients and, when configured, one that asks for client
// certificates, and one for operators.
func (f *front) wants(c *config.Config) []ports.Want {
	add := func(key, address string, mutual bool, source string) ports.Want {
		l := c.Limits
		by := settings{l.HeaderBytes, l.ReadHeaderTimeout.Std(), l.ReadTimeout.Std(), l.WriteTimeout.Std(), l.IdleTimeout.Std(), source}
		return ports.Want{
			Key: key, Address: address, Kind: key, Settings: by, Server: func() *http.Server { return f.server(by, mutual) },
			Wrap: func(opened net.Listener) net.Listener {
				opened = f.connections.Listener(opened)
				if source == mtls.SourceProxyProtocol {
					opened = mtls.ProxyListener(opened)
				}
				return opened
			},
		}
	}
	all := []ports.Want{add("listen.address", c.Listen.Address, false, "")}
	if c.ListenMTLS.Address != "" {
		all = append(all, add("listen_mtls.address", c.ListenMTLS.Address, true, c.ListenMTLS.Source))
	}
	if c.Admin.Listen == "" || f.operated() == nil {
		return all
	}
	return append(all, ports.Want{
		Key: "admin.listen", Address: c.Admin.Listen, Kind: "admin.listen", Settings: settings{}, Secure: true, Server: f.adminServer,
	})
}

// server makes what answers on a listener.
func (f *front) server(by settings, mutual bool) *http.Server {
	server := &http.Server{
		Handler: f.handler(mutual), TLSConfig: tlsConfig(f.certificate, mutual), MaxHeaderBytes: by.headerBytes,
		ReadHeaderTimeout: by.readHeader, ReadTimeout: by.read, WriteTimeout: by.write, IdleTimeout: by.idle,
	}
	seen := &handshakes.Seen{}
	server.ErrorLog = stdlog.New(connectionLog{f.refusals, seen, f.log}, "", 0)
	if mutual {
		seen.Watch(server)
	}
	server.ConnState = f.connections.Watch(server.ConnState)
	if by.source == mtls.SourceProxyProtocol {
		server.ConnContext = mtls.ProxyContext
	}
	return server
}

// adminServer makes what answers operators.
func (f *front) adminServer() *http.Server {
	current := func() *adminlistener.API {
		if l := f.operated(); l != nil {
			return l.current.Load().admin
		}
		return nil
	}
	off := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable) // its listener is being given up
	})
	return adminlistener.Server(current, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l := f.operated()
		if l == nil {
			off.ServeHTTP(w, r)
			return
		}
		l.handler(func(g *generation) http.Handler {
			if g.admin == nil {
				return off
			}
			return g.admin.Handler
		}).ServeHTTP(w, r)
	}), f.log)
}

// listen opens the ports of a configuration, and bounds their connections.
func (f *front) listen(ctx context.Context, c *config.Config) error {
	opened, err := f.ports.Prepare(ctx, f.wants(c)...)
	if err != nil {
		return err
	}
	f.use(ctx, c, opened)
	return nil
}

// use has the ports as a configuration has them.
func (f *front) use(ctx context.Context, c *config.Config, opened *ports.Change) {
	before := f.ports.Addr("admin.listen")
	f.config.Store(c)
	opened.Use()
	if most, err := f.most(c); err == nil { // else it is as before
		f.connections.Limit(most)
	}
	if served := f.ports.Addr("admin.listen"); served != nil && (before == nil || before.String() != served.String()) {
		f.log.InfoContext(ctx, "admin API is served", "address", served.String(), "count", len(c.Admin.Operators))
	}
}

// serve answers until ctx ends or a listener fails, then lets requests in flight end. A second signal ends the
// program at once.
func (f *front) serve(ctx context.Context) error {
	log := f.log
	warn(log, "systemd notification failed", systemd.Notify(systemd.Ready))
	err := f.ports.Serve(ctx)
	if err == nil {
		log.Info("stopping; finishing requests in flight", "timeout", f.limits().ShutdownTimeout.Std())
	}
	warn(log, "systemd notification failed", systemd.Notify(systemd.Stopping))
	f.drain()
	f.ports.CloseConnections()
	// Meanwhile a load balancer notices.
	if drainFor := f.limits().DrainTime.Std(); err == nil && drainFor > 0 {
		log.Info("draining; readiness reports not ready", "drain_time", drainFor)
		over := time.NewTimer(drainFor)
		select {
		case <-over.C:
		case err = <-f.ports.Failed():
		}
		over.Stop()
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.limits().ShutdownTimeout.Std())
	defer cancel()
	f.ports.End(limited)
	log.Info("stopped")
	return err
}
