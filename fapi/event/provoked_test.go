package event_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/event"
	"countersign/internal/audit"
	"countersign/internal/repeat"
	"countersign/store"
)

// kept is a store of evidence alone.
type kept struct {
	mu     sync.Mutex
	events []audit.Event
}

func (k *kept) Record(_ context.Context, evidence ...store.Evidence) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range evidence {
		var one audit.Event
		if err := json.Unmarshal(e.Body, &one); err != nil {
			return err
		}
		k.events = append(k.events, one)
	}
	return nil
}

func (k *kept) take() []audit.Event {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.events
	k.events = nil
	return taken
}

// Covers: KA-11. From however many addresses a flood comes, it leaves a few entries a period, and the number of the others.
func TestProvokedEventsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_900_000_000, 0)
	clock := func() time.Time { return now }
	log := slog.New(slog.DiscardHandler)
	lines := repeat.New(repeat.Options{Now: clock, Period: 10 * time.Second, Kinds: 2000, More: func(int) {}})
	evidence := &kept{}
	recorder := &event.Recorder{Store: evidence, Chain: "a", Now: clock, Log: log}
	guard := event.Guard{Now: clock, Log: log, Tracer: noop.NewTracerProvider().Tracer(""), Lines: lines}
	handler := guard.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		recorder.ProvokedEvent(r.Context(), "client", event.SignInThrottled, "reason", "too many attempts")
	}))
	flood := func(addresses, each int) {
		for i := range addresses {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1000", i)
			for range each {
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		}
	}
	t.Run("accepts few as they are, each with its address", func(t *testing.T) {
		flood(3, 1)
		got := evidence.take()
		if len(got) != 3 || got[0].Detail["address"] != "192.0.2.0" || got[2].Detail["address"] != "192.0.2.2" || got[0].Detail["repeated"] != "" {
			t.Errorf("recorded %+v", got)
		}
	})
	t.Run("refuses more than a few a period", func(t *testing.T) {
		now = now.Add(10 * time.Second)
		lines.Flush(false)
		evidence.take()
		flood(200, 5)
		if got := evidence.take(); len(got) != 20 {
			t.Errorf("recorded %d", len(got))
		}
		for range 3 {
			now = now.Add(10 * time.Second)
			lines.Flush(false)
			if got := evidence.take(); len(got) > 22 {
				t.Errorf("recorded %d at the end of a period", len(got))
			}
		}
	})
	t.Run("accepts the number of the others", func(t *testing.T) {
		flood(200, 1)
		evidence.take()
		now = now.Add(10 * time.Second)
		lines.Flush(false)
		got := evidence.take()
		if len(got) != 1 || got[0].Detail["others"] != "180" {
			t.Errorf("recorded %+v", got)
		}
	})
}
