package backend

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

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
			verbs := NewVerbs("sqlite", sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
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

func TestVerbsWithoutProvider(t *testing.T) {
	_, verb := NewVerbs("sqlite", nil).Begin(context.Background(), "Push")
	if err := verb.End(nil); err != nil {
		t.Fatal(err)
	}
}
