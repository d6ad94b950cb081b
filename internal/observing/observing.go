// Package observing has the server observed, as its configuration says: it measures, looks at the parts of the server from time to
// time, serves the metrics at a listener of their own, and keeps the hours of service.
package observing

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/fapi/event"
	"countersign/internal/auditlog"
	"countersign/internal/availability"
	"countersign/internal/config"
	"countersign/internal/metrics"
	"countersign/internal/reread"
	"countersign/internal/why"
	"countersign/signer"
	"countersign/store"
)

// Options are what an [Observer] needs.
type Options struct {
	Config *config.Config
	// Issuer is the name of the issuer that is observed, which is a label of all metrics.
	Issuer string
	// Process serves the metrics of all issuers of the process; nil when nobody reads them.
	Process *Process
	// Node is the name of this node, and Version that of the program.
	Node, Version string
	// Headers are sent to the collector with metrics.
	Headers map[string]string
	Now     func() time.Time
	Log     *slog.Logger
}

// Observer observes a server. Make one with [New], before what it observes.
type Observer struct {
	options Options
	// metrics is nil when nobody reads them.
	metrics *metrics.Metrics
	hours   *availability.Recorder
	refused *why.Recorder
	// seldom is what was found out last of what changes seldom.
	seldom seldom
	// config is the configuration in use.
	config atomic.Pointer[config.Config]
}

// New makes an Observer.
func New(ctx context.Context, o Options) (*Observer, error) {
	made := &Observer{options: o, hours: &availability.Recorder{Node: o.Node, Now: o.Now, Log: o.Log}, refused: &why.Recorder{
		Node: o.Node, Keep: o.Config.Why.Keep.Std(), Most: o.Config.Why.Most, Now: o.Now, Log: o.Log,
	}}
	made.config.Store(o.Config)
	c := o.Config.Metrics
	if c.Listen == "" && c.PushEvery == 0 {
		return made, nil
	}
	database := "sqlite"
	if o.Config.Store.Driver == "postgres" {
		database = "postgresql"
	}
	var err error
	if made.metrics, err = metrics.New(ctx, metrics.Config{
		Issuer: o.Issuer, Version: o.Version, Node: o.Node, Database: database, Clients: strings.Fields(c.Clients), OtherClients: c.OtherClients, Push: made.push(),
		Now: o.Now,
	}); err != nil {
		return nil, err
	}
	return made, nil
}

// Configured says that another configuration is in use. It differs from the one before in what a running server takes.
func (o *Observer) Configured(c *config.Config) {
	o.config.Store(c)
	o.refused.Bound(c.Why.Keep.Std(), c.Why.Most)
}

// push says where metrics are sent; nil when they are not.
func (o *Observer) push() *metrics.Push {
	c, log := o.options.Config, o.options.Log
	if c.Metrics.PushEvery == 0 {
		return nil
	}
	return &metrics.Push{
		Endpoint: c.Telemetry.OTLPEndpoint, Headers: o.options.Headers, Every: c.Metrics.PushEvery.Std(),
		Failed:    func(err error) { log.Warn("metric export failed; will be retried", "error", err.Error()) },
		Recovered: func() { log.Info("metrics are exported again") },
	}
}

// StoreMeter is to be told of verbs of the store; nil when nobody reads.
func (o *Observer) StoreMeter() store.Meter {
	if o.metrics == nil {
		return nil
	}
	return o.metrics
}

// SignerMeter is to be told of uses of keys; nil when nobody reads.
func (o *Observer) SignerMeter() signer.Meter {
	if o.metrics == nil {
		return nil
	}
	return o.metrics
}

// AuditMeter is to be told of entries of the audit log; nil when nobody reads.
func (o *Observer) AuditMeter() auditlog.Meter {
	if o.metrics == nil {
		return nil
	}
	return o.metrics
}

// RequestMeter is to be told of requests.
func (o *Observer) RequestMeter() event.Meter {
	if o.metrics == nil {
		return meters{o.hours, o.refused}
	}
	return meters{o.metrics, o.hours, o.refused}
}

// meters are several.
type meters []event.Meter

// Arrived implements [event.Meter].
func (m meters) Arrived(ctx context.Context, method string) {
	for _, one := range m {
		one.Arrived(ctx, method)
	}
}

// Answered implements [event.Meter].
func (m meters) Answered(ctx context.Context, request event.Request) {
	for _, one := range m {
		one.Answered(ctx, request)
	}
}

// IngressRefused counts a request that was refused in front of the endpoints.
func (o *Observer) IngressRefused(ctx context.Context, event string) {
	if o.metrics != nil {
		o.metrics.IngressRefused(ctx, event)
	}
}

// CertificateRefused counts a client certificate that was refused.
func (o *Observer) CertificateRefused(ctx context.Context) {
	if o.metrics != nil {
		o.metrics.CertificateRefused(ctx)
	}
}

// Parts are the parts of a server that are looked at.
type Parts struct {
	Store  store.Store
	Signer *signer.Signer
	// Schema reads the newest step of the schema.
	Schema func(context.Context) (int64, error)
	// Configuration says how reading the configuration again went; nil where it is not read again.
	Configuration func() reread.State
}

// Run shows the metrics, looks at the parts, and keeps the hours, until ctx ends; what was counted is stored then.
func (o *Observer) Run(ctx context.Context, parts Parts) {
	o.hours.Store, o.refused.Store = parts.Store, parts.Store
	var keeping sync.WaitGroup
	keeping.Go(func() { o.hours.Watch(ctx, func(ctx context.Context) error { return o.look(ctx, parts) }) })
	keeping.Go(func() { o.hours.Run(ctx) })
	keeping.Go(func() { o.refused.Run(ctx) })
	if o.metrics != nil && o.options.Process != nil {
		o.options.Process.metrics.Show(o.metrics)
	}
	keeping.Wait()
}

// Shutdown sends what is left, and shows the metrics no more.
func (o *Observer) Shutdown(ctx context.Context) error {
	if o.metrics == nil {
		return nil
	}
	if o.options.Process != nil {
		o.options.Process.metrics.Hide(o.metrics)
	}
	if err := o.metrics.Shutdown(ctx); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
