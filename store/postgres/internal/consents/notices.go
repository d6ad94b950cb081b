package consents

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/outbox"
)

func (v Consents) notices() outbox.Outbox {
	return outbox.Outbox{
		Table: "consent_notices", Key: "consent_id, version",
		Columns:    `o.consent_id, o.version, o.client_id, o.kind, o.status, o.at, o.grant_id, o.ended_by, o.reason, o.attempts, o.expires_at`,
		Statements: v.Statements, Run: v.Run, Moment: v.Moment,
	}
}

// ClaimConsentNotices leases due notices.
func (v Consents) ClaimConsentNotices(ctx context.Context, limit int, lease time.Duration) ([]store.ConsentNotice, error) {
	return outbox.Claim(ctx, v.notices(), "ClaimConsentNotices", limit, lease, func(row pgx.CollectableRow) (n store.ConsentNotice, err error) {
		err = row.Scan(&n.ConsentID, &n.Version, &n.ClientID, &n.Kind, &n.Status, &n.At, &n.GrantID, &n.EndedBy, &n.Reason, &n.Attempt, &n.ExpiresAt)
		n.At, n.ExpiresAt = n.At.UTC(), n.ExpiresAt.UTC()
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
