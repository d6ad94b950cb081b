package account

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// KnowBrowser stores a browser of a user, or renews one.
func (a Accounts) KnowBrowser(ctx context.Context, subject string, b store.KnownBrowser) error {
	arguments := a.Statements.Arguments(pgx.StrictNamedArgs{
		"subject": subject, "id": b.ID[:], "agent": b.Agent, "created_at": b.CreatedAt, "used_at": b.UsedAt, "expires_at": b.ExpiresAt,
		"others": store.MaxKnownBrowsers - 1,
	})
	return a.Run(ctx, "KnowBrowser", func(ctx context.Context, c *pgx.Conn) error {
		var stored bool
		err := c.QueryRow(ctx, `WITH stored AS (
				INSERT INTO known_browsers (subject, id, agent, created_at, used_at, expires_at)
				SELECT subject, @id::bytea, @agent::text, @created_at::timestamptz, @used_at::timestamptz, @expires_at::timestamptz
				FROM users WHERE subject = @subject AND erased_at IS NULL
				ON CONFLICT (subject, id) DO UPDATE SET agent = excluded.agent, used_at = excluded.used_at, expires_at = excluded.expires_at
				RETURNING 1
			), crowded AS (
				DELETE FROM known_browsers WHERE subject = @subject AND id IN (
					SELECT id FROM known_browsers WHERE subject = @subject AND id <> @id ORDER BY used_at DESC, id OFFSET @others)
			) SELECT EXISTS (SELECT FROM stored)`, arguments).Scan(&stored)
		if err == nil && !stored {
			return store.ErrNotFound
		}
		return err
	})
}

// KnowsBrowser reports whether a browser is known.
func (a Accounts) KnowsBrowser(ctx context.Context, subject string, id store.Digest) (known bool, err error) {
	err = a.Read(ctx, "KnowsBrowser", func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM known_browsers WHERE subject = $1 AND id = $2 AND expires_at > $3)`,
			subject, id[:], a.Moment()).Scan(&known)
	})
	return known, err
}

// ListBrowsers lists those of a user.
func (a Accounts) ListBrowsers(ctx context.Context, subject string) (all []store.KnownBrowser, err error) {
	err = a.Read(ctx, "ListBrowsers", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT id, agent, created_at, used_at, expires_at FROM known_browsers
			WHERE subject = $1 AND expires_at > $2 ORDER BY used_at DESC, id`, subject, a.Moment())
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b store.KnownBrowser, err error) {
			var id []byte
			err = row.Scan(&id, &b.Agent, &b.CreatedAt, &b.UsedAt, &b.ExpiresAt)
			copy(b.ID[:], id)
			b.CreatedAt, b.UsedAt, b.ExpiresAt = b.CreatedAt.UTC(), b.UsedAt.UTC(), b.ExpiresAt.UTC()
			return b, err
		})
		if len(all) == 0 {
			all = nil
		}
		return err
	})
	return all, err
}

// ForgetBrowser has one be unknown again.
func (a Accounts) ForgetBrowser(ctx context.Context, subject string, id store.Digest, evidence ...store.Evidence) error {
	return a.one(ctx, "ForgetBrowser", `DELETE FROM known_browsers WHERE subject = @subject AND id = @id AND expires_at > @now RETURNING 1`,
		pgx.StrictNamedArgs{"subject": subject, "id": id[:], "now": a.Moment()}, evidence)
}
