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
	// healthAge is how long a result is cached, whatever the rate of probes.
	healthAge = time.Second
	// healthTimeout bounds the check of one part.
	healthTimeout = 3 * time.Second
)

// health is the liveness and the readiness endpoint.
type health struct {
	store interface {
		Ping(ctx context.Context) error
	}
	signer *signer.Signer
	// warning is shown to the operator, or empty.
	warning string
	now     func() time.Time
	log     *slog.Logger

	draining atomic.Bool

	mu        sync.Mutex
	checkedAt time.Time
	problems  map[string]error
}

// healthReport is the response of the health endpoints. It names the parts; their errors are in the log only.
type healthReport struct {
	Status string            `json:"status"`
	Parts  map[string]string `json:"parts,omitempty"`
	// Warning is [Config].Warning.
	Warning string `json:"warning,omitempty"`
}

// drain makes readiness answer 503.
func (h *health) drain() { h.draining.Store(true) }

func (h *health) isDraining() bool { return h.draining.Load() }

// routes mounts the endpoints.
func (h *health) routes() []endpoint.Route {
	return []endpoint.Route{
		{Methods: endpoint.Get(), Path: "/health/live", Probe: true, Serve: endpoint.Direct(h.live)},
		{Methods: endpoint.Get(), Path: "/health/ready", Probe: true, Serve: endpoint.Direct(h.ready)},
	}
}

// live answers 200 while the process serves requests.
func (h *health) live(w http.ResponseWriter, _ *http.Request, _ endpoint.At) error {
	writeHealth(w, http.StatusOK, healthReport{Status: "ok"})
	return nil
}

// ready reports whether a load balancer should send requests here: the store answers, and the HSM has just made a
// signature that the published key verifies.
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
	// A probe that is cancelled must not cache an error for the next one.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	h.problems = map[string]error{"store": h.store.Ping(limited), "signer": h.signer.Ready(limited)}
	h.checkedAt = h.now() // after the checks, so that probes that waited share the result
	return h.problems
}

func writeHealth(w http.ResponseWriter, status int, report healthReport) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(report) // response already started; error ignored
}
