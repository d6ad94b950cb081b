package figures

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// GrantByID reads a grant.
func (f Figures) GrantByID(ctx context.Context, id string) (g store.GivenGrant, err error) {
	err = f.Read(ctx, "GrantByID", func(ctx context.Context, c *pgx.Conn) error {
		var signedIn, revoked, used *time.Time
		err := c.QueryRow(ctx, `SELECT id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at, revoked_at,
			coalesce(managed_id, ''), used_at, revoked_by FROM grants WHERE id = $1`, id).Scan(
			&g.ID, &g.ClientID, &g.Subject, &g.Scopes, (*[]byte)(&g.Detail), &signedIn, &g.ACR, &g.AMR, &g.CreatedAt, &g.ExpiresAt, &revoked,
			&g.ManagedID, &used, &g.RevokedBy)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		g.AuthTime, g.RevokedAt, g.UsedAt = orZero(signedIn), orZero(revoked), orZero(used)
		g.CreatedAt, g.ExpiresAt = g.CreatedAt.UTC(), g.ExpiresAt.UTC()
		return err
	})
	return g, err
}

// orZero is the zero time for NULL.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
