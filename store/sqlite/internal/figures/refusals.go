package figures

import (
	"context"
	"database/sql"
	"math"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// mostRefusals is how many are listed.
const mostRefusals = 100

// AddRefusals adds refusals, and removes twice as many at most of what is beyond the bounds.
func (f Figures) AddRefusals(ctx context.Context, bounds store.RefusalBounds, refusals ...store.Refusal) error {
	if len(refusals) == 0 {
		return nil
	}
	return f.Write(ctx, "AddRefusals", connection.Several, func(c *connection.Conn) error {
		for _, r := range refusals {
			if _, err := c.Exec(`INSERT INTO refusals (correlation_id, at, node, client_id, method, endpoint, status, code, cause)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				r.CorrelationID, r.At.UnixMicro(), r.Node, r.ClientID, r.Method, r.Endpoint, r.Status, r.Code, r.Cause); err != nil {
				return err
			}
		}
		// The oldest are the first by their numbers.
		_, err := c.Exec(`DELETE FROM refusals WHERE id IN (SELECT id FROM refusals ORDER BY id LIMIT ?3)
			AND (at < ?1 OR id <= (SELECT max(id) FROM refusals) - ?2)`, bounds.Since.UnixMicro(), bounds.Most, 2*len(refusals))
		return err
	})
}

// refusalColumns are those that scanned reads.
const refusalColumns = `id, correlation_id, at, node, client_id, method, endpoint, status, code, cause`

// scanned reads the row of a refusal.
func scanned(rows *sql.Rows) (r store.Refusal, err error) {
	var at int64
	err = rows.Scan(&r.ID, &r.CorrelationID, &at, &r.Node, &r.ClientID, &r.Method, &r.Endpoint, &r.Status, &r.Code, &r.Cause)
	r.At = time.UnixMicro(at).UTC()
	return r, err
}

// Refusals lists those of a correlation id.
func (f Figures) Refusals(ctx context.Context, correlationID string) (found []store.Refusal, err error) {
	err = f.Read(ctx, "Refusals", func(c *connection.Conn) error {
		found = nil
		return c.EachOf(`SELECT `+refusalColumns+` FROM refusals WHERE correlation_id = ? ORDER BY id LIMIT ?`,
			[]any{correlationID, mostRefusals}, func(rows *sql.Rows) error {
				r, err := scanned(rows)
				r.ID = 0
				found = append(found, r)
				return err
			})
	})
	return found, err
}

// ListRefusals lists refusals, the newest first.
func (f Figures) ListRefusals(ctx context.Context, filter store.RefusalFilter) (found []store.Refusal, err error) {
	before := filter.Before
	if before <= 0 {
		before = math.MaxInt64
	}
	err = f.Read(ctx, "ListRefusals", func(c *connection.Conn) error {
		found = nil
		return c.EachOf(`SELECT `+refusalColumns+` FROM refusals WHERE id < ?1 AND (?2 = '' OR client_id = ?2) AND (?3 = '' OR endpoint = ?3)
			AND (?4 = '' OR code = ?4) ORDER BY id DESC LIMIT ?5`,
			[]any{before, filter.ClientID, filter.Endpoint, filter.Code, filter.Limit}, func(rows *sql.Rows) error {
				r, err := scanned(rows)
				found = append(found, r)
				return err
			})
	})
	return found, err
}
