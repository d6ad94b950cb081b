// Package outbox gives out what is to be delivered from tables of SQLite, to one caller at a time, and takes back what became of it.
package outbox

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// Outbox is a table with the columns attempts, due_at and expires_at. Who claims a row leases it until it is due again; its attempts
// tell that caller from a later one.
type Outbox struct {
	Table string
	// Key has the columns of the primary key, separated by commas.
	Key string
	// Columns are what is read of a row that is claimed.
	Columns string
	// Expires says that rows are given out until they expire only, and not until they are purged.
	Expires bool

	// Write does the work of a verb that changes something.
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Record stores evidence.
	Record func(c *connection.Conn, evidence []store.Evidence) error
	// Moment is the time.
	Moment func() time.Time
}

// Claim leases at most limit due rows.
func Claim[T any](
	ctx context.Context, o Outbox, verb string, limit int, lease time.Duration, scan func(*sql.Rows) (T, error),
) (due []T, err error) {
	now, alive := o.Moment(), ""
	if o.Expires {
		alive = ` AND expires_at > ?1`
	}
	err = o.Write(ctx, verb, connection.Several, func(c *connection.Conn) error {
		due = nil
		return c.UpdateEach(`UPDATE `+o.Table+` SET due_at = ?2, attempts = attempts + 1 WHERE (`+o.Key+`) IN
			(SELECT `+o.Key+` FROM `+o.Table+` WHERE due_at <= ?1`+alive+` ORDER BY due_at LIMIT ?3)
			RETURNING `+o.Columns,
			[]any{now.UnixMicro(), now.Add(lease).UnixMicro(), limit}, func(rows *sql.Rows) error {
				row, err := scan(rows)
				due = append(due, row)
				return err
			})
	})
	return due, err
}

// Done deletes a row and stores what became of it, unless another caller has leased it since the attempt.
func (o Outbox) Done(ctx context.Context, verb string, attempt int, evidence []store.Evidence, key ...any) error {
	return o.Write(ctx, verb, connection.Several, func(c *connection.Conn) error {
		removed, err := c.Exec(`DELETE FROM `+o.Table+o.claimed(), append(key, attempt)...)
		if err != nil || removed == 0 {
			return err
		}
		return o.Record(c, evidence)
	})
}

// Failed makes a row due again, unless another caller has leased it since the attempt.
func (o Outbox) Failed(ctx context.Context, verb string, attempt int, next time.Time, key ...any) error {
	arguments := append(append([]any{next.UnixMicro()}, key...), attempt)
	return o.Write(ctx, verb, connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`UPDATE `+o.Table+` SET due_at = ?`+o.claimed(), arguments...)
		return err
	})
}

// claimed is a condition for the row of a key, as it was at an attempt: they are its arguments.
func (o Outbox) claimed() string {
	return ` WHERE ` + strings.ReplaceAll(o.Key, ", ", " = ? AND ") + ` = ? AND attempts = ?`
}
