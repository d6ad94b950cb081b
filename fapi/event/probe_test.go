package event_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: FD-126. Probes of a server that is well leave neither spans nor lines.
func TestProbes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for _, path := range []string{"/health/live", "/health/ready"} {
		t.Run("refuses to trace "+path, func(t *testing.T) {
			w.Spans.Reset()
			before := len(w.Logs.String())
			if got, body := w.Request(t, http.MethodGet, w.Issuer+path, nil, ""); got.StatusCode != http.StatusOK {
				t.Fatalf("answered %d %s", got.StatusCode, body)
			}
			for _, span := range w.Spans.GetSpans() {
				if span.SpanKind.String() == "server" {
					t.Errorf("a span %q", span.Name)
				}
			}
			if lines := w.Logs.String()[before:]; strings.Contains(lines, "/health/") {
				t.Errorf("the log: %s", lines)
			}
		})
	}
	t.Run("accepts what is no probe", func(t *testing.T) {
		w.Request(t, http.MethodGet, w.Issuer+"/jwks", nil, "")
		if !strings.Contains(w.Logs.String(), `"route":"/jwks"`) {
			t.Errorf("the log: %s", w.Logs.String())
		}
	})
}
