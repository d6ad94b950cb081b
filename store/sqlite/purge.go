package sqlite

import (
	"context"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/consents"
	"countersign/store/sqlite/internal/sweep"
)

const (
	// keepUses is how long used values are kept after their end: a clock that is set back by less forgets nothing.
	keepUses = 2 * time.Minute
	// maxUse is how long an artefact with a one-time value can be valid at most.
	maxUse = 24 * time.Hour
)

// sweptTables are those to which every flow adds. Grants stay for keepGrants after their end.
func sweptTables(keepGrants time.Duration) []sweep.Table {
	return []sweep.Table{
		{Name: "uses", Key: []string{"kind", "key"}, Ends: "until", Keep: keepUses},
		{Name: "requests", Key: []string{"rowid"}, Ends: "purge_at"},
		{Name: "interactions", Key: []string{"id"}, Ends: "expires_at", Keep: keepFor},
		{Name: "codes", Key: []string{"id"}, Ends: "expires_at", Keep: keepFor, Before: sweep.EndUnclaimedCodes},
		{Name: "access_tokens", Key: []string{"id"}, Ends: "expires_at"},
		{Name: "refresh_tokens", Key: []string{"id"}, Ends: "expires_at"},
		{Name: "grants", Key: []string{"rowid"}, Ends: "expires_at", Keep: keepGrants},
	}
}

// oldBackchannelRequests are those that go first.
const oldBackchannelRequests = `expires_at <= ? ORDER BY expires_at, rowid LIMIT ?`

// Purge removes what is no longer needed, at most limit records of each kind.
//
// A machine has one clock, and it may be set: forward, and back again. So that no value which was removed in between is taken
// again, the time up to which values are removed is recorded with their removal, and no value that ends before it is taken
// (see consumeOneTimes). When the clock was far ahead, that ends after a day: no artefact from before lives longer.
func (s *Store) Purge(ctx context.Context, limit int) (removed int, err error) {
	ctx, verb := s.verbs.Begin(ctx, "Purge")
	removed, err = s.purge(ctx, limit)
	return removed, verb.End(connection.StoreError(err))
}

// purge finds what has ended by a connection that reads, so that the one that writes is held up for the removal only.
func (s *Store) purge(ctx context.Context, limit int) (removed int, err error) {
	now := s.moment()
	forgotten := now.Add(-keepUses).UnixMicro()
	ended, expired, backchannelOver := now.UnixMicro(), now.Add(-keepFor).UnixMicro(), now.Add(-s.keepBackchannel).UnixMicro()
	var found []sweep.Stretch
	next := map[string]sweep.Position{}
	err = s.readers.With(ctx, func(c *connection.Conn) error {
		for _, table := range sweptTables(s.keepGrants) {
			stretches, at, err := table.Find(c, s.sweeps.Of(table.Name), now.Add(-table.Keep).UnixMicro(), limit)
			if err != nil {
				return err
			}
			found, next[table.Name] = append(found, stretches...), at
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	steps := []struct {
		query  string
		before int64
	}{
		{`DELETE FROM allowances WHERE key IN (SELECT key FROM allowances WHERE full_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM session_clients WHERE (sid, client_id) IN (SELECT sid, client_id FROM session_clients WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM hand_offs WHERE id IN (SELECT id FROM hand_offs WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM known_browsers WHERE (subject, id) IN (SELECT subject, id FROM known_browsers WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM consents WHERE (subject, client_id) IN (SELECT subject, client_id FROM consents WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM pings WHERE request_id IN (SELECT request_id FROM pings WHERE expires_at <= ? LIMIT ?)`, ended},
		{`DELETE FROM backchannel_requests WHERE id IN (SELECT id FROM backchannel_requests WHERE ` + oldBackchannelRequests + `)`, backchannelOver},
		{`DELETE FROM backchannel_standings WHERE (subject, organisation) IN (SELECT subject, organisation FROM backchannel_standings
			WHERE blocked_at IS NULL AND coalesce(denied_at, 0) <= ? LIMIT ?)`, now.Add(-store.DenialsLast).UnixMicro()},
		{consents.PurgeNotices, now.Add(-store.ConsentNoticesLast).UnixMicro()},
		{consents.Purge, now.Add(-s.keepGrants).UnixMicro()},
		{`DELETE FROM service_hours WHERE (hour, endpoint, node) IN (SELECT hour, endpoint, node FROM service_hours WHERE hour <= ? LIMIT ?)`, now.Add(-store.ServiceHoursLast).UnixMicro()},
		{`DELETE FROM approvals WHERE id IN (SELECT id FROM approvals WHERE expires_at <= ? LIMIT ?)`, now.Add(-store.ApprovalsLast).UnixMicro()},
		{`DELETE FROM initial_tokens WHERE id IN (SELECT id FROM initial_tokens WHERE expires_at <= ? LIMIT ?)`, expired},
		{`DELETE FROM enrolments WHERE id IN (SELECT id FROM enrolments WHERE expires_at <= ? LIMIT ?)`, expired},
	}
	err = s.writer.Do(ctx, connection.Several, func(c *connection.Conn) error {
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
		if _, err := c.Exec(sweep.EndUnclaimed("backchannel_requests", oldBackchannelRequests), ended, backchannelOver, limit); err != nil {
			return err
		}
		for _, step := range steps {
			n, err := c.Exec(step.query, step.before, limit)
			if err != nil {
				return err
			}
			removed += int(n)
		}
		for _, stretch := range found {
			n, err := stretch.Remove(c)
			if err != nil {
				return err
			}
			removed += n
		}
		return nil
	})
	if err != nil {
		return removed, err
	}
	for table, at := range next {
		s.sweeps.Set(table, at)
	}
	return removed, nil
}
