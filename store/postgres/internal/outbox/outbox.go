// Package outbox gives out what is to be delivered from tables of PostgreSQL, to one caller at a time, and takes back what became of it.
package outbox

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
)

// Outbox is a table with the columns attempts, due_at and expires_at. Who claims a row leases it until it is due again; its attempts
// tell that caller from a later one.
type Outbox struct {
	Table string
	// Key has the columns of the primary key, separated by commas.
	Key string
	// Columns are what is read of a row o that is claimed.
	Columns string
	// Expires says that rows are given out until they expire only, and not until they are purged.
	Expires bool

	Statements *named.Statements
	// Run does the work of a verb that writes.
	Run func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time.
	Moment func() time.Time
}

// Claim leases at most limit due rows. Nodes that claim concurrently skip each other's.
func Claim[T any](
	ctx context.Context, o Outbox, verb string, limit int, lease time.Duration, scan pgx.RowToFunc[T],
) (due []T, err error) {
	now, alive := o.Moment(), ""
	if o.Expires {
		alive = ` AND expires_at > $1`
	}
	var same []string
	for column := range strings.SplitSeq(o.Key, ", ") {
		same = append(same, "o."+column+" = due."+column)
	}
	err = o.Run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `WITH due AS MATERIALIZED (
				SELECT `+o.Key+` FROM `+o.Table+` WHERE due_at <= $1`+alive+` ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
			)
			UPDATE `+o.Table+` o SET due_at = $2, attempts = o.attempts + 1 FROM due WHERE `+strings.Join(same, " AND ")+`
			RETURNING `+o.Columns, now, now.Add(lease), limit)
		if err != nil {
			return err
		}
		due, err = pgx.CollectRows(rows, scan)
		return err
	})
	return due, err
}

// Done deletes a row and stores what became of it, unless another caller has leased it since the attempt.
func (o Outbox) Done(ctx context.Context, verb string, attempt int, evidence []store.Evidence, key ...any) error {
	claimed, values := o.claimed(attempt, key)
	arguments := o.Statements.Arguments(values).Evidence(evidence)
	return o.Run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `WITH done AS (DELETE FROM `+o.Table+` WHERE `+claimed+` RETURNING attempts
			) `+named.InsertEvidence+` CROSS JOIN done`, arguments)
		return err
	})
}

// Failed makes a row due again, unless another caller has leased it since the attempt.
func (o Outbox) Failed(ctx context.Context, verb string, attempt int, next time.Time, key ...any) error {
	claimed, values := o.claimed(attempt, key)
	values["next"] = next
	arguments := o.Statements.Arguments(values)
	return o.Run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `UPDATE `+o.Table+` SET due_at = @next WHERE `+claimed, arguments)
		return err
	})
}

// claimed is a condition for the row of a key, as it was at an attempt, with its arguments.
func (o Outbox) claimed(attempt int, key []any) (condition string, values pgx.StrictNamedArgs) {
	values = pgx.StrictNamedArgs{"attempt": attempt}
	condition = `attempts = @attempt`
	for i, column := range strings.Split(o.Key, ", ") {
		name := fmt.Sprint("key_", i)
		condition += ` AND ` + column + ` = @` + name
		values[name] = key[i]
	}
	return condition, values
}
