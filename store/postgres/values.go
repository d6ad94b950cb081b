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
