// Package metrics measures the server: it has the catalogue of all metrics, is told of requests, verbs of the store, uses of keys
// and entries of the audit log, and hands the figures to Prometheus, or to a collector by OTLP.
//
// No label holds a secret or names a user, and each has few values: what comes from outside keeps its name only while there are few
// ([names]); the rest is [Other].
package metrics

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"countersign/fapi/event"
	"countersign/internal/audit"
	"countersign/internal/fips"
	"countersign/store"
)

// Config says what is measured for whom.
type Config struct {
	// Issuer is the name of the issuer that is measured: a label of all metrics.
	Issuer string
	// Version is that of the program, and Node the name of this node: service.version and service.instance.id.
	Version, Node string
	// Database is the store's name as OpenTelemetry spells it: sqlite or postgresql.
	Database string
	// Clients are the clients that have a label of their own, and OtherClients how many more may have one, the first that come.
	Clients      []string
	OtherClients int
	// Push sends the metrics to a collector; nil does not.
	Push *Push
	Now  func() time.Time
}

// Push says where metrics are sent.
type Push struct {
	// Endpoint is the base address of a collector that takes OTLP over HTTP; /v1/metrics is appended.
	Endpoint string
	// Headers are sent to it.
	Headers map[string]string
	// Every is how often.
	Every time.Duration
	// Failed is called when metrics could not be sent, and Recovered when they are again; from any goroutine.
	Failed    func(error)
	Recovered func()
}

// Metrics measures. It implements the meters of packages event, store, signer and auditlog. Make one with [New].
type Metrics struct {
	now    func() time.Time
	issuer issuer
	// own are the labels of what is told apart by nothing else.
	own      labelled
	registry *prometheus.Registry
	provider *sdk.MeterProvider

	requests, verbs, hsm                        metric.Float64Histogram
	active                                      metric.Int64UpDownCounter
	clientRequests, retries, conflicts, entries metric.Int64Counter
	checkpoints, ingress, certificates          metric.Int64Counter
	methods, retryLabels, ingressLabels         series[string]
	requestLabels                               series[requestKey]
	clientLabels                                series[clientKey]
	verbLabels                                  series[verbKey]
	conflictLabels                              series[conflictKey]
	hsmLabels                                   series[usageKey]
	entryLabels                                 series[entryKey]
	clients, outcomes, events, kinds            *names

	// unsealedSince is when the first entry since the last checkpoint was appended, in nanoseconds; 0 for none.
	unsealedSince atomic.Int64
	sample        atomic.Pointer[Sample]
}

const (
	// mostOutcomes, mostEvents and mostKinds bound what labels call by a name that the server does not choose alone.
	mostOutcomes, mostEvents, mostKinds = 64, 160, 32
	// mostSeries is how many values of one metric are told apart, whatever happens.
	mostSeries = 4000
)

// New makes a Metrics. It measures at once; a [Process] serves what it has.
func New(ctx context.Context, config Config) (*Metrics, error) {
	m := &Metrics{
		now: config.Now, issuer: issuer(config.Issuer), own: issuer(config.Issuer).label(), registry: prometheus.NewRegistry(),
		clients: newNames(config.OtherClients, false, config.Clients...), outcomes: newNames(mostOutcomes, true),
		events: newNames(mostEvents, true), kinds: newNames(mostKinds, true),
	}
	reader, err := exporter.New(exporter.WithRegisterer(m.registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	options := []sdk.Option{
		sdk.WithReader(reader), sdk.WithCardinalityLimit(mostSeries),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "countersign"), attribute.String("service.version", config.Version),
			attribute.String("service.instance.id", config.Node),
		)),
	}
	if config.Push != nil {
		pushing, err := newPush(ctx, *config.Push)
		if err != nil {
			return nil, err
		}
		options = append(options, sdk.WithReader(pushing))
	}
	m.provider = sdk.NewMeterProvider(options...)
	if err := m.instruments(config); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return m, nil
}

// newPush makes what sends metrics again and again. Every option is named, because the exporter would take what is left out from
// OTEL_ variables.
func newPush(ctx context.Context, to Push) (sdk.Reader, error) {
	options := []otlpmetrichttp.Option{
		otlpmetrichttp.WithEndpointURL(strings.TrimSuffix(to.Endpoint, "/") + "/v1/metrics"),
		otlpmetrichttp.WithHeaders(to.Headers),
		otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression),
		otlpmetrichttp.WithTimeout(10 * time.Second),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{Enabled: false}), // the next period sends the same counts, and more
		otlpmetrichttp.WithTemporalitySelector(sdk.DefaultTemporalitySelector),
		otlpmetrichttp.WithAggregationSelector(sdk.DefaultAggregationSelector),
	}
	if strings.HasPrefix(to.Endpoint, "https:") {
		options = append(options, otlpmetrichttp.WithTLSClientConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	sender, err := otlpmetrichttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return sdk.NewPeriodicReader(&told{Exporter: sender, to: to}, sdk.WithInterval(to.Every), sdk.WithTimeout(15*time.Second)), nil
}

// told tells of what could not be sent, once until it is sent again.
type told struct {
	sdk.Exporter
	to   Push
	away atomic.Bool
}

// Export implements sdk's Exporter.
func (t *told) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	err := t.Exporter.Export(ctx, metrics)
	switch {
	case err != nil && !errors.Is(err, context.Canceled) && !t.away.Swap(true):
		t.to.Failed(err)
	case err == nil && t.away.Swap(false):
		t.to.Recovered()
	}
	return nil // it was told; the SDK would print it
}

// seconds are the steps of all histograms: those of the semantic conventions for HTTP, and shorter ones, for a store is asked in less.
func seconds() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}

// instruments makes what measures.
func (m *Metrics) instruments(config Config) error {
	made := &maker{meter: m.provider.Meter("countersign")}
	m.requests, m.verbs, m.hsm = made.histogram(requestDuration), made.histogram(storeDuration), made.histogram(hsmDuration)
	m.clientRequests, m.retries, m.conflicts = made.counter(clientRequests), made.counter(storeRetries), made.counter(storeConflicts)
	m.entries, m.checkpoints = made.counter(auditEntries), made.counter(auditCheckpoints)
	m.ingress, m.certificates = made.counter(ingressRefusals), made.counter(certificateRefusals)
	m.active = made.upDown(requestsActive)
	m.methods.make = func(method string) labelled {
		return m.issuer.label("http.request.method", method, "url.scheme", scheme)
	}
	m.requestLabels.make = func(k requestKey) labelled { return k.labels(m.issuer) }
	m.clientLabels.make = func(k clientKey) labelled {
		return m.issuer.label("oauth.client_id", k.client, "http.route", k.route, "oauth.outcome", k.outcome)
	}
	m.verbLabels.make = func(k verbKey) labelled {
		return m.issuer.label("db.system.name", config.Database, "db.operation.name", k.verb, "error.type", k.failure)
	}
	m.retryLabels.make = func(verb string) labelled { return m.issuer.label("db.operation.name", verb) }
	m.conflictLabels.make = func(k conflictKey) labelled { return m.issuer.label("reason", k.reason, "kind", k.kind) }
	m.hsmLabels.make = func(k usageKey) labelled {
		return m.issuer.label("hsm", k.hsm, "algorithm", string(k.algorithm), "use", string(k.use), "error.type", k.failure)
	}
	m.entryLabels.make = func(k entryKey) labelled {
		return m.issuer.label("kind", string(k.kind), "event", k.event, "allowed", k.allowed)
	}
	m.ingressLabels.make = func(event string) labelled { return m.issuer.label("event", event) }
	// What has not happened yet is 0, and not absent: alerts look at the difference.
	zero := context.Background()
	m.checkpoints.Add(zero, 0, m.own.add...)
	m.certificates.Add(zero, 0, m.own.add...)
	for _, name := range []string{"client_certificate_forged", "client_certificate_unreadable"} {
		m.ingress.Add(zero, 0, m.ingressLabels.of(m.events.of(name)).add...)
	}
	for _, name := range []string{
		event.SignedIn, event.SignInFailed, event.SignInThrottled, event.GrantMade, event.TokensIssued, event.GrantRefreshed, event.GrantRevoked,
		event.CodeUsedTwice,
	} {
		m.entries.Add(zero, 0, m.entryLabels.of(entryKey{audit.SecurityEvent, m.events.of(name), ""}).add...)
	}
	for _, name := range []string{event.ConsentDecided, event.BackchannelDecided} {
		for _, allowed := range []string{"true", "false"} {
			m.entries.Add(zero, 0, m.entryLabels.of(entryKey{audit.SecurityEvent, m.events.of(name), allowed}).add...)
		}
	}
	for _, conflict := range []conflictKey{{"replayed", store.KindAssertion}, {"replayed", store.KindDPoP}, {"consumed", ""}, {"conflict", ""}} {
		m.kinds.of(conflict.kind)
		m.conflicts.Add(zero, 0, m.conflictLabels.of(conflict).add...)
	}
	about := m.issuer.with("version", config.Version, "go", runtime.Version(), "fips140", string(fips.Read().Mode))
	made.gauge(build, func(o observer) { o(1, about) })
	m.observe(made, config)
	return errors.Join(made.problems...)
}

// Shutdown sends what is left to the collector, and stops.
func (m *Metrics) Shutdown(ctx context.Context) error { return m.provider.Shutdown(ctx) }

// maker makes instruments as the catalogue describes them.
type maker struct {
	meter    metric.Meter
	problems []error
}

func note[T any](m *maker, made T, err error) T {
	if err != nil {
		m.problems = append(m.problems, err)
	}
	return made
}

func (m *maker) histogram(name string) metric.Float64Histogram {
	about := lookup(name)
	made, err := m.meter.Float64Histogram(name, metric.WithUnit(about.Unit), metric.WithDescription(about.Meaning),
		metric.WithExplicitBucketBoundaries(seconds()...))
	return note(m, made, err)
}

func (m *maker) counter(name string) metric.Int64Counter {
	about := lookup(name)
	made, err := m.meter.Int64Counter(name, metric.WithUnit(about.Unit), metric.WithDescription(about.Meaning))
	return note(m, made, err)
}

func (m *maker) upDown(name string) metric.Int64UpDownCounter {
	about := lookup(name)
	made, err := m.meter.Int64UpDownCounter(name, metric.WithUnit(about.Unit), metric.WithDescription(about.Meaning))
	return note(m, made, err)
}

// observer is given a value of a metric that is looked at.
type observer func(value float64, labels ...metric.ObserveOption)

// gauge has a value looked at whenever metrics are read.
func (m *maker) gauge(name string, look func(observer)) {
	about := lookup(name)
	made, err := m.meter.Float64ObservableGauge(name, metric.WithUnit(about.Unit), metric.WithDescription(about.Meaning),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			look(o.Observe)
			return nil
		}))
	note(m, made, err)
}

// counted has a count looked at that somebody else keeps.
func (m *maker) counted(name string, look func(observer)) {
	about := lookup(name)
	made, err := m.meter.Float64ObservableCounter(name, metric.WithUnit(about.Unit), metric.WithDescription(about.Meaning),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			look(o.Observe)
			return nil
		}))
	note(m, made, err)
}
