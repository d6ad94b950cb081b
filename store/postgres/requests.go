package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/internal/backend"
)

const (
	requestColumns = `r.id, r.client_id, r.parameters, r.created_at, r.expires_at, r.finished_at`
	// The session comes from an outer join, so any of its columns may be NULL.
	sessionColumns = `s.id, coalesce(s.subject, ''), s.auth_time, coalesce(s.acr, ''), s.amr, s.expires_at`
	// So does the consent.
	consentColumns = `coalesce(k.subject, ''), coalesce(k.client_id, ''), k.scopes, k.claims, k.created_at, k.expires_at`
)

func requestFields(r *store.Request) []any {
	return []any{digestField{&r.ID}, &r.ClientID, (*[]byte)(&r.Parameters),
		timeField{&r.CreatedAt}, timeField{&r.ExpiresAt}, timeField{&r.FinishedAt}}
}

func sessionFields(s *store.Session) []any {
	return []any{digestField{&s.ID}, &s.Subject, timeField{&s.AuthTime}, &s.ACR, &s.AMR, timeField{&s.ExpiresAt}}
}

// sessionOrNil tells a session from the NULLs of an outer join.
func sessionOrNil(s store.Session) *store.Session {
	if s.ID.Zero() {
		return nil
	}
	return &s
}

// Push stores a request and consumes oneTimes.
func (s *Store) Push(ctx context.Context, request store.Request, oneTimes ...store.OneTime) error {
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	chains, times, bodies := evidenceArrays(request.Evidence)
	return s.run(ctx, "Push", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `WITH consumed_values AS (`+insertOneTimes+`
				FROM unnest($8::text[], $9::bytea[], $10::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3
			), evidence AS (`+insertEvidence+` FROM unnest($11::text[], $12::timestamptz[], $13::text[]) AS e (chain, at, body))
			INSERT INTO requests (id, client_id, parameters, created_at, expires_at, finished_at, purge_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			request.ID[:], request.ClientID, []byte(request.Parameters), at(request.CreatedAt),
			at(request.ExpiresAt), at(request.FinishedAt), request.ExpiresAt.Add(keepFor), kinds, keys, untils,
			chains, times, bodies)
		return err
	})
}

// Open reads a request, a session that is alive, and the consent of its person.
func (s *Store) Open(ctx context.Context, request, session store.Digest) (store.Opened, error) {
	var o store.Opened
	var signedIn store.Session
	var consent store.Consent
	r, now := &o.Request, s.moment()
	err := s.read(ctx, "Open", func(ctx context.Context, c *pgx.Conn) error {
		fields := append(requestFields(r), sessionFields(&signedIn)...)
		fields = append(fields, &consent.Subject, &consent.ClientID, &consent.Scopes, &consent.Claims,
			timeField{&consent.CreatedAt}, timeField{&consent.ExpiresAt})
		found, err := one(ctx, c, `SELECT `+requestColumns+`, `+sessionColumns+`, `+consentColumns+` FROM requests r
			LEFT JOIN LATERAL (SELECT * FROM sessions s WHERE s.id = $1 AND s.expires_at > $2
				AND (SELECT NOT u.disabled FROM users u WHERE u.subject = s.subject) LIMIT 1) s ON true
			LEFT JOIN LATERAL (SELECT * FROM consents WHERE subject = s.subject AND client_id = r.client_id AND expires_at > $2 LIMIT 1) k ON true
			WHERE r.id = $3`, []any{digestOrNull(session), now, request[:]}, fields...)
		switch {
		case err != nil:
			return err
		case !found:
			return store.ErrNotFound
		case !r.FinishedAt.IsZero():
			return store.ErrConsumed
		case !now.Before(r.ExpiresAt):
			return store.ErrExpired
		}
		return nil
	})
	o.Session = sessionOrNil(signedIn)
	if consent.Subject != "" {
		o.Consent = &consent
	}
	return o, err
}

// BeginInteraction stores a new interaction with a request that exists. The request is kept until its end.
func (s *Store) BeginInteraction(ctx context.Context, i store.Interaction) error {
	return s.run(ctx, "BeginInteraction", func(ctx context.Context, c *pgx.Conn) error {
		stored, err := c.Exec(ctx, `WITH kept AS (UPDATE requests SET purge_at = $8 WHERE id = $2 AND purge_at <= $7)
			INSERT INTO interactions
			(id, request_id, browser, session_id, sign_in_failures, created_at, expires_at)
			SELECT $1::bytea, id, $3::bytea, $4::bytea, $5::integer, $6::timestamptz, $7::timestamptz
			FROM requests WHERE id = $2`,
			i.ID[:], i.RequestID[:], i.Browser[:], digestOrNull(i.Session), i.SignInFailures,
			at(i.CreatedAt), at(i.ExpiresAt), i.ExpiresAt.Add(keepFor))
		if err == nil && stored.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return err
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
		found, err := one(ctx, c, `SELECT i.id, i.request_id, i.browser, i.session_id, i.sign_in_failures, i.created_at, i.expires_at, `+
			requestColumns+`, `+sessionColumns+`, coalesce(u.username, '')
			FROM interactions i CROSS JOIN LATERAL (SELECT * FROM requests WHERE id = i.request_id LIMIT 1) r
			LEFT JOIN LATERAL (SELECT * FROM sessions s WHERE s.id = i.session_id AND s.expires_at > $1
				AND (SELECT NOT u.disabled FROM users u WHERE u.subject = s.subject) LIMIT 1) s ON true
			LEFT JOIN LATERAL (SELECT username FROM users WHERE subject = s.subject LIMIT 1) u ON true
			WHERE i.id = $2 AND i.browser = $3`,
			[]any{now, interaction[:], browser[:]}, fields...)
		p.Session = sessionOrNil(signedIn)
		switch {
		case err != nil:
			return err
		case !found:
			return store.ErrNotFound
		case !p.Request.FinishedAt.IsZero():
			return store.ErrConsumed
		case !now.Before(i.ExpiresAt):
			return store.ErrExpired
		}
		return nil
	})
	return p, err
}

// SignIn stores a session, binds the interaction to it and ends the former one. It is two statements of one
// pipelined transaction: only a statement that begins after the row is locked sees the session to be ended.
func (s *Store) SignIn(ctx context.Context, interaction store.Digest, session store.Session) error {
	now := s.moment()
	return s.run(ctx, "SignIn", func(ctx context.Context, c *pgx.Conn) error {
		var exists, bound bool
		var batch pgx.Batch
		batch.Queue(`SELECT FROM interactions WHERE id = $1 FOR UPDATE`, interaction[:])
		batch.Queue(`WITH bound AS (
				UPDATE interactions i SET session_id = $2 FROM (SELECT session_id AS id FROM interactions WHERE id = $1) former
				WHERE i.id = $1 AND i.expires_at > $3 RETURNING former.id AS former
			), ended AS (
				DELETE FROM sessions USING bound WHERE sessions.id = bound.former AND sessions.id <> $2
			), stored AS (
				INSERT INTO sessions (id, subject, auth_time, acr, amr, expires_at)
				SELECT $2::bytea, $4::text, $5::timestamptz, $6::text, $7::text[], $8::timestamptz FROM bound
			)
			SELECT EXISTS (SELECT FROM interactions WHERE id = $1), EXISTS (SELECT FROM bound)`,
			interaction[:], session.ID[:], now, session.Subject, at(session.AuthTime), session.ACR, session.AMR,
			at(session.ExpiresAt)).QueryRow(func(row pgx.Row) error { return row.Scan(&exists, &bound) })
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
func (s *Store) SignInFailed(ctx context.Context, interaction store.Digest) (int, error) {
	return s.count(ctx, "SignInFailed", `UPDATE interactions SET sign_in_failures = sign_in_failures + 1
		WHERE id = $1 RETURNING sign_in_failures`, interaction)
}

// EndSession ends a session.
func (s *Store) EndSession(ctx context.Context, session store.Digest) error {
	return s.run(ctx, "EndSession", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM sessions WHERE id = $1`, session[:])
		return err
	})
}

// Finish answers the request.
func (s *Store) Finish(ctx context.Context, finish store.Finish) error {
	now := s.moment()
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
	chains, times, bodies := evidenceArrays(finish.Evidence)
	return s.run(ctx, "Finish", func(ctx context.Context, c *pgx.Conn) error {
		if err := backend.CheckFinish(finish); err != nil {
			return err
		}
		var answered bool
		if _, err := one(ctx, c, `WITH answered AS (
				UPDATE requests r SET finished_at = $1 WHERE r.id = $2 AND r.finished_at IS NULL
				AND CASE WHEN $3::bytea IS NULL THEN r.expires_at > $1 ELSE
					EXISTS (SELECT FROM interactions i WHERE i.id = $3 AND i.request_id = r.id AND i.expires_at > $1) END
				RETURNING r.id
			), granted AS (
				INSERT INTO grants (id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at, revoked_at)
				SELECT $5::text, $6::text, $7::text, $8::text[], $9::json, $10::timestamptz, $11::text, $12::text[],
					$13::timestamptz, $14::timestamptz, $15::timestamptz
				FROM answered WHERE $4::boolean
			), coded AS (
				INSERT INTO codes (id, grant_id, client_id, redirect_uri, challenge, jkt, created_at, expires_at, spent_at, failures)
				SELECT $17::bytea, $18::text, $19::text, $20::text, $21::text, $22::text,
					$23::timestamptz, $24::timestamptz, $25::timestamptz, $26::integer
				FROM answered WHERE $16::boolean
			), consented AS (
				INSERT INTO consents (subject, client_id, scopes, claims, created_at, expires_at)
				SELECT $28::text, $29::text, $30::text[], $31::text[], $32::timestamptz, $33::timestamptz
				FROM answered WHERE $27::boolean
				ON CONFLICT (subject, client_id) DO UPDATE SET scopes = excluded.scopes, claims = excluded.claims,
					created_at = excluded.created_at, expires_at = excluded.expires_at
			), evidence AS (`+insertEvidence+` FROM answered, unnest($34::text[], $35::timestamptz[], $36::text[]) AS e (chain, at, body))
			SELECT EXISTS (SELECT FROM answered)`,
			[]any{now, finish.Request[:], digestOrNull(finish.Interaction),
				finish.Grant != nil, grant.ID, grant.ClientID, grant.Subject, grant.Scopes, []byte(grant.Detail),
				at(grant.AuthTime), grant.ACR, grant.AMR, at(grant.CreatedAt), at(grant.ExpiresAt), at(grant.RevokedAt),
				finish.Code != nil, code.ID[:], code.GrantID, code.ClientID, code.RedirectURI, code.Challenge, code.JKT,
				at(code.CreatedAt), at(code.ExpiresAt), at(code.ConsumedAt), code.Failures,
				finish.Consent != nil, consent.Subject, consent.ClientID, consent.Scopes, consent.Claims,
				at(consent.CreatedAt), at(consent.ExpiresAt), chains, times, bodies},
			&answered); err != nil || answered {
			return err
		}
		return unanswered(ctx, c, finish)
	})
}

// unanswered says why a request could not be finished.
func unanswered(ctx context.Context, c *pgx.Conn, finish store.Finish) error {
	query, arguments := `SELECT r.finished_at IS NOT NULL FROM interactions i CROSS JOIN LATERAL (SELECT * FROM requests WHERE id = i.request_id LIMIT 1) r
		WHERE i.id = $1 AND r.id = $2`, []any{finish.Interaction[:], finish.Request[:]}
	if finish.Interaction.Zero() {
		query, arguments = `SELECT finished_at IS NOT NULL FROM requests WHERE id = $1`, []any{finish.Request[:]}
	}
	var finished bool
	found, err := one(ctx, c, query, arguments, &finished)
	switch {
	case err != nil:
		return err
	case !found:
		return store.ErrNotFound
	case finished:
		return store.ErrConsumed
	}
	return store.ErrExpired
}

// count runs an UPDATE that returns a counter of one record.
func (s *Store) count(ctx context.Context, verb, query string, id store.Digest) (count int, err error) {
	err = s.run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		found, err := one(ctx, c, query, []any{id[:]}, &count)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return count, err
}
