package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// Purge removes what nobody can ask for any more, at most limit records of each kind. Nodes that purge at once
// pass over each other's rows.
func (s *Store) Purge(ctx context.Context, limit int) (removed int, err error) {
	now := s.moment()
	forgotten := now.Add(-keepFor)
	err = s.run(ctx, "Purge", func(ctx context.Context, c *pgx.Conn) error {
		removed = 0
		var batch pgx.Batch
		batch.Queue(`WITH old AS MATERIALIZED (SELECT kind, key FROM uses WHERE until <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
			DELETE FROM uses USING old WHERE uses.kind = old.kind AND uses.key = old.key`, now, limit)
		batch.Queue(purge("sessions", ""), now, limit)
		batch.Queue(purge("access_tokens", ""), now, limit)
		batch.Queue(purge("refresh_tokens", ""), now, limit)
		batch.Queue(purge("interactions", ""), forgotten, limit)
		// An interaction may outlive the time in which its request can be opened.
		batch.Queue(purge("requests", "AND NOT EXISTS (SELECT FROM interactions i WHERE i.request_id = r.id)"), forgotten, limit)
		batch.Queue(purge("codes", ""), forgotten, limit)
		batch.Queue(purge("grants", ""), forgotten, limit)
		results := c.SendBatch(ctx, &batch)
		for range batch.Len() {
			deleted, err := results.Exec()
			if err != nil {
				return errors.Join(err, results.Close())
			}
			removed += int(deleted.RowsAffected())
		}
		return results.Close()
	})
	return removed, err
}

// purge is the statement that removes $2 rows whose time was over at $1 and that meet a further condition on r.
func purge(table, condition string) string {
	return `WITH old AS MATERIALIZED (SELECT id FROM ` + table + ` r WHERE expires_at <= $1 ` + condition + `
		LIMIT $2 FOR UPDATE SKIP LOCKED) DELETE FROM ` + table + ` USING old WHERE ` + table + `.id = old.id`
}
