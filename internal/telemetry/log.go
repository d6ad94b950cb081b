// Package telemetry sets up logs and traces: the one place that knows the OpenTelemetry SDK. Everything else uses
// log/slog and the OpenTelemetry API with what this package makes.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const redacted = "[redacted]"

// NewLogger writes log lines of at least a level to w, as "json" or "text". Lines that are written in a span carry
// its trace_id and span_id. Durations are written in milliseconds, under their key with _ms.
//
// No caller logs a secret. Should one do so by accident, attributes with the name of a secret are replaced.
func NewLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: replace}
	if format == "text" {
		return slog.New(handler{slog.NewTextHandler(w, options)})
	}
	return slog.New(handler{slog.NewJSONHandler(w, options)})
}

// handler adds the ids of the span.
type handler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record = record.Clone()
		record.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attributes)}
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

func replace(groups []string, attribute slog.Attr) slog.Attr {
	if isSecret(attribute.Key) || slices.ContainsFunc(groups, isSecret) {
		return slog.String(attribute.Key, redacted)
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
