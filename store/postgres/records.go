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
	switch {
	case f.Until.IsZero():
	case f.Below != "":
		arguments["below"] = f.Below
		add("(g.created_at, g.id) < (@until, @below)", "until", f.Until)
	default:
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
	filter.Below = ""
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

// ListGiven lists the grants of a user to a client.
func (s *Store) ListGiven(ctx context.Context, subject, clientID string, page store.Page) (given []store.GivenGrant, err error) {
	arguments := s.named(pgx.StrictNamedArgs{"subject": subject, "client_id": clientID, "at": at(page.At), "key": page.Key, "limit": page.Limit})
	err = s.read(ctx, "ListGiven", func(ctx context.Context, c *pgx.Conn) error {
		given, err = rows(ctx, c, `SELECT `+grantColumns+`, g.used_at, g.revoked_by FROM grants g WHERE g.subject = @subject AND g.client_id = @client_id
			AND g.revoked_by <> '`+store.RevokedByReplacement+`' AND (@at::timestamptz IS NULL OR (g.created_at, g.id) < (@at::timestamptz, @key::text))
			ORDER BY g.created_at DESC, g.id DESC LIMIT @limit`, []any{arguments}, func(g *store.GivenGrant) []any {
			return append(grantFields(&g.Grant), timeField{&g.UsedAt}, &g.RevokedBy)
		})
		return err
	})
	return given, err
}

// ListSessions lists the sessions of a user.
func (s *Store) ListSessions(ctx context.Context, subject string, page store.Page) (sessions []store.Session, err error) {
	arguments := s.named(pgx.StrictNamedArgs{"subject": subject, "now": s.moment(), "at": at(page.At), "key": []byte(page.Key), "limit": page.Limit})
	err = s.read(ctx, "ListSessions", func(ctx context.Context, c *pgx.Conn) error {
		sessions, err = rows(ctx, c, `SELECT `+sessionColumns+` FROM sessions s WHERE s.subject = @subject AND s.expires_at > @now
			AND EXISTS (SELECT FROM users u WHERE u.subject = s.subject AND `+signsIn+`)
			AND (@at::timestamptz IS NULL OR (s.auth_time, s.id) < (@at::timestamptz, @key::bytea))
			ORDER BY s.auth_time DESC, s.id DESC LIMIT @limit`, []any{arguments}, sessionFields)
		return err
	})
	return sessions, err
}
