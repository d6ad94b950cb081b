// Package inturn has the backends of signer use an HSM in turn: it says in the errors and the spans of signer what came of
// waiting.
package inturn

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"countersign/internal/queue"
	"countersign/signer"
)

// Enter waits for a place of an HSM. The error is [signer.ErrOverloaded] when the turn would come too late, and
// [signer.ErrUnavailable] when nobody's comes, or the caller left.
func Enter(ctx context.Context, q *queue.Queue) (*queue.Place, error) {
	place, err := q.Enter(ctx)
	if refused, ok := errors.AsType[*queue.RefusedError](err); ok && (refused.Stalled || errors.Is(err, context.Canceled)) {
		return nil, fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", signer.ErrOverloaded, err)
	}
	place.Trace(ctx, "signer.queue")
	return place, nil
}

// Load is what an HSM has to do that is used in the turn of a queue.
func Load(q *queue.Queue) signer.Load {
	state := q.State()
	return signer.Load{Using: state.Serving, Waiting: state.Waiting, Expected: state.Expected, Refused: state.Refused}
}

// Use uses an HSM in a place. The errors are those of [Enter] and of use.
func Use(ctx context.Context, q *queue.Queue, use func(context.Context) ([]byte, error)) ([]byte, error) {
	place, err := Enter(ctx, q)
	if err != nil {
		return nil, err
	}
	within, end := Span(ctx)
	result, err := use(within)
	place.Leave(ctx, err == nil)
	end(err)
	return result, err
}

// Span begins the span of what the HSM itself does, and returns how to end it.
func Span(ctx context.Context) (within context.Context, end func(error)) {
	within, span := trace.SpanFromContext(ctx).TracerProvider().Tracer("countersign/signer").Start(ctx, "signer.hsm")
	return within, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
