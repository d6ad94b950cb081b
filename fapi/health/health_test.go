package health_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/fapitest"
	"countersign/signer"
	"countersign/store"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	if status, report := ask(w, "/health/live"); status != http.StatusOK || report.Status != "ok" {
		t.Errorf("live: %d %v", status, report)
	}
	status, report := ask(w, "/health/ready")
	if status != http.StatusOK || report.Status != "ok" || report.Parts["store"] != "ok" || report.Parts["signer"] != "ok" {
		t.Errorf("ready: %d %v", status, report)
	}
}

// TestReadyNeedsTheHSM: a signature is really made, and a finding is good for a second only.
func TestReadyNeedsTheHSM(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	ask(w, "/health/ready")
	w.Backend.Fail(signer.ErrUnavailable)
	if status, _ := ask(w, "/health/ready"); status != http.StatusOK {
		t.Errorf("a second has not passed: %d", status)
	}
	w.Clock.Advance(time.Second)
	status, report := ask(w, "/health/ready")
	if status != http.StatusServiceUnavailable || report.Parts["signer"] != "unavailable" || report.Parts["store"] != "ok" {
		t.Errorf("without the HSM: %d %v", status, report)
	}
	if status, _ := ask(w, "/health/live"); status != http.StatusOK {
		t.Errorf("the process is alive all the same: %d", status)
	}
	w.Backend.Fail(nil)
	w.Clock.Advance(time.Second)
	if status, report := ask(w, "/health/ready"); status != http.StatusOK {
		t.Errorf("with the HSM back: %d %v", status, report)
	}
}

// TestReadyNeedsTheStore: a store that does not answer makes the node not ready.
func TestReadyNeedsTheStore(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	if err := w.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if status, report := ask(w, "/health/ready"); status != http.StatusServiceUnavailable || report.Parts["store"] != "unavailable" {
		t.Errorf("without the store: %d %v", status, report)
	}
}

// TestLiveUnlessHung: a node is alive until something hangs in it that only a restart cures. An HSM that is away is no such
// thing.
//
// Covers: FD-98.
func TestLiveUnlessHung(t *testing.T) {
	t.Parallel()
	var hung atomic.Bool
	w := fapitest.NewWorld(t, func(c *fapi.Config) {
		c.Hung = func() error {
			if hung.Load() {
				return errors.New("the module hangs in all 4 sessions")
			}
			return nil
		}
	})
	w.Backend.Fail(signer.ErrUnavailable)
	t.Run("accepts an HSM that is away", func(t *testing.T) {
		if status, report := ask(w, "/health/live"); status != http.StatusOK || report.Status != "ok" {
			t.Errorf("%d %v", status, report)
		}
	})
	hung.Store(true)
	t.Run("refuses when it hangs", func(t *testing.T) {
		if status, report := ask(w, "/health/live"); status != http.StatusServiceUnavailable || report.Status != "hung" {
			t.Errorf("%d %v", status, report)
		}
		if !strings.Contains(w.Logs.String(), "the module hangs in all 4 sessions") {
			t.Error("the log does not say why")
		}
	})
	hung.Store(false)
	t.Run("accepts when it goes on", func(t *testing.T) {
		if status, _ := ask(w, "/health/live"); status != http.StatusOK {
			t.Errorf("%d", status)
		}
	})
}

// TestDrain: a node that is about to end says so, and answers what still comes.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	w.Server.Drain()
	if status, report := ask(w, "/health/ready"); status != http.StatusServiceUnavailable || report.Status != "draining" {
		t.Errorf("ready while draining: %d %v", status, report)
	}
	if r := c.Push(nil); r.Status != http.StatusCreated {
		t.Errorf("a request while draining: %d %s", r.Status, r.Raw)
	}
}

// deaf is a store that is not notified, and whose address cannot be read again.
type deaf struct{ store.Store }

func (deaf) Condition() store.Condition {
	return store.Condition{Notifications: store.ErrUnavailable, Address: store.ErrUnavailable}
}

// Covers: FD-114. A node that polls for changes, because notifications do not reach it, is ready and says so.
func TestFD114ReadinessSaysPolling(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.Store = deaf{c.Store} })
	status, report := ask(w, "/health/ready")
	if status != http.StatusOK || report.Parts["notifications"] != "polling" || report.Parts["store_address"] != "previous" || report.Parts["store"] != "ok" {
		t.Errorf("%d %v", status, report)
	}
}

type report struct {
	Status string            `json:"status"`
	Parts  map[string]string `json:"parts"`
}

func ask(w *fapitest.World, path string) (int, report) {
	w.T.Helper()
	status, body, _ := w.Browser().Visit(w.Issuer + path)
	var report report
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		w.T.Fatalf("%s answered %s", path, body)
	}
	return status, report
}
