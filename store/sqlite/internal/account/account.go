// Package account has the verbs of a user's own account in SQLite; see [store.Accounts].
package account

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/signout"
)

// Accounts has the verbs whose records are not read elsewhere.
type Accounts struct {
	// Read and Write do the work of a verb that changes nothing, and of one that does.
	Read  func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Record stores evidence.
	Record func(c *connection.Conn, evidence []store.Evidence) error
	// Moment is the time.
	Moment func() time.Time
}

// What is left of what a user gave, and what has ended: by the user (1), at a time (2), after a position (3, 4), at most some (5), of one
// client or all (6).
// All of it belongs to one user.
const (
	active = `SELECT client_id, grants, given_at, last_at, used_at, expires_at, NULL FROM (
			SELECT client_id, sum(grants) AS grants, min(created_at) AS given_at, max(created_at) AS last_at, max(used_at) AS used_at,
				max(expires_at) AS expires_at, max(created_at) AS at
			FROM (
				SELECT client_id, 1 AS grants, created_at, used_at, expires_at FROM grants
				WHERE subject = ?1 AND (?6 = '' OR client_id = ?6) AND revoked_at IS NULL AND expires_at > ?2
				UNION ALL
				SELECT client_id, 0, created_at, NULL, expires_at FROM consents
				WHERE subject = ?1 AND (?6 = '' OR client_id = ?6) AND expires_at > ?2
			) one GROUP BY client_id
		) given WHERE ?3 IS NULL OR (at, client_id) < (?3, ?4)
		ORDER BY at DESC, client_id DESC LIMIT ?5`
	ended = `SELECT client_id, grants, given_at, last_at, used_at, expires_at, at FROM (
			SELECT client_id, count(*) FILTER (WHERE revoked_by <> 'replaced') AS grants, min(created_at) AS given_at, max(created_at) AS last_at, max(used_at) AS used_at,
				max(expires_at) AS expires_at, max(coalesce(min(revoked_at, expires_at), expires_at)) AS at,
				max(revoked_at IS NULL AND expires_at > ?2) AS lasts
			FROM grants WHERE subject = ?1 AND (?6 = '' OR client_id = ?6) GROUP BY client_id
		) given WHERE NOT given.lasts AND (?3 IS NULL OR (at, client_id) < (?3, ?4))
			AND NOT EXISTS (SELECT 1 FROM consents k WHERE k.subject = ?1 AND k.client_id = given.client_id AND k.expires_at > ?2)
		ORDER BY at DESC, client_id DESC LIMIT ?5`
)

// ListAccess lists what a user gave, by client.
func (a Accounts) ListAccess(ctx context.Context, filter store.AccessFilter, page store.Page) (given []store.Access, err error) {
	if filter.Subject == "" {
		return nil, nil
	}
	query := active
	if filter.Ended {
		query = ended
	}
	var at any
	if !page.At.IsZero() {
		at = page.At.UnixMicro()
	}
	err = a.Read(ctx, "ListAccess", func(c *connection.Conn) error {
		given = nil
		return c.EachOf(query, []any{filter.Subject, a.Moment().UnixMicro(), at, page.Key, page.Limit, filter.ClientID}, func(rows *sql.Rows) error {
			var g store.Access
			var givenAt, lastAt, expires int64
			var used, ended sql.NullInt64
			err := rows.Scan(&g.ClientID, &g.Grants, &givenAt, &lastAt, &used, &expires, &ended)
			g.GivenAt, g.LastAt, g.ExpiresAt = time.UnixMicro(givenAt).UTC(), time.UnixMicro(lastAt).UTC(), time.UnixMicro(expires).UTC()
			if used.Valid {
				g.UsedAt = time.UnixMicro(used.Int64).UTC()
			}
			if ended.Valid {
				g.EndedAt = time.UnixMicro(ended.Int64).UTC()
			}
			given = append(given, g)
			return err
		})
	})
	return given, err
}

// EndAccess ends what a user gave a client.
func (a Accounts) EndAccess(ctx context.Context, e store.Ending) (count int, err error) {
	if e.Subject == "" {
		return 0, store.ErrNotFound
	}
	err = a.Write(ctx, "EndAccess", connection.Several, func(c *connection.Conn) error {
		changed, err := c.Exec(`UPDATE grants SET revoked_at = ?1, revoked_by = ?2 WHERE subject = ?3 AND client_id = ?4
			AND (?5 = '' OR id = ?5) AND revoked_at IS NULL AND expires_at > ?1`, a.Moment().UnixMicro(), e.By, e.Subject, e.ClientID, e.GrantID)
		if err != nil {
			return err
		}
		count = int(changed)
		var forgotten int64
		if e.GrantID == "" || changed > 0 {
			if forgotten, err = c.Exec(`DELETE FROM consents WHERE subject = ? AND client_id = ?`, e.Subject, e.ClientID); err != nil {
				return err
			}
		}
		if changed+forgotten > 0 {
			return a.Record(c, e.Evidence)
		}
		return c.Get(`SELECT 1 FROM grants WHERE subject = ?1 AND client_id = ?2 AND (?3 = '' OR id = ?3) LIMIT 1`,
			[]any{e.Subject, e.ClientID, e.GrantID}, new(int))
	})
	return count, err
}

// EndSessionOf ends a session of a user, and enqueues the notices of it.
func (a Accounts) EndSessionOf(ctx context.Context, subject string, session store.Digest, evidence ...store.Evidence) error {
	return a.one(ctx, "EndSessionOf", evidence, func(c *connection.Conn) (int64, error) { return signout.EndOf(c, subject, session, a.Moment()) })
}

// ForgetBrowsers has every browser of a user be unknown again.
func (a Accounts) ForgetBrowsers(ctx context.Context, subject string, evidence ...store.Evidence) error {
	return a.one(ctx, "ForgetBrowsers", evidence, func(c *connection.Conn) (int64, error) {
		if _, err := c.Exec(`DELETE FROM known_browsers WHERE subject = ?`, subject); err != nil {
			return 0, err
		}
		return c.Exec(`UPDATE users SET browsers_from = ? WHERE subject = ? AND erased_at IS NULL`, a.Moment().UnixMicro(), subject)
	})
}

// one runs a verb that changes one record and stores evidence with that; [store.ErrNotFound] when there is none.
func (a Accounts) one(ctx context.Context, verb string, evidence []store.Evidence, change func(*connection.Conn) (int64, error)) error {
	return a.Write(ctx, verb, connection.Several, func(c *connection.Conn) error {
		changed, err := change(c)
		switch {
		case err != nil:
			return err
		case changed == 0:
			return store.ErrNotFound
		}
		return a.Record(c, evidence)
	})
}

// EndOtherSessions ends the sessions of a user but one, and enqueues the notices of them.
func (a Accounts) EndOtherSessions(ctx context.Context, subject string, kept store.Digest, evidence ...store.Evidence) (count int, err error) {
	err = a.Write(ctx, "EndOtherSessions", connection.Several, func(c *connection.Conn) error {
		if _, err := c.Exec(`UPDATE users SET epoch = epoch + 1 WHERE subject = ?`, subject); err != nil {
			return err
		}
		if _, err := c.Exec(`UPDATE sessions SET epoch = (SELECT epoch FROM users WHERE subject = ?1) WHERE id = ?2 AND subject = ?1`, subject, kept[:]); err != nil {
			return err
		}
		ended, err := signout.EndOthers(c, subject, kept, a.Moment())
		if err != nil {
			return err
		}
		count = int(ended)
		if _, err := c.Exec(`DELETE FROM enrolments WHERE subject = ?`, subject); err != nil {
			return err
		}
		return a.Record(c, evidence)
	})
	return count, err
}
