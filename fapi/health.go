package fapi

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// healthAge is how long a finding is good for, so that probes cost nothing however many come.
	healthAge = time.Second
	// healthTimeout is how long one part may take to answer.
	healthTimeout = 3 * time.Second
)

// health is what is known about the parts that the server needs.
type health struct {
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

// Drain makes readiness answer 503, so that a load balancer sends no more requests here. What comes is still answered.
func (s *Server) Drain() { s.health.draining.Store(true) }

// live tells that the process answers.
func (s *Server) live(w http.ResponseWriter, _ *http.Request, _ bool) error {
	writeHealth(w, http.StatusOK, healthReport{Status: "ok"})
	return nil
}

// ready tells whether requests should be sent here: the store answers, and the HSM has just made a signature that the
// published key verifies.
func (s *Server) ready(w http.ResponseWriter, r *http.Request, _ bool) error {
	report, status := healthReport{Status: "ok", Parts: map[string]string{}, Warning: s.config.Warning}, http.StatusOK
	for part, err := range s.checkHealth(r.Context()) {
		report.Parts[part] = "ok"
		if err != nil {
			report.Parts[part], report.Status, status = "unavailable", "unavailable", http.StatusServiceUnavailable
			s.log.WarnContext(r.Context(), "not ready", "part", part, "error", err.Error())
		}
	}
	if s.health.draining.Load() {
		report.Status, status = "draining", http.StatusServiceUnavailable
	}
	writeHealth(w, status, report)
	return nil
}

func (s *Server) checkHealth(ctx context.Context) map[string]error {
	h := &s.health
	h.mu.Lock()
	defer h.mu.Unlock()
	now := s.now()
	if age := now.Sub(h.checkedAt); h.problems != nil && age >= 0 && age < healthAge {
		return h.problems
	}
	// A probe that gives up must not make the next one believe that the parts are down.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	defer cancel()
	h.problems = map[string]error{"store": s.store.Ping(limited), "signer": s.signer.Ready(limited)}
	h.checkedAt = s.now() // after the checks: whoever waited for them is answered by them
	return h.problems
}

func writeHealth(w http.ResponseWriter, status int, report healthReport) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(report) // nobody is left to be told
}
