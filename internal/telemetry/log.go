// Package telemetry sets up logs and traces: the one place, beside metrics, that knows the OpenTelemetry SDK. Everything else uses
// log/slog and the OpenTelemetry API with what this package makes.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/internal/address"
	"countersign/internal/correlation"
)

const redacted = "[redacted]"

// What log lines hold of the address of a client.
const (
	// FullAddress is all of it.
	FullAddress = "full"
	// TruncatedAddress is its network: the /24 of an IPv4 address, the /48 of an IPv6 one.
	TruncatedAddress = "truncated"
	// NoAddress is nothing.
	NoAddress = "off"
)

// Logs says how log lines are written.
type Logs struct {
	// Format is "json" or "text".
	Format string
	// Level is the least that is written; nil is info. A [*slog.LevelVar] can be changed.
	Level slog.Leveler
	// Address is [FullAddress], which "" is too, [TruncatedAddress] or [NoAddress].
	Address string
	// Style, if it is not nil, is told Format and Address, and changes them for all lines from then on.
	Style *Style
}

// Style is the form of log lines, which can be changed while they are written.
type Style struct {
	text    atomic.Bool
	address atomic.Pointer[string]
}

// Set changes the form; see [Logs].
func (s *Style) Set(format, address string) {
	s.text.Store(format == "text")
	s.address.Store(&address)
}

// lines writes to one writer from two handlers.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}

// NewLogger writes log lines to w. Lines that are written in a span carry its trace_id and span_id, and those that a request
// causes its correlation_id. Durations are written in milliseconds, under their key with _ms.
//
// No caller logs a secret. Should one do so by accident, attributes with the name of a secret are replaced.
func NewLogger(w io.Writer, l Logs) *slog.Logger {
	if l.Style == nil {
		l.Style = &Style{}
	}
	l.Style.Set(l.Format, l.Address)
	options, to := &slog.HandlerOptions{Level: l.Level, ReplaceAttr: l.replace}, &lines{to: w}
	return slog.New(handler{json: slog.NewJSONHandler(to, options), text: slog.NewTextHandler(to, options), style: l.Style})
}

// correlationKey is the field of the correlation id.
const correlationKey = "correlation_id"

// handler adds the ids of the span and of the request.
type handler struct {
	json, text slog.Handler
	style      *Style
	// correlated are loggers that have the id of their request already.
	correlated bool
}

// Enabled implements slog.Handler.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.json.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	if id := correlation.ID(ctx); id != "" && !h.correlated && !hasCorrelation(record) {
		record = record.Clone()
		record.AddAttrs(slog.String(correlationKey, id))
	}
	if h.style.text.Load() {
		return h.text.Handle(ctx, record)
	}
	return h.json.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	known := slices.ContainsFunc(attributes, func(a slog.Attr) bool { return a.Key == correlationKey })
	return handler{h.json.WithAttrs(attributes), h.text.WithAttrs(attributes), h.style, h.correlated || known}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.json.WithGroup(name), h.text.WithGroup(name), h.style, h.correlated}
}

func hasCorrelation(record slog.Record) (known bool) {
	record.Attrs(func(a slog.Attr) bool {
		known = a.Key == correlationKey
		return !known
	})
	return known
}

func (l Logs) replace(groups []string, attribute slog.Attr) slog.Attr {
	if isSecret(attribute.Key) || slices.ContainsFunc(groups, isSecret) {
		return slog.String(attribute.Key, redacted)
	}
	if attribute.Key == "client_address" {
		switch *l.Style.address.Load() {
		case TruncatedAddress:
			return slog.String(attribute.Key, address.Truncated(attribute.Value.String()))
		case NoAddress:
			return slog.Attr{}
		}
	}
	if attribute.Value.Kind() == slog.KindDuration {
		milliseconds := float64(attribute.Value.Duration()) / float64(time.Millisecond)
		return slog.Float64(attribute.Key+"_ms", milliseconds)
	}
	return attribute
}

// isSecret knows the names under which secrets travel in requests and answers.
func isSecret(key string) bool {
	// A span's attribute may be named with a path, such as http.request.header.authorization.
	name := strings.ToLower(key[strings.LastIndexByte(key, '.')+1:])
	switch strings.ReplaceAll(name, "-", "_") {
	case "code", "code_verifier", "token", "access_token", "refresh_token", "id_token", "id_token_hint",
		"client_assertion", "assertion", "client_secret", "secret", "password", "pin", "authorization",
		"proxy_authorization", "dpop", "proof", "cookie", "set_cookie", "request_uri", "form_token":
		return true
	}
	return false
}
