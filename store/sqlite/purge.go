package sqlite

import (
	"context"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

const (
	// keepUses is how long used values are kept after their end: a clock that is set back by less forgets nothing.
	keepUses = 2 * time.Minute
	// maxUse is how long an artefact with a one-time value can be valid at most.
	maxUse = 24 * time.Hour
)

// Purge removes what is no longer needed, at most limit records of each kind.
//
// A machine has one clock, and it may be set: forward, and back again. So that no value which was removed in between is taken
// again, the time up to which values are removed is recorded with their removal, and no value that ends before it is taken
// (see consumeOneTimes). When the clock was far ahead, that ends after a day: no artefact from before lives longer.
func (s *Store) Purge(ctx context.Context, limit int) (removed int, err error) {
	now := s.moment()
	forgotten := now.Add(-keepUses).UnixMicro()
	ended, expired := micros(now), micros(now.Add(-keepFor))
	steps := []struct {
		query  string
		before any
	}{
		{`DELETE FROM uses WHERE (kind, key) IN (SELECT kind, key FROM uses WHERE until <= ? LIMIT ?)`, forgotten},
		{`DELETE FROM allowances WHERE key IN (SELECT key FROM allowances WHERE full_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE purge_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM access_tokens WHERE id IN (SELECT id FROM access_tokens WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM refresh_tokens WHERE id IN (SELECT id FROM refresh_tokens WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM consents WHERE (subject, client_id) IN (SELECT subject, client_id FROM consents WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM pings WHERE request_id IN (SELECT request_id FROM pings WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM backchannel_requests WHERE id IN (SELECT id FROM backchannel_requests WHERE expires_at <= ? LIMIT ?)`, micros(now.Add(-s.keepBackchannel))},
		{`DELETE FROM backchannel_standings WHERE (subject, organisation) IN (SELECT subject, organisation FROM backchannel_standings
			WHERE blocked_at IS NULL AND coalesce(denied_at, 0) <= ? LIMIT ?)`, micros(now.Add(-store.DenialsLast))},
		{`DELETE FROM initial_tokens WHERE id IN (SELECT id FROM initial_tokens WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM enrolments WHERE id IN (SELECT id FROM enrolments WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM interactions WHERE id IN (SELECT id FROM interactions WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM codes WHERE id IN (SELECT id FROM codes WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_at <= ? LIMIT ?)`, micros(now.Add(-s.keepGrants))},
	}
	err = s.write(ctx, "Purge", connection.Several, func(c *connection.Conn) error {
		removed = 0
		var purged int64
		if _, err := c.Update(`UPDATE clock SET purged = max(?, min(purged, ?)) WHERE id = 1 RETURNING purged`,
			[]any{forgotten, now.Add(maxUse).UnixMicro()}, &purged); err != nil {
			return err
		}
		s.clock.purged.Store(purged)
		if err := s.clock.err(now); err != nil {
			return connection.Keep(err)
		}
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
