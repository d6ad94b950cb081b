// Package sqlstore keeps sessions of package session in PostgreSQL or SQLite, through database/sql and the application's own driver (pgx's stdlib,
// mattn's or modernc's sqlite). Several processes may share it: what one ends, all have ended.
package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"countersign/rp/session"
)

// Dialect is the kind of a database.
type Dialect int

// The dialects.
const (
	PostgreSQL Dialect = iota + 1
	SQLite
)

// Store is a [session.Store] in a database.
type Store struct {
	db      *sql.DB
	dialect Dialect
}

// New makes a store. Its tables are made by [Store.Create], or by the application from [Schema].
func New(db *sql.DB, dialect Dialect) (*Store, error) {
	if dialect != PostgreSQL && dialect != SQLite {
		return nil, fmt.Errorf("sqlstore: dialect %d is neither PostgreSQL nor SQLite", dialect)
	}
	return &Store{db, dialect}, nil
}

// Schema is the statements that make the tables where they are missing. Times are in milliseconds since 1970, but for signed_in_at and signed_in_until, which
// are in seconds.
func Schema(dialect Dialect) []string {
	binary := "bytea"
	if dialect == SQLite {
		binary = "blob"
	}
	return []string{
		`CREATE TABLE IF NOT EXISTS rp_session (
	key          text PRIMARY KEY,  -- the SHA-256 of the id in the cookie
	version      bigint NOT NULL,
	issuer       text NOT NULL,
	subject      text NOT NULL,
	sid          text NOT NULL,     -- '' if the provider says none
	subject_name text NOT NULL,     -- what an end of the subject, or of the sid, is called
	sid_name     text NOT NULL,
	signed_in_at bigint NOT NULL,   -- by the provider's clock
	idle_until   bigint NOT NULL,
	ends_at      bigint NOT NULL,
	data         ` + binary + ` NOT NULL -- sealed
)`,
		`CREATE INDEX IF NOT EXISTS rp_session_sid ON rp_session (sid_name) WHERE sid_name <> ''`,
		`CREATE INDEX IF NOT EXISTS rp_session_subject ON rp_session (subject_name)`,
		`CREATE INDEX IF NOT EXISTS rp_session_idle_until ON rp_session (idle_until)`,
		`CREATE INDEX IF NOT EXISTS rp_session_ends_at ON rp_session (ends_at)`,
		`CREATE TABLE IF NOT EXISTS rp_session_end (
	name            text PRIMARY KEY, -- the SHA-256 of what was ended: a sid, a subject or a key
	signed_in_until bigint NOT NULL,  -- sessions that were signed in later go on
	until           bigint NOT NULL
)`,
		`CREATE INDEX IF NOT EXISTS rp_session_end_until ON rp_session_end (until)`,
		`CREATE TABLE IF NOT EXISTS rp_session_once (
	value text PRIMARY KEY,
	until bigint NOT NULL
)`,
		`CREATE INDEX IF NOT EXISTS rp_session_once_until ON rp_session_once (until)`,
	}
}

// createLock keeps nodes that start together from making the tables together: PostgreSQL's IF NOT EXISTS does not.
const createLock = 0x7270_7365_7373 // "rpsess"

// Create makes the tables where they are missing. The database's user needs the right to.
func (s *Store) Create(ctx context.Context) error {
	return s.together(ctx, func(tx *sql.Tx) error {
		if s.dialect == PostgreSQL {
			if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(createLock)); err != nil {
				return err
			}
		}
		for _, statement := range Schema(s.dialect) {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}

// together runs statements in one transaction.
func (s *Store) together(ctx context.Context, run func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	if err := run(tx); err != nil {
		return fmt.Errorf("sqlstore: %w", errors.Join(err, tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	return nil
}

// name is what the table of ends has for a kind of name. What it is made of cannot be read from it.
func name(kind, issuer, value string) string {
	digest := sha256.Sum256([]byte(kind + "\x00" + issuer + "\x00" + value))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// names are those by which a session may have been ended: by its sid, its subject, its key.
func names(record session.Record) (sid, subject, key string) {
	if record.SID != "" {
		sid = name("sid", record.Issuer, record.SID)
	}
	return sid, name("sub", record.Issuer, record.Subject), name("key", "", record.Key)
}

// forEver is later than any sign-in: an end by it spares nobody.
const forEver = 1<<63 - 1

// Load implements [session.Store].
func (s *Store) Load(ctx context.Context, key string) (session.Record, error) {
	record := session.Record{Key: key}
	var signedIn, idleUntil, endsAt int64
	err := s.db.QueryRowContext(ctx, `SELECT version, issuer, subject, sid, signed_in_at, idle_until, ends_at, data FROM rp_session WHERE key = $1`, key).
		Scan(&record.Version, &record.Issuer, &record.Subject, &record.SID, &signedIn, &idleUntil, &endsAt, &record.Data)
	if errors.Is(err, sql.ErrNoRows) {
		return session.Record{}, session.ErrNotFound
	}
	if err != nil {
		return session.Record{}, fmt.Errorf("sqlstore: %w", err)
	}
	record.SignedInAt, record.IdleUntil, record.EndsAt = time.Unix(signedIn, 0), time.UnixMilli(idleUntil), time.UnixMilli(endsAt)
	return record, nil
}

// Save implements [session.Store]. A new session is stored first, and then its end is looked for; who ends sessions writes that down first, and then removes
// them. Each is a transaction of its own, so that one of the two sees the other.
func (s *Store) Save(ctx context.Context, record session.Record, expect int64) error {
	if expect != 0 {
		return s.changed(ctx, `UPDATE rp_session SET version = version + 1, ends_at = $1, data = $2,
	idle_until = CASE WHEN idle_until > $3 THEN idle_until ELSE $4 END WHERE key = $5 AND version = $6`,
			record.EndsAt.UnixMilli(), record.Data, record.IdleUntil.UnixMilli(), record.IdleUntil.UnixMilli(), record.Key, expect)
	}
	sid, subject, _ := names(record)
	err := s.changed(ctx, `INSERT INTO rp_session
	(key, version, issuer, subject, sid, subject_name, sid_name, signed_in_at, idle_until, ends_at, data)
	VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (key) DO NOTHING`,
		record.Key, record.Issuer, record.Subject, record.SID, subject, sid, record.SignedInAt.Unix(), record.IdleUntil.UnixMilli(),
		record.EndsAt.UnixMilli(), record.Data)
	if err != nil {
		return err
	}
	ended, err := s.Ended(ctx, record)
	if err == nil && !ended {
		return nil
	}
	if err == nil {
		err = session.ErrEnded
	}
	return errors.Join(err, s.exec(ctx, `DELETE FROM rp_session WHERE key = $1`, record.Key))
}

// changed runs a statement, and returns ErrConflict if it changed nothing.
func (s *Store) changed(ctx context.Context, statement string, arguments ...any) error {
	result, err := s.db.ExecContext(ctx, statement, arguments...)
	if err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	if rows == 0 {
		return session.ErrConflict
	}
	return nil
}

func (s *Store) exec(ctx context.Context, statement string, arguments ...any) error {
	if _, err := s.db.ExecContext(ctx, statement, arguments...); err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	return nil
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, key string, idleUntil time.Time) error {
	return s.exec(ctx, `UPDATE rp_session SET idle_until = $1 WHERE key = $2 AND idle_until < $3`, idleUntil.UnixMilli(), key, idleUntil.UnixMilli())
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, key string, until time.Time) error {
	if !until.IsZero() {
		if err := s.end(ctx, name("key", "", key), forEver, until); err != nil {
			return err
		}
	}
	return s.exec(ctx, `DELETE FROM rp_session WHERE key = $1`, key)
}

// DeleteBySID implements [session.Store].
func (s *Store) DeleteBySID(ctx context.Context, issuer, sid string, until time.Time) error {
	by := name("sid", issuer, sid)
	if err := s.end(ctx, by, forEver, until); err != nil {
		return err
	}
	return s.exec(ctx, `DELETE FROM rp_session WHERE sid_name = $1`, by)
}

// DeleteBySubject implements [session.Store].
func (s *Store) DeleteBySubject(ctx context.Context, issuer, subject string, at, until time.Time) error {
	by := name("sub", issuer, subject)
	if err := s.end(ctx, by, at.Unix(), until); err != nil {
		return err
	}
	return s.exec(ctx, `DELETE FROM rp_session WHERE subject_name = $1 AND signed_in_at <= $2`, by, at.Unix())
}

// end writes an end down, or the later of two.
func (s *Store) end(ctx context.Context, name string, signedInUntil int64, until time.Time) error {
	return s.exec(ctx, `INSERT INTO rp_session_end AS e (name, signed_in_until, until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET
	signed_in_until = CASE WHEN excluded.signed_in_until > e.signed_in_until THEN excluded.signed_in_until ELSE e.signed_in_until END,
	until = CASE WHEN excluded.until > e.until THEN excluded.until ELSE e.until END`, name, signedInUntil, until.UnixMilli())
}

// Ended implements [session.Store].
func (s *Store) Ended(ctx context.Context, record session.Record) (bool, error) {
	sid, subject, key := names(record)
	var found int
	err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM rp_session_end WHERE name IN ($1, $2, $3) AND signed_in_until >= $4`,
		sid, subject, key, record.SignedInAt.Unix()).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("sqlstore: %w", err)
	}
	return found > 0, nil
}

// Consume implements [session.Store].
func (s *Store) Consume(ctx context.Context, value string, until time.Time) error {
	err := s.changed(ctx, `INSERT INTO rp_session_once (value, until) VALUES ($1, $2) ON CONFLICT (value) DO NOTHING`,
		name("once", "", value), until.UnixMilli())
	if errors.Is(err, session.ErrConflict) {
		return session.ErrConsumed
	}
	return err
}

// Sweep implements [session.Store].
func (s *Store) Sweep(ctx context.Context, now time.Time, limit int) (int, error) {
	removed := 0
	for _, statement := range []string{
		`DELETE FROM rp_session WHERE key IN (SELECT key FROM rp_session WHERE idle_until <= $1 LIMIT $2)`,
		`DELETE FROM rp_session WHERE key IN (SELECT key FROM rp_session WHERE ends_at <= $1 LIMIT $2)`,
		`DELETE FROM rp_session_end WHERE name IN (SELECT name FROM rp_session_end WHERE until <= $1 LIMIT $2)`,
		`DELETE FROM rp_session_once WHERE value IN (SELECT value FROM rp_session_once WHERE until <= $1 LIMIT $2)`,
	} {
		result, err := s.db.ExecContext(ctx, statement, now.UnixMilli(), limit)
		if err != nil {
			return removed, fmt.Errorf("sqlstore: %w", err)
		}
		rows, err := result.RowsAffected()
		if err != nil {
			return removed, fmt.Errorf("sqlstore: %w", err)
		}
		removed += int(rows)
	}
	return removed, nil
}
