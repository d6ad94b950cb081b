// Package managed lets grants take the place of others in SQLite; see [store.Finish].
package managed

import (
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// Valid is a condition on a grant g: it is valid. Its argument is the time.
const Valid = `g.revoked_at IS NULL AND g.expires_at > ?`

// Replace ends the grant whose place another one takes, and forgets what its user allowed its client. [store.ErrConflict] when there is
// no such grant that is valid. An empty replaces does nothing.
func Replace(c *connection.Conn, replaces string, by *store.Grant, now time.Time) error {
	if replaces == "" || by == nil {
		return nil
	}
	ended, err := c.Exec(`UPDATE grants AS g SET revoked_at = ?, revoked_by = '`+store.RevokedByReplacement+`'
		WHERE g.id = ? AND g.client_id = ? AND g.subject = ? AND g.managed_id = ? AND `+Valid,
		now.UnixMicro(), replaces, by.ClientID, by.Subject, by.ManagedID, now.UnixMicro())
	if err != nil {
		return err
	}
	if ended == 0 {
		return store.ErrConflict
	}
	_, err = c.Exec(`DELETE FROM consents WHERE subject = ? AND client_id = ?`, by.Subject, by.ClientID)
	return err
}
