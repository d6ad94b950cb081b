package sqlite

import (
	"context"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

const (
	handOffColumns = `h.id, h.interaction_id, h.created_at, h.expires_at, h.answer, h.answered_at, h.back, h.returned_at, h.epoch`
	// RETURNING knows no alias and no join.
	handOffReturning = `id, interaction_id, created_at, expires_at, answer, answered_at, back, returned_at, epoch,
		(SELECT browser FROM interactions WHERE id = hand_offs.interaction_id)`
)

func handOffFields(h *store.HandOff) []any {
	return []any{digestField{&h.ID}, digestField{&h.Interaction}, timeField{&h.CreatedAt}, timeField{&h.ExpiresAt},
		textField(&h.Answer), timeField{&h.AnsweredAt}, digestField{&h.Return}, timeField{&h.ReturnedAt}, &h.Epoch}
}

// BeginHandOff stores a new hand-off.
func (s *Store) BeginHandOff(ctx context.Context, h store.HandOff) error {
	now := s.moment()
	return s.write(ctx, "BeginHandOff", connection.Several, func(c *connection.Conn) error {
		stored, err := c.Exec(`INSERT INTO hand_offs (id, interaction_id, created_at, expires_at)
			SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM interactions WHERE id = ?2) ON CONFLICT (id) DO NOTHING`,
			h.ID[:], h.Interaction[:], micros(h.CreatedAt), micros(h.ExpiresAt))
		if err != nil || stored > 0 {
			return err
		}
		there, err := readHandOff(c, h.ID, now)
		if err == nil && there.Interaction != h.Interaction {
			return store.ErrNotFound
		}
		return err
	})
}

// HandOff reads a hand-off.
func (s *Store) HandOff(ctx context.Context, id store.Digest) (h store.HandOff, err error) {
	now := s.moment()
	err = s.readOften(ctx, "HandOff", func(c *connection.Conn) error {
		h, err = readHandOff(c, id, now)
		return err
	})
	return h, err
}

func readHandOff(c *connection.Conn, id store.Digest, now time.Time) (h store.HandOff, err error) {
	err = c.Get(`SELECT `+handOffColumns+`, i.browser FROM hand_offs h JOIN interactions i ON i.id = h.interaction_id
		WHERE h.id = `+connection.Blob, []any{id[:]}, append(handOffFields(&h), digestField{&h.Browser})...)
	switch {
	case err != nil:
		return h, err
	case !h.AnsweredAt.IsZero():
		return h, store.ErrConsumed
	case !now.Before(h.ExpiresAt):
		return h, store.ErrExpired
	}
	return h, nil
}

// AnswerHandOff records the answer.
func (s *Store) AnswerHandOff(ctx context.Context, id store.Digest, answer store.HandOffAnswer) error {
	now := micros(s.moment())
	return s.write(ctx, "AnswerHandOff", connection.Several, func(c *connection.Conn) error {
		var subject any
		if answer.User != nil {
			subject = answer.User.Subject
		}
		answered, err := c.Exec(`UPDATE hand_offs SET answer = ?1, answered_at = ?2, expires_at = ?3, back = ?4, subject = ?5, upstream = ?7,
				epoch = CASE WHEN ?5 IS NULL THEN 0 ELSE coalesce((SELECT epoch FROM users WHERE subject = ?5), 1) END
			WHERE id = ?6 AND answered_at IS NULL AND expires_at > ?2 AND EXISTS
				(SELECT 1 FROM interactions i JOIN requests r ON r.id = i.request_id
				WHERE i.id = hand_offs.interaction_id AND i.expires_at > ?2 AND r.finished_at IS NULL)`,
			text(answer.Answer), now, micros(answer.ReturnBy), answer.Return[:], subject, id[:], digestOrNull(answer.Upstream))
		if err != nil {
			return conflict(err, store.ErrConflict)
		}
		if answered == 0 {
			return unansweredHandOff(c, id)
		}
		if answer.User != nil {
			if err := admit(c, answer.User); err != nil {
				return err
			}
		}
		return insertEvidence(c, answer.Evidence)
	})
}

// admit stores a user who signed in elsewhere, or replaces the claims of one who is known.
func admit(c *connection.Conn, user *store.User) error {
	admitted, err := c.Exec(`INSERT INTO users (subject, username, password, claims, disabled, created_at, updated_at, user_code) VALUES (?, ?, '', ?, 0, ?, ?, '')
		ON CONFLICT (subject) DO UPDATE SET claims = coalesce(excluded.claims, users.claims),
		updated_at = CASE WHEN excluded.claims IS NULL THEN users.updated_at ELSE excluded.updated_at END WHERE NOT users.disabled`,
		user.Subject, user.Username, text(user.Claims), micros(user.CreatedAt), micros(user.UpdatedAt))
	switch {
	case err != nil:
		return conflict(err, store.ErrConflict)
	case admitted == 0:
		return store.ErrRevoked
	}
	return nil
}

// AdmitUser stores a user who is not known.
func (s *Store) AdmitUser(ctx context.Context, user store.User) error {
	user.Claims = nil
	return s.write(ctx, "AdmitUser", connection.Several, func(c *connection.Conn) error { return admit(c, &user) })
}

// unansweredHandOff says why a hand-off could not be answered.
func unansweredHandOff(c *connection.Conn, id store.Digest) error {
	var consumed bool
	err := c.Get(`SELECT h.answered_at IS NOT NULL OR r.finished_at IS NOT NULL FROM hand_offs h
		JOIN interactions i ON i.id = h.interaction_id JOIN requests r ON r.id = i.request_id WHERE h.id = `+connection.Blob,
		[]any{id[:]}, &consumed)
	switch {
	case err != nil:
		return err
	case consumed:
		return store.ErrConsumed
	}
	return store.ErrExpired
}

// ReturnHandOff consumes the return of a browser.
func (s *Store) ReturnHandOff(ctx context.Context, interaction, back store.Digest) (store.HandOff, error) {
	var h store.HandOff
	now := micros(s.moment())
	err := s.write(ctx, "ReturnHandOff", connection.Several, func(c *connection.Conn) error {
		h = store.HandOff{}
		found, err := c.Update(`UPDATE hand_offs SET returned_at = ?1
			WHERE back = ?2 AND interaction_id = ?3 AND returned_at IS NULL AND expires_at > ?1 RETURNING `+handOffReturning,
			[]any{now, back[:], interaction[:]}, append(handOffFields(&h), digestField{&h.Browser})...)
		if err != nil || found {
			return err
		}
		var consumed bool
		err = c.Get(`SELECT returned_at IS NOT NULL FROM hand_offs WHERE back = `+connection.Blob+` AND interaction_id = `+connection.Blob,
			[]any{back[:], interaction[:]}, &consumed)
		switch {
		case err != nil:
			return err
		case consumed:
			return store.ErrConsumed
		}
		return store.ErrExpired
	})
	return h, err
}
