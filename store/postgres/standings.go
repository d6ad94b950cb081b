package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

const standingColumns = `subject, organisation, client_id, denials, denied_at, blocked_at`

func standingFields(s *store.BackchannelStanding) []any {
	return []any{&s.Subject, &s.Organisation, &s.ClientID, &s.Denials, timeField{&s.DeniedAt}, timeField{&s.BlockedAt}}
}

// BackchannelStanding reads what a user decided about an organisation.
func (s *Store) BackchannelStanding(ctx context.Context, subject, organisation string) (standing store.BackchannelStanding, err error) {
	remembered := s.moment().Add(-store.DenialsLast)
	err = s.read(ctx, "BackchannelStanding", func(ctx context.Context, c *pgx.Conn) error {
		standing = store.BackchannelStanding{}
		_, err := one(ctx, c, `SELECT `+standingColumns+` FROM backchannel_standings WHERE subject = $1 AND organisation = $2`,
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
	err = s.read(ctx, "BlockedBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		blocked, err = rows(ctx, c, `SELECT `+standingColumns+` FROM backchannel_standings
			WHERE subject = $1 AND blocked_at IS NOT NULL ORDER BY blocked_at, organisation`, []any{subject}, standingFields)
		return err
	})
	return blocked, err
}

// BlockBackchannel blocks an organisation for a user, or unblocks it.
func (s *Store) BlockBackchannel(ctx context.Context, standing store.BackchannelStanding) error {
	return s.run(ctx, "BlockBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		if standing.BlockedAt.IsZero() {
			_, err := c.Exec(ctx, `UPDATE backchannel_standings SET blocked_at = NULL WHERE subject = $1 AND organisation = $2`,
				standing.Subject, standing.Organisation)
			return err
		}
		_, err := c.Exec(ctx, `INSERT INTO backchannel_standings AS s (subject, organisation, client_id, denials, blocked_at)
			VALUES (@subject, @organisation, @client_id, 0, @blocked_at)
			ON CONFLICT (subject, organisation) DO UPDATE SET client_id = excluded.client_id,
				blocked_at = coalesce(s.blocked_at, excluded.blocked_at)`, s.named(pgx.StrictNamedArgs{
			"subject": standing.Subject, "organisation": standing.Organisation, "client_id": standing.ClientID,
			"blocked_at": at(standing.BlockedAt),
		}))
		return err
	})
}
