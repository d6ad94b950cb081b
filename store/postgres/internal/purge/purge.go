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
	// ClaimsEnd is set for rows by which a grant is claimed, with its grant_id, and spent_at once it was: the grants of rows that go
	// unclaimed end at that time.
	ClaimsEnd time.Time
}

// Run removes at most limit rows of each kind, in one round trip, and returns how many it removed. Those that others are
// removing at the same time are skipped.
func Run(ctx context.Context, c *pgx.Conn, limit int, kinds []Rows) (removed int, err error) {
	var batch pgx.Batch
	for _, k := range kinds {
		arguments := []any{k.Before, limit}
		if !k.ClaimsEnd.IsZero() {
			arguments = append(arguments, k.ClaimsEnd)
		}
		batch.Queue(k.statement(), arguments...)
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
	ended := ""
	if !k.ClaimsEnd.IsZero() {
		ended = `, ended AS (UPDATE grants g SET expires_at = $3 FROM ` + k.Table + ` r JOIN old ON ` + strings.Join(same, " AND ") +
			` WHERE r.spent_at IS NULL AND g.id = r.grant_id AND g.expires_at > $3)`
	}
	return `WITH old AS MATERIALIZED (SELECT ` + k.Key + ` FROM ` + k.Table + ` WHERE ` + k.Over + ` LIMIT $2 FOR UPDATE SKIP LOCKED)` + ended + `
		DELETE FROM ` + k.Table + ` r USING old WHERE ` + strings.Join(same, " AND ")
}

const (
	// endedAtOnce is how many codes are removed in one statement, for the sake of who waits for the same rows, and endedBatches how often
	// before the rest is left for the next time.
	endedAtOnce, endedBatches = 1000, 100
)

// Unclaimed ends the grants of codes that nobody redeemed, and removes these codes (Grant Management for OAuth 2.0 §5.6). No index
// finds them, which each code would pay for: they are looked for once, when their partition is to be dropped.
func Unclaimed(ctx context.Context, c *pgx.Conn, codes string, now time.Time) (done bool, err error) {
	rows := []Rows{{Table: codes, Key: "id", Over: "spent_at IS NULL AND expires_at <= $1", Before: now, ClaimsEnd: now}}
	for range endedBatches {
		ended, err := Run(ctx, c, endedAtOnce, rows)
		if err != nil || ended < endedAtOnce {
			return err == nil, err
		}
	}
	return false, nil
}
