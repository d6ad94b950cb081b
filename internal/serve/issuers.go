package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"countersign/internal/capacity"
	"countersign/internal/config"
	"countersign/internal/hosts"
	"countersign/internal/issuers"
	"countersign/internal/issuing"
	"countersign/internal/listening/bounded"
	"countersign/internal/memory"
	"countersign/internal/observing"
	"countersign/internal/reread"
	"countersign/mtls"
	"countersign/store"
)

// runSeveral serves all issuers of the configuration, by their hosts.
func (s *server) runSeveral(ctx context.Context, started time.Time) (err error) {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var all *issuing.Issuers
	f := newFront(s.Config, s.log)
	s.process, err = observing.NewProcess(ctx, observed(s), func() map[string]bool { return all.Served() })
	if err != nil {
		stop()
		return err
	}
	defer endMetrics(s)
	all, err = issuing.Open(ctx, issuing.Config{
		Main: s.Config, Now: s.Now, Log: s.log,
		New: func(all *issuing.Issuers, one issuers.Issuer, log *slog.Logger) issuing.Server {
			made := s.issuer(one, log)
			if one.Name == issuers.Main {
				made.level, made.style, made.front = s.level, s.style, f
			} else {
				made.state = func() reread.State { return all.State(one.Name) }
			}
			return made
		},
		Check: func(ctx context.Context, all []issuers.Issuer) error {
			return errors.Join(checkEach(ctx, all, s.Now)...)
		},
	})
	if err != nil {
		stop()
		return err
	}
	var running sync.WaitGroup
	defer func() {
		stop()
		running.Wait()
		all.Close(ctx)
	}()
	most, err := capacity.Connections(s.Config, all.Configs()[1:]...)
	if err != nil {
		return fmt.Errorf("read the limit of open files; set limits.connections: %w", err)
	}
	refusals := newRefusals(s.Now, s.log)
	refusals.refused = func(ctx context.Context, server string) {
		if one, ok := all.Open(all.At(server)).(*oneOfSeveral); ok {
			one.observer.CertificateRefused(ctx)
		}
	}
	f.certificate, f.refusals, f.drain, f.connections = all.Certificate, refusals, all.Drain, bounded.New(most, s.Now, s.log)
	f.handler = func(mutual bool) http.Handler {
		return all.Handler(mutual, func() bool { return behindIngress(f.config.Load(), mutual) })
	}
	f.operated = func() *live {
		if one, ok := all.Open(issuers.Main).(*oneOfSeveral); ok {
			return one.live
		}
		return nil
	}
	f.most = func(c *config.Config) (int, error) { return capacity.Connections(c, all.Configs()[1:]...) }
	if err := f.listen(ctx, s.Config); err != nil {
		return err
	}
	if f.operated() == nil && s.Config.Admin.Listen != "" {
		s.log.ErrorContext(ctx, "admin API not served; its issuer was not opened at the start")
	}
	go memory.Keep(background, func() (passwords int) {
		for _, c := range all.Configs() {
			passwords += memory.PasswordsAtOnce(c.Limits.PasswordMemory)
		}
		return passwords
	})
	running.Go(func() {
		reread.Run(background, s.Reload, func(ctx context.Context, told bool) {
			defer reloading(ctx, told, s.log)()
			all.Check(ctx, told)
		})
	})
	running.Go(func() { refusals.lines.Run(background) })
	running.Go(func() { all.Run(background) })
	go s.process.Serve(background)
	go watchdog(background, all.Hung, s.log)
	s.log.InfoContext(ctx, "serving several issuers", "issuers", all.Names(), "took", s.Now().Sub(started))
	return f.serve(ctx)
}

// behindIngress reports whether an ingress terminates TLS in front of a listener: its connections are not its clients'.
func behindIngress(c *config.Config, mutual bool) bool {
	if mutual {
		return c.ListenMTLS.Source != "" && c.ListenMTLS.Source != mtls.SourceDirect
	}
	return c.Listen.IngressNetworks != ""
}

// issuer makes the server of one of several issuers. The configuration of the main file's is read again as where there is one issuer; a
// changed file of another issuer is a new server.
func (s *server) issuer(one issuers.Issuer, log *slog.Logger) *oneOfSeveral {
	options := s.Options
	if one.Name != issuers.Main {
		options.File, options.Note = "", ""
	}
	options.Config = one.Config
	made := &oneOfSeveral{server: newServer(options), made: s.Now()}
	made.name, made.process, made.log, made.traces, made.chain = one.Name, s.process, log, s.traces, s.chain
	return made
}

// oneOfSeveral is a server as package issuing knows it.
type oneOfSeveral struct {
	*server
	// made is when it was made, shown the certificate before the first generation has one, and generation that.
	made  time.Time
	shown *served
	gen   *generation
	// background ends, by stop, what runs beside the requests; wait waits for the end of it, and is nil when nothing runs.
	background context.Context
	stop       context.CancelFunc
	wait       func()
	// began is set when what is read again may be used.
	began atomic.Bool
}

// Open implements [issuing.Server].
func (o *oneOfSeveral) Open(ctx context.Context) (err error) {
	if o.shown, err = newServed(o.Config.Listen, o.Now, nil); err != nil {
		return err
	}
	return o.open(ctx)
}

// Certificate implements [issuing.Server].
func (o *oneOfSeveral) Certificate() *tls.Certificate {
	shown := o.shown
	if current := o.live.current.Load(); current != nil {
		shown = current.shown
	}
	if shown == nil {
		return nil
	}
	return shown.current.Load()
}

// Store implements [issuing.Server].
func (o *oneOfSeveral) Store() store.Store { return o.store }

// Prepare implements [issuing.Server].
func (o *oneOfSeveral) Prepare(ctx context.Context) (err error) {
	o.background, o.stop = context.WithCancel(context.WithoutCancel(ctx))
	if o.gen, err = o.first(o.background); err != nil {
		o.stop()
		return err
	}
	o.watchConfiguration(o.background, o.gen)
	return nil
}

// Handler implements [issuing.Server].
func (o *oneOfSeveral) Handler(mutual bool) http.Handler { return o.live.of(mutual) }

// Ready implements [issuing.Server].
func (o *oneOfSeveral) Ready(ctx context.Context) bool {
	return hosts.Probe(ctx, o.live.current.Load().endpoints.Handler(), o.Config.Issuer+"/health/ready")
}

// Begin implements [issuing.Server].
func (o *oneOfSeveral) Begin(ctx context.Context) {
	reached := o.keys.Tokens.Start(o.background, hsmFirst, o.log)
	o.use(o.background, o.gen)
	o.wait = o.start(o.background)
	o.began.Store(true)
	if o.front != nil && o.front.ports.Serving() { // it could not be opened at the start
		warn(o.log, "listeners not as the configuration has them", o.front.listen(ctx, o.Config))
	}
	logServed(ctx, o.server, reached, o.made)
}

// End implements [issuing.Server].
func (o *oneOfSeveral) End() {
	o.stop()
	if o.wait != nil {
		o.wait()
	}
	o.forget()
}

// Hung implements [issuing.Server].
func (o *oneOfSeveral) Hung() error { return o.keys.Tokens.Hung() }

// Drain implements [issuing.Server].
func (o *oneOfSeveral) Drain() { o.live.drain() }

// Reload implements [issuing.Server].
func (o *oneOfSeveral) Reload(ctx context.Context, told bool) {
	if o.began.Load() {
		o.checkFiles(ctx, told)
	}
}

// Close implements [issuing.Server].
func (o *oneOfSeveral) Close(ctx context.Context) { o.close(ctx) }
