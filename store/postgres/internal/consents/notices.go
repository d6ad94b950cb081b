package consents

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
)

// ClaimConsentNotices leases due notices. Nodes that claim concurrently skip each other's.
func (v Consents) ClaimConsentNotices(ctx context.Context, limit int, lease time.Duration) (due []store.ConsentNotice, err error) {
	now := v.Moment()
	err = v.Run(ctx, "ClaimConsentNotices", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `WITH due AS MATERIALIZED (
				SELECT consent_id, version FROM consent_notices WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
			)
			UPDATE consent_notices n SET due_at = $2, attempts = n.attempts + 1 FROM due WHERE n.consent_id = due.consent_id AND n.version = due.version
			RETURNING n.consent_id, n.version, n.client_id, n.kind, n.status, n.at, n.grant_id, n.ended_by, n.reason, n.attempts, n.expires_at`,
			now, now.Add(lease), limit)
		if err != nil {
			return err
		}
		due, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n store.ConsentNotice, err error) {
			err = row.Scan(&n.ConsentID, &n.Version, &n.ClientID, &n.Kind, &n.Status, &n.At, &n.GrantID, &n.EndedBy, &n.Reason, &n.Attempt, &n.ExpiresAt)
			n.At, n.ExpiresAt = n.At.UTC(), n.ExpiresAt.UTC()
			return n, err
		})
		return err
	})
	return due, err
}

// ConsentNoticeDone deletes a notice and stores what became of it.
func (v Consents) ConsentNoticeDone(ctx context.Context, n store.ConsentNotice, evidence ...store.Evidence) error {
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{"id": n.ConsentID, "version": n.Version, "attempt": n.Attempt}).Evidence(evidence)
	return v.Run(ctx, "ConsentNoticeDone", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `WITH done AS (
				DELETE FROM consent_notices WHERE consent_id = @id AND version = @version AND attempts = @attempt RETURNING consent_id
			) `+named.InsertEvidence+` CROSS JOIN done`, arguments)
		return err
	})
}

// ConsentNoticeFailed makes a notice due again.
func (v Consents) ConsentNoticeFailed(ctx context.Context, n store.ConsentNotice, next time.Time) error {
	return v.Run(ctx, "ConsentNoticeFailed", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `UPDATE consent_notices SET due_at = $4 WHERE consent_id = $1 AND version = $2 AND attempts = $3`,
			n.ConsentID, n.Version, n.Attempt, next)
		return err
	})
}
