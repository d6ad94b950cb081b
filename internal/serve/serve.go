// Package serve runs the authorization server: it opens the store, the HSM and the listeners that the configuration names,
// does the work that no request asks for (purging, pings, rotation, sealing the audit log), and drains when it is to end.
package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/fapi"
	"countersign/internal/capacity"
	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/fips"
	"countersign/internal/hsm"
	"countersign/internal/issuers"
	"countersign/internal/listening/bounded"
	"countersign/internal/memory"
	"countersign/internal/observing"
	"countersign/internal/pages"
	"countersign/internal/repeat"
	"countersign/internal/reread"
	"countersign/internal/systemd"
	"countersign/internal/telemetry"
	"countersign/store"
)

// Options are what the configuration does not hold.
type Options struct {
	Config *config.Config
	Now    func() time.Time
	// Log is where log lines go, in the format and from the level of the configuration.
	Log io.Writer
	// File is that of the configuration, which is read again when it changes, with the files that it names; empty for none.
	File string
	// Note, if it is not empty, is the file in which it is noted what the server runs with, for countersign config check.
	Note string
	// Reload has changed files read again at once, as SIGHUP does; nil waits for nothing.
	Reload <-chan os.Signal
	// Version is that of the program, for the log and for traces.
	Version string
}

// flushTimeout is for how long the last traces may keep the program from ending.
const flushTimeout = 5 * time.Second

// hsmFirst is how long the server waits for its HSM before it listens without it.
const hsmFirst = 3 * time.Second

// Run serves until ctx ends or a listener fails; requests in flight are answered first. It returns an error, and does not
// serve, unless the configuration is correct and the schema of the store up to date. An HSM that is away, or refuses the
// PIN, keeps the server from being ready, and not from running: it is ready when the HSM is there.
func Run(ctx context.Context, o Options) error {
	started := o.Now()
	if err := Check(ctx, o.Config, o.Now); err != nil {
		return err
	}
	s := newServer(o)
	s.log = newLogger(o.Log, o.Config.Telemetry, s.level, s.style)
	var err error
	if s.chain, err = auditChain(o.Config); err != nil {
		return err
	}
	traces, flush, err := newTraces(ctx, o, s.log)
	if err != nil {
		return err
	}
	s.traces = traces
	defer func() {
		// The signal that ended ctx must not keep the last traces from leaving.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		warn(s.log, "final trace export failed", flush(last))
	}()
	if len(o.Config.Issuers) > 0 {
		return s.runSeveral(ctx, started)
	}
	open := func() map[string]bool { return map[string]bool{s.name: true} }
	if s.process, err = observing.NewProcess(ctx, observed(s), open); err != nil {
		return err
	}
	defer endMetrics(s)
	if err := s.open(ctx); err != nil {
		return err
	}
	defer s.close(ctx)
	go s.process.Serve(ctx)
	return s.run(ctx, started)
}

// endMetrics closes the listener for metrics.
func endMetrics(s *server) { warn(s.log, "metrics listener close failed", s.process.Close()) }

// newServer makes a server with nothing open.
func newServer(o Options) *server {
	return &server{Options: o, name: issuers.Main, level: &slog.LevelVar{}, style: &telemetry.Style{}, live: &live{}, memory: &atomic.Int64{}}
}

// open opens the store and prepares the HSM. What was opened is closed again when it returns an error.
func (s *server) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			s.close(ctx)
		}
	}()
	if err := database.Rested(s.Config, s.Now()); err != nil {
		return err
	}
	if s.observer, err = s.observe(ctx); err != nil {
		return err
	}
	chosen, err := database.Measured(s.Config, s.Now, s.traces, s.observer.StoreMeter())
	if err != nil {
		return err
	}
	s.schema = chosen.Newest
	if s.store, err = chosen.Open(ctx); err != nil {
		return err
	}
	s.keys, err = hsm.OpenSigner(ctx, s.Config.Signer, s.store, hsm.Options{
		Now: s.Now, Logger: s.log, TracerProvider: s.traces, Meter: s.observer.SignerMeter(),
	})
	if err != nil {
		return err
	}
	warnOfKeys(ctx, s.Config.Signer, s.log)
	fips.Log(ctx, s.log)
	return nil
}

// close closes what is open.
func (s *server) close(ctx context.Context) {
	if s.keys != nil {
		warn(s.log, "HSM close failed", s.keys.Tokens.Close())
	}
	if s.store != nil {
		warn(s.log, "store close failed", s.store.Close())
	}
	if s.observer != nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		warn(s.log, "final metric export failed", s.observer.Shutdown(last))
	}
}

// server is what is open of one issuer while it serves.
type server struct {
	Options
	// name is that of the issuer.
	name   string
	log    *slog.Logger
	level  *slog.LevelVar
	style  *telemetry.Style
	traces trace.TracerProvider
	store  store.Store
	keys   *hsm.Signer
	// brand is that of the pages.
	brand pages.Brand
	// chain is this node's chain of the audit log.
	chain  string
	alarms *alarms
	// lines count refusals that repeat.
	lines *repeat.Lines
	// live is what changes while the server runs. reload has the files that one generation reads again: nil where it is only tried.
	live   *live
	reload *reread.Files
	// front is what listens, where the configuration is that of the process; nil before that is so.
	front *front
	// state says how reading the file again went that another has read; nil where the server does it.
	state func() reread.State
	// memory is how many passwords are verified at once.
	memory *atomic.Int64
	// process serves the metrics of all issuers; nil when nobody reads them.
	process *observing.Process
	// observer measures, and schema reads the newest step of the store's.
	observer *observing.Observer
	schema   func(context.Context) (int64, error)
}

const (
	// repeatPeriod is how long refusals of one client and reason are counted until their number is logged.
	repeatPeriod = 10 * time.Second
	// repeatKinds is how many are told apart in that time.
	repeatKinds = 2000
)

// run serves with everything open.
func (s *server) run(ctx context.Context, started time.Time) error {
	// What is started here ends with this, and so also when a listener fails. It goes on while the node drains: until then
	// clients and keys change.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	first, err := s.first(background)
	if err != nil {
		return err
	}
	most, err := capacity.Connections(s.Config)
	if err != nil {
		return fmt.Errorf("read the limit of open files; set limits.connections: %w", err)
	}
	f := newFront(s.Config, s.log)
	f.certificate, f.handler, f.refusals, f.drain = s.live.certificate, s.live.of, s.alarms.refusals, s.live.drain
	f.operated = func() *live { return s.live }
	f.connections, f.most = bounded.New(most, s.Now, s.log), func(c *config.Config) (int, error) { return capacity.Connections(c) }
	if err := f.listen(ctx, s.Config); err != nil {
		return err
	}
	s.front = f
	s.watchConfiguration(background, first)
	defer s.forget()
	reached := s.keys.Tokens.Start(background, hsmFirst, s.log)
	s.use(background, first)
	watching, unwatch := context.WithCancel(ctx)
	s.live.jobs.Go(func() { reread.Run(watching, s.Reload, s.check) })
	waitJobs := s.start(background)
	defer func() {
		unwatch()
		stop()
		waitJobs() // before the HSM and the store are closed
	}()
	go watchdog(background, s.keys.Tokens.Hung, s.log)
	go memory.Keep(background, func() int { return int(s.memory.Load()) })
	logServed(ctx, s, reached, started)
	return f.serve(ctx)
}

// watchdog tells systemd that the server lives, while alive returns nil.
func watchdog(ctx context.Context, alive func() error, log *slog.Logger) {
	warn(log, "systemd watchdog not served", systemd.Watch(ctx, alive, func(err error) { warn(log, "systemd notification failed", err) }))
}

// first makes the first generation, whose jobs start when it is used.
func (s *server) first(background context.Context) (*generation, error) {
	var err error
	if s.alarms, err = newAlarms(s.store, s.chain, s.Now, s.log); err != nil {
		return nil, err
	}
	s.alarms.refused = s.observer.IngressRefused
	s.alarms.refusals.refused = func(ctx context.Context, _ string) { s.observer.CertificateRefused(ctx) }
	s.lines = repeat.New(repeat.Options{Now: s.Now, Period: repeatPeriod, Kinds: repeatKinds, More: func(count int) {
		s.log.Warn("refused requests not logged one by one", "count", count)
	}})
	made, err := s.generate(background, s.Config)
	if err == nil {
		s.live.current.Store(made)
	}
	return made, err
}

// logServed logs that an issuer is served.
func logServed(ctx context.Context, s *server, reached bool, started time.Time) {
	if !reached {
		s.log.WarnContext(ctx, "serving without the HSM; not ready until it is reached", "version", s.Version, "issuer", s.Config.Issuer,
			"address", s.Config.Listen.Address)
		return
	}
	s.log.InfoContext(ctx, "ready", "version", s.Version, "issuer", s.Config.Issuer, "address", s.Config.Listen.Address,
		"mtls_address", s.Config.ListenMTLS.Address, "store", s.Config.Store.Driver, "took", s.Now().Sub(started))
}

// endpoints makes the authorization server.
func (s *server) endpoints(ctx context.Context) (*fapi.Server, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	return fapi.New(ctx, settings)
}

// observe makes what measures the server.
func (s *server) observe(ctx context.Context) (*observing.Observer, error) {
	headers, err := traceHeaders(s.Config.Telemetry)
	if err != nil {
		return nil, err
	}
	options := observed(s)
	options.Headers = headers
	return observing.New(ctx, options)
}

// observed are the options of what measures the server.
func observed(s *server) observing.Options {
	return observing.Options{
		Config: s.Config, Issuer: s.name, Process: s.process, Node: s.chain, Version: s.Version, Now: s.Now, Log: s.log,
	}
}

// warnOfKeys says at every start what an operator has to know of the keys. No level of the log hides that they are
// software.
func warnOfKeys(ctx context.Context, c config.Signer, log *slog.Logger) {
	switch warning := hsm.Warning(c); warning {
	case "":
	case hsm.DevelopmentWarning:
		log.ErrorContext(ctx, "signing keys are in a development key file", "warning", warning, "file", c.DevelopmentKeyFile.Path())
	default:
		log.WarnContext(ctx, "PKCS#11 module runs in the server process", "warning", warning)
	}
}

// warnOfValues says at every start what of the configuration is for trying, or looks like an oversight.
func warnOfValues(ctx context.Context, c *config.Config, log *slog.Logger) {
	if lax := c.Laxer(); len(lax) > 0 {
		log.WarnContext(ctx, "configuration laxer than the defaults", "keys", strings.Join(lax, ", "))
	}
	if _, _, differ := c.PortsDiffer(); differ {
		log.WarnContext(ctx, "issuer and listener have different ports", "issuer", c.Issuer, "address", c.Listen.Address)
	}
}

func newLogger(to io.Writer, t config.Telemetry, level *slog.LevelVar, style *telemetry.Style) *slog.Logger {
	level.Set(logLevel(t))
	return telemetry.NewLogger(to, telemetry.Logs{Format: t.LogFormat, Level: level, Address: t.LogAddress, Style: style})
}

func newTraces(ctx context.Context, o Options, log *slog.Logger) (trace.TracerProvider, func(context.Context) error, error) {
	t := o.Config.Telemetry
	headers, err := traceHeaders(t)
	if err != nil {
		return nil, nil, err
	}
	return telemetry.NewTracerProvider(ctx, telemetry.Traces{
		Endpoint: t.OTLPEndpoint, Headers: headers, Version: o.Version, Now: o.Now,
		Failed: func(err error, dropped int, next time.Duration) {
			log.Warn("trace export failed", "error", err, "dropped_spans", dropped, "next_try_in", next)
		},
		Recovered: func(dropped int) { log.Info("traces are exported again", "dropped_spans", dropped) },
	})
}

// traceHeaders are those for the collector.
func traceHeaders(t config.Telemetry) (map[string]string, error) {
	if t.OTLPHeaders == "" {
		return nil, nil
	}
	text, err := t.OTLPHeaders.Read()
	if err != nil {
		return nil, fmt.Errorf("telemetry.otlp_headers_file: %w", err)
	}
	headers, err := telemetry.ParseHeaders(text)
	if err != nil {
		return nil, fmt.Errorf("telemetry.otlp_headers_file: %w", err)
	}
	return headers, nil
}

// auditChain names this node's chain of the audit log.
func auditChain(c *config.Config) (string, error) {
	if c.Audit.Node != "" {
		return c.Audit.Node, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("this host has no name; set audit.node: %w", err)
	}
	return name, nil
}

// warn logs an error that does not keep the server from ending.
func warn(log *slog.Logger, message string, err error) {
	if err != nil {
		log.Warn(message, "error", err.Error())
	}
}
