// Package named lets statements name their parameters: @client_id, not $2.
//
// PostgreSQL has ordinal parameters only, so pgx rewrites such a statement on each call. Its text never changes, so here that is
// done once for each statement.
package named

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Statements are the statements that were rewritten, by the text with the names. There are as many as in the code. The zero
// value has none yet.
type Statements struct{ rewritten sync.Map }

// statement is one with ordinal parameters, and the names that they had, in their order.
type statement struct {
	sql   string
	names []string
}

// rewrite returns the statement of a text. It fails, as [pgx.StrictNamedArgs] does, unless the text names just these arguments.
func (s *Statements) rewrite(ctx context.Context, conn *pgx.Conn, text string, arguments pgx.StrictNamedArgs) (statement, error) {
	if known, ok := s.rewritten.Load(text); ok {
		return known.(statement), nil
	}
	names := pgx.StrictNamedArgs{} // each name is its own value: what comes back is their order
	for name := range arguments {
		names[name] = name
	}
	sql, order, err := names.RewriteQuery(ctx, conn, text, nil)
	if err != nil {
		return statement{}, err
	}
	rewritten := statement{sql: sql, names: make([]string, len(order))}
	for i, name := range order {
		rewritten.names[i] = name.(string)
	}
	s.rewritten.Store(text, rewritten)
	return rewritten, nil
}

// Arguments are the arguments of a statement by their names: each of them, and no others. They go in place of the arguments
// ([pgx.QueryRewriter]).
type Arguments struct {
	statements *Statements
	Values     pgx.StrictNamedArgs
}

// Arguments makes the arguments of a statement that has them by name.
func (s *Statements) Arguments(values pgx.StrictNamedArgs) Arguments {
	return Arguments{statements: s, Values: values}
}

// RewriteQuery makes the names ordinal.
func (a Arguments) RewriteQuery(ctx context.Context, conn *pgx.Conn, text string, _ []any) (string, []any, error) {
	s, err := a.statements.rewrite(ctx, conn, text, a.Values)
	if err != nil {
		return "", nil, err
	}
	if len(s.names) != len(a.Values) {
		return "", nil, fmt.Errorf("postgresql: a statement has %d parameters, and was given %d", len(s.names), len(a.Values))
	}
	values := make([]any, len(s.names))
	for i, name := range s.names {
		value, ok := a.Values[name]
		if !ok {
			return "", nil, fmt.Errorf("postgresql: a statement lacks its argument %s", name)
		}
		values[i] = value
	}
	return s.sql, values, nil
}
