package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"countersign/store"
)

func TestVerbs(t *testing.T) {
	secret := errors.New(`duplicate key (secret)`)
	tests := []struct {
		name, outcome string
		err           error
		want          string
		status        codes.Code
	}{
		{name: "success"},
		{name: "answer", err: store.ErrConsumed, want: "store: already used", outcome: "consumed"},
		{name: "wrapped answer", err: fmt.Errorf("x: %w", store.ErrNotFound), want: "x: store: not found", outcome: "not_found"},
		{name: "failure", err: secret, want: "sqlite: Push: duplicate key (secret)", status: codes.Error},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			recorder := tracetest.NewSpanRecorder()
			verbs := NewVerbs("sqlite", sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)), nil, nil)
			_, verb := verbs.Begin(t.Context(), "Push")
			err := verb.End(test.err)
			if !errors.Is(err, test.err) || fmt.Sprint(err) != orNil(test.want) {
				t.Errorf("got %v, want %s", err, orNil(test.want))
			}
			spans := recorder.Ended()
			if len(spans) != 1 || spans[0].Name() != "store.Push" {
				t.Fatalf("got %v", spans)
			}
			want := []attribute.KeyValue{attribute.String("db.system", "sqlite"), attribute.String("db.operation.name", "Push")}
			if test.outcome != "" {
				want = append(want, attribute.String("store.outcome", test.outcome))
			}
			if diff := cmp.Diff(want, spans[0].Attributes(), cmp.Comparer(func(a, b attribute.KeyValue) bool { return a == b })); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if got := spans[0].Status(); got != (sdktrace.Status{Code: test.status}) || len(spans[0].Events()) != 0 {
				t.Errorf("status %+v, events %v", got, spans[0].Events())
			}
		})
	}
}

func orNil(text string) string {
	if text == "" {
		return "<nil>"
	}
	return text
}

// meter keeps what it was told.
type meter struct {
	told []string
	// traced has the spans within which it was.
	traced []trace.SpanID
}

func (m *meter) Verb(ctx context.Context, verb string, took time.Duration, err error) {
	m.told = append(m.told, fmt.Sprint(verb, " ", took, " ", err))
	m.traced = append(m.traced, trace.SpanContextFromContext(ctx).SpanID())
}

func (m *meter) Retried(_ context.Context, verb string) { m.told = append(m.told, verb+" again") }

// Covers: NM-03. A meter is told of each verb, within its span, and of each further try.
func TestVerbsAreMeasured(t *testing.T) {
	recorder, told, now := tracetest.NewSpanRecorder(), &meter{}, time.Unix(1000, 0)
	verbs := NewVerbs("sqlite", sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)), told, func() time.Time { return now })
	t.Run("accepts a verb that is tried twice", func(t *testing.T) {
		_, verb := verbs.Begin(t.Context(), "Push")
		now = now.Add(time.Second)
		verb.Again(2)
		now = now.Add(time.Second)
		if err := verb.End(nil); err != nil {
			t.Error(err)
		}
		if want := []string{"Push again", "Push 2s <nil>"}; !slices.Equal(told.told, want) {
			t.Errorf("told %q, want %q", told.told, want)
		}
		if span := recorder.Ended()[0].SpanContext().SpanID(); told.traced[0] != span {
			t.Errorf("within %s, want %s", told.traced[0], span)
		}
	})
	t.Run("accepts an answer and a failure as what they are", func(t *testing.T) {
		told.told = nil
		for _, err := range []error{store.ErrConsumed, errors.New("the disk is on fire")} {
			_, verb := verbs.Begin(t.Context(), "Finish")
			_ = verb.End(err) // told is looked at
		}
		if want := []string{"Finish 0s store: already used", "Finish 0s the disk is on fire"}; !slices.Equal(told.told, want) {
			t.Errorf("told %q, want %q", told.told, want)
		}
	})
}

func TestVerbsWithoutProvider(t *testing.T) {
	_, verb := NewVerbs("sqlite", nil, nil, nil).Begin(context.Background(), "Push")
	if err := verb.End(nil); err != nil {
		t.Fatal(err)
	}
}
