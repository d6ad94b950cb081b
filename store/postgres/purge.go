package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// Purge removes what is no longer needed, at most limit records of each kind. Nodes that purge concurrently
// skip each other's rows. What is stored in partitions is dropped with them, regardless of the limit, and does not count. The database's clock decides.
func (s *Store) Purge(ctx context.Context, limit int) (removed int, err error) {
	if err := s.maintain(ctx); err != nil {
		return 0, err
	}
	err = s.run(ctx, "Purge", func(ctx context.Context, c *pgx.Conn) error {
		now, err := s.databaseTime(ctx, c)
		if err != nil {
			return err
		}
		forgotten := now.Add(-keepFor)
		removed = 0
		var batch pgx.Batch
		batch.Queue(purge("requests_default", "purge_at"), now, limit)
		batch.Queue(purge("sessions", "expires_at"), now, limit)
		batch.Queue(purge("access_tokens_default", "expires_at"), now, limit)
		batch.Queue(purge("refresh_tokens", "expires_at"), now, limit)
		batch.Queue(`WITH old AS MATERIALIZED (SELECT request_id FROM pings WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
			DELETE FROM pings p USING old WHERE p.request_id = old.request_id`, now, limit)
		batch.Queue(purge("backchannel_requests", "expires_at"), now.Add(-s.keepBackchannel), limit)
		batch.Queue(purge("interactions_default", "expires_at"), forgotten, limit)
		batch.Queue(purge("codes_default", "expires_at"), forgotten, limit)
		batch.Queue(purge("grants", "expires_at"), now.Add(-s.keepGrants), limit)
		batch.Queue(purge("initial_tokens", "expires_at"), forgotten, limit)
		batch.Queue(purge("enrolments", "expires_at"), forgotten, limit)
		batch.Queue(`WITH old AS MATERIALIZED (SELECT subject, client_id FROM consents WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
			DELETE FROM consents k USING old WHERE k.subject = old.subject AND k.client_id = old.client_id`, now, limit)
		batch.Queue(`WITH old AS MATERIALIZED (SELECT subject, organisation FROM backchannel_standings
				WHERE blocked_at IS NULL AND (denied_at IS NULL OR denied_at <= $1) LIMIT $2 FOR UPDATE SKIP LOCKED)
			DELETE FROM backchannel_standings s USING old WHERE s.subject = old.subject AND s.organisation = old.organisation`,
			now.Add(-store.DenialsLast), limit)
		batch.Queue(`WITH whole AS MATERIALIZED (SELECT key FROM allowances WHERE full_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
			DELETE FROM allowances a USING whole WHERE a.key = whole.key`, now, limit)
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

// purge is the statement that removes at most $2 rows whose time, in column, was over at $1.
func purge(table, column string) string {
	return `WITH old AS MATERIALIZED (SELECT id FROM ` + table + ` WHERE ` + column + ` <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
		DELETE FROM ` + table + ` USING old WHERE ` + table + `.id = old.id`
}
