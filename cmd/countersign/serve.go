package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/fapi"
	"countersign/internal/auditlog"
	"countersign/internal/config"
	"countersign/internal/pages"
	"countersign/internal/telemetry"
	"countersign/mtls"
	"countersign/store"
)

// serveCommand is the server.
type serveCommand struct{}

// Help implements kong.HelpProvider.
func (serveCommand) Help() string {
	return `Starts only with a correct configuration, a reachable HSM and an up-to-date store, and says
what is wrong otherwise. Log lines go to standard error. SIGTERM and SIGINT end it: requests
under way are answered first. Tells systemd when it is ready (Type=notify).

Examples:
  countersign serve
  countersign serve --config /etc/countersign/countersign.toml`
}

// Run implements the command.
func (serveCommand) Run(ctx context.Context, p *program) error {
	started := p.now()
	tuneMemory()
	background, stop := context.WithCancel(ctx)
	defer stop()
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	log := newLogger(p, c.Telemetry)
	traces, flush, err := newTraces(ctx, c.Telemetry, log)
	if err != nil {
		return err
	}
	defer func() {
		// The signal that ended ctx must not keep the last traces from leaving.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		logError(log, "the last traces were not sent", flush(last))
	}()
	d, err := newDatabase(c, p.now, traces)
	if err != nil {
		return err
	}
	s, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { logError(log, "the store was not closed in order", s.Close()) }()
	keys, err := openSigner(ctx, c.Signer, s, signerSettings{now: p.now, log: log, traces: traces})
	if err != nil {
		return err
	}
	defer func() { logError(log, "the HSM was not closed in order", keys.Close()) }()
	warnOfKeys(ctx, c.Signer, log)

	server, err := newServer(ctx, c, s, keys, p.now, log, traces)
	if err != nil {
		return err
	}
	alarms, err := newAlarms(s, c, p.now, log)
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, c, server, alarms, p.now, log)
	if err != nil {
		return err
	}
	go purge(background, s, log)
	if shared, ok := s.(store.Watcher); ok {
		go shared.Watch(background, server.OnChange)
	}
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		server.RunPings(background)
	}()
	defer func() {
		stop()
		<-pinging // before the store is closed: what came of a try is noted
	}()
	if plan := schedule(c); plan.Every > 0 {
		go (&rotation{schedule: plan, store: audited{Store: s, now: p.now, by: "schedule"}, backend: keys.tokens[0], now: p.now, log: log}).run(background)
	}
	stopSealing, err := seal(ctx, c, s, keys, p.now, log)
	if err != nil {
		return err
	}
	defer stopSealing() // before the HSM and the store are closed
	log.InfoContext(ctx, "ready", "version", readBuild().version, "issuer", c.Issuer,
		"address", c.Listen.Address, "mtls_address", c.ListenMTLS.Address, "store", c.Store.Driver, "took", p.now().Sub(started))
	return listeners.serve(ctx, log)
}

// warnOfKeys says at every start what an operator has to know of the keys. No level of the log hides that they are
// software.
func warnOfKeys(ctx context.Context, c config.Signer, log *slog.Logger) {
	switch warning := keyWarning(c); warning {
	case "":
	case developmentWarning:
		log.ErrorContext(ctx, warning, "file", c.DevelopmentKeyFile.Path())
	default:
		log.WarnContext(ctx, warning)
	}
}

const (
	// garbagePercent trades memory for time: little is alive at any moment, and collecting it often costs a tenth of
	// all CPU time.
	garbagePercent = 400
	// memoryGoal is when the collector works harder all the same: beyond what many sign-ins at once need for their
	// passwords. Nothing fails beyond it.
	memoryGoal = 256 << 20
)

// tuneMemory sets the garbage collector, unless the operator has (GOGC, GOMEMLIMIT).
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryGoal)
	}
}

func newLogger(p *program, t config.Telemetry) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(t.LogLevel)); err != nil {
		level = slog.LevelInfo // the configuration lets no other text through
	}
	return telemetry.NewLogger(p.stderr, t.LogFormat, level)
}

func newTraces(ctx context.Context, t config.Telemetry, log *slog.Logger) (trace.TracerProvider, func(context.Context) error, error) {
	headers := map[string]string{}
	if t.OTLPHeaders != "" {
		text, err := t.OTLPHeaders.Read()
		if err != nil {
			return nil, nil, fmt.Errorf("telemetry.otlp_headers_file: %w", err)
		}
		if headers, err = telemetry.ParseHeaders(text); err != nil {
			return nil, nil, fmt.Errorf("telemetry.otlp_headers_file: %w", err)
		}
	}
	return telemetry.NewTracerProvider(ctx, telemetry.Traces{
		Endpoint: t.OTLPEndpoint, Headers: headers, Version: readBuild().version,
		Failed: func(err error) { log.Warn("traces were not sent", "error", err) },
	})
}

// newServer wires the authorization server to its parts.
func newServer(ctx context.Context, c *config.Config, s store.Store, keys *hsm, now func() time.Time, log *slog.Logger, traces trace.TracerProvider) (*fapi.Server, error) {
	trust, stores, err := clientTrust(ctx, c, now, log)
	if err != nil {
		return nil, err
	}
	interactor, err := newInteractor(c.Issuer, s, now, log)
	if err != nil {
		return nil, err
	}
	assets, err := interactor.Assets()
	if err != nil {
		return nil, err
	}
	settings := fapi.Config{
		PasskeyName: "Countersign", DevicePages: interactor, Assets: assets,
		Issuer: c.Issuer, Store: s, Signer: keys.signer, Interactor: interactor,
		Certificates: mtls.Admitted(), ClientTrust: trust, TrustStores: stores,
		RequestURILifetime:   c.Tokens.RequestURILifetime.Std(),
		InteractionLifetime:  c.Sessions.InteractionLifetime.Std(),
		CodeLifetime:         c.Tokens.CodeLifetime.Std(),
		AccessTokenLifetime:  c.Tokens.AccessTokenLifetime.Std(),
		IDTokenLifetime:      c.Tokens.IDTokenLifetime.Std(),
		GrantLifetime:        c.Tokens.GrantLifetime.Std(),
		SessionLifetime:      c.Sessions.Lifetime.Std(),
		AccessTokenAlgorithm: c.Tokens.AccessTokenAlgorithm,
		Now:                  now, Logger: log, TracerProvider: traces,
	}
	if settings.AuditChain, err = auditChain(c); err != nil {
		return nil, err
	}
	if c.Signer.DevelopmentKeyFile != "" {
		settings.Warning = developmentWarning
	}
	if c.ListenMTLS.Address != "" {
		settings.MTLSIssuer = c.ListenMTLS.URL
	}
	for _, scope := range c.Scopes {
		settings.Scopes = append(settings.Scopes, fapi.Scope{Name: scope.Name, Description: scope.Description, AlwaysAsk: scope.AlwaysAsk})
	}
	if err := moreSettings(&settings, c); err != nil {
		return nil, err
	}
	if c.Resources.SampleAccounts {
		settings.Resources = append(settings.Resources, sampleAccounts())
	}
	return fapi.New(ctx, settings)
}

// moreSettings are what clients can ask for beyond the least, and what keeps them from asking too much.
func moreSettings(settings *fapi.Config, c *config.Config) error {
	settings.ACRValues = pages.ACRValues()
	settings.Profiles = strings.Fields(c.Profiles)
	settings.RequireDPoPNonce = c.DPoP.RequireNonce
	settings.Limits = fapi.Limits{
		ClientPerSecond: float64(c.Limits.ClientPerSecond), ClientBurst: c.Limits.ClientBurst,
		AddressFailuresPerSecond: float64(c.Limits.AddressFailuresPerSecond), AddressFailureBurst: c.Limits.AddressFailureBurst,
	}
	for _, known := range c.ResourceServers {
		settings.ResourceServers = append(settings.ResourceServers, fapi.ResourceServer{
			Identifier: known.Identifier, Scopes: strings.Fields(known.Scopes),
		})
	}
	for i, known := range c.AuthorizationDetails {
		schema, err := os.ReadFile(known.SchemaFile.Path())
		if err != nil {
			return fmt.Errorf("authorization_details[%d].schema_file: %w", i, err)
		}
		settings.AuthorizationDetailTypes = append(settings.AuthorizationDetailTypes, fapi.DetailType{
			Type: known.Type, Title: known.Title, Schema: schema,
		})
	}
	if c.Registration.Enabled {
		settings.Registration = &fapi.Registration{
			Scopes: strings.Fields(c.Registration.Scopes), AuthorizationDetailsTypes: strings.Fields(c.Registration.DetailTypes),
			CertificateQuota: c.Registration.CertificateQuota,
		}
	}
	var err error
	if settings.Backchannel, err = backchannel(c.CIBA, settings.Now); err != nil {
		return err
	}
	return outboundTrust(settings, c.Outbound.CAFile)
}

// outboundTrust makes the client for what the server fetches, when it is to trust other authorities than the system's.
func outboundTrust(settings *fapi.Config, file config.File) error {
	if file == "" {
		return nil
	}
	encoded, err := os.ReadFile(file.Path())
	if err != nil {
		return fmt.Errorf("outbound.ca_file: %w", err)
	}
	settings.OutboundRoots = x509.NewCertPool()
	if !settings.OutboundRoots.AppendCertsFromPEM(encoded) {
		return fmt.Errorf("outbound.ca_file: %s holds no certificate in PEM form", file)
	}
	return nil
}

const (
	// purgeEvery is how often records are removed that nobody can ask for any more.
	purgeEvery = 30 * time.Second
	// purgeLimit bounds one step, so that purging never holds up a request for long.
	purgeLimit = 1000
)

// purge removes what is over, until ctx ends. Several nodes may do it at once.
func purge(ctx context.Context, s store.Store, log *slog.Logger) {
	ticker := time.NewTicker(purgeEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for ctx.Err() == nil {
			removed, err := s.Purge(ctx, purgeLimit)
			if err != nil && !errors.Is(err, context.Canceled) {
				log.WarnContext(ctx, "purge", "error", err.Error())
			}
			if err != nil || removed < purgeLimit {
				break
			}
		}
	}
}

// auditChain names this node's chain.
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

// seal writes this node's chain of the audit log until stop is called, which waits for the last checkpoint.
func seal(ctx context.Context, c *config.Config, s store.Store, keys *hsm, now func() time.Time, log *slog.Logger) (stop func(), err error) {
	chain, err := auditChain(c)
	if err != nil {
		return nil, err
	}
	sealer := &auditlog.Sealer{
		Store: s, Signer: keys.signer, Chain: chain,
		Every: c.Audit.CheckpointEvery.Std(), Entries: uint64(c.Audit.CheckpointEntries), Now: now, Log: log,
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		sealer.Run(running)
	}()
	return func() { cancel(); <-ended }, nil
}

func logError(log *slog.Logger, message string, err error) {
	if err != nil {
		log.Warn(message, "error", err.Error())
	}
}
