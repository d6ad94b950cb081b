package event_test

import (
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// TestTrace finds a span for each stage of a token request, in one trace.
func TestTrace(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	w.Spans.Reset()
	c.Redeem(code, nil)
	traces := map[string]bool{}
	var names []string
	for _, span := range w.Spans.GetSpans() {
		names = append(names, span.Name)
		traces[span.SpanContext.TraceID().String()] = true
	}
	for _, stage := range []string{"POST /token", "client authentication", "dpop", "signer.Sign"} {
		if !strings.Contains(strings.Join(names, "\n"), stage) {
			t.Errorf("no span %q among %q", stage, names)
		}
	}
	if len(traces) != 1 {
		t.Errorf("%d traces for one request", len(traces))
	}
}
