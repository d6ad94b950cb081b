package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// where writes a filter's conditions on a table's columns and gives their arguments, the limit last.
func where(f store.Filter) (conditions string, arguments []any) {
	var all []string
	add := func(condition string, argument any) {
		arguments = append(arguments, argument)
		all = append(all, fmt.Sprintf(condition, len(arguments)))
	}
	if f.Subject != "" {
		add("g.subject = $%d", f.Subject)
	}
	if f.ClientID != "" {
		add("g.client_id = $%d", f.ClientID)
	}
	if !f.Since.IsZero() {
		add("g.created_at >= $%d", f.Since)
	}
	if !f.Until.IsZero() {
		add("g.created_at < $%d", f.Until)
	}
	if len(all) > 0 {
		conditions = " WHERE " + strings.Join(all, " AND ")
	}
	return conditions, append(arguments, f.Limit)
}

// ListGrants lists grants, the newest first.
func (s *Store) ListGrants(ctx context.Context, filter store.Filter) (grants []store.Grant, err error) {
	conditions, arguments := where(filter)
	err = s.read(ctx, "ListGrants", func(ctx context.Context, c *pgx.Conn) error {
		grants, err = rows(ctx, c, `SELECT `+grantColumns+` FROM grants g`+conditions+
			fmt.Sprintf(` ORDER BY g.created_at DESC, g.id DESC LIMIT $%d`, len(arguments)), arguments, grantFields)
		return err
	})
	return grants, err
}

// ListConsents lists consents, the newest first.
func (s *Store) ListConsents(ctx context.Context, filter store.Filter) (consents []store.Consent, err error) {
	conditions, arguments := where(filter)
	err = s.read(ctx, "ListConsents", func(ctx context.Context, c *pgx.Conn) error {
		consents, err = rows(ctx, c, `SELECT g.subject, g.client_id, g.scopes, g.claims, g.created_at, g.expires_at FROM consents g`+conditions+
			fmt.Sprintf(` ORDER BY g.created_at DESC, g.subject, g.client_id LIMIT $%d`, len(arguments)), arguments,
			func(k *store.Consent) []any {
				return []any{&k.Subject, &k.ClientID, &k.Scopes, &k.Claims, timeField{&k.CreatedAt}, timeField{&k.ExpiresAt}}
			})
		return err
	})
	return consents, err
}
