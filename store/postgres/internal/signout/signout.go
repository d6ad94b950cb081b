// Package signout ends sessions in PostgreSQL, and keeps the notices of it that clients have not got yet.
//
// A session is locked before it is ended, in a statement of its own: only one that begins afterwards sees the clients that a
// redemption has written meanwhile, which holds a lock on the session too (see [Record]). The two are one round trip.
package signout

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/outbox"
	"countersign/store/postgres/internal/pool"
)

// enqueue enqueues the notices of "gone", rows of session_clients; @now is the time. A notice that is being delivered is due
// again: what it told before was of another sign-in.
const enqueue = `INSERT INTO logouts AS l (sid, client_id, sub, attempts, due_at, expires_at)
		SELECT sid, client_id, sub, 0, @now::timestamptz, @now::timestamptz + interval '24 hours' FROM gone` + again

const again = ` ON CONFLICT (sid, client_id) DO UPDATE SET sub = excluded.sub, attempts = l.attempts + 1,
			due_at = excluded.due_at, expires_at = excluded.expires_at`

const (
	// Ended continues after "ended", sessions that were deleted, with their sid: it enqueues their notices. @now is the time.
	Ended = `gone AS (
			DELETE FROM session_clients c USING ended e WHERE c.sid = e.sid RETURNING c.sid, c.client_id, c.sub
		), enqueued AS (` + enqueue + `)`
	// Replaced is Ended, with the subject of each too, for a session of @subject that takes their place until @expires_at: what
	// was of the same user goes on. [SID] is then what the new one is called.
	Replaced = `carried AS (
			SELECT sid FROM ended WHERE subject = @subject AND sid <> '' ORDER BY sid LIMIT 1
		), kept AS (
			UPDATE session_clients c SET expires_at = @expires_at FROM carried k WHERE c.sid = k.sid
		), gone AS (
			DELETE FROM session_clients c USING ended e WHERE c.sid = e.sid AND NOT EXISTS (SELECT FROM carried k WHERE k.sid = e.sid)
			RETURNING c.sid, c.client_id, c.sub
		), enqueued AS (` + enqueue + `)`
	SID = `coalesce((SELECT sid FROM carried), @sid::text)`

	// Record continues after "consumed", a row with the client_id that was consumed at @now: it records the client of
	// [RecordArguments], or enqueues its notice when the session has ended since.
	Record = `alive AS (
			SELECT s.sid, s.expires_at FROM sessions s WHERE s.sid = @session_sid AND s.expires_at > @now LIMIT 1 FOR KEY SHARE
		), told AS (
			INSERT INTO session_clients (sid, client_id, sub, expires_at)
			SELECT a.sid, c.client_id, @session_sub, a.expires_at FROM consumed c CROSS JOIN alive a
			ON CONFLICT (sid, client_id) DO UPDATE SET sub = excluded.sub, expires_at = excluded.expires_at
		), late AS (
			INSERT INTO logouts AS l (sid, client_id, sub, attempts, due_at, expires_at)
			SELECT @session_sid, client_id, @session_sub, 0, @now::timestamptz, @now::timestamptz + interval '24 hours' FROM consumed
			WHERE @session_expires_at::timestamptz > @now AND NOT EXISTS (SELECT FROM alive)` + again + `
		)`
)

// RecordArguments are those of [Record].
func RecordArguments(s store.SessionClient) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{"session_sid": s.SID, "session_sub": s.Subject, "session_expires_at": s.ExpiresAt}
}

// Verbs are those of the store that end sessions and deliver notices.
type Verbs struct {
	Statements *named.Statements
	// Run runs the work of a verb that writes, Read that of one that does not.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time.
	Moment func() time.Time
}

// EndSession ends a session, enqueues the notices of it and stores the evidence.
func (v Verbs) EndSession(ctx context.Context, session store.Digest, evidence ...store.Evidence) error {
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{"id": session[:], "now": v.Moment()}).Evidence(evidence)
	return v.Run(ctx, "EndSession", func(ctx context.Context, c *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(`SELECT FROM sessions WHERE id = $1 FOR UPDATE`, session[:])
		batch.Queue(`WITH ended AS (DELETE FROM sessions WHERE id = @id RETURNING sid
			), `+Ended+`
			`+named.InsertEvidence+` CROSS JOIN ended`, arguments)
		return c.SendBatch(ctx, &batch).Close()
	})
}

// EndSessions removes the sessions and enrolment codes of a subject, and enqueues the notices of the sessions.
func (v Verbs) EndSessions(ctx context.Context, subject string, evidence ...store.Evidence) error {
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{"subject": subject, "now": v.Moment()}).Evidence(evidence)
	return v.Run(ctx, "EndSessions", func(ctx context.Context, c *pgx.Conn) error {
		var batch pgx.Batch
		QueueLock(&batch, subject)
		// A session that another transaction stores at the same time is not seen and stays; its epoch is over.
		batch.Queue(`WITH counted AS (UPDATE users SET epoch = epoch + 1 WHERE subject = @subject
			), ended AS (DELETE FROM sessions WHERE subject = @subject RETURNING sid
			), `+Ended+`, noted AS (`+named.InsertEvidence+`
			) DELETE FROM enrolments WHERE subject = @subject`, arguments)
		return c.SendBatch(ctx, &batch).Close()
	})
}

// EndUpstream ends the sessions that began by a session at an upstream provider, and has the answers expire by which one would.
func (v Verbs) EndUpstream(ctx context.Context, upstream store.Digest, evidence ...store.Evidence) (ended int, err error) {
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{"upstream": upstream[:], "now": v.Moment()}).Evidence(evidence)
	err = v.Run(ctx, "EndUpstream", func(ctx context.Context, c *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(`SELECT FROM sessions WHERE upstream = $1 ORDER BY id FOR UPDATE`, upstream[:])
		batch.Queue(`WITH ended AS (DELETE FROM sessions WHERE upstream = @upstream RETURNING sid
			), `+Ended+`, answers AS (
				UPDATE hand_offs SET expires_at = @now WHERE upstream = @upstream AND returned_at IS NULL AND expires_at > @now RETURNING id
			), any_of AS (SELECT WHERE EXISTS (SELECT FROM ended) OR EXISTS (SELECT FROM answers)
			), evidence AS (`+named.InsertEvidence+` CROSS JOIN any_of)
			SELECT (SELECT count(*) FROM ended) + (SELECT count(*) FROM answers)`, arguments).
			QueryRow(func(row pgx.Row) error { return row.Scan(&ended) })
		return c.SendBatch(ctx, &batch).Close()
	})
	return ended, err
}

// QueueLock locks the sessions of a subject, before a statement that ends them.
func QueueLock(batch *pgx.Batch, subject string) {
	batch.Queue(`SELECT FROM sessions WHERE subject = $1 ORDER BY id FOR UPDATE`, subject)
}

// SessionClients lists the clients that are told when a session ends.
func (v Verbs) SessionClients(ctx context.Context, sid string) (clients []string, err error) {
	err = v.Read(ctx, "SessionClients", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT client_id FROM session_clients WHERE sid = $1 ORDER BY client_id`, sid)
		if err != nil {
			return err
		}
		clients, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return clients, err
}

func (v Verbs) notices() outbox.Outbox {
	return outbox.Outbox{
		Table: "logouts", Key: "sid, client_id", Columns: `o.sid, o.client_id, o.sub, o.attempts, o.expires_at`,
		Statements: v.Statements, Run: v.Run, Moment: v.Moment,
	}
}

// ClaimLogouts leases due notices.
func (v Verbs) ClaimLogouts(ctx context.Context, limit int, lease time.Duration) ([]store.Logout, error) {
	return outbox.Claim(ctx, v.notices(), "ClaimLogouts", limit, lease, func(row pgx.CollectableRow) (l store.Logout, err error) {
		err = row.Scan(&l.SID, &l.ClientID, &l.Subject, &l.Attempt, &l.ExpiresAt)
		l.ExpiresAt = l.ExpiresAt.UTC()
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
