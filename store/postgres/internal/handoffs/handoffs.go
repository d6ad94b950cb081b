// Package handoffs keeps the interactions that were handed to a login of the operator's own in a table of PostgreSQL.
package handoffs

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
)

// HandOffs has the verbs of hand-offs; see [store.HandOffs].
type HandOffs struct {
	Statements *named.Statements
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time with the precision that is stored.
	Moment func() time.Time
}

// columns are those of a hand-off h of an interaction i.
const columns = `h.id, h.interaction_id, i.browser, h.created_at, h.expires_at, h.answer, h.answered_at, h.back, h.returned_at, h.epoch`

// get reads the only row of a query with the columns, and reports whether there was one.
func get(ctx context.Context, c *pgx.Conn, query string, arguments ...any) (h store.HandOff, found bool, err error) {
	var id, interaction, browser, answer, back []byte
	var answered, returned *time.Time
	err = c.QueryRow(ctx, query, arguments...).
		Scan(&id, &interaction, &browser, &h.CreatedAt, &h.ExpiresAt, &answer, &answered, &back, &returned, &h.Epoch)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return h, false, nil
	case err != nil:
		return h, false, err
	}
	copy(h.ID[:], id)
	copy(h.Interaction[:], interaction)
	copy(h.Browser[:], browser)
	copy(h.Return[:], back)
	h.Answer, h.CreatedAt, h.ExpiresAt = answer, h.CreatedAt.UTC(), h.ExpiresAt.UTC()
	if answered != nil {
		h.AnsweredAt = answered.UTC()
	}
	if returned != nil {
		h.ReturnedAt = returned.UTC()
	}
	return h, true, nil
}

// BeginHandOff stores a new hand-off.
func (t HandOffs) BeginHandOff(ctx context.Context, h store.HandOff) error {
	return t.Run(ctx, "BeginHandOff", func(ctx context.Context, c *pgx.Conn) error { return t.begin(ctx, c, h) })
}

func (t HandOffs) begin(ctx context.Context, c *pgx.Conn, h store.HandOff) error {
	stored, err := c.Exec(ctx, `INSERT INTO hand_offs (id, interaction_id, created_at, expires_at)
		SELECT @id::bytea, id, @created_at::timestamptz, @expires_at::timestamptz FROM interactions WHERE id = @interaction
		ON CONFLICT (id) DO NOTHING`, t.Statements.Arguments(pgx.StrictNamedArgs{
		"id": h.ID[:], "interaction": h.Interaction[:], "created_at": h.CreatedAt, "expires_at": h.ExpiresAt,
	}))
	if err != nil || stored.RowsAffected() > 0 {
		return err
	}
	there, err := t.read(ctx, c, h.ID)
	if err == nil && there.Interaction != h.Interaction {
		return store.ErrNotFound
	}
	return err
}

// HandOff reads a hand-off.
func (t HandOffs) HandOff(ctx context.Context, id store.Digest) (h store.HandOff, err error) {
	err = t.Read(ctx, "HandOff", func(ctx context.Context, c *pgx.Conn) error {
		h, err = t.read(ctx, c, id)
		return err
	})
	return h, err
}

func (t HandOffs) read(ctx context.Context, c *pgx.Conn, id store.Digest) (store.HandOff, error) {
	h, found, err := get(ctx, c, `SELECT `+columns+` FROM hand_offs h
		CROSS JOIN LATERAL (SELECT browser FROM interactions WHERE id = h.interaction_id LIMIT 1) i WHERE h.id = $1`, id[:])
	switch {
	case err != nil:
		return h, err
	case !found:
		return h, store.ErrNotFound
	case !h.AnsweredAt.IsZero():
		return h, store.ErrConsumed
	case !t.Moment().Before(h.ExpiresAt):
		return h, store.ErrExpired
	}
	return h, nil
}

// AnswerHandOff records the answer.
func (t HandOffs) AnswerHandOff(ctx context.Context, id store.Digest, answer store.HandOffAnswer) error {
	return t.Run(ctx, "AnswerHandOff", func(ctx context.Context, c *pgx.Conn) error { return t.answer(ctx, c, id, answer) })
}

func (t HandOffs) answer(ctx context.Context, c *pgx.Conn, id store.Digest, answer store.HandOffAnswer) error {
	now := t.Moment()
	user := store.User{CreatedAt: now, UpdatedAt: now}
	var subject *string
	if answer.User != nil {
		user, subject = *answer.User, &answer.User.Subject
	}
	var disabled, answered bool
	err := c.QueryRow(ctx, `WITH disabled AS (SELECT FROM users WHERE subject = @subject AND disabled
		), answered AS (
			UPDATE hand_offs h SET answer = @answer, answered_at = @now, expires_at = @return_by, back = @back, subject = @subject, upstream = @upstream,
				epoch = CASE WHEN @subject::text IS NULL THEN 0 ELSE coalesce((SELECT epoch FROM users WHERE subject = @subject), 1) END
			WHERE h.id = @id AND h.answered_at IS NULL AND h.expires_at > @now AND NOT EXISTS (SELECT FROM disabled) AND EXISTS
				(SELECT FROM interactions i WHERE i.id = h.interaction_id AND i.expires_at > @now
					AND EXISTS (SELECT FROM requests r WHERE r.id = i.request_id AND r.finished_at IS NULL))
			RETURNING h.id
		), admitted AS (
			INSERT INTO users (subject, username, password, claims, disabled, created_at, updated_at, user_code)
			SELECT @subject::text, @username::text, '', @claims::json, FALSE, @created_at::timestamptz, @updated_at::timestamptz, ''
			FROM answered WHERE @subject::text IS NOT NULL
			ON CONFLICT (subject) DO UPDATE SET claims = coalesce(excluded.claims, users.claims),
			updated_at = CASE WHEN excluded.claims IS NULL THEN users.updated_at ELSE excluded.updated_at END WHERE NOT users.disabled
		), evidence AS (`+named.InsertEvidence+` CROSS JOIN answered)
		SELECT EXISTS (SELECT FROM disabled), EXISTS (SELECT FROM answered)`, t.Statements.Arguments(pgx.StrictNamedArgs{
		"id": id[:], "now": now, "answer": []byte(answer.Answer), "return_by": answer.ReturnBy, "back": answer.Return[:], "upstream": orNull(answer.Upstream),
		"subject": subject, "username": user.Username, "claims": []byte(user.Claims),
		"created_at": user.CreatedAt, "updated_at": user.UpdatedAt,
	}).Evidence(answer.Evidence)).Scan(&disabled, &answered)
	if err != nil || answered {
		return err
	}
	err = t.unanswered(ctx, c, id)
	if disabled && errors.Is(err, store.ErrExpired) { // or it is still open, and the user is not admitted
		return store.ErrRevoked
	}
	return err
}

// orNull is a digest, or NULL for the zero one.
func orNull(d store.Digest) []byte {
	if d.Zero() {
		return nil
	}
	return d[:]
}

// unanswered says why a hand-off could not be answered.
func (t HandOffs) unanswered(ctx context.Context, c *pgx.Conn, id store.Digest) error {
	var consumed bool
	err := c.QueryRow(ctx, `SELECT h.answered_at IS NOT NULL OR r.finished_at IS NOT NULL FROM hand_offs h
		CROSS JOIN LATERAL (SELECT * FROM interactions WHERE id = h.interaction_id LIMIT 1) i
		CROSS JOIN LATERAL (SELECT * FROM requests WHERE id = i.request_id LIMIT 1) r WHERE h.id = $1`, id[:]).Scan(&consumed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNotFound
	case err != nil:
		return err
	case consumed:
		return store.ErrConsumed
	}
	return store.ErrExpired
}

// ReturnHandOff consumes the return of a browser.
func (t HandOffs) ReturnHandOff(ctx context.Context, interaction, back store.Digest) (h store.HandOff, err error) {
	err = t.Run(ctx, "ReturnHandOff", func(ctx context.Context, c *pgx.Conn) error {
		h, err = t.comeBack(ctx, c, interaction, back)
		return err
	})
	return h, err
}

func (t HandOffs) comeBack(ctx context.Context, c *pgx.Conn, interaction, back store.Digest) (store.HandOff, error) {
	h, found, err := get(ctx, c, `UPDATE hand_offs AS h SET returned_at = $1 FROM interactions i
		WHERE h.back = $2 AND h.interaction_id = $3 AND i.id = $3 AND h.returned_at IS NULL AND h.expires_at > $1 RETURNING `+columns,
		t.Moment(), back[:], interaction[:])
	if err != nil || found {
		return h, err
	}
	var consumed bool
	err = c.QueryRow(ctx, `SELECT returned_at IS NOT NULL FROM hand_offs WHERE back = $1 AND interaction_id = $2`,
		back[:], interaction[:]).Scan(&consumed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return h, store.ErrNotFound
	case err != nil:
		return h, err
	case consumed:
		return h, store.ErrConsumed
	}
	return h, store.ErrExpired
}

// AdmitUser stores a user who is not known.
func (t HandOffs) AdmitUser(ctx context.Context, user store.User) error {
	return t.Run(ctx, "AdmitUser", func(ctx context.Context, c *pgx.Conn) error { return t.admit(ctx, c, user) })
}

func (t HandOffs) admit(ctx context.Context, c *pgx.Conn, user store.User) error {
	var admitted bool
	err := c.QueryRow(ctx, `INSERT INTO users (subject, username, password, disabled, created_at, updated_at, user_code)
		VALUES (@subject, @username, '', FALSE, @created_at, @updated_at, '')
		ON CONFLICT (subject) DO UPDATE SET subject = excluded.subject WHERE NOT users.disabled RETURNING true`,
		t.Statements.Arguments(pgx.StrictNamedArgs{
			"subject": user.Subject, "username": user.Username, "created_at": user.CreatedAt, "updated_at": user.UpdatedAt,
		})).Scan(&admitted)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrRevoked
	}
	return err
}
