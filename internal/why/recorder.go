package why

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"countersign/fapi/event"
	"countersign/internal/pause"
	"countersign/store"
)

const (
	// flushEvery is how often refusals are stored.
	flushEvery = time.Second
	// mostAtOnce bounds what is stored each time, and mostOfOne what of it is of one client and endpoint, or of one endpoint without a
	// client: whoever is refused a thousand times a second must not push out the others.
	mostAtOnce, mostOfOne = 64, 8
	// mostText bounds a text, in bytes.
	mostText = 2000
)

// Recorder keeps why requests were refused. It is an [event.Meter].
type Recorder struct {
	Store interface {
		AddRefusals(ctx context.Context, bounds store.RefusalBounds, refusals ...store.Refusal) error
	}
	// Node is the node's name.
	Node string
	// Keep is for how long refusals are kept, and Most how many; 0 of either keeps none.
	Keep time.Duration
	Most int
	Now  func() time.Time
	Log  *slog.Logger

	mu      sync.Mutex
	waiting []store.Refusal
	// of counts what waits by client and endpoint.
	of map[[2]string]int
}

// Arrived implements [event.Meter].
func (*Recorder) Arrived(context.Context, string) {}

// Answered implements [event.Meter]. Probes, and requests whose client did not wait, were refused nothing; a poll that comes before the
// decision, and a demand for a nonce, are no refusals either.
func (r *Recorder) Answered(_ context.Context, request event.Request) {
	switch request.Outcome {
	case "ok", "client_closed", "authorization_pending", "use_dpop_nonce":
		return
	}
	if request.Err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Keep <= 0 || r.Most <= 0 {
		return
	}
	kind := [2]string{request.ClientID, request.Route}
	if len(r.waiting) >= mostAtOnce || r.of[kind] >= mostOfOne {
		return
	}
	if r.of == nil {
		r.of = map[[2]string]int{}
	}
	r.of[kind]++
	r.waiting = append(r.waiting, store.Refusal{
		CorrelationID: request.CorrelationID, At: r.Now(), Node: r.Node, ClientID: request.ClientID, Method: request.Method, Endpoint: request.Route,
		Status: request.Status, Code: request.Outcome, Cause: short(request.Err.Error()),
	})
}

// short cuts a text that is long, between characters. What no database takes is replaced: a text may repeat what a client sent, and
// one that is refused takes those of others with it.
func short(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
	if len(text) <= mostText {
		return text
	}
	return strings.ToValidUTF8(text[:mostText-len("…")], "") + "…"
}

// Bound changes for how long refusals are kept, and how many.
func (r *Recorder) Bound(keep time.Duration, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Keep, r.Most = keep, most
}

// Run stores refusals until ctx ends, and then a last time.
func (r *Recorder) Run(ctx context.Context) {
	pause.Flush(ctx, flushEvery, r.Flush, func(ctx context.Context, err error) {
		r.Log.WarnContext(ctx, "refusals not kept for countersign why", "error", err.Error())
	})
}

// Flush stores what was refused since the last time. What cannot be stored is in the log only.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	refused, bounds := r.waiting, store.RefusalBounds{Most: r.Most, Since: r.Now().Add(-r.Keep)}
	r.waiting, r.of = nil, nil
	r.mu.Unlock()
	if len(refused) == 0 {
		return nil
	}
	return r.Store.AddRefusals(ctx, bounds, refused...)
}
