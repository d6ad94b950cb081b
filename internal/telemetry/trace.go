package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Traces says where traces go.
type Traces struct {
	// Endpoint is the base address of a collector that takes OTLP over HTTP; /v1/traces is appended. Empty
	// turns traces off.
	Endpoint string
	// Headers are sent to the collector; see [ParseHeaders].
	Headers map[string]string
	// Version is the release of the server, for the resource attributes.
	Version string
	// Now is the clock; nil is the system's.
	Now func() time.Time
	// Failed is called when traces could not be exported, from any goroutine: with the spans that were dropped since the call
	// before, and the time until the next try.
	Failed func(err error, dropped int, next time.Duration)
	// Recovered is called when traces are exported again, with the spans that were dropped since the last failure; nil for none.
	Recovered func(dropped int)
}

// NewTracerProvider starts sending traces. Traces are sent in batches behind the requests and dropped when the
// collector does not take them: a request never waits for it. A collector that is away is asked again after a while, which doubles
// up to five minutes. Traced are requests with all that they cause; not what the server does by itself, and again and again, such as
// looking for work. The returned function sends what is left and stops.
func NewTracerProvider(ctx context.Context, config Traces) (api.TracerProvider, func(context.Context) error, error) {
	if config.Endpoint == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	// Every option is named, because the exporter would take what is left out from OTEL_ variables.
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(strings.TrimSuffix(config.Endpoint, "/") + "/v1/traces"),
		otlptracehttp.WithHeaders(config.Headers),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithTimeout(10 * time.Second),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}), // patient does
	}
	if strings.HasPrefix(config.Endpoint, "https:") {
		options = append(options, otlptracehttp.WithTLSClientConfig(&tls.Config{MinVersion: tls.VersionTLS12}))
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("telemetry: %w", err)
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(&patient{SpanExporter: redactor{exporter}, config: config}),
		trace.WithSampler(trace.ParentBased(ofRequests{})),
		trace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "countersign"), attribute.String("service.version", config.Version),
		)),
	)
	return provider, provider.Shutdown, nil
}

// redactor is the safety net of spans, as replace is of log lines.
type redactor struct{ trace.SpanExporter }

// ExportSpans implements trace.SpanExporter.
func (r redactor) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	covered := make([]trace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		covered[i] = coveredSpan{span}
	}
	return r.SpanExporter.ExportSpans(ctx, covered)
}

type coveredSpan struct{ trace.ReadOnlySpan }

// Attributes implements trace.ReadOnlySpan.
func (s coveredSpan) Attributes() []attribute.KeyValue { return cover(s.ReadOnlySpan.Attributes()) }

// Events implements trace.ReadOnlySpan.
func (s coveredSpan) Events() []trace.Event {
	events := s.ReadOnlySpan.Events()
	covered := make([]trace.Event, len(events))
	for i, event := range events {
		event.Attributes = cover(event.Attributes)
		covered[i] = event
	}
	return covered
}

func cover(attributes []attribute.KeyValue) []attribute.KeyValue {
	covered := make([]attribute.KeyValue, len(attributes))
	for i, a := range attributes {
		if isSecret(string(a.Key)) {
			a.Value = attribute.StringValue(redacted)
		}
		covered[i] = a
	}
	return covered
}

// ParseHeaders reads headers, one "Name: value" a line; empty lines are left out. Errors hold no value.
func ParseHeaders(text []byte) (map[string]string, error) {
	headers := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !isHeaderName(name) || value == "" {
			return nil, fmt.Errorf(`telemetry: line %d is not "Name: value"`, number)
		}
		headers[name] = value
	}
	if lines.Err() != nil {
		return nil, errors.New("telemetry: a header line is too long")
	}
	return headers, nil
}

// isHeaderName reports whether name is a token (RFC 9110 §5.6.2).
func isHeaderName(name string) bool {
	const symbols = "!#$%&'*+-.^_`|~"
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(symbols, r)
	})
}
