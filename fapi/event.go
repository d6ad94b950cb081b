package fapi

import (
	"context"
	"crypto/rand"
	"encoding/base64"
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
)

// event is the one log line of a request, filled on the way and written at the end. It holds identifiers and
// outcomes, never a secret.
type event struct {
	correlationID string
	route         string
	client        string
	// outcome is "ok" or the error code.
	outcome string
	// cause is the error behind the outcome.
	cause error
	// bareErrors tells that errors have no members beyond those of their specification.
	bareErrors bool
}

type eventKey struct{}

// eventOf finds the request's event; there always is one behind guard.
func eventOf(ctx context.Context) *event {
	if e, ok := ctx.Value(eventKey{}).(*event); ok {
		return e
	}
	return &event{}
}

// failed notes an error in the event.
func (e *event) failed(err error) {
	e.outcome = oauth.AsError(err).Code
	e.cause = err
}

// refuse answers with an error, in the form of the route.
func (e *event) refuse(w http.ResponseWriter, err error) {
	if e.bareErrors {
		oauth.WriteBare(w, err, e.correlationID)
		return
	}
	oauth.Write(w, err, e.correlationID)
}

// interactionID is the form of x-fapi-interaction-id (FAPI 1.0 Baseline §6.2.1-11): a UUID.
var interactionID = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// requestTimeout is how long a request may wait for its parts, such as a database that does not answer. It is shorter
// than the time for an answer, so that there is one.
const requestTimeout = 20 * time.Second

// guard is outermost: it names the request (correlation id, span), writes its event, sets the headers that every
// answer carries, and lets no panic reach a client.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started := s.now()
		e := &event{correlationID: r.Header.Get("x-fapi-interaction-id"), outcome: "ok"}
		header := w.Header()
		if interactionID.MatchString(e.correlationID) {
			header.Set("x-fapi-interaction-id", e.correlationID)
		} else {
			e.correlationID = newUUID()
		}
		header.Set("X-Correlation-Id", e.correlationID)
		header.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains; preload")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if len(r.TransferEncoding) > 0 {
			// A Content-Length that came beside it is gone by now. Whoever stands in front may have believed that one,
			// so nothing that follows on the connection may be taken for a request (RFC 9112 §6.3).
			header.Set("Connection", "close")
		}

		limited, cancel := context.WithTimeout(context.WithValue(r.Context(), eventKey{}, e), requestTimeout)
		defer cancel()
		ctx, span := s.tracer.Start(limited, "request",
			trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("correlation.id", e.correlationID)))
		counted := &countingWriter{ResponseWriter: w}
		defer func() {
			if panicked := recover(); panicked != nil {
				s.log.ErrorContext(ctx, "panic", "correlation_id", e.correlationID, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
				e.failed(fmt.Errorf("panic: %v", panicked))
				if counted.status == 0 {
					e.refuse(counted, e.cause)
				}
			}
			s.finish(ctx, span, e, r, counted.status, s.now().Sub(started))
		}()
		next.ServeHTTP(counted, r.WithContext(ctx))
	})
}

func (s *Server) finish(ctx context.Context, span trace.Span, e *event, r *http.Request, status int, took time.Duration) {
	if e.route != "" {
		span.SetName(r.Method + " " + e.route)
	}
	span.SetAttributes(
		attribute.String("http.route", e.route), attribute.Int("http.response.status_code", status),
		attribute.String("oauth.client_id", e.client), attribute.String("oauth.outcome", e.outcome))
	level := slog.LevelInfo
	attributes := []slog.Attr{
		slog.String("correlation_id", e.correlationID), slog.String("method", r.Method), slog.String("route", e.route),
		slog.String("client_id", e.client), slog.Int("status", status), slog.String("outcome", e.outcome),
		slog.Duration("took", took),
	}
	if e.cause != nil {
		attributes = append(attributes, slog.String("cause", e.cause.Error()))
	}
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
		span.SetStatus(codes.Error, e.outcome)
	}
	s.log.LogAttrs(ctx, level, "request", attributes...)
	span.End()
}

// countingWriter remembers the status, for the event.
type countingWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *countingWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *countingWriter) Write(body []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(body)
}

// Unwrap serves http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// newUUID makes a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newSecret makes an unguessable value: 256 random bits in base64url (43 characters).
func newSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
