package account

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// KnowBrowser stores a browser of a user, or renews one.
func (a Accounts) KnowBrowser(ctx context.Context, subject string, b store.KnownBrowser) error {
	return a.Write(ctx, "KnowBrowser", connection.Several, func(c *connection.Conn) error {
		stored, err := c.Exec(`INSERT INTO known_browsers (subject, id, agent, created_at, used_at, expires_at)
			SELECT subject, ?2, ?3, ?4, ?5, ?6 FROM users WHERE subject = ?1 AND erased_at IS NULL
			ON CONFLICT (subject, id) DO UPDATE SET agent = excluded.agent, used_at = excluded.used_at, expires_at = excluded.expires_at`,
			subject, b.ID[:], b.Agent, b.CreatedAt.UnixMicro(), b.UsedAt.UnixMicro(), b.ExpiresAt.UnixMicro())
		switch {
		case err != nil:
			return err
		case stored == 0:
			return store.ErrNotFound
		}
		_, err = c.Exec(`DELETE FROM known_browsers WHERE subject = ?1 AND id IN (
			SELECT id FROM known_browsers WHERE subject = ?1 AND id <> ?2 ORDER BY used_at DESC, id LIMIT -1 OFFSET ?3)`,
			subject, b.ID[:], store.MaxKnownBrowsers-1)
		return err
	})
}

// KnowsBrowser reports whether a browser is known.
func (a Accounts) KnowsBrowser(ctx context.Context, subject string, id store.Digest) (known bool, err error) {
	err = a.Read(ctx, "KnowsBrowser", func(c *connection.Conn) error {
		known, err = c.One(`SELECT 1 FROM known_browsers WHERE subject = ? AND id = `+connection.Blob+` AND expires_at > ?`,
			[]any{subject, id[:], a.Moment().UnixMicro()}, new(int))
		return err
	})
	return known, err
}

// ListBrowsers lists those of a user.
func (a Accounts) ListBrowsers(ctx context.Context, subject string) (all []store.KnownBrowser, err error) {
	err = a.Read(ctx, "ListBrowsers", func(c *connection.Conn) error {
		all = nil
		return c.EachOf(`SELECT id, agent, created_at, used_at, expires_at FROM known_browsers WHERE subject = ? AND expires_at > ?
			ORDER BY used_at DESC, id`, []any{subject, a.Moment().UnixMicro()}, func(rows *sql.Rows) error {
			b, err := scanBrowser(rows)
			all = append(all, b)
			return err
		})
	})
	return all, err
}

// scanBrowser reads a browser.
func scanBrowser(rows *sql.Rows) (b store.KnownBrowser, err error) {
	var id []byte
	var created, used, expires int64
	err = rows.Scan(&id, &b.Agent, &created, &used, &expires)
	copy(b.ID[:], id)
	b.CreatedAt, b.UsedAt, b.ExpiresAt = time.UnixMicro(created).UTC(), time.UnixMicro(used).UTC(), time.UnixMicro(expires).UTC()
	return b, err
}

// ForgetBrowser has one be unknown again.
func (a Accounts) ForgetBrowser(ctx context.Context, subject string, id store.Digest, evidence ...store.Evidence) error {
	return a.one(ctx, "ForgetBrowser", evidence, func(c *connection.Conn) (int64, error) {
		return c.Exec(`DELETE FROM known_browsers WHERE subject = ? AND id = ? AND expires_at > ?`, subject, id[:], a.Moment().UnixMicro())
	})
}
