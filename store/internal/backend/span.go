package backend

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/store"
)

// Verbs observes the verbs of one backend: it spans them and names them in their errors.
type Verbs struct {
	system string
	tracer trace.Tracer
}

// NewVerbs makes the observer of a backend; system is its name as OpenTelemetry spells it in db.system.
// A nil provider records nothing.
func NewVerbs(system string, provider trace.TracerProvider) Verbs {
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	return Verbs{system: system, tracer: provider.Tracer("countersign/store")}
}

// Begin starts the span store.<verb>. The span holds the verb and its outcome, never an argument: not even an
// error's text, since a database may quote values in it.
func (v Verbs) Begin(ctx context.Context, verb string) (context.Context, Verb) {
	ctx, span := v.tracer.Start(ctx, "store."+verb, trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("db.system", v.system), attribute.String("db.operation.name", verb))
	}
	return ctx, Verb{name: verb, system: v.system, span: span}
}

// Verb is one running verb.
type Verb struct {
	name, system string
	span         trace.Span
}

// Again records on the span that the verb is tried for the attempt-th time.
func (v Verb) Again(attempt int) { v.span.SetAttributes(attribute.Int("store.attempts", attempt)) }

// End ends the span and returns err as the caller shall see it: the store's own errors as they are, any other
// with the backend and the verb in front.
func (v Verb) End(err error) error {
	defer v.span.End()
	if err == nil {
		return nil
	}
	if outcome := outcomeOf(err); outcome != "" {
		v.span.SetAttributes(attribute.String("store.outcome", outcome))
		return err
	}
	var database interface{ SQLState() string }
	if errors.As(err, &database) {
		v.span.SetAttributes(attribute.String("db.response.status_code", database.SQLState()))
	}
	v.span.SetStatus(codes.Error, "")
	return fmt.Errorf("%s: %s: %w", v.system, v.name, err)
}

// Answer reports whether err is one of the store's own errors: an answer and not a failure.
func Answer(err error) bool { return outcomeOf(err) != "" }

// outcomeOf names the errors that are answers and not failures.
func outcomeOf(err error) string {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "not_found"
	case errors.Is(err, store.ErrExpired):
		return "expired"
	case errors.Is(err, store.ErrConsumed):
		return "consumed"
	case errors.Is(err, store.ErrReplayed):
		return "replayed"
	case errors.Is(err, store.ErrRevoked):
		return "revoked"
	case errors.Is(err, store.ErrConflict):
		return "conflict"
	}
	return ""
}
