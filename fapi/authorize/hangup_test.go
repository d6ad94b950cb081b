package authorize_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/event"
)

// slots is a directory all of whose slots are taken.
type slots struct{ began chan struct{} }

func (s slots) Authenticate(ctx context.Context, _ browser.Attempt) (browser.Proven, error) {
	close(s.began)
	<-ctx.Done()
	return browser.Proven{}, fmt.Errorf("directory: wait for a slot: %w", ctx.Err())
}

// Covers: FD-124. Whoever leaves while the password waits for its turn has not met an error of the server.
func TestHangUpAtSignIn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leaves bool
		want   []string
	}{
		"accepts a user who leaves":                    {true, []string{`level=INFO msg=request`, "status=499", "outcome=client_closed"}},
		"refuses to hide that it took too long for us": {false, []string{`level=ERROR msg="sign-in failed"`, "outcome=temporarily_unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged bytes.Buffer
			log := slog.New(slog.NewTextHandler(&logged, nil))
			directory := slots{make(chan struct{})}
			forms, err := authorize.NewForms(&pages{}, browser.Passwords{Directory: directory, Refused: errRefused, Throttled: errThrottled}, log)
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !test.leaves {
					limited, cancel := context.WithTimeout(r.Context(), time.Millisecond)
					defer cancel()
					r = r.WithContext(limited)
				}
				forms.Interact(w, r, typed("alice", "right"), &recorder{})
			})
			if test.leaves {
				go func() {
					<-directory.began
					leave()
				}()
			}
			guard := event.Guard{Now: time.Now, Log: log, Tracer: noop.NewTracerProvider().Tracer("")}
			guard.Wrap(handler).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/interaction/x", nil).WithContext(ctx))
			for _, want := range test.want {
				if !strings.Contains(logged.String(), want) {
					t.Errorf("logged %s", logged.String())
				}
			}
			if test.leaves && strings.Contains(logged.String(), "ERROR") {
				t.Errorf("logged %s", logged.String())
			}
		})
	}
}
