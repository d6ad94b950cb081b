package consents

import (
	"context"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// EndClientGrant revokes a grant of a client that was not revoked before: see [store.Grants].
func (v Consents) EndClientGrant(ctx context.Context, clientID, grantID string, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	return v.Write(ctx, "EndClientGrant", connection.Several, func(c *connection.Conn) error {
		var found int
		if err := c.Get(`SELECT 1 FROM grants WHERE id = ? AND client_id = ? AND revoked_at IS NULL`, []any{grantID, clientID}, &found); err != nil {
			return err
		}
		if err := v.Consume(c, oneTimes); err != nil {
			return err
		}
		if err := v.Record(c, evidence); err != nil {
			return err
		}
		_, err := v.Revoke(c, grantID, store.RevokedByClient, v.Moment())
		return err
	})
}
