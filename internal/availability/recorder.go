// Package availability keeps what a regulator asks a bank to report: of each hour and endpoint how many requests were answered,
// how fast, and how many failed, and in which minutes the server was ready. It is counted by the server itself and kept in the
// store, so that a report needs nothing else: no monitoring that was down, too, and none that keeps two weeks.
//
// The figures are those of EBA/GL/2018/07, Guideline 2 (under RTS (EU) 2018/389 Article 32): uptime and downtime of a day, the average
// time to answer, and the rate of errors that are the bank's.
package availability

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/fapi/event"
	"countersign/internal/pause"
	"countersign/store"
)

const (
	// Look is how often it is looked whether the node is ready: several times in each minute.
	Look = 15 * time.Second
	// flushEvery is how often what was counted is stored.
	flushEvery = time.Minute
	// mostHours bounds what is kept while the store takes nothing, in hours of endpoints.
	mostHours = 4096
)

// Recorder counts what one node answers. It is an [event.Meter].
type Recorder struct {
	Store interface {
		AddServiceHours(ctx context.Context, hours ...store.ServiceHour) error
	}
	// Node is the node's name.
	Node string
	Now  func() time.Time
	Log  *slog.Logger

	mu    sync.Mutex
	hours map[key]*store.ServiceHour
}

// key names a record.
type key struct {
	hour     int64
	endpoint string
}

// Arrived implements [event.Meter].
func (*Recorder) Arrived(context.Context, string) {}

// Answered implements [event.Meter]. Probes of the server's health, what is at no endpoint, and what its client did not wait for say
// nothing of the service.
func (r *Recorder) Answered(_ context.Context, request event.Request) {
	if request.Route == "" || strings.HasPrefix(request.Route, "/health/") || request.Outcome == "client_closed" {
		return
	}
	now := r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	hour := r.at(now, request.Route)
	if hour == nil {
		return
	}
	hour.Requests++
	switch {
	case request.Status >= http.StatusInternalServerError:
		hour.Failed++
	case request.Status >= http.StatusBadRequest:
		hour.Refused++
	}
	hour.Took += request.Took
	hour.Latency[step(request.Took)]++
}

// step is the place of a time in [store.ServiceHour].Latency.
func step(took time.Duration) int {
	bounds := store.LatencyBounds()
	for i, bound := range bounds {
		if took <= bound {
			return i
		}
	}
	return len(bounds)
}

// Ready notes that the node is ready now.
func (r *Recorder) Ready() {
	now := r.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if hour := r.at(now, ""); hour != nil {
		hour.Minutes |= 1 << now.UTC().Minute()
	}
}

// at is the record of an endpoint at a time; nil when there is no room for it.
func (r *Recorder) at(now time.Time, endpoint string) *store.ServiceHour {
	begins := now.UTC().Truncate(time.Hour)
	name := key{begins.Unix(), endpoint}
	if found := r.hours[name]; found != nil {
		return found
	}
	if r.hours == nil {
		r.hours = map[key]*store.ServiceHour{}
	}
	if len(r.hours) >= mostHours {
		return nil
	}
	made := &store.ServiceHour{Node: r.Node, Hour: begins, Endpoint: endpoint}
	r.hours[name] = made
	return made
}

// Watch asks at once and then regularly whether the node is ready, until ctx ends. ready returns what keeps the node from working.
func (r *Recorder) Watch(ctx context.Context, ready func(context.Context) error) {
	for {
		if ready(ctx) == nil {
			r.Ready()
		}
		if pause.For(ctx, Look) != nil {
			return
		}
	}
}

// Run stores what was counted, until ctx ends, and then a last time.
func (r *Recorder) Run(ctx context.Context) {
	pause.Flush(ctx, flushEvery, r.Flush, func(ctx context.Context, err error) {
		r.Log.WarnContext(ctx, "service hours not stored; will be retried", "error", err.Error())
	})
}

// Flush stores what was counted since the last time. When that fails it is counted further, and stored the next time.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	counted := r.hours
	r.hours = nil
	r.mu.Unlock()
	if len(counted) == 0 {
		return nil
	}
	hours := make([]store.ServiceHour, 0, len(counted))
	for _, name := range slices.SortedFunc(maps.Keys(counted), func(a, b key) int { // all nodes in one order: they wait for each other's rows
		return cmp.Or(cmp.Compare(a.hour, b.hour), strings.Compare(a.endpoint, b.endpoint))
	}) {
		hours = append(hours, *counted[name])
	}
	err := r.Store.AddServiceHours(ctx, hours...)
	if err != nil {
		r.giveBack(counted)
	}
	return err
}

// giveBack adds what could not be stored to what was counted meanwhile. It may have been stored after all, when the database went
// away under it: then it counts twice, which is better than not at all.
func (r *Recorder) giveBack(counted map[key]*store.ServiceHour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, hour := range r.hours {
		if before := counted[name]; before != nil {
			add(before, *hour)
			continue
		}
		counted[name] = hour
	}
	r.hours = counted
}

// add adds what was counted of the same hour.
func add(to *store.ServiceHour, more store.ServiceHour) {
	to.Requests += more.Requests
	to.Refused += more.Refused
	to.Failed += more.Failed
	to.Took += more.Took
	to.Minutes |= more.Minutes
	for i := range to.Latency {
		to.Latency[i] += more.Latency[i]
	}
}
