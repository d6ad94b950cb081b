// Package account has the verbs of a user's own account in PostgreSQL; see [store.Accounts].
package account

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
	"countersign/store/postgres/internal/signout"
)

// Accounts has the verbs whose records are not read elsewhere.
type Accounts struct {
	Statements *named.Statements
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time.
	Moment func() time.Time
}

// active lists what is left, and ended what has ended.
const (
	active = `SELECT client_id, grants, given_at, last_at, used_at, expires_at, NULL::timestamptz FROM (
			SELECT client_id, sum(grants)::int AS grants, min(created_at) AS given_at, max(created_at) AS last_at, max(used_at) AS used_at,
				max(expires_at) AS expires_at, max(created_at) AS at
			FROM (
				SELECT client_id COLLATE "C" AS client_id, 1 AS grants, created_at, used_at, expires_at FROM grants
				WHERE subject = @subject AND (@client_id::text = '' OR client_id = @client_id::text) AND revoked_at IS NULL AND expires_at > @now
				UNION ALL
				SELECT client_id, 0, created_at, NULL, expires_at FROM consents
				WHERE subject = @subject AND (@client_id::text = '' OR client_id = @client_id::text) AND expires_at > @now
			) one GROUP BY client_id
		) given WHERE @at::timestamptz IS NULL OR (at, client_id) < (@at::timestamptz, @key::text)
		ORDER BY at DESC, client_id DESC LIMIT @limit`
	ended = `SELECT client_id, grants, given_at, last_at, used_at, expires_at, at FROM (
			SELECT client_id COLLATE "C" AS client_id, count(*) FILTER (WHERE revoked_by <> 'replaced')::int AS grants, min(created_at) AS given_at, max(created_at) AS last_at,
				max(used_at) AS used_at, max(expires_at) AS expires_at, max(least(revoked_at, expires_at)) AS at,
				bool_or(revoked_at IS NULL AND expires_at > @now) AS lasts
			FROM grants WHERE subject = @subject AND (@client_id::text = '' OR client_id = @client_id::text) GROUP BY client_id
		) given WHERE NOT given.lasts AND (@at::timestamptz IS NULL OR (at, client_id) < (@at::timestamptz, @key::text))
			AND NOT EXISTS (SELECT FROM consents k WHERE k.subject = @subject AND k.client_id = given.client_id AND k.expires_at > @now)
		ORDER BY at DESC, client_id DESC LIMIT @limit`
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
	var at *time.Time
	if !page.At.IsZero() {
		at = &page.At
	}
	arguments := a.Statements.Arguments(pgx.StrictNamedArgs{
		"subject": filter.Subject, "client_id": filter.ClientID, "now": a.Moment(), "at": at, "key": page.Key, "limit": page.Limit,
	})
	err = a.Read(ctx, "ListAccess", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query, arguments)
		if err != nil {
			return err
		}
		given, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g store.Access, err error) {
			var used, ended *time.Time
			err = row.Scan(&g.ClientID, &g.Grants, &g.GivenAt, &g.LastAt, &used, &g.ExpiresAt, &ended)
			g.GivenAt, g.LastAt, g.ExpiresAt = g.GivenAt.UTC(), g.LastAt.UTC(), g.ExpiresAt.UTC()
			g.UsedAt, g.EndedAt = utc(used), utc(ended)
			return g, err
		})
		return err
	})
	return given, err
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// EndAccess ends what a user gave a client.
func (a Accounts) EndAccess(ctx context.Context, e store.Ending) (count int, err error) {
	if e.Subject == "" {
		return 0, store.ErrNotFound
	}
	arguments := a.Statements.Arguments(pgx.StrictNamedArgs{
		"subject": e.Subject, "client_id": e.ClientID, "grant_id": e.GrantID, "by": e.By, "now": a.Moment(),
	}).Evidence(e.Evidence)
	err = a.Run(ctx, "EndAccess", func(ctx context.Context, c *pgx.Conn) error {
		var known bool
		if err := c.QueryRow(ctx, `WITH ended AS (
				UPDATE grants SET revoked_at = @now, revoked_by = @by
				WHERE subject = @subject AND client_id = @client_id AND (@grant_id::text = '' OR id = @grant_id::text)
					AND revoked_at IS NULL AND expires_at > @now RETURNING id
			), forgotten AS (
				DELETE FROM consents WHERE subject = @subject AND client_id = @client_id
					AND (@grant_id::text = '' OR EXISTS (SELECT FROM ended)) RETURNING client_id
			), done AS (
				SELECT WHERE EXISTS (SELECT FROM ended) OR EXISTS (SELECT FROM forgotten)
			), evidence AS (`+named.InsertEvidence+` CROSS JOIN done
			)
			SELECT (SELECT count(*) FROM ended), EXISTS (SELECT FROM done) OR EXISTS (
				SELECT FROM grants WHERE subject = @subject AND client_id = @client_id AND (@grant_id::text = '' OR id = @grant_id::text))`,
			arguments).Scan(&count, &known); err != nil {
			return err
		}
		if !known {
			return store.ErrNotFound
		}
		return nil
	})
	return count, err
}

// EndSessionOf ends a session of a user, and enqueues the notices of it.
func (a Accounts) EndSessionOf(ctx context.Context, subject string, session store.Digest, evidence ...store.Evidence) error {
	count, err := a.end(ctx, "EndSessionOf", `subject = @subject AND id = @id`, ` CROSS JOIN ended`, ``,
		subject, pgx.StrictNamedArgs{"id": session[:]}, evidence)
	if err == nil && count == 0 {
		return store.ErrNotFound
	}
	return err
}

// end ends those sessions of a user that a condition names; recorded is the condition of the evidence, and also is done with it.
// The sessions are locked first, so that the notices are of all their clients (see package signout).
func (a Accounts) end(
	ctx context.Context, verb, which, recorded, also, subject string, values pgx.StrictNamedArgs, evidence []store.Evidence,
) (count int, err error) {
	values["subject"], values["now"] = subject, a.Moment()
	arguments := a.Statements.Arguments(values).Evidence(evidence)
	err = a.Run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		var batch pgx.Batch
		signout.QueueLock(&batch, subject)
		batch.Queue(`WITH ended AS (DELETE FROM sessions WHERE `+which+` RETURNING sid
			), `+signout.Ended+`, evidence AS (`+named.InsertEvidence+recorded+`)`+also+`
			SELECT count(*) FROM ended`, arguments).QueryRow(func(row pgx.Row) error { return row.Scan(&count) })
		return c.SendBatch(ctx, &batch).Close()
	})
	return count, err
}

// ForgetBrowsers has every browser of a user be unknown again.
func (a Accounts) ForgetBrowsers(ctx context.Context, subject string, evidence ...store.Evidence) error {
	return a.one(ctx, "ForgetBrowsers", `UPDATE users SET browsers_from = @now WHERE subject = @subject AND erased_at IS NULL RETURNING 1
			), forgotten AS (DELETE FROM known_browsers WHERE subject = @subject`,
		pgx.StrictNamedArgs{"subject": subject, "now": a.Moment()}, evidence)
}

// one runs a verb that changes one record and stores evidence with that; [store.ErrNotFound] when there is none.
func (a Accounts) one(ctx context.Context, verb, change string, values pgx.StrictNamedArgs, evidence []store.Evidence) error {
	arguments := a.Statements.Arguments(values).Evidence(evidence)
	return a.Run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		if err := c.QueryRow(ctx, `WITH changed AS (`+change+`
			), evidence AS (`+named.InsertEvidence+` CROSS JOIN changed
			) SELECT EXISTS (SELECT FROM changed)`, arguments).Scan(&found); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return nil
	})
}

// EndOtherSessions ends the sessions of a user but one, and enqueues the notices of them.
func (a Accounts) EndOtherSessions(ctx context.Context, subject string, kept store.Digest, evidence ...store.Evidence) (int, error) {
	return a.end(ctx, "EndOtherSessions", `subject = @subject AND id <> @kept`, ``, `, codes AS (DELETE FROM enrolments WHERE subject = @subject
			), counted AS (UPDATE users SET epoch = epoch + 1 WHERE subject = @subject RETURNING epoch
			), goes_on AS (UPDATE sessions s SET epoch = c.epoch FROM counted c WHERE s.id = @kept AND s.subject = @subject)`,
		subject, pgx.StrictNamedArgs{"kept": kept[:]}, evidence)
}
