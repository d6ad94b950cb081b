// Package event records each request: one log line, one span, and evidence for the audit log.
//
// [Guard] is the outermost handler. It sets the correlation id of a request and puts an [Event] into its context,
// which handlers fill ([Of]) and Guard writes at the end. [Recorder] records signed messages and security events in
// the audit log.
package event

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"countersign/internal/oauth"
	"countersign/internal/random"
)

// Event is the log line of a request, written at its end. It holds identifiers and outcomes, no secrets.
type Event struct {
	// CorrelationID names the request to the client and in the log.
	CorrelationID string
	// Route is the path pattern of the endpoint.
	Route string
	// ClientID is set once the client is known.
	ClientID string
	// BareErrors sends errors with the members of CIBA Core §13 only.
	BareErrors bool

	// outcome is "ok" or the error code, cause the error behind it.
	outcome string
	cause   error
}

type key struct{}

// Of returns the event of a request; outside of [Guard] an empty one.
func Of(ctx context.Context) *Event {
	if e, ok := ctx.Value(key{}).(*Event); ok {
		return e
	}
	return &Event{}
}

// Failed records an error as the outcome.
func (e *Event) Failed(err error) {
	e.outcome = oauth.AsError(err).Code
	e.cause = err
}

// Write writes an error response, in the form of the route.
func (e *Event) Write(w http.ResponseWriter, err error) {
	if e.BareErrors {
		oauth.WriteBare(w, err, e.CorrelationID)
		return
	}
	oauth.Write(w, err, e.CorrelationID)
}

// uuid is the syntax of x-fapi-interaction-id (FAPI 1.0 Baseline §6.2.1-11).
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// IsUUID reports whether text has the syntax of a UUID (RFC 9562 §4).
func IsUUID(text string) bool { return uuid.MatchString(text) }

// RequestTimeout is the deadline of a request, such as for a database that does not answer. It is shorter than the
// server's write timeout, so that there is a response.
const requestTimeout = 20 * time.Second

// Guard is the outermost handler: it sets correlation id and span, writes the event, sets the headers of every
// response, and recovers from panics.
type Guard struct {
	Now    func() time.Time
	Log    *slog.Logger
	Tracer trace.Tracer
}

// Wrap wraps a handler.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := g.Now()
		e := &Event{CorrelationID: r.Header.Get("x-fapi-interaction-id"), outcome: "ok"}
		header := w.Header()
		if IsUUID(e.CorrelationID) {
			header.Set("x-fapi-interaction-id", e.CorrelationID)
		} else {
			e.CorrelationID = random.UUID()
		}
		header.Set("X-Correlation-Id", e.CorrelationID)
		header.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains; preload")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if len(r.TransferEncoding) > 0 {
			// net/http dropped a Content-Length beside it, which a proxy may have used: what follows on the connection must
			// not be read as a request (RFC 9112 §6.3).
			header.Set("Connection", "close")
		}

		limited, cancel := context.WithTimeout(context.WithValue(r.Context(), key{}, e), requestTimeout)
		defer cancel()
		ctx, span := g.Tracer.Start(limited, "request",
			trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", knownMethod(r.Method, "_OTHER")),
				attribute.String("correlation.id", e.CorrelationID)))
		recorded := &statusWriter{ResponseWriter: w}
		defer func() {
			if panicked := recover(); panicked != nil {
				g.Log.ErrorContext(ctx, "panic in request handler", "correlation_id", e.CorrelationID,
					"panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
				e.Failed(fmt.Errorf("panic: %v", panicked))
				if recorded.status == 0 {
					e.Write(recorded, e.cause)
				}
			}
			g.finish(ctx, span, e, r, recorded.status, g.Now().Sub(started))
		}()
		next.ServeHTTP(recorded, r.WithContext(ctx))
	})
}

// knownMethod returns a method of RFC 9110 §9 or RFC 5789, and instead of any other one text: methods are whatever clients
// send, and names of spans are few (OpenTelemetry's semantic conventions for HTTP).
func knownMethod(method, other string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return other
}

func (g Guard) finish(ctx context.Context, span trace.Span, e *Event, r *http.Request, status int, took time.Duration) {
	if e.Route != "" {
		span.SetName(knownMethod(r.Method, "HTTP") + " " + e.Route)
	}
	span.SetAttributes(
		attribute.String("http.route", e.Route), attribute.Int("http.response.status_code", status),
		attribute.String("oauth.client_id", e.ClientID), attribute.String("oauth.outcome", e.outcome))
	level := slog.LevelInfo
	attributes := []slog.Attr{
		slog.String("correlation_id", e.CorrelationID), slog.String("method", r.Method), slog.String("route", e.Route),
		slog.String("client_id", e.ClientID), slog.Int("status", status), slog.String("outcome", e.outcome),
		slog.Duration("took", took),
	}
	if e.cause != nil {
		attributes = append(attributes, slog.String("cause", e.cause.Error()))
	}
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
		span.SetStatus(codes.Error, e.outcome)
	}
	g.Log.LogAttrs(ctx, level, "request", attributes...)
	span.End()
}

// statusWriter records the status of the response, for the event.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(body []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(body)
}

// Unwrap serves http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
