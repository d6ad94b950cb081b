package figures

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// GrantByID reads a grant.
func (f Figures) GrantByID(ctx context.Context, id string) (g store.GivenGrant, err error) {
	err = f.Read(ctx, "GrantByID", func(c *connection.Conn) error {
		var scopes, amr sql.NullString
		var signedIn, revoked, used sql.NullInt64
		var created, expires int64
		if err := c.Get(`SELECT id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at, revoked_at,
			coalesce(managed_id, ''), used_at, revoked_by FROM grants WHERE id = ?`, []any{id},
			&g.ID, &g.ClientID, &g.Subject, &scopes, (*[]byte)(&g.Detail), &signedIn, &g.ACR, &amr, &created, &expires, &revoked,
			&g.ManagedID, &used, &g.RevokedBy); err != nil {
			return err
		}
		g.AuthTime, g.RevokedAt, g.UsedAt = moment(signedIn), moment(revoked), moment(used)
		g.CreatedAt, g.ExpiresAt = time.UnixMicro(created).UTC(), time.UnixMicro(expires).UTC()
		return errors.Join(values(scopes, &g.Scopes), values(amr, &g.AMR))
	})
	return g, err
}

// moment is the zero time for NULL.
func moment(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return time.UnixMicro(micros.Int64).UTC()
}

// values reads a list; NULL is none.
func values(encoded sql.NullString, into *[]string) error {
	if !encoded.Valid {
		return nil
	}
	return json.Unmarshal([]byte(encoded.String), into)
}
