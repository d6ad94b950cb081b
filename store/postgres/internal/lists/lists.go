// Package lists reads tables of PostgreSQL part by part, by their keys.
package lists

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/pool"
)

// Of says how records are read: the columns, and where they go.
type Of[T any] struct {
	Columns string
	Fields  func(*T) []any
}

// Lists has the verbs of lists; see [store.Lists].
type Lists struct {
	// Read does the work of a verb that changes nothing.
	Read    func(ctx context.Context, verb string, work pool.Work) error
	Clients Of[store.Client]
	Users   Of[store.User]
	Tokens  Of[store.InitialToken]
}

// ListClients lists clients by their identifiers.
func (l Lists) ListClients(ctx context.Context, after string, limit int) ([]store.Client, error) {
	return collect(ctx, l.Read, "ListClients", l.Clients, `FROM clients WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// ListUsers lists users by their subjects.
func (l Lists) ListUsers(ctx context.Context, after string, limit int) ([]store.User, error) {
	return collect(ctx, l.Read, "ListUsers", l.Users, `FROM users WHERE subject > $1 ORDER BY subject LIMIT $2`, after, limit)
}

// ListInitialTokens lists initial access tokens by their organisations.
func (l Lists) ListInitialTokens(ctx context.Context, after string, limit int) ([]store.InitialToken, error) {
	return collect(ctx, l.Read, "ListInitialTokens", l.Tokens, `FROM initial_tokens WHERE organisation > $1 ORDER BY organisation LIMIT $2`, after, limit)
}

// InitialTokenOf reads the initial access token of an organisation.
func (l Lists) InitialTokenOf(ctx context.Context, organisation string) (store.InitialToken, error) {
	found, err := collect(ctx, l.Read, "InitialTokenOf", l.Tokens, `FROM initial_tokens WHERE organisation = $1`, organisation)
	switch {
	case err != nil:
		return store.InitialToken{}, err
	case len(found) == 0:
		return store.InitialToken{}, store.ErrNotFound
	}
	return found[0], nil
}

// collect reads the records of a query.
func collect[T any](ctx context.Context, read func(context.Context, string, pool.Work) error, verb string, of Of[T], from string, arguments ...any) (all []T, err error) {
	err = read(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT `+of.Columns+` `+from, arguments...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (record T, err error) {
			err = row.Scan(of.Fields(&record)...)
			return record, err
		})
		return err
	})
	return all, err
}
