package fapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/signer"
	"countersign/store"
)

const (
	// healthAge is how long a result is cached, whatever the rate of probes.
	healthAge = time.Second
	// healthTimeout bounds the whole check.
	healthTimeout = 3 * time.Second
	// repeatAfter is how long a problem is not logged again that stays the same.
	repeatAfter = time.Minute
)

// part is one thing that has to work.
type part struct {
	name  string
	check func(ctx context.Context) error

	// running is closed when a check has ended, and err is its outcome then. One that hangs is not begun a second time.
	running chan struct{}
	err     error
}

// begin begins a check, unless one is under way.
func (p *part) begin(ctx context.Context) {
	if p.running != nil {
		return
	}
	done := make(chan struct{})
	p.running = done
	go func() {
		// A probe that is cancelled must not cache an error for the next one.
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
		defer cancel()
		p.err = p.check(limited)
		close(done)
	}()
}

// end waits for the check until over.
func (p *part) end(over <-chan time.Time) error {
	select {
	case <-p.running:
		p.running = nil
		return p.err
	case <-over:
		return errHealthTimeout
	}
}

var errHealthTimeout = fmt.Errorf("no answer within %s", healthTimeout)

// finding is what a check found.
type finding struct {
	problems map[string]error
	// replicas are the HSMs, in the order of the configuration.
	replicas []signer.ReplicaHealth
}

// health is the liveness and the readiness endpoint.
type health struct {
	// hung is [Config].Hung.
	hung func() error
	// store may know the condition of this node's connection; see [condition].
	store any
	// warning is shown to the operator, or empty.
	warning string
	now     func() time.Time
	log     *slog.Logger

	draining atomic.Bool

	mu        sync.Mutex
	parts     []*part
	checkedAt time.Time
	found     *finding
	// hsms is what the last check of the signer found of each HSM.
	hsms []signer.ReplicaHealth
	// logged is what was logged of each part and HSM, and when.
	logged map[string]logged
}

// logged is a problem in the log.
type logged struct {
	problem string
	at      time.Time
}

// healthReport is the response of the health endpoints. It names the parts; their errors are in the log only.
type healthReport struct {
	Status string            `json:"status"`
	Parts  map[string]string `json:"parts,omitempty"`
	// Replicas has a word for each HSM, in the order of the configuration, where there are several. Their names are in the
	// log only.
	Replicas []string `json:"replicas,omitempty"`
	// Warning is [Config].Warning.
	Warning string `json:"warning,omitempty"`
}

// drain makes readiness answer 503.
func (h *health) drain() { h.draining.Store(true) }

func (h *health) isDraining() bool { return h.draining.Load() }

// routes mounts the endpoints.
func (h *health) routes() []endpoint.Route {
	return []endpoint.Route{
		{Methods: endpoint.Get(), Path: "/health/live", Probe: true, Timeless: true, Serve: endpoint.Direct(h.live)},
		{Methods: endpoint.Get(), Path: "/health/ready", Probe: true, Timeless: true, Serve: endpoint.Direct(h.ready)},
	}
}

// live answers 200 while the process serves requests, and 503 when only its restart helps.
func (h *health) live(w http.ResponseWriter, r *http.Request, _ endpoint.At) error {
	if h.hung != nil {
		if err := h.hung(); err != nil {
			h.log.ErrorContext(r.Context(), "server hangs; only a restart helps",
				"correlation_id", event.Of(r.Context()).CorrelationID, "error", err.Error())
			writeHealth(w, http.StatusServiceUnavailable, healthReport{Status: "hung", Parts: map[string]string{"signer": "hung"}})
			return nil
		}
	}
	writeHealth(w, http.StatusOK, healthReport{Status: "ok"})
	return nil
}

// ready reports whether a load balancer should send requests here: something was written to the store just now, and an HSM
// has just made a signature with each key that the published key verifies.
func (h *health) ready(w http.ResponseWriter, r *http.Request, _ endpoint.At) error {
	report, status := healthReport{Status: "ok", Parts: map[string]string{}, Warning: h.warning}, http.StatusOK
	found := h.check(r.Context())
	for _, one := range found.replicas {
		word := "ok"
		if one.Err != nil {
			word, report.Status = "unavailable", "degraded"
		}
		report.Replicas = append(report.Replicas, word)
	}
	for name, err := range found.problems {
		report.Parts[name] = "ok"
		if name == signerPart && report.Status == "degraded" {
			report.Parts[name] = "degraded"
		}
		if err != nil {
			report.Parts[name] = "unavailable"
			status = http.StatusServiceUnavailable
		}
	}
	if status != http.StatusOK {
		report.Status = "unavailable"
	}
	report.noticed(condition(h.store))
	if h.draining.Load() {
		report.Status, status = "draining", http.StatusServiceUnavailable
	}
	writeHealth(w, status, report)
	return nil
}

// The parts.
const (
	storePart  = "store"
	signerPart = "signer"
	clockPart  = "clock"
)

func newHealth(c Config) *health {
	h := &health{hung: c.Hung, store: c.Store, warning: c.Warning, now: c.Now, log: c.Logger, logged: map[string]logged{}}
	h.parts = []*part{
		{name: storePart, check: c.Store.Ping},
		{name: signerPart, check: func(ctx context.Context) error {
			hsms, err := c.Signer.Health(ctx)
			h.hsms = hsms
			return err
		}},
	}
	return h
}

// check looks at most once in healthAge, at all parts at once, and takes healthTimeout at most.
func (h *health) check(ctx context.Context) *finding {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if age := now.Sub(h.checkedAt); h.found != nil && age >= 0 && age < healthAge {
		return h.found
	}
	for _, p := range h.parts {
		p.begin(ctx)
	}
	over := make(chan time.Time)
	timer := time.AfterFunc(healthTimeout, func() { close(over) })
	defer timer.Stop()
	found := &finding{problems: map[string]error{}}
	for _, p := range h.parts {
		err := p.end(over)
		if p.name == storePart && condition(h.store).Clock != nil {
			err = nil // the store answers all the same
		}
		found.problems[p.name] = err
		h.tell(ctx, p.name, "", err)
		if p.name == signerPart && !errors.Is(err, errHealthTimeout) && len(h.hsms) > 1 {
			found.replicas = h.hsms
		}
	}
	for _, one := range found.replicas {
		h.tell(ctx, signerPart, one.Name, one.Err)
	}
	wrong := condition(h.store).Clock
	if wrong != nil {
		found.problems[clockPart] = wrong
	}
	h.tell(ctx, clockPart, "", wrong)
	h.found, h.checkedAt = found, h.now() // after the checks, so that probes that waited share the result
	return found
}

// tell logs what changed: a problem when it begins or becomes another and once a minute while it stays, and its end. hsm is
// one of several HSMs, without which the server goes on, or empty.
func (h *health) tell(ctx context.Context, name, hsm string, err error) {
	now, before := h.now(), h.logged[name+" "+hsm]
	log := h.log.With("correlation_id", event.Of(ctx).CorrelationID)
	if err == nil {
		switch {
		case before.problem == "":
			return
		case hsm == "":
			log.InfoContext(ctx, "server ready again", "part", name)
		default:
			log.InfoContext(ctx, "HSM signs again", "hsm", hsm)
		}
		delete(h.logged, name+" "+hsm)
		return
	}
	if age := now.Sub(before.at); before.problem == kindOf(err) && age >= 0 && age < repeatAfter {
		return
	}
	h.logged[name+" "+hsm] = logged{kindOf(err), now}
	if hsm == "" {
		log.WarnContext(ctx, "server not ready", "part", name, "error", err.Error())
		return
	}
	log.WarnContext(ctx, "HSM does not sign; the others do", "hsm", hsm, "error", err.Error())
}

// kindOf is what problems are told apart by: their texts may hold times.
func kindOf(err error) string {
	for _, kind := range []error{
		errHealthTimeout, store.ErrUnavailable, store.ErrOverloaded, signer.ErrWrongSignature, signer.ErrNoKey, signer.ErrUnavailable,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "other"
}

func writeHealth(w http.ResponseWriter, status int, report healthReport) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(report) // response already started; error ignored
}
