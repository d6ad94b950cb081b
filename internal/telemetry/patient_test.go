package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// away is an exporter that counts its batches, and fails while it is away.
type away struct {
	sdk.SpanExporter
	away    bool
	batches int
}

func (a *away) ExportSpans(context.Context, []sdk.ReadOnlySpan) error {
	a.batches++
	if a.away {
		return errors.New("connection refused")
	}
	return nil
}

// Covers: FD-126. A collector that is away for an hour is asked, and told of, a few times; what was dropped is counted.
func TestCollectorAway(t *testing.T) {
	now := time.Unix(1000, 0)
	var told []string
	total := 0
	collector := &away{}
	exporter := &patient{SpanExporter: collector, config: Traces{
		Now: func() time.Time { return now },
		Failed: func(err error, dropped int, next time.Duration) {
			told = append(told, fmt.Sprint(err, " ", next))
			total += dropped
		},
		Recovered: func(dropped int) {
			told = append(told, "again")
			total += dropped
		},
	}}
	export := func(t *testing.T, during time.Duration) (sent int) {
		t.Helper()
		for end := now.Add(during); now.Before(end); now = now.Add(5 * time.Second) {
			if err := exporter.ExportSpans(t.Context(), make([]sdk.ReadOnlySpan, 3)); err != nil {
				t.Fatal(err)
			}
			sent += 3
		}
		return sent
	}
	t.Run("accepts all while it is there", func(t *testing.T) {
		if export(t, time.Minute); collector.batches != 12 || len(told) != 0 {
			t.Errorf("%d batches, told %q", collector.batches, told)
		}
	})
	t.Run("refuses to ask it each time while it is away", func(t *testing.T) {
		collector.away, collector.batches = true, 0
		sent := export(t, time.Hour)
		if want := []string{"connection refused 5s", "connection refused 10s", "connection refused 20s", "connection refused 40s", "connection refused 1m20s", "connection refused 2m40s", "connection refused 5m0s", "connection refused 5m0s"}; len(told) < len(want) || !slices.Equal(told[:len(want)], want) {
			t.Errorf("told %q", told)
		}
		if collector.batches > 20 || len(told) != collector.batches {
			t.Errorf("%d batches, told %d times", collector.batches, len(told))
		}
		if lost := total + exporter.dropped; lost != sent {
			t.Errorf("%d are counted of %d", lost, sent)
		}
	})
	t.Run("accepts all when it is back", func(t *testing.T) {
		collector.away, told = false, nil
		now = now.Add(longestWait)
		collector.batches = 0
		if export(t, time.Minute); collector.batches != 12 || !slices.Equal(told, []string{"again"}) {
			t.Errorf("%d batches, told %q", collector.batches, told)
		}
	})
}

// Covers: FD-126. An idle node sends nothing: only requests begin a trace.
func TestOnlyRequestsAreTraced(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithSampler(sdk.ParentBased(ofRequests{})))
	tracer := provider.Tracer("t")
	t.Run("refuses what the server does by itself", func(t *testing.T) {
		ctx, span := tracer.Start(t.Context(), "store.Purge", trace.WithSpanKind(trace.SpanKindClient))
		_, below := tracer.Start(ctx, "signer.Sign")
		below.End()
		span.End()
		if got := spans.GetSpans(); len(got) != 0 {
			t.Errorf("%d spans", len(got))
		}
	})
	t.Run("accepts a request with all that it causes", func(t *testing.T) {
		ctx, span := tracer.Start(t.Context(), "request", trace.WithSpanKind(trace.SpanKindServer))
		_, below := tracer.Start(ctx, "store.Push", trace.WithSpanKind(trace.SpanKindClient))
		below.End()
		span.End()
		if got := spans.GetSpans(); len(got) != 2 {
			t.Errorf("%d spans", len(got))
		}
	})
}
