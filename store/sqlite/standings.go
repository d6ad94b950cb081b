package sqlite

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

const standingColumns = `subject, organisation, client_id, denials, denied_at, blocked_at`

func standingFields(s *store.BackchannelStanding) []any {
	return []any{&s.Subject, &s.Organisation, &s.ClientID, &s.Denials, timeField{&s.DeniedAt}, timeField{&s.BlockedAt}}
}

// countDecision counts a denial against the organisation of the request, or ends what was counted.
func countDecision(c *connection.Conn, d store.BackchannelDecision, now time.Time) error {
	if d.Grant != nil {
		_, err := c.Exec(`UPDATE backchannel_standings SET denials = 0, denied_at = NULL
			WHERE subject = ? AND organisation = (SELECT organisation FROM backchannel_requests WHERE id = ?)`, d.Subject, d.Request[:])
		return err
	}
	_, err := c.Exec(`INSERT INTO backchannel_standings (subject, organisation, client_id, denials, denied_at)
		SELECT ?1, organisation, client_id, 1, ?2 FROM backchannel_requests WHERE id = ?3 AND organisation <> ''
		ON CONFLICT (subject, organisation) DO UPDATE SET denied_at = excluded.denied_at,
		client_id = iif(blocked_at IS NULL, excluded.client_id, client_id), denials = iif(coalesce(denied_at, 0) > ?4, denials + 1, 1)`,
		d.Subject, micros(now), d.Request[:], micros(now.Add(-store.DenialsLast)))
	return err
}

// BackchannelStanding reads what a user decided about an organisation.
func (s *Store) BackchannelStanding(ctx context.Context, subject, organisation string) (standing store.BackchannelStanding, err error) {
	remembered := s.moment().Add(-store.DenialsLast)
	err = s.readOften(ctx, "BackchannelStanding", func(c *connection.Conn) error {
		standing = store.BackchannelStanding{}
		_, err := c.One(`SELECT `+standingColumns+` FROM backchannel_standings WHERE subject = ? AND organisation = ?`,
			[]any{subject, organisation}, standingFields(&standing)...)
		return err
	})
	if !standing.DeniedAt.After(remembered) {
		standing.Denials = 0
	}
	return standing, err
}

// BlockedBackchannel lists the organisations that a user has blocked.
func (s *Store) BlockedBackchannel(ctx context.Context, subject string) (blocked []store.BackchannelStanding, err error) {
	err = s.read(ctx, "BlockedBackchannel", func(c *connection.Conn) error {
		blocked = nil
		return c.EachOf(`SELECT `+standingColumns+` FROM backchannel_standings
			WHERE subject = ? AND blocked_at IS NOT NULL ORDER BY blocked_at, organisation`, []any{subject}, func(rows *sql.Rows) error {
			var one store.BackchannelStanding
			err := rows.Scan(standingFields(&one)...)
			blocked = append(blocked, one)
			return err
		})
	})
	return blocked, err
}

// BlockBackchannel blocks an organisation for a user, or unblocks it.
func (s *Store) BlockBackchannel(ctx context.Context, standing store.BackchannelStanding) error {
	return s.write(ctx, "BlockBackchannel", connection.Single, func(c *connection.Conn) error {
		if standing.BlockedAt.IsZero() {
			_, err := c.Exec(`UPDATE backchannel_standings SET blocked_at = NULL WHERE subject = ? AND organisation = ?`,
				standing.Subject, standing.Organisation)
			return err
		}
		_, err := c.Exec(`INSERT INTO backchannel_standings (subject, organisation, client_id, denials, blocked_at) VALUES (?, ?, ?, 0, ?)
			ON CONFLICT (subject, organisation) DO UPDATE SET client_id = excluded.client_id,
			blocked_at = coalesce(blocked_at, excluded.blocked_at)`,
			standing.Subject, standing.Organisation, standing.ClientID, micros(standing.BlockedAt))
		return err
	})
}
