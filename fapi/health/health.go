// Package health serves what load balancers and supervisors ask a node: is it alive, and should requests be sent to it?
package health

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
	// maxAge is how long a result is cached, whatever the rate of probes.
	maxAge = time.Second
	// timeout bounds the whole check.
	timeout = 3 * time.Second
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
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
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
		return errTimeout
	}
}

var errTimeout = fmt.Errorf("no answer within %s", timeout)

// finding is what a check found.
type finding struct {
	problems map[string]error
	// replicas are the HSMs, in the order of the configuration.
	replicas []signer.ReplicaHealth
}

// Store is what is asked of a store. One that is [store.Conditioned] knows the condition of this node's connection too.
type Store interface {
	// Ping reports whether the store takes writes.
	Ping(ctx context.Context) error
}

// Config is the configuration of a [Handler].
type Config struct {
	Store  Store
	Signer *signer.Signer
	// Hung reports what only a restart of the process cures: liveness is then answered with 503; nil when there is nothing of the
	// kind.
	Hung func() error
	// Warning is shown by readiness, such as that the keys are in no HSM; empty for none, and nil for never one.
	Warning func() string
	Now     func() time.Time
	Log     *slog.Logger
}

// Handler is the liveness and the readiness endpoint. Make one with [New].
type Handler struct {
	hung    func() error
	store   Store
	warning func() string
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

// report is the response of the health endpoints. It names the parts; their errors are in the log only.
type report struct {
	Status string            `json:"status"`
	Parts  map[string]string `json:"parts,omitempty"`
	// Replicas has a word for each HSM, in the order of the configuration, where there are several. Their names are in the
	// log only.
	Replicas []string `json:"replicas,omitempty"`
	// Warning is [Config].Warning.
	Warning string `json:"warning,omitempty"`
}

// New makes a handler.
func New(c Config) *Handler {
	h := &Handler{hung: c.Hung, store: c.Store, warning: c.Warning, now: c.Now, log: c.Log, logged: map[string]logged{}}
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

// Drain makes readiness answer 503, so that a load balancer sends no more requests here.
func (h *Handler) Drain() { h.draining.Store(true) }

// Draining reports whether Drain was called.
func (h *Handler) Draining() bool { return h.draining.Load() }

// Routes returns the routes of both endpoints.
func (h *Handler) Routes() []endpoint.Route {
	return []endpoint.Route{
		{Methods: endpoint.Get(), Path: "/health/live", Probe: true, Timeless: true, Serve: endpoint.Direct(h.live)},
		{Methods: endpoint.Get(), Path: "/health/ready", Probe: true, Timeless: true, Serve: endpoint.Direct(h.ready)},
	}
}

// live answers 200 while the process serves requests, and 503 when only its restart helps.
func (h *Handler) live(w http.ResponseWriter, r *http.Request, _ endpoint.At) error {
	if h.hung != nil {
		if err := h.hung(); err != nil {
			h.log.ErrorContext(r.Context(), "server hangs; only a restart helps",
				"correlation_id", event.Of(r.Context()).CorrelationID, "error", err.Error())
			write(w, http.StatusServiceUnavailable, report{Status: "hung", Parts: map[string]string{"signer": "hung"}})
			return nil
		}
	}
	write(w, http.StatusOK, report{Status: "ok"})
	return nil
}

// ready reports whether a load balancer should send requests here: something was written to the store just now, and an HSM
// has just made a signature with each key that the published key verifies.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request, _ endpoint.At) error {
	answer, status := report{Status: "ok", Parts: map[string]string{}}, http.StatusOK
	if h.warning != nil {
		answer.Warning = h.warning()
	}
	found := h.check(r.Context())
	for _, one := range found.replicas {
		word := "ok"
		if one.Err != nil {
			word, answer.Status = "unavailable", "degraded"
		}
		answer.Replicas = append(answer.Replicas, word)
	}
	for name, err := range found.problems {
		answer.Parts[name] = "ok"
		if name == signerPart && answer.Status == "degraded" {
			answer.Parts[name] = "degraded"
		}
		if err != nil {
			answer.Parts[name] = "unavailable"
			status = http.StatusServiceUnavailable
		}
	}
	if status != http.StatusOK {
		answer.Status = "unavailable"
	}
	answer.noticed(h.condition())
	if h.draining.Load() {
		answer.Status, status = "draining", http.StatusServiceUnavailable
	}
	write(w, status, answer)
	return nil
}

// The parts.
const (
	storePart  = "store"
	signerPart = "signer"
	clockPart  = "clock"
)

// condition is what the store knows of this node's connection; the zero value for one that knows nothing.
func (h *Handler) condition() store.Condition {
	if known, ok := h.store.(store.Conditioned); ok {
		return known.Condition()
	}
	return store.Condition{}
}

// Clock is a [*store.ClockError] while this node's clock is wrong.
func (h *Handler) Clock() error { return h.condition().Clock }

// check looks at most once in maxAge, at all parts at once, and takes timeout at most.
func (h *Handler) check(ctx context.Context) *finding {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if age := now.Sub(h.checkedAt); h.found != nil && age >= 0 && age < maxAge {
		return h.found
	}
	for _, p := range h.parts {
		p.begin(ctx)
	}
	over := make(chan time.Time)
	timer := time.AfterFunc(timeout, func() { close(over) })
	defer timer.Stop()
	found := &finding{problems: map[string]error{}}
	for _, p := range h.parts {
		err := p.end(over)
		if p.name == storePart && h.Clock() != nil {
			err = nil // the store answers all the same
		}
		found.problems[p.name] = err
		h.tell(ctx, p.name, "", err)
		if p.name == signerPart && !errors.Is(err, errTimeout) && len(h.hsms) > 1 {
			found.replicas = h.hsms
		}
	}
	for _, one := range found.replicas {
		h.tell(ctx, signerPart, one.Name, one.Err)
	}
	wrong := h.Clock()
	if wrong != nil {
		found.problems[clockPart] = wrong
	}
	h.tell(ctx, clockPart, "", wrong)
	h.found, h.checkedAt = found, h.now() // after the checks, so that probes that waited share the result
	return found
}

// tell logs what changed: a problem when it begins or becomes another and once a minute while it stays, and its end. hsm is
// one of several HSMs, without which the server goes on, or empty.
func (h *Handler) tell(ctx context.Context, name, hsm string, err error) {
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
		errTimeout, store.ErrUnavailable, store.ErrOverloaded, signer.ErrWrongSignature, signer.ErrNoKey, signer.ErrUnavailable,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "other"
}

// noticed adds to a readiness report what does not make the node unready: it is notified of changes late. The operator finds the
// reason in the log.
func (r *report) noticed(c store.Condition) {
	if c.Notifications != nil {
		r.Parts["notifications"] = "polling"
	}
	if c.Address != nil {
		r.Parts["store_address"] = "previous"
	}
}

func write(w http.ResponseWriter, status int, answer report) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // response already started; error ignored
}
