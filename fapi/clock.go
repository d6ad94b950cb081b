package fapi

import (
	"net/http"
	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/store"
)

// condition is what the store knows of this node's connection; the zero value for one that knows nothing.
func condition(of any) store.Condition {
	if known, ok := of.(store.Conditioned); ok {
		return known.Condition()
	}
	return store.Condition{}
}

// timely has the routes that depend on time answer 503 while this node's clock is wrong.
func (w *wiring) timely(table []endpoint.Route) []endpoint.Route {
	for i := range table {
		if table[i].Timeless {
			continue
		}
		serve := table[i].Serve
		table[i].Serve = func(rw http.ResponseWriter, r *http.Request, at endpoint.At) {
			err := condition(w.config.Store).Clock
			switch {
			case err == nil:
				serve(rw, r, at)
			case strings.Contains(r.Header.Get("Accept"), "text/html"):
				rw.Header().Set("Retry-After", "10")
				browser.ShowError(w.config.Interactor, rw, r, err)
			default:
				endpoint.Refuse(rw, r, err)
			}
		}
	}
	return table
}

// noticed adds to a readiness report what does not make the node unready: it is notified of changes late. The operator finds the
// reason in the log.
func (r *healthReport) noticed(c store.Condition) {
	if c.Notifications != nil {
		r.Parts["notifications"] = "polling"
	}
	if c.Address != nil {
		r.Parts["store_address"] = "previous"
	}
}
