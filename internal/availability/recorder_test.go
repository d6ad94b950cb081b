package availability

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/event"
	"countersign/store"
)

// kept is a store that adds as stores do.
type kept struct {
	mu    sync.Mutex
	hours map[key]*store.ServiceHour
	err   error
	calls int
}

// fails has it answer with an error from now on; nil for none.
func (k *kept) fails(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

func (k *kept) AddServiceHours(_ context.Context, hours ...store.ServiceHour) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if k.err != nil {
		return k.err
	}
	for _, hour := range hours {
		name := key{hour.Hour.Unix(), hour.Endpoint}
		if k.hours[name] == nil {
			k.hours[name] = &store.ServiceHour{Node: hour.Node, Hour: hour.Hour, Endpoint: hour.Endpoint}
		}
		add(k.hours[name], hour)
	}
	return nil
}

func request(route, outcome string, status int, took time.Duration) event.Request {
	return event.Request{Method: "POST", Route: route, ClientID: "client", Outcome: outcome, Status: status, Took: took}
}

// Covers: NM-20. What is answered is counted by hour and endpoint; probes, strangers to all endpoints, and those who have left are not.
func TestRecorder(t *testing.T) {
	now := time.Date(2026, 11, 30, 23, 59, 59, 0, time.FixedZone("", 3600))
	to := &kept{hours: map[key]*store.ServiceHour{}}
	r := &Recorder{Store: to, Node: "a", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	r.Answered(t.Context(), request("/token", "ok", 200, 10*time.Millisecond))
	r.Answered(t.Context(), request("/token", "invalid_grant", 400, 11*time.Millisecond))
	r.Answered(t.Context(), request("/token", "server_error", 500, time.Minute))
	for _, none := range []event.Request{
		request("/health/ready", "ok", 200, 1), request("", "invalid_request", 404, 1), request("/token", "client_closed", 499, 1),
	} {
		r.Answered(t.Context(), none)
	}
	r.Ready()
	now = now.Add(time.Second)
	r.Answered(t.Context(), request("/par", "ok", 201, time.Second))
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, second := time.Date(2026, 11, 30, 22, 0, 0, 0, time.UTC), time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC)
	want := map[key]*store.ServiceHour{
		{first.Unix(), "/token"}: {
			Node: "a", Hour: first, Endpoint: "/token", Requests: 3, Refused: 1, Failed: 1, Took: time.Minute + 21*time.Millisecond,
			Latency: [10]int{0: 1, 1: 1, 9: 1},
		},
		{first.Unix(), ""}:      {Node: "a", Hour: first, Minutes: 1 << 59},
		{second.Unix(), "/par"}: {Node: "a", Hour: second, Endpoint: "/par", Requests: 1, Took: time.Second, Latency: [10]int{6: 1}},
	}
	t.Run("accepts what was answered", func(t *testing.T) {
		if diff := cmp.Diff(want, to.hours, cmp.AllowUnexported(key{})); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts what could not be stored, later and once", func(t *testing.T) {
		to.err = errors.New("the database is away")
		r.Answered(t.Context(), request("/par", "ok", 201, time.Second))
		if err := r.Flush(t.Context()); err == nil {
			t.Fatal("stored")
		}
		r.Answered(t.Context(), request("/par", "ok", 201, time.Second))
		r.Answered(t.Context(), request("/jwks", "ok", 200, time.Millisecond))
		to.err = nil
		for range 2 {
			if err := r.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := to.hours[key{second.Unix(), "/par"}].Requests; got != 3 {
			t.Errorf("%d requests", got)
		}
		if got := to.hours[key{second.Unix(), "/jwks"}].Requests; got != 1 {
			t.Errorf("%d requests", got)
		}
	})
	t.Run("refuses more than a bound while nothing is stored", func(t *testing.T) {
		for range 2 * mostHours {
			now = now.Add(time.Hour)
			r.Answered(t.Context(), request("/par", "ok", 201, time.Second))
		}
		if len(r.hours) != mostHours {
			t.Errorf("%d records", len(r.hours))
		}
	})
}

// Covers: NM-20. The node is asked in each minute whether it is ready, what was counted is stored each minute and at the end, and a store
// that is away is logged once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		to := &kept{hours: map[key]*store.ServiceHour{}}
		r := &Recorder{Store: to, Node: "a", Now: time.Now, Log: slog.New(slog.NewTextHandler(&logged, nil))}
		ctx, stop := context.WithCancel(t.Context())
		begin, away := time.Now(), errors.New("away")
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		running.Go(func() {
			r.Watch(ctx, func(context.Context) error {
				r.Answered(ctx, request("/jwks", "ok", 200, time.Millisecond)) // there is something to store in each minute
				if minute := time.Since(begin) / time.Minute; minute >= 3 && minute < 5 {
					return away
				}
				return nil
			})
		})
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		hour := to.hours[key{begin.UTC().Truncate(time.Hour).Unix(), ""}]
		if to.calls < 9 || hour == nil {
			t.Fatalf("stored %d times, %v", to.calls, hour)
		}
		to.fails(away)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := strings.Count(logged.String(), "service hours not stored; will be retried"); got != 1 {
			t.Errorf("logged %d times:\n%s", got, logged.String())
		}
		to.fails(nil)
		stop()
		running.Wait()
		first := begin.UTC().Minute()
		var want uint64
		for minute := range 16 {
			if minute != 3 && minute != 4 {
				want |= 1 << (first + minute)
			}
		}
		if hour.Minutes != want {
			t.Errorf("ready in %b, want %b", hour.Minutes, want)
		}
	})
}
