// Package purge removes rows whose time is over from tables of PostgreSQL.
package purge

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Rows are rows of one table that are no longer needed.
type Rows struct {
	Table string
	// Key has the columns of the primary key, separated by commas.
	Key string
	// Over is the condition for a row to go; $1 is Before.
	Over   string
	Before time.Time
}

// Run removes at most limit rows of each kind, in one round trip, and returns how many it removed. Those that others are
// removing at the same time are skipped.
func Run(ctx context.Context, c *pgx.Conn, limit int, kinds []Rows) (removed int, err error) {
	var batch pgx.Batch
	for _, k := range kinds {
		batch.Queue(k.statement(), k.Before, limit)
	}
	results := c.SendBatch(ctx, &batch)
	for range batch.Len() {
		deleted, err := results.Exec()
		if err != nil {
			return removed, errors.Join(err, results.Close())
		}
		removed += int(deleted.RowsAffected())
	}
	return removed, results.Close()
}

// statement removes at most $2 of the rows.
func (k Rows) statement() string {
	var same []string
	for column := range strings.SplitSeq(k.Key, ", ") {
		same = append(same, "r."+column+" = old."+column)
	}
	return `WITH old AS MATERIALIZED (SELECT ` + k.Key + ` FROM ` + k.Table + ` WHERE ` + k.Over + ` LIMIT $2 FOR UPDATE SKIP LOCKED)
		DELETE FROM ` + k.Table + ` r USING old WHERE ` + strings.Join(same, " AND ")
}
