package metrics

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Process has the metrics of all issuers of a process, with those of the process itself. Make one with [NewProcess].
type Process struct {
	own *prometheus.Registry
	// serving answers with what is shown.
	serving atomic.Pointer[http.Handler]

	mu    sync.RWMutex
	shown map[issuer]*Metrics
	// open says of each issuer that should be served whether it could be opened.
	open func() map[string]bool
}

// NewProcess makes a Process of a version of the program, on a node.
func NewProcess(version, node string) *Process {
	p := &Process{own: prometheus.NewRegistry(), shown: map[issuer]*Metrics{}}
	target := prometheus.NewGauge(prometheus.GaugeOpts{Name: "target_info", Help: "Target metadata", ConstLabels: prometheus.Labels{
		"service_name": "countersign", "service_version": version, "service_instance_id": node,
	}})
	target.Set(1)
	p.own.MustRegister(target, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), issuersOpen{p})
	p.serve()
	return p
}

// Show has the metrics of an issuer served from now on, instead of those that were served of it before.
func (p *Process) Show(m *Metrics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown[m.issuer] = m
	p.serve()
}

// Hide has them not served any more, unless others have taken their place.
func (p *Process) Hide(m *Metrics) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown[m.issuer] == m {
		delete(p.shown, m.issuer)
		p.serve()
	}
}

// Open has it shown of each issuer that should be served whether it could be opened.
func (p *Process) Open(look func() map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = look
}

// serve has the handler answer with what is shown now.
func (p *Process) serve() {
	all := prometheus.Gatherers{p.own}
	for _, name := range slices.Sorted(maps.Keys(p.shown)) {
		all = append(all, p.shown[name].registry)
	}
	made := promhttp.HandlerFor(all, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
	p.serving.Store(&made)
}

// Handler serves the metrics in the formats of Prometheus and OpenMetrics; in the latter with exemplars, which lead from a slow
// request to its trace.
func (p *Process) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.serving.Load()).ServeHTTP(w, r) })
}

// issuersOpen collects [issuerOpen], which nobody can tell of an issuer but the process.
type issuersOpen struct{ *Process }

func (issuersOpen) about() *prometheus.Desc {
	about := lookup(issuerOpen)
	return prometheus.NewDesc(about.Prometheus(), about.Meaning, []string{IssuerLabel}, nil)
}

// Describe implements [prometheus.Collector].
func (i issuersOpen) Describe(to chan<- *prometheus.Desc) { to <- i.about() }

// Collect implements [prometheus.Collector].
func (i issuersOpen) Collect(to chan<- prometheus.Metric) {
	i.mu.RLock()
	look := i.open
	i.mu.RUnlock()
	if look == nil {
		return
	}
	for name, open := range look() {
		to <- prometheus.MustNewConstMetric(i.about(), prometheus.GaugeValue, truth(open), name)
	}
}
