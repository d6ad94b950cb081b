package postgres

import (
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"countersign/store"
)

// Arguments: how values go in. NULL is what is unset.

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func digestOrNull(d store.Digest) []byte {
	if d.Zero() {
		return nil
	}
	return d[:]
}

// insertEvidence stores pending evidence, from three parallel arrays; a row that it is joined with is a condition.
const insertEvidence = `INSERT INTO audit_waiting (chain, at, body) SELECT e.chain, e.at, e.body
	FROM unnest(@chains::text[], @times::timestamptz[], @bodies::text[]) AS e (chain, at, body)`

func evidenceArrays(evidence []store.Evidence) (chains []string, times []time.Time, bodies []string) {
	chains, times, bodies = make([]string, len(evidence)), make([]time.Time, len(evidence)), make([]string, len(evidence))
	for i, e := range evidence {
		chains[i], times[i], bodies[i] = e.Chain, e.At, string(e.Body)
	}
	return chains, times, bodies
}

// Fields: where values come out when they may be NULL or need a conversion.

type timeField struct{ t *time.Time }

func (f timeField) ScanTimestamptz(v pgtype.Timestamptz) error {
	*f.t = time.Time{}
	if v.Valid {
		*f.t = v.Time.UTC()
	}
	return nil
}

type durationField struct{ d *time.Duration }

func (f durationField) ScanInt64(v pgtype.Int8) error {
	*f.d = time.Duration(v.Int64) * time.Microsecond
	return nil
}

type digestField struct{ d *store.Digest }

func (f digestField) ScanBytes(v []byte) error {
	*f.d = store.Digest{}
	copy(f.d[:], v)
	return nil
}
