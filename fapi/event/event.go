// Package event records each request: one log line, one span, and evidence for the audit log.
//
// [Guard] is the outermost handler. It sets the correlation id of a request and puts an [Event] into its context,
// which handlers fill ([Of]) and Guard writes at the end. [Recorder] records signed messages and security events in
// the audit log.
package event

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/internal/address"
	"countersign/internal/correlation"
	"countersign/internal/oauth"
	"countersign/internal/queue"
	"countersign/internal/random"
	"countersign/internal/repeat"
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

	// remote is the address of the client, and lines count what repeats; nil writes each.
	remote string
	lines  *repeat.Lines

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

// Address is that of the client, as the ingress tells it: an IPv4 address, or the /64 of an IPv6 one; empty outside of [Guard].
func (e *Event) Address() string {
	if e.remote == "" {
		return ""
	}
	return address.Network(e.remote)
}

// Repeating writes a line about the request, or counts it when its client has caused the same before: such as a warning that whoever
// guesses passwords could repeat at will. write gets the number that the line stands for; 0 is itself.
func (e *Event) Repeating(what string, write func(repeated int)) {
	if e.lines == nil {
		write(0)
		return
	}
	e.lines.Write(address.Network(e.remote)+"\x00"+what, firstLines, write)
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

// RequestTimeout is the deadline of a request, such as for a database that does not answer. It is shorter than the
// server's write timeout, so that there is a response.
const requestTimeout = 20 * time.Second

// Guard is the outermost handler: it sets correlation id and span, writes the event, sets the headers of every
// response, and recovers from panics.
type Guard struct {
	// StrictTransport is the header of that name (RFC 6797 §6.1) in every response.
	StrictTransport string

	Now    func() time.Time
	Log    *slog.Logger
	Tracer trace.Tracer
	// Lines counts refusals that repeat; nil writes each.
	Lines *repeat.Lines
	// Meter is told of each request; nil is told nothing.
	Meter Meter
	// Probes are the paths at which others ask for the server's health: what is asked there is not traced, and logged at level
	// debug when all is well.
	Probes []string
}

// Wrap wraps a handler.
func (g Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := g.Now()
		e := &Event{CorrelationID: r.Header.Get("x-fapi-interaction-id"), outcome: "ok", remote: r.RemoteAddr, lines: g.Lines}
		header := w.Header()
		if random.IsUUID(e.CorrelationID) {
			header.Set("x-fapi-interaction-id", e.CorrelationID)
		} else {
			e.CorrelationID = random.UUID()
		}
		header.Set("X-Correlation-Id", e.CorrelationID)
		header.Set("Strict-Transport-Security", g.StrictTransport)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if len(r.TransferEncoding) > 0 {
			// net/http dropped a Content-Length beside it, which a proxy may have used: what follows on the connection must
			// not be read as a request (RFC 9112 §6.3).
			header.Set("Connection", "close")
		}

		known := queue.OneRequest(correlation.With(context.WithValue(r.Context(), key{}, e), e.CorrelationID))
		limited, cancel := context.WithTimeout(known, requestTimeout)
		defer cancel()
		ctx, span := g.tracer(r).Start(limited, "request",
			trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", knownMethod(r.Method, "_OTHER")),
				attribute.String("correlation.id", e.CorrelationID)))
		g.arrived(ctx, r.Method)
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

// isProbe reports whether a request asks for the server's health.
func (g Guard) isProbe(r *http.Request) bool { return slices.Contains(g.Probes, r.URL.Path) }

// tracer traces a request, unless it is a probe.
func (g Guard) tracer(r *http.Request) trace.Tracer {
	if g.isProbe(r) {
		return noop.NewTracerProvider().Tracer("")
	}
	return g.Tracer
}

const (
	// clientClosed is the outcome of a request whose client did not wait for the answer, and statusClientClosed its status in
	// the log: nothing was answered, and nothing failed. (499 is nginx's number for it.)
	clientClosed       = "client_closed"
	statusClientClosed = 499
)

// HungUp reports whether an error is that the client of the request did not wait for the answer: there is nobody to tell, and
// nothing to mend.
func HungUp(ctx context.Context, err error) bool {
	return errors.Is(ctx.Err(), context.Canceled) && errors.Is(err, context.Canceled)
}

// hungUp reports whether the client was gone before the answer, and nothing else failed.
func (e *Event) hungUp(r *http.Request, status int) bool {
	if status == 0 {
		return errors.Is(r.Context().Err(), context.Canceled)
	}
	return status >= http.StatusInternalServerError && HungUp(r.Context(), e.cause)
}

func (g Guard) finish(ctx context.Context, span trace.Span, e *Event, r *http.Request, status int, took time.Duration) {
	if e.hungUp(r, status) {
		e.outcome, status = clientClosed, statusClientClosed
	}
	if e.Route != "" {
		span.SetName(knownMethod(r.Method, "HTTP") + " " + e.Route)
	}
	span.SetAttributes(
		attribute.String("http.route", e.Route), attribute.Int("http.response.status_code", status),
		attribute.String("oauth.client_id", e.ClientID), attribute.String("oauth.outcome", e.outcome))
	if status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, e.outcome)
	}
	span.End()
	g.answered(ctx, e, r.Method, status, took)
	g.write(ctx, e, r, status, took)
}

// write writes the line of a request. Refusals that repeat, of one network, client, endpoint and reason, are counted; at level debug
// each has its line.
func (g Guard) write(ctx context.Context, e *Event, r *http.Request, status int, took time.Duration) {
	if g.Lines == nil || status < http.StatusBadRequest || g.Log.Enabled(ctx, slog.LevelDebug) {
		g.line(ctx, e, r, status, took, 0)
		return
	}
	first := firstLines
	if status == http.StatusTooManyRequests {
		first = 1
	}
	kind := strings.Join([]string{address.Network(r.RemoteAddr), e.ClientID, e.Route, strconv.Itoa(status), e.outcome}, "\x00")
	g.Lines.Write(kind, first, func(repeated int) { g.line(ctx, e, r, status, took, repeated) })
}

// firstLines is how many refusals of a kind are written before they are counted: a developer who tries finds the line of each try.
// Of those that are refused because there were too many (429) it is one.
const firstLines = 5

// line writes the line of a request, which stands for so many more that repeated it.
func (g Guard) line(ctx context.Context, e *Event, r *http.Request, status int, took time.Duration, repeated int) {
	level := slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case status < http.StatusBadRequest && g.isProbe(r):
		level = slog.LevelDebug
	}
	attributes := []slog.Attr{
		slog.String("correlation_id", e.CorrelationID), slog.String("client_address", address.Host(r.RemoteAddr)),
		slog.String("method", r.Method), slog.String("route", e.Route),
		slog.String("client_id", e.ClientID), slog.Int("status", status), slog.String("outcome", e.outcome),
		slog.Duration("took", took),
	}
	if e.cause != nil {
		attributes = append(attributes, slog.String("cause", e.cause.Error()))
	}
	if repeated > 0 {
		attributes = append(attributes, slog.Int("repeated", repeated))
	}
	g.Log.LogAttrs(ctx, level, "request", attributes...)
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
