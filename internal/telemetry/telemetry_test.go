package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"countersign/internal/correlation"
)

// logLine writes one line and decodes it.
func logLine(t *testing.T, write func(*slog.Logger)) map[string]any {
	t.Helper()
	var out bytes.Buffer
	write(NewLogger(&out, Logs{Format: "json"}))
	line := map[string]any{}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return line
}

func TestSecretsAreCovered(t *testing.T) {
	const secret = "s3cr3t"
	for _, key := range []string{
		"code", "token", "client_assertion", "password", "authorization", "dpop", "cookie", // the common ones
		"DPoP", "Authorization", "Set-Cookie", "access_token", "refresh_token", "code_verifier", "pin",
		"http.request.header.authorization",
	} {
		line := logLine(t, func(log *slog.Logger) { log.Info("m", key, secret) })
		if line[key] != redacted {
			t.Errorf("%s is logged as %v", key, line[key])
		}
	}
	line := logLine(t, func(log *slog.Logger) { log.WithGroup("token").With("a", secret).Info("m", "b", secret) })
	if group, _ := line["token"].(map[string]any); group["a"] != redacted || group["b"] != redacted {
		t.Errorf("a group named token is logged as %v", line["token"])
	}
	if line := logLine(t, func(log *slog.Logger) { log.Info("m", "outcome", "invalid_token") }); line["outcome"] != "invalid_token" {
		t.Errorf("an innocent attribute is logged as %v", line["outcome"])
	}
}

func TestLogLineOfSpan(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), span)
	line := logLine(t, func(log *slog.Logger) { log.With("a", 1).InfoContext(ctx, "m", "took", 1500*time.Microsecond) })
	if line["trace_id"] != span.TraceID().String() || line["span_id"] != span.SpanID().String() {
		t.Errorf("the line has no ids: %v", line)
	}
	if line["took_ms"] != 1.5 {
		t.Errorf("the duration is logged as %v", line["took_ms"])
	}
	if line := logLine(t, func(log *slog.Logger) { log.Info("m") }); line["trace_id"] != nil {
		t.Errorf("a line outside of a span has a trace_id: %v", line)
	}
}

func TestLevelAndFormat(t *testing.T) {
	var out bytes.Buffer
	log := NewLogger(&out, Logs{Format: "text", Level: slog.LevelWarn})
	log.Info("quiet")
	log.Warn("loud", "password", "s3cr3t")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "msg=loud password=[redacted]") {
		t.Errorf("logged %q", got)
	}
}

func TestTracesOff(t *testing.T) {
	provider, shutdown, err := NewTracerProvider(t.Context(), Traces{})
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("t").Start(t.Context(), "s")
	if span.IsRecording() {
		t.Error("a span is recorded without a collector")
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// collector is an OTLP receiver that keeps what it got.
type collector struct {
	mu     sync.Mutex
	path   string
	header http.Header
	body   []byte
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.path, c.header = r.URL.Path, r.Header.Clone()
	if unzip, err := gzip.NewReader(r.Body); err == nil {
		c.body, _ = io.ReadAll(unzip)
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func TestTracesAreSent(t *testing.T) {
	received := new(collector)
	server := httptest.NewServer(received)
	defer server.Close()
	provider, shutdown, err := NewTracerProvider(t.Context(), Traces{
		Endpoint: server.URL, Headers: map[string]string{"X-Key": "k"}, Version: "v1", Failed: func(err error, _ int, _ time.Duration) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("t").Start(context.Background(), "the stage", trace.WithSpanKind(trace.SpanKindServer))
	span.SetAttributes(attribute.String("oauth.client_id", "a client"), attribute.String("password", "s3cr3t"))
	span.AddEvent("e", trace.WithAttributes(attribute.String("code", "s3cr3t")))
	span.End()
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	received.mu.Lock()
	defer received.mu.Unlock()
	if received.path != "/v1/traces" || received.header.Get("X-Key") != "k" {
		t.Errorf("got %s with %v", received.path, received.header)
	}
	for _, part := range []string{"the stage", "a client", "countersign", redacted} {
		if !bytes.Contains(received.body, []byte(part)) {
			t.Errorf("the trace does not hold %q", part)
		}
	}
	if bytes.Contains(received.body, []byte("s3cr3t")) {
		t.Error("the trace holds a secret")
	}
}

func TestTracesFail(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	failures := make(chan error, 1)
	provider, shutdown, err := NewTracerProvider(t.Context(), Traces{Endpoint: server.URL, Failed: func(err error, _ int, _ time.Duration) { failures <- err }})
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("t").Start(context.Background(), "s", trace.WithSpanKind(trace.SpanKindServer))
	span.End()
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case err := <-failures:
		if err == nil {
			t.Error("the failure is nil")
		}
	default:
		t.Error("the failure was not reported")
	}
}

func TestParseHeaders(t *testing.T) {
	got, err := ParseHeaders([]byte("Authorization: Bearer a:b\n\n x-tenant :  t \r\n"))
	if err != nil || len(got) != 2 || got["Authorization"] != "Bearer a:b" || got["x-tenant"] != "t" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"s3cr3t", ": s3cr3t", "a b: s3cr3t", "a:", "a: 1\nb", strings.Repeat("s3cr3t", 20_000)} {
		if got, err := ParseHeaders([]byte(text)); err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%.20q: got %v, %v", text, got, err)
		}
	}
}

// Covers: FD-123. What a line holds of the client's address is configured; nothing else changes.
func TestClientAddress(t *testing.T) {
	for mode, want := range map[string][2]any{
		"":               {"192.0.2.77", "2001:db8:1:2::7"},
		FullAddress:      {"192.0.2.77", "2001:db8:1:2::7"},
		TruncatedAddress: {"192.0.2.0/24", "2001:db8:1::/48"},
		NoAddress:        {nil, nil},
	} {
		t.Run("accepts "+mode, func(t *testing.T) {
			for i, address := range []string{"192.0.2.77", "2001:db8:1:2::7"} {
				var out bytes.Buffer
				NewLogger(&out, Logs{Format: "json", Address: mode}).Info("m", "client_address", address, "address", "192.0.2.77")
				line := map[string]any{}
				if err := json.Unmarshal(out.Bytes(), &line); err != nil {
					t.Fatal(err)
				}
				if line["client_address"] != want[i] || line["address"] != "192.0.2.77" {
					t.Errorf("logged %v", line)
				}
			}
		})
	}
}

// Covers: FD-127. Each line that a request causes has its correlation id, once.
func TestCorrelation(t *testing.T) {
	ctx := correlation.With(t.Context(), "id-1")
	for name, test := range map[string]struct {
		write func(*slog.Logger)
		want  any
	}{
		"accepts the id of the request":            {func(log *slog.Logger) { log.WarnContext(ctx, "m") }, "id-1"},
		"accepts the id of the request in a group": {func(log *slog.Logger) { log.With("a", 1).WarnContext(ctx, "m") }, "id-1"},
		"accepts an id of its own":                 {func(log *slog.Logger) { log.WarnContext(ctx, "m", "correlation_id", "id-2") }, "id-2"},
		"accepts the id of the logger":             {func(log *slog.Logger) { log.With("correlation_id", "id-3").WarnContext(ctx, "m") }, "id-3"},
		"refuses an id where no request is":        {func(log *slog.Logger) { log.Warn("m") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			test.write(NewLogger(&out, Logs{Format: "json"}))
			line := map[string]any{}
			if err := json.Unmarshal(out.Bytes(), &line); err != nil {
				t.Fatal(err)
			}
			if line["correlation_id"] != test.want || strings.Count(out.String(), "correlation_id") > 1 {
				t.Errorf("logged %s", out.String())
			}
		})
	}
}
