package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// where writes a filter's conditions on the columns of g and gives their arguments, with the limit.
func where(f store.Filter) (string, pgx.StrictNamedArgs) {
	conditions, arguments := []string{"true"}, pgx.StrictNamedArgs{"limit": f.Limit}
	add := func(condition, name string, argument any) {
		conditions, arguments[name] = append(conditions, condition), argument
	}
	if f.Subject != "" {
		add("g.subject = @subject", "subject", f.Subject)
	}
	if f.ClientID != "" {
		add("g.client_id = @client_id", "client_id", f.ClientID)
	}
	if !f.Since.IsZero() {
		add("g.created_at >= @since", "since", f.Since)
	}
	if !f.Until.IsZero() {
		add("g.created_at < @until", "until", f.Until)
	}
	return " WHERE " + strings.Join(conditions, " AND "), arguments
}

// ListGrants lists grants, the newest first.
func (s *Store) ListGrants(ctx context.Context, filter store.Filter) (grants []store.Grant, err error) {
	conditions, arguments := where(filter)
	err = s.read(ctx, "ListGrants", func(ctx context.Context, c *pgx.Conn) error {
		grants, err = rows(ctx, c, `SELECT `+grantColumns+` FROM grants g`+conditions+
			` ORDER BY g.created_at DESC, g.id DESC LIMIT @limit`, []any{s.named(arguments)}, grantFields)
		return err
	})
	return grants, err
}

// ListConsents lists consents, the newest first.
func (s *Store) ListConsents(ctx context.Context, filter store.Filter) (consents []store.Consent, err error) {
	conditions, arguments := where(filter)
	err = s.read(ctx, "ListConsents", func(ctx context.Context, c *pgx.Conn) error {
		consents, err = rows(ctx, c, `SELECT g.subject, g.client_id, g.scopes, g.claims, g.created_at, g.expires_at FROM consents g`+conditions+
			` ORDER BY g.created_at DESC, g.subject, g.client_id LIMIT @limit`, []any{s.named(arguments)},
			func(k *store.Consent) []any {
				return []any{&k.Subject, &k.ClientID, &k.Scopes, &k.Claims, timeField{&k.CreatedAt}, timeField{&k.ExpiresAt}}
			})
		return err
	})
	return consents, err
}
