package figures

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// mostRefusals is how many are listed.
const mostRefusals = 100

// AddRefusals adds refusals, and removes twice as many at most of what is beyond the bounds.
func (f Figures) AddRefusals(ctx context.Context, bounds store.RefusalBounds, refusals ...store.Refusal) error {
	if len(refusals) == 0 {
		return nil
	}
	var ids, nodes, clients, methods, endpoints, codes, causes []string
	var times []time.Time
	var statuses []int32
	for _, r := range refusals {
		ids, nodes, clients, methods = append(ids, r.CorrelationID), append(nodes, r.Node), append(clients, r.ClientID), append(methods, r.Method)
		endpoints, codes, causes = append(endpoints, r.Endpoint), append(codes, r.Code), append(causes, r.Cause)
		times, statuses = append(times, r.At), append(statuses, int32(r.Status))
	}
	return f.Run(ctx, "AddRefusals", func(ctx context.Context, c *pgx.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(`INSERT INTO refusals (correlation_id, at, node, client_id, method, endpoint, status, code, cause)
			SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::text[])`,
			ids, times, nodes, clients, methods, endpoints, statuses, codes, causes)
		// The oldest are the first by their numbers. Nodes that remove concurrently skip each other's.
		batch.Queue(`WITH old AS MATERIALIZED (
				SELECT id FROM (SELECT id, at FROM refusals ORDER BY id LIMIT $3) r
				WHERE at < $1 OR id <= (SELECT max(id) FROM refusals) - $2::bigint
			), mine AS MATERIALIZED (SELECT r.id FROM refusals r JOIN old USING (id) FOR UPDATE OF r SKIP LOCKED)
			DELETE FROM refusals r USING mine WHERE r.id = mine.id`, bounds.Since, bounds.Most, 2*len(refusals))
		return c.SendBatch(ctx, batch).Close()
	})
}

// refusalColumns are those of refusalFields.
const refusalColumns = `correlation_id, at, node, client_id, method, endpoint, status, code, cause`

func refusalFields(r *store.Refusal) []any {
	return []any{&r.CorrelationID, &r.At, &r.Node, &r.ClientID, &r.Method, &r.Endpoint, &r.Status, &r.Code, &r.Cause}
}

// Refusals lists those of a correlation id.
func (f Figures) Refusals(ctx context.Context, correlationID string) (found []store.Refusal, err error) {
	err = f.Read(ctx, "Refusals", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT `+refusalColumns+` FROM refusals WHERE correlation_id = $1 ORDER BY id LIMIT $2`, correlationID, mostRefusals)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r store.Refusal, err error) {
			err = row.Scan(refusalFields(&r)...)
			r.At = r.At.UTC()
			return r, err
		})
		return err
	})
	return found, err
}

// ListRefusals lists refusals, the newest first.
func (f Figures) ListRefusals(ctx context.Context, filter store.RefusalFilter) (found []store.Refusal, err error) {
	before := filter.Before
	if before <= 0 {
		before = math.MaxInt64
	}
	err = f.Read(ctx, "ListRefusals", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT id, `+refusalColumns+` FROM refusals WHERE id < $1 AND ($2::text = '' OR client_id = $2)
			AND ($3::text = '' OR endpoint = $3) AND ($4::text = '' OR code = $4) ORDER BY id DESC LIMIT $5`,
			before, filter.ClientID, filter.Endpoint, filter.Code, filter.Limit)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r store.Refusal, err error) {
			err = row.Scan(append([]any{&r.ID}, refusalFields(&r)...)...)
			r.At = r.At.UTC()
			return r, err
		})
		return err
	})
	return found, err
}
