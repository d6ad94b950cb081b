package named

import (
	"time"

	"countersign/store"
)

// InsertEvidence stores pending evidence, from three parallel arrays; a row that it is joined with is a condition.
const InsertEvidence = `INSERT INTO audit_waiting (chain, at, body) SELECT e.chain, e.at, e.body
	FROM unnest(@chains::text[], @times::timestamptz[], @bodies::text[]) AS e (chain, at, body)`

// Evidence adds the arguments of [InsertEvidence].
func (a Arguments) Evidence(evidence []store.Evidence) Arguments {
	chains, times, bodies := make([]string, len(evidence)), make([]time.Time, len(evidence)), make([]string, len(evidence))
	for i, e := range evidence {
		chains[i], times[i], bodies[i] = e.Chain, e.At, string(e.Body)
	}
	a.Values["chains"], a.Values["times"], a.Values["bodies"] = chains, times, bodies
	return a
}
