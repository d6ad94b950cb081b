package event_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/internal/repeat"
	"countersign/internal/telemetry"
	"countersign/signer"
)

// logged is a guard with its log, by a clock that only the test moves.
type logged struct {
	event.Guard
	now time.Time
	out bytes.Buffer
}

func newLogged() *logged {
	l := &logged{now: time.Unix(1000, 0)}
	clock := func() time.Time { return l.now }
	lines := repeat.New(repeat.Options{Now: clock, Period: 10 * time.Second, Kinds: 2000, More: func(int) {}})
	l.Guard = event.Guard{
		Now: clock, Log: telemetry.NewLogger(&l.out, telemetry.Logs{Format: "json"}),
		Tracer: noop.NewTracerProvider().Tracer(""), Lines: lines,
	}
	return l
}

// lines are those that were written since the call before.
func (l *logged) lines(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(l.out.String()) {
		line := map[string]any{}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	l.out.Reset()
	return all
}

// refusing answers each request with an error.
func refusing(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		event.Of(r.Context()).Route = "/token"
		endpoint.Refuse(w, r, err)
	})
}

func ask(handler http.Handler, from string) int {
	r := httptest.NewRequest(http.MethodPost, "/token", http.NoBody)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

// Covers: FD-122. 11,000 requests a second that are all refused write less than 1 MB in 12 s, and each is in the number of a line.
func TestFloodOfRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		err       error
		addresses int
		rate      int
	}{
		"refuses a line for each 429 of one client":         {endpoint.TooMany(time.Second, "this client sends too many requests"), 1, 11_000},
		"refuses a line for each 429 of 500 addresses":      {endpoint.TooMany(time.Second, "this client sends too many requests"), 500, 1100},
		"refuses a line for each wrong client assertion":    {oauth.Errorf(oauth.InvalidClient, "the signature is wrong"), 1, 1100},
		"refuses a line for each that the database refuses": {oauth.Errorf(oauth.TemporarilyUnavailable, "try again").WithStatus(503), 1, 1100},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogged()
			handler := l.Wrap(refusing(test.err))
			const seconds = 12
			for range seconds {
				for i := range test.rate {
					ask(handler, fmt.Sprintf("10.0.%d.%d:4711", i%test.addresses/250, i%test.addresses%250))
				}
				l.now = l.now.Add(time.Second)
				l.Lines.Flush(false)
			}
			l.Lines.Flush(true)
			written := l.out.Len()
			told := 0
			for _, line := range l.lines(t) {
				repeated, _ := line["repeated"].(float64)
				told += max(int(repeated), 1)
			}
			if written > 1e6 || told != seconds*test.rate {
				t.Errorf("%d bytes tell of %d requests", written, told)
			}
			t.Logf("%d requests wrote %d bytes", seconds*test.rate, written)
		})
	}
}

// Covers: FD-122. What is not a flood has its lines: other addresses, clients, reasons, answers that are no refusals.
func TestLinesOfRefusals(t *testing.T) {
	l := newLogged()
	wrong, other := l.Wrap(refusing(oauth.Errorf(oauth.InvalidClient, "wrong"))), l.Wrap(refusing(oauth.Errorf(oauth.InvalidRequest, "wrong")))
	fine := l.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	count := func(t *testing.T, want int) {
		t.Helper()
		if got := len(l.lines(t)); got != want {
			t.Errorf("%d lines, want %d", got, want)
		}
	}
	t.Run("accepts the first refusals of a kind", func(t *testing.T) {
		for range 3 {
			ask(wrong, "192.0.2.1:1")
		}
		count(t, 3)
	})
	t.Run("refuses more of it", func(t *testing.T) {
		for range 100 {
			ask(wrong, "192.0.2.1:2")
		}
		count(t, 2)
	})
	t.Run("accepts those of other addresses and reasons", func(t *testing.T) {
		ask(wrong, "192.0.2.2:1")
		ask(other, "192.0.2.1:1")
		count(t, 2)
	})
	t.Run("accepts all that is no refusal", func(t *testing.T) {
		for range 100 {
			ask(fine, "192.0.2.1:1")
		}
		count(t, 100)
	})
	t.Run("accepts each at level debug", func(t *testing.T) {
		detailed := l.Guard
		detailed.Log = telemetry.NewLogger(&l.out, telemetry.Logs{Format: "json", Level: slog.LevelDebug})
		for range 100 {
			ask(detailed.Wrap(refusing(oauth.Errorf(oauth.InvalidClient, "wrong"))), "192.0.2.1:1")
		}
		count(t, 100)
	})
}

// Covers: FD-123. The line of a request has the address of its client, without the port.
func TestAddressOfRequest(t *testing.T) {
	l := newLogged()
	for from, want := range map[string]string{"192.0.2.77:4711": "192.0.2.77", "[2001:db8::7]:4711": "2001:db8::7", "[::ffff:192.0.2.1]:1": "192.0.2.1"} {
		t.Run("accepts "+from, func(t *testing.T) {
			ask(l.Wrap(refusing(oauth.Errorf(oauth.InvalidRequest, "x"))), from)
			if lines := l.lines(t); len(lines) != 1 || lines[0]["client_address"] != want {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

// Covers: FD-124. A client that does not wait for the answer is no error of the server, whatever was waited for; what fails beside it is.
func TestClientHangsUp(t *testing.T) {
	failed := errors.New("no such table")
	for name, test := range map[string]struct {
		// err is what the handler fails with when the context of the request ends.
		err   func(context.Context) error
		gone  bool
		level string
		want  float64
	}{
		"accepts while the HSM waits": {
			func(ctx context.Context) error {
				return fmt.Errorf("%w: %w", signer.ErrUnavailable, context.Cause(ctx))
			}, true, "INFO", 499,
		},
		"accepts while a password waits": {
			func(ctx context.Context) error { return fmt.Errorf("directory: wait for a slot: %w", ctx.Err()) }, true, "INFO", 499,
		},
		"accepts while the store waits": {
			func(ctx context.Context) error { return fmt.Errorf("sqlite: Push: waiting to write: %w", ctx.Err()) }, true, "INFO", 499,
		},
		"accepts while nothing is answered":     {func(context.Context) error { return nil }, true, "INFO", 499},
		"refuses to hide what fails beside it":  {func(context.Context) error { return failed }, true, "ERROR", 500},
		"refuses to hide what a client gets":    {func(context.Context) error { return failed }, false, "ERROR", 500},
		"refuses to blame a client for a delay": {func(context.Context) error { return context.DeadlineExceeded }, false, "ERROR", 503},
		"refuses to blame it for what we ended": {func(context.Context) error { return context.Canceled }, false, "ERROR", 500},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLogged()
			r := httptest.NewRequest(http.MethodPost, "/token", http.NoBody)
			ctx, hangUp := context.WithCancel(r.Context())
			defer hangUp()
			l.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.gone {
					hangUp()
					<-r.Context().Done()
				}
				if err := test.err(r.Context()); err != nil {
					endpoint.Refuse(w, r, err)
				}
			})).ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
			lines := l.lines(t)
			if len(lines) != 1 || lines[0]["level"] != test.level || lines[0]["status"] != test.want || (lines[0]["outcome"] == "client_closed") != (test.want == 499) {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

// Covers: FD-124. A real client that closes its connection while a real handler waits.
func TestConnectionCloses(t *testing.T) {
	l := newLogged()
	began, done := make(chan struct{}), make(chan struct{})
	handler := l.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		endpoint.Refuse(w, r, fmt.Errorf("waiting: %w", r.Context().Err()))
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		handler.ServeHTTP(w, r)
	}))
	defer server.Close()
	ctx, hangUp := context.WithCancel(t.Context())
	go func() {
		<-began
		hangUp()
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(request); err == nil {
		t.Fatal("answered")
	}
	<-done
	t.Run("accepts it as no error", func(t *testing.T) {
		if lines := l.lines(t); len(lines) != 1 || lines[0]["level"] != "INFO" || lines[0]["outcome"] != "client_closed" {
			t.Errorf("logged %v", lines)
		}
	})
}
