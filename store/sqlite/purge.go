package sqlite

import (
	"context"

	"countersign/store/sqlite/internal/connection"
)

// Purge removes what is no longer needed, at most limit records of each kind.
func (s *Store) Purge(ctx context.Context, limit int) (removed int, err error) {
	now := s.moment()
	ended, expired := micros(now), micros(now.Add(-keepFor))
	steps := []struct {
		query  string
		before any
	}{
		{`DELETE FROM uses WHERE (kind, key) IN (SELECT kind, key FROM uses WHERE until <= ? LIMIT ?)`, ended},
		{`DELETE FROM allowances WHERE key IN (SELECT key FROM allowances WHERE full_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE purge_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM access_tokens WHERE id IN (SELECT id FROM access_tokens WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM refresh_tokens WHERE id IN (SELECT id FROM refresh_tokens WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM consents WHERE (subject, client_id) IN (SELECT subject, client_id FROM consents WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM pings WHERE request_id IN (SELECT request_id FROM pings WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM backchannel_requests WHERE id IN (SELECT id FROM backchannel_requests WHERE expires_at <= ? LIMIT ?)`, micros(now.Add(-s.keepBackchannel))},
		{`DELETE FROM initial_tokens WHERE id IN (SELECT id FROM initial_tokens WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM enrolments WHERE id IN (SELECT id FROM enrolments WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM interactions WHERE id IN (SELECT id FROM interactions WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM codes WHERE id IN (SELECT id FROM codes WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_at <= ? LIMIT ?)`, micros(now.Add(-s.keepGrants))},
	}
	err = s.write(ctx, "Purge", connection.Several, func(c *connection.Conn) error {
		removed = 0
		for _, step := range steps {
			n, err := c.Exec(step.query, step.before, limit)
			if err != nil {
				return err
			}
			removed += int(n)
		}
		return nil
	})
	return removed, err
}
