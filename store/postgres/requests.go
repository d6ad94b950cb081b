package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/consents"
	"countersign/store/postgres/internal/managed"
	"countersign/store/postgres/internal/pipeline"
	"countersign/store/postgres/internal/pool"
	"countersign/store/postgres/internal/signout"
)

const (
	requestColumns = `r.id, r.client_id, r.parameters, r.created_at, r.expires_at, r.finished_at`
	// The session comes from an outer join, so any of its columns may be NULL.
	// signsIn says of a session s and its user u that it is alive: the user may sign in, and nothing has ended all sessions since.
	signsIn        = `NOT u.disabled AND (s.epoch IS NULL OR s.epoch = u.epoch)`
	sessionColumns = `s.id, coalesce(s.sid, ''), coalesce(s.subject, ''), s.auth_time, coalesce(s.acr, ''), s.amr, coalesce(s.agent, ''), s.expires_at`
	// So does the consent.
	consentColumns = `coalesce(k.subject, ''), coalesce(k.client_id, ''), k.scopes, k.claims, k.created_at, k.expires_at`
)

func requestFields(r *store.Request) []any {
	return []any{digestField{&r.ID}, &r.ClientID, (*[]byte)(&r.Parameters),
		timeField{&r.CreatedAt}, timeField{&r.ExpiresAt}, timeField{&r.FinishedAt}}
}

func sessionFields(s *store.Session) []any {
	return []any{digestField{&s.ID}, &s.SID, &s.Subject, timeField{&s.AuthTime}, &s.ACR, &s.AMR, &s.Agent, timeField{&s.ExpiresAt}}
}

// sessionOrNil turns the NULLs of an outer join into nil.
func sessionOrNil(s store.Session) *store.Session {
	if s.ID.Zero() {
		return nil
	}
	return &s
}

// Push stores a request and consumes oneTimes.
func (s *Store) Push(ctx context.Context, request store.Request, oneTimes ...store.OneTime) error {
	arguments := s.named(pgx.StrictNamedArgs{
		"id": request.ID[:], "client_id": request.ClientID, "parameters": []byte(request.Parameters),
		"created_at": at(request.CreatedAt), "expires_at": at(request.ExpiresAt), "finished_at": at(request.FinishedAt),
		"purge_at": request.ExpiresAt.Add(keepFor),
	}).oneTimes(oneTimes).evidence(request.Evidence)
	return s.runShared(ctx, "Push", &pool.Shared{Statement: pipeline.Statement{
		Order: pipeline.First(oneTimes, request.ID), Arguments: []any{arguments}, SQL: `WITH consumed_values AS (` + insertOneTimes + inOneOrder + `
			), evidence AS (` + insertEvidence + `)
			INSERT INTO requests (id, client_id, parameters, created_at, expires_at, finished_at, purge_at)
			VALUES (@id, @client_id, @parameters, @created_at, @expires_at, @finished_at, @purge_at)`,
	}})
}

// Open reads a request, an unexpired session, and the consent of its user.
func (s *Store) Open(ctx context.Context, request, session store.Digest) (store.Opened, error) {
	var o store.Opened
	var signedIn store.Session
	var consent store.Consent
	r, now := &o.Request, s.moment()
	fields := append(requestFields(r), sessionFields(&signedIn)...)
	fields = append(fields, &consent.Subject, &consent.ClientID, &consent.Scopes, &consent.Claims,
		timeField{&consent.CreatedAt}, timeField{&consent.ExpiresAt})
	verb := &pool.Shared{Statement: pipeline.Statement{
		Order: request, Fields: fields, Arguments: []any{digestOrNull(session), now, request[:]},
		SQL: `SELECT ` + requestColumns + `, ` + sessionColumns + `, ` + consentColumns + ` FROM requests r
			LEFT JOIN LATERAL (SELECT * FROM sessions s WHERE s.id = $1 AND s.expires_at > $2
				AND (SELECT ` + signsIn + ` FROM users u WHERE u.subject = s.subject) LIMIT 1) s ON true
			LEFT JOIN LATERAL (SELECT * FROM consents WHERE subject = s.subject AND client_id = r.client_id AND expires_at > $2 LIMIT 1) k ON true
			WHERE r.id = $3`,
	}}
	verb.Judge = func() error {
		switch {
		case !verb.Found:
			return store.ErrNotFound
		case !r.FinishedAt.IsZero():
			return store.ErrConsumed
		case !now.Before(r.ExpiresAt):
			return store.ErrExpired
		}
		return nil
	}
	err := s.readShared(ctx, "Open", verb)
	o.Session = sessionOrNil(signedIn)
	if consent.Subject != "" {
		o.Consent = &consent
	}
	return o, err
}

// BeginInteraction stores a new interaction with a request that exists. The request is kept until its end.
func (s *Store) BeginInteraction(ctx context.Context, i store.Interaction) error {
	arguments := s.named(pgx.StrictNamedArgs{
		"id": i.ID[:], "request_id": i.RequestID[:], "browser": i.Browser[:], "session_id": digestOrNull(i.Session),
		"failures": i.SignInFailures, "created_at": at(i.CreatedAt), "expires_at": at(i.ExpiresAt), "purge_at": i.ExpiresAt.Add(keepFor),
	}).evidence(i.Evidence)
	return s.run(ctx, "BeginInteraction", func(ctx context.Context, c *pgx.Conn) error {
		stored, err := c.Exec(ctx, `WITH kept AS (UPDATE requests SET purge_at = @purge_at WHERE id = @request_id AND purge_at <= @expires_at
			), evidence AS (`+insertEvidence+` WHERE EXISTS (SELECT FROM requests WHERE id = @request_id))
			INSERT INTO interactions
			(id, request_id, browser, session_id, sign_in_failures, created_at, expires_at)
			SELECT @id::bytea, id, @browser::bytea, @session_id::bytea, @failures::integer, @created_at::timestamptz, @expires_at::timestamptz
			FROM requests WHERE id = @request_id`, arguments)
		if err != nil {
			return err
		}
		if stored.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return nil
	})
}

// Interaction reads an interaction of this browser.
func (s *Store) Interaction(ctx context.Context, interaction, browser store.Digest) (store.Pending, error) {
	var p store.Pending
	var signedIn store.Session
	i := &p.Interaction
	now := s.moment()
	err := s.read(ctx, "Interaction", func(ctx context.Context, c *pgx.Conn) error {
		fields := []any{digestField{&i.ID}, digestField{&i.RequestID}, digestField{&i.Browser}, digestField{&i.Session},
			&i.SignInFailures, timeField{&i.CreatedAt}, timeField{&i.ExpiresAt}}
		fields = append(fields, requestFields(&p.Request)...)
		fields = append(append(fields, sessionFields(&signedIn)...), &p.Username)
		err := get(ctx, c, `SELECT i.id, i.request_id, i.browser, i.session_id, i.sign_in_failures, i.created_at, i.expires_at, `+
			requestColumns+`, `+sessionColumns+`, coalesce(u.username, '')
			FROM interactions i CROSS JOIN LATERAL (SELECT * FROM requests WHERE id = i.request_id LIMIT 1) r
			LEFT JOIN LATERAL (SELECT * FROM sessions s WHERE s.id = i.session_id AND s.expires_at > $1
				AND (SELECT `+signsIn+` FROM users u WHERE u.subject = s.subject) LIMIT 1) s ON true
			LEFT JOIN LATERAL (SELECT username FROM users WHERE subject = s.subject LIMIT 1) u ON true
			WHERE i.id = $2 AND i.browser = $3`,
			[]any{now, interaction[:], browser[:]}, fields...)
		p.Session = sessionOrNil(signedIn)
		switch {
		case err != nil:
			return err
		case !p.Request.FinishedAt.IsZero():
			return store.ErrConsumed
		case !now.Before(i.ExpiresAt):
			return store.ErrExpired
		}
		return nil
	})
	return p, err
}

// ofEpoch is the epoch of a session that begins: the one that is given, or the present one of its user.
const ofEpoch = `coalesce(nullif(@epoch::bigint, 0), (SELECT epoch FROM users WHERE subject = @subject::text))`

// SignIn stores a session, binds the interaction to it and ends the former ones. It is two statements of one
// pipelined transaction: only a statement that begins after the rows are locked sees the session to be ended, and its clients.
func (s *Store) SignIn(ctx context.Context, interaction store.Digest, session store.Session) error {
	arguments := s.named(pgx.StrictNamedArgs{
		"interaction": interaction[:], "id": session.ID[:], "upstream": digestOrNull(session.Upstream), "former": session.Former[:],
		"sid": session.SID, "subject": session.Subject, "auth_time": at(session.AuthTime),
		"acr": session.ACR, "amr": session.AMR, "agent": session.Agent, "expires_at": at(session.ExpiresAt),
		"epoch": session.Epoch, "now": s.moment(),
	}).evidence(session.Evidence)
	return s.run(ctx, "SignIn", func(ctx context.Context, c *pgx.Conn) error {
		var exists, bound bool
		var batch pgx.Batch
		batch.Queue(`WITH i AS (SELECT session_id FROM interactions WHERE id = $1 FOR UPDATE)
			SELECT FROM sessions WHERE id = ANY (ARRAY[(SELECT session_id FROM i), $2::bytea]) ORDER BY id FOR UPDATE`, interaction[:], session.Former[:])
		batch.Queue(`WITH bound AS (
				UPDATE interactions i SET session_id = @id FROM (SELECT session_id AS id FROM interactions WHERE id = @interaction) former
				WHERE i.id = @interaction AND i.expires_at > @now RETURNING former.id AS former
			), ended AS (
				DELETE FROM sessions USING bound WHERE sessions.id = ANY (ARRAY[bound.former, @former::bytea]) AND sessions.id <> @id
				RETURNING sessions.sid, sessions.subject
			), `+signout.Replaced+`, stored AS (
				INSERT INTO sessions (id, sid, subject, auth_time, acr, amr, agent, expires_at, epoch, upstream)
				SELECT @id::bytea, `+signout.SID+`, @subject::text, @auth_time::timestamptz, @acr::text, @amr::text[], @agent::text, @expires_at::timestamptz, `+ofEpoch+`, @upstream::bytea FROM bound
			), evidence AS (`+insertEvidence+` CROSS JOIN bound
			)
			SELECT EXISTS (SELECT FROM interactions WHERE id = @interaction), EXISTS (SELECT FROM bound)`, arguments).
			QueryRow(func(row pgx.Row) error { return row.Scan(&exists, &bound) })
		err := c.SendBatch(ctx, &batch).Close()
		switch {
		case err != nil || bound:
			return err
		case !exists:
			return store.ErrNotFound
		}
		return store.ErrExpired
	})
}

// SignInFailed counts a wrong password.
func (s *Store) SignInFailed(ctx context.Context, interaction store.Digest, evidence ...store.Evidence) (count int, err error) {
	arguments := s.named(pgx.StrictNamedArgs{"id": interaction[:]}).evidence(evidence)
	err = s.run(ctx, "SignInFailed", func(ctx context.Context, c *pgx.Conn) error {
		return get(ctx, c, `WITH counted AS (
				UPDATE interactions SET sign_in_failures = sign_in_failures + 1 WHERE id = @id RETURNING sign_in_failures
			), evidence AS (`+insertEvidence+` CROSS JOIN counted)
			SELECT sign_in_failures FROM counted`, []any{arguments}, &count)
	})
	return count, err
}

// Finish answers the request.
func (s *Store) Finish(ctx context.Context, finish store.Finish) error {
	if err := backend.CheckFinish(finish); err != nil {
		return fmt.Errorf("postgresql: Finish: %w", err)
	}
	var grant store.Grant
	var code store.Code
	if finish.Grant != nil {
		grant = *finish.Grant
	}
	if finish.Code != nil {
		code = *finish.Code
	}
	var consent store.Consent
	if finish.Consent != nil {
		consent = *finish.Consent
	}
	arguments := s.named(pgx.StrictNamedArgs{
		"now": s.moment(), "request": finish.Request[:], "interaction": digestOrNull(finish.Interaction),
		"with_grant": finish.Grant != nil, "with_code": finish.Code != nil, "with_consent": finish.Consent != nil,
		"code_id": code.ID[:], "code_grant_id": code.GrantID, "code_client_id": code.ClientID, "code_redirect_uri": code.RedirectURI,
		"code_challenge": code.Challenge, "code_jkt": code.JKT, "code_created_at": at(code.CreatedAt),
		"code_expires_at": at(code.ExpiresAt), "code_spent_at": at(code.ConsumedAt), "code_failures": code.Failures,
		"consent_subject": consent.Subject, "consent_client_id": consent.ClientID, "consent_scopes": consent.Scopes,
		"consent_claims": consent.Claims, "consent_created_at": at(consent.CreatedAt), "consent_expires_at": at(consent.ExpiresAt),
	}).with(grantArguments(grant)).evidence(finish.Evidence)
	lodged, err := consents.Decide(finish.Lodged, grant.ID)
	if err != nil {
		return err
	}
	lodged.Arguments(arguments.Values)
	former := managed.Replacing{ID: finish.Replaces}
	former.Arguments(arguments.Values)
	var answered, allowed bool
	verb := &pool.Shared{Statement: pipeline.Statement{Order: finish.Request, Arguments: []any{arguments}, Fields: []any{&answered, &allowed}, SQL: `WITH ` + lodged.Before() + `answered AS (
				UPDATE requests r SET finished_at = @now WHERE r.id = @request AND r.finished_at IS NULL
				AND CASE WHEN @interaction::bytea IS NULL THEN r.expires_at > @now ELSE
					EXISTS (SELECT FROM interactions i WHERE i.id = @interaction AND i.request_id = r.id AND i.expires_at > @now) END` + lodged.Guard() + former.Guard() + `
				RETURNING r.id
			), granted AS (` + insertGrant + ` FROM answered WHERE @with_grant::boolean
			), coded AS (
				INSERT INTO codes (id, grant_id, client_id, redirect_uri, challenge, jkt, created_at, expires_at, spent_at, failures)
				SELECT @code_id::bytea, @code_grant_id::text, @code_client_id::text, @code_redirect_uri::text,
					@code_challenge::text, @code_jkt::text, @code_created_at::timestamptz,
					@code_expires_at::timestamptz, @code_spent_at::timestamptz, @code_failures::integer
				FROM answered WHERE @with_code::boolean
			), consented AS (
				INSERT INTO consents (subject, client_id, scopes, claims, created_at, expires_at)
				SELECT @consent_subject::text, @consent_client_id::text, @consent_scopes::text[], @consent_claims::text[],
					@consent_created_at::timestamptz, @consent_expires_at::timestamptz
				FROM answered WHERE @with_consent::boolean
				ON CONFLICT (subject, client_id) DO UPDATE SET scopes = excluded.scopes, claims = excluded.claims,
					created_at = excluded.created_at, expires_at = excluded.expires_at
			` + lodged.After("answered", former.Former()) + former.After("answered", "@with_consent::boolean") + `), evidence AS (` + insertEvidence + ` CROSS JOIN answered)
			SELECT EXISTS (SELECT FROM answered), ` + lodged.Result() + ` AND ` + former.Result()}}
	why := func(ctx context.Context, c *pgx.Conn) error { return unanswered(ctx, c, finish) }
	if finish.Lodged != nil || finish.Replaces != "" { // these take several statements
		return s.run(ctx, "Finish", decide(lodged, former, verb.SQL, arguments, why))
	}
	return s.runShared(ctx, "Finish", verb.OrElse(&answered, why))
}

// decide is the work of a decision: its statement, after what it is about is locked. The statement reports whether the decision was
// made, and whether the consent and the grant that is replaced allow it; why says what else was in the way.
func decide(lodged consents.Deciding, former managed.Replacing, query string, arguments namedArguments, why pool.Work) pool.Work {
	return func(ctx context.Context, c *pgx.Conn) error {
		var made, allowed bool
		var batch pgx.Batch
		former.Queue(&batch)
		lodged.Queue(&batch)
		batch.Queue(query, arguments).QueryRow(func(row pgx.Row) error { return row.Scan(&made, &allowed) })
		if err := c.SendBatch(ctx, &batch).Close(); err != nil || made {
			return err
		}
		err := why(ctx, c)
		if !allowed && errors.Is(err, store.ErrExpired) { // what is left when nothing else was found
			return store.ErrConflict
		}
		return err
	}
}

// unanswered says why a request could not be finished.
func unanswered(ctx context.Context, c *pgx.Conn, finish store.Finish) error {
	query, arguments := `SELECT r.finished_at IS NOT NULL FROM interactions i CROSS JOIN LATERAL (SELECT * FROM requests WHERE id = i.request_id LIMIT 1) r
		WHERE i.id = $1 AND r.id = $2`, []any{finish.Interaction[:], finish.Request[:]}
	if finish.Interaction.Zero() {
		query, arguments = `SELECT finished_at IS NOT NULL FROM requests WHERE id = $1`, []any{finish.Request[:]}
	}
	var finished bool
	err := get(ctx, c, query, arguments, &finished)
	switch {
	case err != nil:
		return err
	case finished:
		return store.ErrConsumed
	}
	return store.ErrExpired
}

// count runs an UPDATE that returns a counter of one record.
func (s *Store) count(ctx context.Context, verb, query string, id store.Digest) (count int, err error) {
	err = s.run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		return get(ctx, c, query, []any{id[:]}, &count)
	})
	return count, err
}
