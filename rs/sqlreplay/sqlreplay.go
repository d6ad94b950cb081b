// Package sqlreplay keeps the DPoP proofs that were used in a database, for an API that runs on several nodes: it is an
// [rs.Replay] on PostgreSQL or SQLite, through database/sql and whichever driver the program has.
//
//	db, err := sql.Open("pgx", "postgres://...")
//	...
//	replay, err := sqlreplay.New(ctx, db, sqlreplay.PostgreSQL, nil)
//	guard, err := rs.New(ctx, rs.Config{..., Replay: replay})
//
// Each use is one statement, an INSERT that the primary key decides: of two nodes with the same proof one is the first. Once a
// minute a use deletes what has ended. The caller opens and closes the database.
package sqlreplay

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"time"

	"countersign/rs"
)

// Dialect is the kind of database.
type Dialect int

// The kinds.
const (
	PostgreSQL Dialect = iota + 1
	SQLite
)

// Schema is the statement that makes the table, where it is not there. The user of the API's own needs INSERT and DELETE on it, and
// SELECT of until.
func (d Dialect) Schema() string {
	kind := "BYTEA"
	if d == SQLite {
		kind = "BLOB"
	}
	return `CREATE TABLE IF NOT EXISTS rs_dpop_proof (key ` + kind + ` PRIMARY KEY, until BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS rs_dpop_proof_until ON rs_dpop_proof (until)`
}

const (
	insert = `INSERT INTO rs_dpop_proof (key, until) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`
	sweep  = `DELETE FROM rs_dpop_proof WHERE until < $1`
	// sweepInterval is how often what has ended is deleted.
	sweepInterval = time.Minute
)

// Replay is an [rs.Replay] in a database. Make one with [New].
type Replay struct {
	db  *sql.DB
	now func() time.Time
	// swept is when a use last deleted what has ended, in seconds since 1970.
	swept atomic.Int64
}

var _ rs.Replay = (*Replay)(nil)

// New makes a memory in a database, whose table it makes where that is not there. now is the clock of the guard; nil is the
// system's. Errors are those of the database.
func New(ctx context.Context, db *sql.DB, dialect Dialect, now func() time.Time) (*Replay, error) {
	if dialect != PostgreSQL && dialect != SQLite {
		return nil, fmt.Errorf("sqlreplay: there is no dialect %d", dialect)
	}
	_, err := db.ExecContext(ctx, dialect.Schema())
	if err != nil { // two nodes that start at once: PostgreSQL may tell one of them that the table is there
		_, err = db.ExecContext(ctx, dialect.Schema())
	}
	if err != nil {
		return nil, fmt.Errorf("sqlreplay: make the table: %w", err)
	}
	return On(db, now), nil
}

// On is [New] for a database whose table is there.
func On(db *sql.DB, now func() time.Time) *Replay {
	if now == nil {
		now = time.Now
	}
	return &Replay{db: db, now: now}
}

// Use implements [rs.Replay]. Errors are those of the database.
func (r *Replay) Use(ctx context.Context, key [32]byte, until time.Time) (first bool, err error) {
	now := r.now()
	if last := r.swept.Load(); now.Unix()-last >= int64(sweepInterval/time.Second) && r.swept.CompareAndSwap(last, now.Unix()) {
		if err := r.Sweep(ctx); err != nil {
			return false, err
		}
	}
	result, err := r.db.ExecContext(ctx, insert, key[:], until.Unix()+1)
	if err != nil {
		return false, fmt.Errorf("sqlreplay: record a proof: %w", err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("sqlreplay: record a proof: %w", err)
	}
	return rows == 1, nil
}

// Sweep deletes the proofs that have ended. Errors are those of the database.
func (r *Replay) Sweep(ctx context.Context) error {
	if _, err := r.db.ExecContext(ctx, sweep, r.now().Unix()); err != nil {
		return fmt.Errorf("sqlreplay: delete what has ended: %w", err)
	}
	return nil
}
