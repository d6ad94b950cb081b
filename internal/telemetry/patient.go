package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

const (
	// shortestWait and longestWait are the first and the longest time without a try after the collector has failed.
	shortestWait = 5 * time.Second
	longestWait  = 5 * time.Minute
)

// patient exports spans, and drops them for a while after the collector has not taken some: a collector that is away costs neither
// a line nor a connection for each batch.
type patient struct {
	trace.SpanExporter
	config Traces

	mu sync.Mutex
	// wait is the time without a try, zero while the collector takes what it gets; it ends at until.
	wait  time.Duration
	until time.Time
	// dropped counts the spans since the last report.
	dropped int
}

// ExportSpans implements trace.SpanExporter. It returns no error: those are reported, and the SDK would print them to standard
// error a second time.
func (p *patient) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	p.mu.Lock()
	defer p.mu.Unlock() // the processor exports one batch at a time
	if p.config.Now().Before(p.until) {
		p.dropped += len(spans)
		return nil
	}
	err := p.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil:
		p.wait = min(max(2*p.wait, shortestWait), longestWait)
		p.until = p.config.Now().Add(p.wait)
		if p.config.Failed != nil {
			p.config.Failed(err, p.dropped+len(spans), p.wait)
		}
	case p.wait > 0:
		p.wait = 0
		if p.config.Recovered != nil {
			p.config.Recovered(p.dropped)
		}
	}
	p.dropped = 0
	return nil
}

// ofRequests samples what has no parent only when it is a request: what the server does by itself, such as looking for work once a
// second, would fill the collector of an idle node.
type ofRequests struct{}

// ShouldSample implements trace.Sampler.
func (ofRequests) ShouldSample(p trace.SamplingParameters) trace.SamplingResult {
	result := trace.SamplingResult{Decision: trace.Drop, Tracestate: api.SpanContextFromContext(p.ParentContext).TraceState()}
	if p.Kind == api.SpanKindServer {
		result.Decision = trace.RecordAndSample
	}
	return result
}

// Description implements trace.Sampler.
func (ofRequests) Description() string { return "requests" }
