package sqlite

import (
	"context"
	"time"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/consents"
	"countersign/store/sqlite/internal/managed"
	"countersign/store/sqlite/internal/signout"
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
	return []any{digestField{&r.ID}, &r.ClientID, textField(&r.Parameters),
		timeField{&r.CreatedAt}, timeField{&r.ExpiresAt}, timeField{&r.FinishedAt}}
}

func sessionFields(s *store.Session) []any {
	return []any{digestField{&s.ID}, &s.SID, &s.Subject, timeField{&s.AuthTime}, &s.ACR, listField{&s.AMR}, &s.Agent, timeField{&s.ExpiresAt}}
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
	return s.write(ctx, "Push", connection.Several, func(c *connection.Conn) error {
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if _, err := c.Exec(`INSERT INTO requests (id, client_id, parameters, created_at, expires_at, finished_at, purge_at)
			VALUES (?, ?, ?, ?, ?, ?, ?)`,
			request.ID[:], request.ClientID, text(request.Parameters), micros(request.CreatedAt),
			micros(request.ExpiresAt), micros(request.FinishedAt), micros(request.ExpiresAt.Add(keepFor))); err != nil {
			return conflict(err, store.ErrConflict)
		}
		return insertEvidence(c, request.Evidence)
	})
}

// Open reads a request, a session that is alive, and the consent of its user.
func (s *Store) Open(ctx context.Context, request, session store.Digest) (store.Opened, error) {
	var o store.Opened
	var signedIn store.Session
	var consent store.Consent
	r, now := &o.Request, s.moment()
	err := s.readOften(ctx, "Open", func(c *connection.Conn) error {
		fields := append(requestFields(r), sessionFields(&signedIn)...)
		fields = append(fields, &consent.Subject, &consent.ClientID, listField{&consent.Scopes}, listField{&consent.Claims},
			timeField{&consent.CreatedAt}, timeField{&consent.ExpiresAt})
		err := c.Get(`SELECT `+requestColumns+`, `+sessionColumns+`, `+consentColumns+` FROM requests r
			LEFT JOIN sessions s ON s.id = CAST(?1 AS BLOB) AND s.expires_at > ?2
				AND EXISTS (SELECT 1 FROM users u WHERE u.subject = s.subject AND `+signsIn+`)
			LEFT JOIN consents k ON k.subject = s.subject AND k.client_id = r.client_id AND k.expires_at > ?2
			WHERE r.id = CAST(?3 AS BLOB)`,
			[]any{digestOrNull(session), micros(now), request[:]}, fields...)
		switch {
		case err != nil:
			return err
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
	return s.write(ctx, "BeginInteraction", connection.Several, func(c *connection.Conn) error {
		stored, err := insertInteraction(c, i)
		if err != nil {
			return err
		}
		if stored > 0 {
			return insertEvidence(c, i.Evidence)
		}
		kept, err := c.Exec(`UPDATE requests SET purge_at = ? WHERE id = ?`, micros(i.ExpiresAt.Add(keepFor)), i.RequestID[:])
		if err != nil {
			return err
		}
		if kept == 0 {
			return store.ErrNotFound
		}
		if _, err = insertInteraction(c, i); err != nil {
			return err
		}
		return insertEvidence(c, i.Evidence)
	})
}

// insertInteraction stores an interaction if its request is there and will be for as long.
func insertInteraction(c *connection.Conn, i store.Interaction) (int64, error) {
	stored, err := c.Exec(`INSERT INTO interactions
		(id, request_id, browser, session_id, sign_in_failures, created_at, expires_at)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM requests WHERE id = ?2 AND purge_at > ?7)`,
		i.ID[:], i.RequestID[:], i.Browser[:], digestOrNull(i.Session), i.SignInFailures,
		micros(i.CreatedAt), micros(i.ExpiresAt))
	return stored, conflict(err, store.ErrConflict)
}

// Interaction reads an interaction of this browser.
func (s *Store) Interaction(ctx context.Context, interaction, browser store.Digest) (store.Pending, error) {
	var p store.Pending
	var signedIn store.Session
	i := &p.Interaction
	now := s.moment()
	err := s.readOften(ctx, "Interaction", func(c *connection.Conn) error {
		fields := []any{digestField{&i.ID}, digestField{&i.RequestID}, digestField{&i.Browser}, digestField{&i.Session},
			&i.SignInFailures, timeField{&i.CreatedAt}, timeField{&i.ExpiresAt}}
		fields = append(fields, requestFields(&p.Request)...)
		fields = append(append(fields, sessionFields(&signedIn)...), &p.Username)
		err := c.Get(`SELECT i.id, i.request_id, i.browser, i.session_id, i.sign_in_failures, i.created_at, i.expires_at, `+
			requestColumns+`, `+sessionColumns+`, coalesce(u.username, '')
			FROM interactions i JOIN requests r ON r.id = i.request_id
			LEFT JOIN sessions s ON s.id = i.session_id AND s.expires_at > ?
				AND EXISTS (SELECT 1 FROM users u WHERE u.subject = s.subject AND `+signsIn+`)
			LEFT JOIN users u ON u.subject = s.subject
			WHERE i.id = `+connection.Blob+` AND i.browser = `+connection.Blob,
			[]any{micros(now), interaction[:], browser[:]}, fields...)
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

// SignIn stores a session, binds the interaction to it and ends the former one.
func (s *Store) SignIn(ctx context.Context, interaction store.Digest, session store.Session) error {
	now := s.moment()
	return s.write(ctx, "SignIn", connection.Several, func(c *connection.Conn) error {
		var bound store.Digest
		if _, err := c.One(`SELECT session_id FROM interactions WHERE id = ? AND expires_at > ?`,
			[]any{interaction[:], micros(now)}, digestField{&bound}); err != nil {
			return err
		}
		alive, err := c.Exec(`UPDATE interactions SET session_id = ? WHERE id = ? AND expires_at > ?`,
			session.ID[:], interaction[:], micros(now))
		if err != nil {
			return err
		}
		if alive == 0 {
			return existence(c, `SELECT 1 FROM interactions WHERE id = ?`, interaction[:], store.ErrExpired)
		}
		return replaceSession(c, session, now, bound, session.Former)
	})
}

// replaceSession stores a session with its evidence, in place of former ones.
func replaceSession(c *connection.Conn, session store.Session, now time.Time, former ...store.Digest) error {
	sid, err := signout.Replace(c, session, now, former...)
	if err != nil {
		return err
	}
	_, err = c.Exec(`INSERT INTO sessions (id, sid, subject, auth_time, acr, amr, agent, expires_at, epoch, upstream)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, coalesce(nullif(?9, 0), (SELECT epoch FROM users WHERE subject = ?3)), ?10)`,
		session.ID[:], sid, session.Subject, micros(session.AuthTime), session.ACR, list(session.AMR), session.Agent, micros(session.ExpiresAt), session.Epoch,
		digestOrNull(session.Upstream))
	if err != nil {
		return conflict(err, store.ErrConflict)
	}
	return insertEvidence(c, session.Evidence)
}

// SignInFailed counts a wrong password.
func (s *Store) SignInFailed(ctx context.Context, interaction store.Digest, evidence ...store.Evidence) (int, error) {
	return s.count(ctx, "SignInFailed", `UPDATE interactions SET sign_in_failures = sign_in_failures + 1
		WHERE id = ? RETURNING sign_in_failures`, interaction, evidence...)
}

// Finish answers the request.
func (s *Store) Finish(ctx context.Context, finish store.Finish) error {
	at, grantID := s.moment(), ""
	now := micros(at)
	return s.write(ctx, "Finish", connection.Several, func(c *connection.Conn) error {
		if err := backend.CheckFinish(finish); err != nil {
			return err
		}
		answered, err := c.Exec(`UPDATE requests SET finished_at = ?1 WHERE id = ?2 AND finished_at IS NULL AND
			CASE WHEN ?3 IS NULL THEN expires_at > ?1 ELSE EXISTS
			(SELECT 1 FROM interactions WHERE id = ?3 AND request_id = ?2 AND expires_at > ?1) END`,
			now, finish.Request[:], digestOrNull(finish.Interaction))
		if err != nil {
			return err
		}
		if answered == 0 {
			return unanswered(c, finish)
		}
		if finish.Grant != nil {
			grantID = finish.Grant.ID
			if err := insertGrant(c, finish.Grant); err != nil {
				return err
			}
		}
		if err := consents.Decide(c, finish.Lodged, grantID, finish.Replaces, at); err != nil {
			return err
		}
		if err := managed.Replace(c, finish.Replaces, finish.Grant, at); err != nil {
			return err
		}
		if finish.Code != nil {
			if err := insertCode(c, finish.Code); err != nil {
				return err
			}
		}
		if finish.Consent != nil {
			if err := putConsent(c, finish.Consent); err != nil {
				return err
			}
		}
		return insertEvidence(c, finish.Evidence)
	})
}

func putConsent(c *connection.Conn, k *store.Consent) error {
	_, err := c.Exec(`INSERT INTO consents (subject, client_id, scopes, claims, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (subject, client_id) DO UPDATE SET scopes = excluded.scopes, claims = excluded.claims,
		created_at = excluded.created_at, expires_at = excluded.expires_at`,
		k.Subject, k.ClientID, list(k.Scopes), list(k.Claims), micros(k.CreatedAt), micros(k.ExpiresAt))
	return err
}

// unanswered says why a request could not be finished.
func unanswered(c *connection.Conn, finish store.Finish) error {
	query, arguments := `SELECT r.finished_at IS NOT NULL FROM interactions i JOIN requests r ON r.id = i.request_id
		WHERE i.id = `+connection.Blob+` AND r.id = `+connection.Blob, []any{finish.Interaction[:], finish.Request[:]}
	if finish.Interaction.Zero() {
		query, arguments = `SELECT finished_at IS NOT NULL FROM requests WHERE id = ?`, []any{finish.Request[:]}
	}
	var finished bool
	err := c.Get(query, arguments, &finished)
	switch {
	case err != nil:
		return err
	case finished:
		return store.ErrConsumed
	}
	return store.ErrExpired
}

// existence returns otherwise when the query finds a row for key, and ErrNotFound when it does not.
func existence(c *connection.Conn, query string, key any, otherwise error) error {
	var one int
	err := c.Get(query, []any{key}, &one)
	switch {
	case err != nil:
		return err
	}
	return otherwise
}

// count runs an UPDATE that returns a counter of one record.
func (s *Store) count(ctx context.Context, verb, query string, id store.Digest, evidence ...store.Evidence) (count int, err error) {
	err = s.write(ctx, verb, connection.Several, func(c *connection.Conn) error {
		found, err := c.Update(query, []any{id[:]}, &count)
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return insertEvidence(c, evidence)
	})
	return count, err
}
