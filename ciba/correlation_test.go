package ciba

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/internal/correlation"
	"countersign/internal/telemetry"
)

// oneShot is an outbox that only takes notes.
type oneShot struct{ Outbox }

func (oneShot) PingDone(context.Context, [32]byte) error { return nil }

func (oneShot) PingFailed(context.Context, [32]byte, int, time.Time) error { return nil }

// Covers: FD-127. The lines about a ping have the correlation id of the request that asked for it.
func TestPingsAreCorrelated(t *testing.T) {
	const id = "11111111-2222-3333-4444-555555555555"
	key := NewSealKey()
	now := time.Unix(1000, 0)
	for name, test := range map[string]struct {
		sealedWith, correlation string
		status                  int
		err                     error
		want                    bool
	}{
		"accepts the id when it is sent":                  {key, id, http.StatusNoContent, nil, true},
		"accepts the id when it fails":                    {key, id, 0, errors.New("connection refused"), true},
		"accepts the id when it is rejected":              {key, id, http.StatusBadRequest, nil, true},
		"accepts a ping of a release before":              {key, "", http.StatusNoContent, nil, false},
		"refuses to know that of one that cannot be read": {NewSealKey(), id, http.StatusNoContent, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			var logged strings.Builder
			sent := ""
			n := &Notifier{
				Outbox: oneShot{}, Seals: sealer(t, key), Now: func() time.Time { return now },
				Log:      telemetry.NewLogger(&logged, telemetry.Logs{Format: "json"}),
				Endpoint: func(context.Context, string) (string, error) { return "https://client.example/ping", nil },
				Post: func(ctx context.Context, _, _ string, body []byte) (int, error) {
					sent = string(body)
					if got := correlation.ID(ctx); got != test.correlation {
						t.Errorf("the request bears %q", got)
					}
					return test.status, test.err
				},
			}
			request := [32]byte{1}
			closed, err := sealer(t, test.sealedWith).Seal(request, Notification{AuthReqID: "a", Token: "t", CorrelationID: test.correlation})
			if err != nil {
				t.Fatal(err)
			}
			n.deliver(t.Context(), Ping{Request: request, ClientID: "c1", Sealed: closed, Attempt: 1, ExpiresAt: now.Add(time.Hour)})
			if got := strings.Contains(logged.String(), `"correlation_id":"`+id+`"`); got != test.want || !strings.Contains(logged.String(), "CIBA ping") {
				t.Errorf("logged %s", logged.String())
			}
			if strings.Contains(sent, id) {
				t.Errorf("the client gets %s", sent)
			}
		})
	}
}
