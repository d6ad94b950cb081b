package consents

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// ClaimConsentNotices leases due notices.
func (v Consents) ClaimConsentNotices(ctx context.Context, limit int, lease time.Duration) (due []store.ConsentNotice, err error) {
	now := v.Moment()
	err = v.Write(ctx, "ClaimConsentNotices", connection.Single, func(c *connection.Conn) error {
		due = nil
		return c.UpdateEach(`UPDATE consent_notices SET due_at = ?2, attempts = attempts + 1 WHERE (consent_id, version) IN
			(SELECT consent_id, version FROM consent_notices WHERE due_at <= ?1 ORDER BY due_at LIMIT ?3)
			RETURNING consent_id, version, client_id, kind, status, at, grant_id, ended_by, reason, attempts, expires_at`,
			[]any{now.UnixMicro(), now.Add(lease).UnixMicro(), limit}, func(rows *sql.Rows) error {
				var n store.ConsentNotice
				var at, expires int64
				err := rows.Scan(&n.ConsentID, &n.Version, &n.ClientID, &n.Kind, (*string)(&n.Status), &at, &n.GrantID, &n.EndedBy, &n.Reason, &n.Attempt, &expires)
				n.At, n.ExpiresAt = time.UnixMicro(at).UTC(), time.UnixMicro(expires).UTC()
				due = append(due, n)
				return err
			})
	})
	return due, err
}

// ConsentNoticeDone deletes a notice and stores what became of it.
func (v Consents) ConsentNoticeDone(ctx context.Context, n store.ConsentNotice, evidence ...store.Evidence) error {
	return v.Write(ctx, "ConsentNoticeDone", connection.Several, func(c *connection.Conn) error {
		removed, err := c.Exec(`DELETE FROM consent_notices WHERE consent_id = ? AND version = ? AND attempts = ?`, n.ConsentID, n.Version, n.Attempt)
		if err != nil || removed == 0 {
			return err
		}
		return v.Record(c, evidence)
	})
}

// ConsentNoticeFailed makes a notice due again.
func (v Consents) ConsentNoticeFailed(ctx context.Context, n store.ConsentNotice, next time.Time) error {
	return v.Write(ctx, "ConsentNoticeFailed", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`UPDATE consent_notices SET due_at = ? WHERE consent_id = ? AND version = ? AND attempts = ?`,
			next.UnixMicro(), n.ConsentID, n.Version, n.Attempt)
		return err
	})
}
