// Package signout ends sessions in SQLite, and keeps the notices of it that clients have not got yet.
package signout

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/outbox"
)

// again has a notice that is being delivered due again: what it told before was of another sign-in.
const again = ` ON CONFLICT (sid, client_id) DO UPDATE SET sub = excluded.sub, attempts = attempts + 1,
	due_at = excluded.due_at, expires_at = excluded.expires_at`

// ended is a session that was deleted.
type ended struct{ sid, subject string }

const removeOne = `DELETE FROM sessions WHERE id = ? RETURNING sid, subject`

// remove deletes sessions.
func remove(c *connection.Conn, query string, arguments ...any) (sessions []ended, err error) {
	err = c.UpdateEach(query, arguments, func(rows *sql.Rows) error {
		var e ended
		err := rows.Scan(&e.sid, &e.subject)
		sessions = append(sessions, e)
		return err
	})
	return sessions, err
}

// notify enqueues the notices of a session that has ended.
func notify(c *connection.Conn, e ended, now time.Time) error {
	if _, err := c.Exec(`INSERT INTO logouts (sid, client_id, sub, attempts, due_at, expires_at)
		SELECT sid, client_id, sub, 0, ?2, ?3 FROM session_clients WHERE sid = ?1`+again,
		e.sid, now.UnixMicro(), now.Add(store.LogoutsLast).UnixMicro()); err != nil {
		return err
	}
	_, err := c.Exec(`DELETE FROM session_clients WHERE sid = ?`, e.sid)
	return err
}

// EndAll ends the sessions of a subject.
func EndAll(c *connection.Conn, subject string, now time.Time) (removed int64, err error) {
	return EndOthers(c, subject, store.Digest{}, now)
}

// EndOthers ends the sessions of a subject but one.
func EndOthers(c *connection.Conn, subject string, kept store.Digest, now time.Time) (removed int64, err error) {
	return end(c, now, `DELETE FROM sessions WHERE subject = ? AND id <> ? RETURNING sid, subject`, subject, kept[:])
}

// EndOf ends a session of a subject.
func EndOf(c *connection.Conn, subject string, id store.Digest, now time.Time) (removed int64, err error) {
	return end(c, now, `DELETE FROM sessions WHERE subject = ? AND id = ? RETURNING sid, subject`, subject, id[:])
}

func end(c *connection.Conn, now time.Time, query string, arguments ...any) (removed int64, err error) {
	sessions, err := remove(c, query, arguments...)
	for _, e := range sessions {
		if err == nil {
			err = notify(c, e, now)
		}
	}
	return int64(len(sessions)), err
}

// Replace ends the former sessions of a browser, and returns what the new one is called: as one of the same user that it ends.
func Replace(c *connection.Conn, session store.Session, now time.Time, former ...store.Digest) (sid string, err error) {
	sid = session.SID
	carried := false
	for i, id := range former {
		if id.Zero() || id == session.ID || slices.Contains(former[:i], id) {
			continue
		}
		sessions, err := remove(c, removeOne, id[:])
		if err != nil {
			return "", err
		}
		for _, e := range sessions {
			if e.subject == session.Subject && e.sid != "" && !carried {
				sid, carried = e.sid, true
				_, err = c.Exec(`UPDATE session_clients SET expires_at = ? WHERE sid = ?`, session.ExpiresAt.UnixMicro(), sid)
			} else {
				err = notify(c, e, now)
			}
			if err != nil {
				return "", err
			}
		}
	}
	return sid, nil
}

// Record records that a client is to be told of the end of a session, or enqueues its notice when that has ended since.
func Record(c *connection.Conn, s store.SessionClient, clientID string, now time.Time) error {
	recorded, err := c.Exec(`INSERT INTO session_clients (sid, client_id, sub, expires_at)
		SELECT sid, ?2, ?3, expires_at FROM sessions WHERE sid = ?1 AND expires_at > ?4
		ON CONFLICT (sid, client_id) DO UPDATE SET sub = excluded.sub, expires_at = excluded.expires_at`,
		s.SID, clientID, s.Subject, now.UnixMicro())
	if err != nil || recorded > 0 || !now.Before(s.ExpiresAt) {
		return err
	}
	_, err = c.Exec(`INSERT INTO logouts (sid, client_id, sub, attempts, due_at, expires_at) VALUES (?1, ?2, ?3, 0, ?4, ?5)`+again,
		s.SID, clientID, s.Subject, now.UnixMicro(), now.Add(store.LogoutsLast).UnixMicro())
	return err
}

// Verbs are those of the store that end sessions and deliver notices.
type Verbs struct {
	// Read runs the work of a verb that changes nothing.
	Read func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	// Write runs the work of a verb that changes something.
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Now is the time.
	Now func() time.Time
	// InsertEvidence stores evidence.
	InsertEvidence func(*connection.Conn, []store.Evidence) error
}

// EndSession ends a session, enqueues the notices of it and stores the evidence.
func (v Verbs) EndSession(ctx context.Context, session store.Digest, evidence ...store.Evidence) error {
	now := v.Now()
	return v.Write(ctx, "EndSession", connection.Several, func(c *connection.Conn) error {
		sessions, err := remove(c, removeOne, session[:])
		if err != nil || len(sessions) == 0 {
			return err
		}
		if err := notify(c, sessions[0], now); err != nil {
			return err
		}
		return v.InsertEvidence(c, evidence)
	})
}

// EndSessions removes the sessions and enrolment codes of a subject, and enqueues the notices of the sessions.
func (v Verbs) EndSessions(ctx context.Context, subject string, evidence ...store.Evidence) error {
	now := v.Now()
	return v.Write(ctx, "EndSessions", connection.Several, func(c *connection.Conn) error {
		if _, err := c.Exec(`UPDATE users SET epoch = epoch + 1 WHERE subject = ?`, subject); err != nil {
			return err
		}
		if _, err := EndAll(c, subject, now); err != nil {
			return err
		}
		if _, err := c.Exec(`DELETE FROM enrolments WHERE subject = ?`, subject); err != nil {
			return err
		}
		return v.InsertEvidence(c, evidence)
	})
}

// EndUpstream ends the sessions that began by a session at an upstream provider, and has the answers expire by which one would.
func (v Verbs) EndUpstream(ctx context.Context, upstream store.Digest, evidence ...store.Evidence) (ended int, err error) {
	now := v.Now()
	err = v.Write(ctx, "EndUpstream", connection.Several, func(c *connection.Conn) error {
		sessions, err := end(c, now, `DELETE FROM sessions WHERE upstream = ? RETURNING sid, subject`, upstream[:])
		if err != nil {
			return err
		}
		answers, err := c.Exec(`UPDATE hand_offs SET expires_at = ?1 WHERE upstream = ?2 AND returned_at IS NULL AND expires_at > ?1`,
			now.UnixMicro(), upstream[:])
		if ended = int(sessions + answers); err != nil || ended == 0 {
			return err
		}
		return v.InsertEvidence(c, evidence)
	})
	return ended, err
}

// SessionClients lists the clients that are told when a session ends.
func (v Verbs) SessionClients(ctx context.Context, sid string) (clients []string, err error) {
	err = v.Read(ctx, "SessionClients", func(c *connection.Conn) error {
		clients = nil
		return c.EachOf(`SELECT client_id FROM session_clients WHERE sid = ? ORDER BY client_id`, []any{sid}, func(rows *sql.Rows) error {
			var id string
			err := rows.Scan(&id)
			clients = append(clients, id)
			return err
		})
	})
	return clients, err
}

func (v Verbs) notices() outbox.Outbox {
	return outbox.Outbox{
		Table: "logouts", Key: "sid, client_id", Columns: "sid, client_id, sub, attempts, expires_at",
		Write: v.Write, Record: v.InsertEvidence, Moment: v.Now,
	}
}

// ClaimLogouts leases due notices.
func (v Verbs) ClaimLogouts(ctx context.Context, limit int, lease time.Duration) ([]store.Logout, error) {
	return outbox.Claim(ctx, v.notices(), "ClaimLogouts", limit, lease, func(rows *sql.Rows) (l store.Logout, err error) {
		var expires int64
		err = rows.Scan(&l.SID, &l.ClientID, &l.Subject, &l.Attempt, &expires)
		l.ExpiresAt = time.UnixMicro(expires).UTC()
		return l, err
	})
}

// LogoutDone deletes a notice and stores what became of it.
func (v Verbs) LogoutDone(ctx context.Context, l store.Logout, evidence ...store.Evidence) error {
	return v.notices().Done(ctx, "LogoutDone", l.Attempt, evidence, l.SID, l.ClientID)
}

// LogoutFailed makes a notice due again.
func (v Verbs) LogoutFailed(ctx context.Context, l store.Logout, next time.Time) error {
	return v.notices().Failed(ctx, "LogoutFailed", l.Attempt, next, l.SID, l.ClientID)
}
