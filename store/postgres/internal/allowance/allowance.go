// Package allowance keeps what limits count in a table of PostgreSQL: for each key the time at which its allowance will be whole
// again, by the database's clock.
package allowance

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
)

// Table is the table of one store, at one time.
type Table struct {
	Statements *named.Statements
	// Now is the time of a test's clock; nil asks the database.
	Now *time.Time
}

// lockKeys holds keys until the end of the transaction, in an order that all callers have: only a statement that
// begins after it sees what the others took. What is counted need not be on disk when a verb returns.
const lockKeys = `SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(l) FROM unnest($1::bigint[]) AS l`

// locks are the advisory locks of keys, each once and in their order.
func locks(rates []store.Rate, keys ...store.Digest) []int64 {
	all := make([]int64, 0, len(rates)+len(keys))
	for _, rate := range rates {
		all = append(all, int64(binary.BigEndian.Uint64(rate.Key[:])))
	}
	for _, key := range keys {
		all = append(all, int64(binary.BigEndian.Uint64(key[:])))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// arrays are rates as parallel arrays, in microseconds, and the time of a test.
func (t Table) arrays(rates []store.Rate) pgx.StrictNamedArgs {
	keys, intervals, tolerances := make([][]byte, len(rates)), make([]int64, len(rates)), make([]int64, len(rates))
	for i := range rates {
		keys[i], intervals[i], tolerances[i] = rates[i].Key[:], rates[i].Interval.Microseconds(), rates[i].Tolerance().Microseconds()
	}
	return pgx.StrictNamedArgs{"keys": keys, "intervals": intervals, "tolerances": tolerances, "now": t.Now}
}

// wanted are the allowances of rates at the database's time. A clock that was set back must not lock a key out
// for longer than its burst would have.
const wanted = `clock AS MATERIALIZED (SELECT coalesce(@now::timestamptz, clock_timestamp()) AS now), rates AS MATERIALIZED (
		SELECT key, place, each * interval '1 microsecond' AS each, tolerance * interval '1 microsecond' AS tolerance
		FROM unnest(@keys::bytea[], @intervals::bigint[], @tolerances::bigint[]) WITH ORDINALITY AS r (key, each, tolerance, place)
	), wanted AS MATERIALIZED (
		SELECT r.key, r.place, r.each, r.tolerance, now, least(greatest(coalesce(a.full_at, now), now), now + r.tolerance + r.each) AS full_at
		FROM clock, rates r LEFT JOIN allowances a ON a.key = r.key
	)`

// Take takes one event of each allowance, or none; see [store.Limits.Allow].
func (t Table) Take(ctx context.Context, c *pgx.Conn, rates []store.Rate) ([]time.Duration, error) {
	waits := make([]time.Duration, 0, len(rates))
	var batch pgx.Batch
	batch.Queue(lockKeys, locks(rates))
	batch.Queue(`WITH `+wanted+`, taken AS (
			INSERT INTO allowances (key, full_at) SELECT key, full_at + each FROM wanted
			WHERE NOT EXISTS (SELECT FROM wanted WHERE full_at - now > tolerance)
			ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at
		) SELECT greatest(0, extract(epoch FROM full_at - now - tolerance) * 1000000)::bigint FROM wanted ORDER BY place`,
		t.Statements.Arguments(t.arrays(rates))).
		Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var micros int64
				if err := rows.Scan(&micros); err != nil {
					return err
				}
				waits = append(waits, time.Duration(micros)*time.Microsecond)
			}
			return rows.Err()
		})
	err := c.SendBatch(ctx, &batch).Close()
	return waits, err
}

// Refund gives back one event of each allowance, and all of others; see [store.Limits.Refund].
func (t Table) Refund(ctx context.Context, c *pgx.Conn, rates []store.Rate, whole []store.Digest) error {
	arguments := t.arrays(rates)
	delete(arguments, "tolerances")
	delete(arguments, "now")
	keys := make([][]byte, len(whole))
	for i := range whole {
		keys[i] = whole[i][:]
	}
	var batch pgx.Batch
	batch.Queue(lockKeys, locks(rates, whole...))
	batch.Queue(`UPDATE allowances a SET full_at = a.full_at - r.each * interval '1 microsecond'
		FROM unnest(@keys::bytea[], @intervals::bigint[]) AS r (key, each) WHERE a.key = r.key`, t.Statements.Arguments(arguments))
	batch.Queue(`DELETE FROM allowances WHERE key = ANY($1::bytea[])`, keys)
	return c.SendBatch(ctx, &batch).Close()
}

// Taken returns how many events of each allowance are taken; see [store.Limits.Taken].
func (t Table) Taken(ctx context.Context, c *pgx.Conn, rates []store.Rate) ([]int, error) {
	rows, err := c.Query(ctx, `WITH `+wanted+`
		SELECT ceil(extract(epoch FROM full_at - now) / extract(epoch FROM each))::bigint FROM wanted ORDER BY place`,
		t.Statements.Arguments(t.arrays(rates)))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}
