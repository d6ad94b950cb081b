// Package lists reads tables of SQLite part by part, by their keys.
package lists

import (
	"context"
	"database/sql"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// reader does the work of a verb that changes nothing.
type reader = func(ctx context.Context, verb string, work func(*connection.Conn) error) error

// Of says how records are read: the columns, and where they go.
type Of[T any] struct {
	Columns string
	Fields  func(*T) []any
}

// Lists has the verbs of lists; see [store.Lists].
type Lists struct {
	Read    reader
	Clients Of[store.Client]
	Users   Of[store.User]
	Tokens  Of[store.InitialToken]
}

// ListClients lists clients by their identifiers.
func (l Lists) ListClients(ctx context.Context, after string, limit int) ([]store.Client, error) {
	return collect(ctx, l.Read, "ListClients", l.Clients, `FROM clients WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
}

// ListUsers lists users by their subjects.
func (l Lists) ListUsers(ctx context.Context, after string, limit int) ([]store.User, error) {
	return collect(ctx, l.Read, "ListUsers", l.Users, `FROM users WHERE subject > ? ORDER BY subject LIMIT ?`, after, limit)
}

// ListInitialTokens lists initial access tokens by their organisations.
func (l Lists) ListInitialTokens(ctx context.Context, after string, limit int) ([]store.InitialToken, error) {
	return collect(ctx, l.Read, "ListInitialTokens", l.Tokens, `FROM initial_tokens WHERE organisation > ? ORDER BY organisation LIMIT ?`, after, limit)
}

// InitialTokenOf reads the initial access token of an organisation.
func (l Lists) InitialTokenOf(ctx context.Context, organisation string) (store.InitialToken, error) {
	found, err := collect(ctx, l.Read, "InitialTokenOf", l.Tokens, `FROM initial_tokens WHERE organisation = ?`, organisation)
	switch {
	case err != nil:
		return store.InitialToken{}, err
	case len(found) == 0:
		return store.InitialToken{}, store.ErrNotFound
	}
	return found[0], nil
}

// collect reads the records of a query.
func collect[T any](ctx context.Context, read reader, verb string, of Of[T], from string, arguments ...any) (all []T, err error) {
	err = read(ctx, verb, func(c *connection.Conn) error {
		return c.EachOf(`SELECT `+of.Columns+` `+from, arguments, func(rows *sql.Rows) error {
			var record T
			err := rows.Scan(of.Fields(&record)...)
			all = append(all, record)
			return err
		})
	})
	return all, err
}
