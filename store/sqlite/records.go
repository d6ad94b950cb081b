package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// where writes a filter's conditions on a table's columns and returns their arguments, the limit last.
func where(f store.Filter) (conditions string, arguments []any) {
	var all []string
	add := func(condition string, argument any) {
		all, arguments = append(all, condition), append(arguments, argument)
	}
	if f.Subject != "" {
		add("g.subject = ?", f.Subject)
	}
	if f.ClientID != "" {
		add("g.client_id = ?", f.ClientID)
	}
	if !f.Since.IsZero() {
		add("g.created_at >= ?", micros(f.Since))
	}
	switch {
	case f.Until.IsZero():
	case f.Below != "":
		add("(g.created_at, g.id) < (?, ?)", micros(f.Until))
		arguments = append(arguments, f.Below)
	default:
		add("g.created_at < ?", micros(f.Until))
	}
	if len(all) > 0 {
		conditions = " WHERE " + strings.Join(all, " AND ")
	}
	return conditions, append(arguments, f.Limit)
}

// ListGrants lists grants, the newest first.
func (s *Store) ListGrants(ctx context.Context, filter store.Filter) ([]store.Grant, error) {
	conditions, arguments := where(filter)
	return readWhere(ctx, s, "ListGrants", `SELECT `+grantColumns+` FROM grants g`+conditions+
		` ORDER BY g.created_at DESC, g.id DESC LIMIT ?`, arguments, grantFields)
}

// ListConsents lists consents, the newest first.
func (s *Store) ListConsents(ctx context.Context, filter store.Filter) ([]store.Consent, error) {
	filter.Below = ""
	conditions, arguments := where(filter)
	return readWhere(ctx, s, "ListConsents", `SELECT g.subject, g.client_id, g.scopes, g.claims, g.created_at, g.expires_at FROM consents g`+
		conditions+` ORDER BY g.created_at DESC, g.subject, g.client_id LIMIT ?`, arguments, func(k *store.Consent) []any {
		return []any{&k.Subject, &k.ClientID, listField{&k.Scopes}, listField{&k.Claims}, timeField{&k.CreatedAt}, timeField{&k.ExpiresAt}}
	})
}

// readWhere runs a verb that lists some records.
func readWhere[T any](ctx context.Context, s *Store, verb, query string, arguments []any, fields func(*T) []any) (records []T, err error) {
	err = s.read(ctx, verb, func(c *connection.Conn) error {
		return c.EachOf(query, arguments, func(rows *sql.Rows) error {
			var record T
			err := rows.Scan(fields(&record)...)
			records = append(records, record)
			return err
		})
	})
	return records, err
}

// ListGiven lists the grants of a user to a client.
func (s *Store) ListGiven(ctx context.Context, subject, clientID string, page store.Page) ([]store.GivenGrant, error) {
	return readWhere(ctx, s, "ListGiven", `SELECT `+grantColumns+`, g.used_at, g.revoked_by FROM grants g WHERE g.subject = ?1 AND g.client_id = ?2
		AND g.revoked_by <> '`+store.RevokedByReplacement+`' AND (?3 IS NULL OR (g.created_at, g.id) < (?3, ?4)) ORDER BY g.created_at DESC, g.id DESC LIMIT ?5`,
		[]any{subject, clientID, micros(page.At), page.Key, page.Limit}, func(g *store.GivenGrant) []any {
			return append(grantFields(&g.Grant), timeField{&g.UsedAt}, &g.RevokedBy)
		})
}

// ListSessions lists the sessions of a user.
func (s *Store) ListSessions(ctx context.Context, subject string, page store.Page) ([]store.Session, error) {
	return readWhere(ctx, s, "ListSessions", `SELECT `+sessionColumns+` FROM sessions s WHERE s.subject = ?1 AND s.expires_at > ?2
		AND EXISTS (SELECT 1 FROM users u WHERE u.subject = s.subject AND `+signsIn+`)
		AND (?3 IS NULL OR (s.auth_time, s.id) < (?3, CAST(?4 AS BLOB))) ORDER BY s.auth_time DESC, s.id DESC LIMIT ?5`,
		[]any{subject, micros(s.moment()), micros(page.At), []byte(page.Key), page.Limit}, sessionFields)
}
