package consents

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/outbox"
)

func (v Consents) notices() outbox.Outbox {
	return outbox.Outbox{
		Table: "consent_notices", Key: "consent_id, version",
		Columns: "consent_id, version, client_id, kind, status, at, grant_id, ended_by, reason, attempts, expires_at",
		Write:   v.Write, Record: v.Record, Moment: v.Moment,
	}
}

// ClaimConsentNotices leases due notices.
func (v Consents) ClaimConsentNotices(ctx context.Context, limit int, lease time.Duration) ([]store.ConsentNotice, error) {
	return outbox.Claim(ctx, v.notices(), "ClaimConsentNotices", limit, lease, func(rows *sql.Rows) (n store.ConsentNotice, err error) {
		var at, expires int64
		err = rows.Scan(&n.ConsentID, &n.Version, &n.ClientID, &n.Kind, (*string)(&n.Status), &at, &n.GrantID, &n.EndedBy, &n.Reason, &n.Attempt, &expires)
		n.At, n.ExpiresAt = time.UnixMicro(at).UTC(), time.UnixMicro(expires).UTC()
		return n, err
	})
}

// ConsentNoticeDone deletes a notice and stores what became of it.
func (v Consents) ConsentNoticeDone(ctx context.Context, n store.ConsentNotice, evidence ...store.Evidence) error {
	return v.notices().Done(ctx, "ConsentNoticeDone", n.Attempt, evidence, n.ConsentID, n.Version)
}

// ConsentNoticeFailed makes a notice due again.
func (v Consents) ConsentNoticeFailed(ctx context.Context, n store.ConsentNotice, next time.Time) error {
	return v.notices().Failed(ctx, "ConsentNoticeFailed", n.Attempt, next, n.ConsentID, n.Version)
}
