package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/store"
)

// Verbs observes the verbs of one backend: it spans and measures them, and names them in their errors.
type Verbs struct {
	system string
	tracer trace.Tracer
	meter  store.Meter
	now    func() time.Time
}

// NewVerbs makes the observer of a backend; system is its name as OpenTelemetry spells it in db.system.
// A nil provider records nothing, and a nil meter measures nothing by the clock now, which may be nil then.
func NewVerbs(system string, provider trace.TracerProvider, meter store.Meter, now func() time.Time) Verbs {
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	if now == nil {
		now = time.Now
	}
	return Verbs{system: system, tracer: provider.Tracer("countersign/store"), meter: meter, now: now}
}

// Begin starts the span store.<verb>. The span holds the verb and its outcome, never an argument: not even an
// error's text, since a database may quote values in it.
func (v Verbs) Begin(ctx context.Context, verb string) (context.Context, Verb) {
	ctx, span := v.tracer.Start(ctx, "store."+verb, trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("db.system", v.system), attribute.String("db.operation.name", verb))
	}
	begun := Verb{name: verb, of: v, span: span, ctx: ctx}
	if v.meter != nil {
		begun.since = v.now()
	}
	return ctx, begun
}

// Verb is one running verb.
type Verb struct {
	name string
	of   Verbs
	span trace.Span
	// ctx has the span, for what is measured.
	ctx   context.Context
	since time.Time
}

// Again records that the verb is tried for the attempt-th time.
func (v Verb) Again(attempt int) {
	v.span.SetAttributes(attribute.Int("store.attempts", attempt))
	if v.of.meter != nil {
		v.of.meter.Retried(v.ctx, v.name)
	}
}

// End ends the span and returns err as the caller shall see it: the store's own errors as they are, any other
// with the backend and the verb in front.
func (v Verb) End(err error) error {
	defer v.span.End()
	if v.of.meter != nil {
		v.of.meter.Verb(v.ctx, v.name, v.of.now().Sub(v.since), err)
	}
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
	return fmt.Errorf("%s: %s: %w", v.of.system, v.name, err)
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
