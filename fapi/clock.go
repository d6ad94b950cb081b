package fapi

import "countersign/store"

// condition is what the store knows of this node's connection; the zero value for one that knows nothing.
func condition(of any) store.Condition {
	if known, ok := of.(store.Conditioned); ok {
		return known.Condition()
	}
	return store.Condition{}
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
