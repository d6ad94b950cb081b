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
	if !f.Until.IsZero() {
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
