package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/consents"
	"countersign/store/postgres/internal/purge"
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
		ended := func(table, column string, before time.Time) purge.Rows {
			return purge.Rows{Table: table, Key: "id", Over: column + " <= $1", Before: before}
		}
		claims := func(table string, before time.Time) purge.Rows {
			rows := ended(table, "expires_at", before)
			rows.ClaimsEnd = now
			return rows
		}
		removed, err = purge.Run(ctx, c, limit, []purge.Rows{
			ended("requests_default", "purge_at", now),
			ended("sessions", "expires_at", now),
			{Table: "session_clients", Key: "sid, client_id", Over: "expires_at <= $1", Before: now},
			ended("access_tokens_default", "expires_at", now),
			ended("refresh_tokens", "expires_at", now),
			{Table: "pings", Key: "request_id", Over: "expires_at <= $1", Before: now},
			claims("backchannel_requests", now.Add(-s.keepBackchannel)),
			ended("interactions_default", "expires_at", forgotten),
			ended("hand_offs", "expires_at", forgotten),
			claims("codes_default", forgotten),
			ended("grants", "expires_at", now.Add(-s.keepGrants)),
			ended("initial_tokens", "expires_at", forgotten),
			ended("enrolments", "expires_at", forgotten),
			{Table: "known_browsers", Key: "subject, id", Over: "expires_at <= $1", Before: now},
			{Table: "lodged_consents", Key: "id", Over: "changed_at <= $1 AND " + consents.Over, Before: now.Add(-s.keepGrants)},
			{Table: "consent_notices", Key: "consent_id, version", Over: "expires_at <= $1", Before: now.Add(-store.ConsentNoticesLast)},
			{Table: "consents", Key: "subject, client_id", Over: "expires_at <= $1", Before: now},
			{
				Table: "backchannel_standings", Key: "subject, organisation",
				Over: "blocked_at IS NULL AND (denied_at IS NULL OR denied_at <= $1)", Before: now.Add(-store.DenialsLast),
			},
			{Table: "service_hours", Key: "hour, endpoint, node", Over: "hour <= $1", Before: now.Add(-store.ServiceHoursLast)},
			ended("approvals", "expires_at", now.Add(-store.ApprovalsLast)),
			{Table: "allowances", Key: "key", Over: "full_at <= $1", Before: now},
		})
		return err
	})
	return removed, err
}
