package fapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/signer"
)

const (
	// healthAge is how long a finding is good for, so that probes cost nothing however many come.
	healthAge = time.Second
	// healthTimeout is how long one part may take to answer.
	healthTimeout = 3 * time.Second
)

// health answers whether the parts that the server needs work.
type health struct {
	store interface {
		Ping(ctx context.Context) error
	}
	signer *signer.Signer
	// warning is what the operator has to be reminded of, or empty.
	warning string
	now     func() time.Time
	log     *slog.Logger

	draining atomic.Bool

	mu        sync.Mutex
	checkedAt time.Time
	problems  map[string]error
}

// healthReport is the answer of the health endpoints. It names the parts and never says what is wrong with them: that
// is in the log.
type healthReport struct {
	Status string            `json:"status"`
	Parts  map[string]string `json:"parts,omitempty"`
	// Warning is what the operator of the server has to be reminded of.
	Warning string `json:"warning,omitempty"`
}

// drain makes readiness answer 503.
func (h *health) drain() { h.draining.Store(true) }

func (h *health) isDraining() bool { return h.draining.Load() }

// routes mounts the endpoints.
func (h *health) routes() []endpoint.Route {
	return []endpoint.Route{
		{Methods: endpoint.Get(), Path: "/health/live", Serve: endpoint.Direct(h.live)},
		{Methods: endpoint.Get(), Path: "/health/ready", Serve: endpoint.Direct(h.ready)},
	}
}

// live answers that the process does.
func (h *health) live(w http.ResponseWriter, _ *http.Request, _ endpoint.At) error {
	writeHealth(w, http.StatusOK, healthReport{Status: "ok"})
	return nil
}

// ready answers whether requests should be sent here: the store answers, and the HSM has just made a signature that the
// published key verifies.
func (h *health) ready(w http.ResponseWriter, r *http.Request, _ endpoint.At) error {
	report, status := healthReport{Status: "ok", Parts: map[string]string{}, Warning: h.warning}, http.StatusOK
	for part, err := range h.check(r.Context()) {
		report.Parts[part] = "ok"
		if err != nil {
			report.Parts[part], report.Status, status = "unavailable", "unavailable", http.StatusServiceUnavailable
			h.log.WarnContext(r.Context(), "server not ready",
				"correlation_id", event.Of(r.Context()).CorrelationID, "part", part, "error", err.Error())
		}
	}
	if h.draining.Load() {
		report.Status, status = "draining", http.StatusServiceUnavailable
	}
	writeHealth(w, status, report)
	return nil
}

func (h *health) check(ctx context.Context) map[string]error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if age := now.Sub(h.checkedAt); h.problems != nil && age >= 0 && age < healthAge {
		return h.problems
	}
	// A probe that gives up must not make the next one believe that the parts are down.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	h.problems = map[string]error{"store": h.store.Ping(limited), "signer": h.signer.Ready(limited)}
	h.checkedAt = h.now() // after the checks: whoever waited for them is answered by them
	return h.problems
}

func writeHealth(w http.ResponseWriter, status int, report healthReport) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(report) // the response has started: nothing can be answered any more
}
