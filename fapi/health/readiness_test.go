package health

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/fapi/endpoint"
	"countersign/signer"
	"countersign/store"
)

// looked asks for the readiness of a server with such parts.
func looked(t *testing.T, h *Handler) (int, report, time.Duration) {
	t.Helper()
	began := time.Now()
	w := httptest.NewRecorder()
	if err := h.ready(w, httptest.NewRequest(http.MethodGet, "/health/ready", nil), endpoint.At{}); err != nil {
		t.Fatal(err)
	}
	var answer report
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return w.Code, answer, time.Since(began)
}

func healthOf(log *bytes.Buffer, parts ...*part) *Handler {
	return &Handler{now: time.Now, log: slog.New(slog.NewTextHandler(log, nil)), logged: map[string]logged{}, parts: parts}
}

// TestReadinessIsBounded: parts that hang, whatever they do with their context, delay the answer by 3 s in all, and are not
// asked a second time meanwhile.
//
// Covers: FD-102.
func TestReadinessIsBounded(t *testing.T) {
	// hanging is a server both of whose parts hang, how to end that, and how often the store was asked.
	hanging := func() (h *Handler, thaw func(), asked *atomic.Int64) {
		asked = new(atomic.Int64)
		thawed := make(chan struct{})
		frozen := &part{name: storePart, check: func(context.Context) error {
			asked.Add(1)
			<-thawed // as a disk that is frozen
			return nil
		}}
		var quick atomic.Bool
		slow := &part{name: signerPart, check: func(ctx context.Context) error {
			if quick.Load() {
				return nil
			}
			<-ctx.Done()
			return signer.ErrUnavailable
		}}
		return healthOf(new(bytes.Buffer), frozen, slow), func() {
			close(thawed)
			quick.Store(true)
			time.Sleep(5 * time.Second)
		}, asked
	}
	t.Run("refuses within 3 s while parts hang", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, thaw, asked := hanging()
			for range 3 {
				status, report, took := looked(t, h)
				if status != http.StatusServiceUnavailable || report.Parts[storePart] != "unavailable" || took > timeout {
					t.Errorf("%d %v after %s", status, report, took)
				}
				time.Sleep(2 * time.Second)
			}
			if asked.Load() != 1 {
				t.Errorf("the store was asked %d times while it hung", asked.Load())
			}
			thaw()
		})
	})
	t.Run("accepts when all goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h, thaw, _ := hanging()
			looked(t, h)
			thaw()
			looked(t, h) // takes what the last one left
			time.Sleep(2 * time.Second)
			if status, report, _ := looked(t, h); status != http.StatusOK || report.Status != "ok" {
				t.Errorf("%d %v", status, report)
			}
		})
	})
}

// TestReadinessNamesReplicas: one HSM of several that is away makes the server degraded, not unavailable; the answer has its
// place in the configuration, and the log its name.
//
// Covers: FD-103.
func TestReadinessNamesReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var away error
		var none error
		h := healthOf(&log)
		h.parts = []*part{
			{name: storePart, check: func(context.Context) error { return nil }},
			{name: signerPart, check: func(context.Context) error {
				h.hsms = []signer.ReplicaHealth{{Name: "token-a"}, {Name: "token-b", Err: away}}
				return none
			}},
		}
		step := func(wantStatus int, want, signerWord, second string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			status, report, _ := looked(t, h)
			if status != wantStatus || report.Status != want || report.Parts[signerPart] != signerWord ||
				len(report.Replicas) != 2 || report.Replicas[1] != second {
				t.Errorf("%d %+v; want %d %s, signer %s, the second HSM %s", status, report, wantStatus, want, signerWord, second)
			}
		}
		step(http.StatusOK, "ok", "ok", "ok")
		away = signer.ErrUnavailable
		for range 20 {
			step(http.StatusOK, "degraded", "degraded", "unavailable")
		}
		if lines := strings.Count(log.String(), "HSM does not sign; the others do"); lines != 1 || !strings.Contains(log.String(), "hsm=token-b") {
			t.Errorf("%d lines about the HSM, want one with its name: %s", lines, &log)
		}
		none = signer.ErrUnavailable
		step(http.StatusServiceUnavailable, "unavailable", "unavailable", "unavailable")
		away, none = nil, nil
		step(http.StatusOK, "ok", "ok", "ok")
		for _, line := range []string{"HSM signs again", "server not ready", "server ready again"} {
			if strings.Count(log.String(), line) != 1 {
				t.Errorf("not one line %q: %s", line, &log)
			}
		}
	})
}

// TestReadinessLogsChanges: a problem that stays is logged once a minute, another at once, and its end.
//
// Covers: FD-103.
func TestReadinessLogsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var problem error
		h := healthOf(&log, &part{name: storePart, check: func(context.Context) error { return problem }})
		for _, step := range []struct {
			problem error
			looks   int
			lines   int
		}{
			{nil, 3, 0},
			{store.ErrUnavailable, 20, 1},
			{store.ErrOverloaded, 3, 1},
			{errors.New("something else"), 40, 2}, // for 80 s
			{nil, 3, 1},
		} {
			log.Reset()
			problem = step.problem
			for range step.looks {
				time.Sleep(2 * time.Second)
				looked(t, h)
			}
			if lines := strings.Count(log.String(), "\n"); lines != step.lines {
				t.Errorf("%v, %d looks: %d lines, want %d: %s", step.problem, step.looks, lines, step.lines, &log)
			}
		}
	})
}
