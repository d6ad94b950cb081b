package postgres

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// Statements with more than three parameters name them: @client_id, not $2. PostgreSQL has ordinal parameters only, so pgx
// rewrites such a statement on each call. Its text never changes, so here that is done once for each statement.

// statements are the statements that were rewritten, by the text with the names. There are as many as in the code.
type statements struct{ rewritten sync.Map }

// statement is one with ordinal parameters, and the names that they had, in their order.
type statement struct {
	sql   string
	names []string
}

// rewrite returns the statement of a text. It fails, as [pgx.StrictNamedArgs] does, unless the text names just these arguments.
func (s *statements) rewrite(ctx context.Context, conn *pgx.Conn, text string, arguments pgx.StrictNamedArgs) (statement, error) {
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

// namedArguments are the arguments of a statement by their names. They go in place of the arguments ([pgx.QueryRewriter]).
type namedArguments struct {
	store  *Store
	values pgx.StrictNamedArgs
}

// named makes the arguments of a statement that has them by name: each of them, and no others.
func (s *Store) named(values pgx.StrictNamedArgs) namedArguments {
	return namedArguments{store: s, values: values}
}

// RewriteQuery makes the names ordinal.
func (a namedArguments) RewriteQuery(ctx context.Context, conn *pgx.Conn, text string, _ []any) (string, []any, error) {
	s, err := a.store.statements.rewrite(ctx, conn, text, a.values)
	if err != nil {
		return "", nil, err
	}
	if len(s.names) != len(a.values) {
		return "", nil, fmt.Errorf("postgresql: a statement has %d parameters, and was given %d", len(s.names), len(a.values))
	}
	values := make([]any, len(s.names))
	for i, name := range s.names {
		value, ok := a.values[name]
		if !ok {
			return "", nil, fmt.Errorf("postgresql: a statement lacks its argument %s", name)
		}
		values[i] = value
	}
	return s.sql, values, nil
}

// oneTimes adds the arguments of [insertOneTimes].
func (a namedArguments) oneTimes(oneTimes []store.OneTime) namedArguments {
	now := a.store.moment()
	a.values["kinds"], a.values["keys"], a.values["untils"] = oneTimeArrays(now, oneTimes)
	a.values["database_now"] = a.store.clock.Test(now)
	return a
}

// evidence adds the arguments of [insertEvidence].
func (a namedArguments) evidence(evidence []store.Evidence) namedArguments {
	a.values["chains"], a.values["times"], a.values["bodies"] = evidenceArrays(evidence)
	return a
}

// with adds other arguments.
func (a namedArguments) with(values pgx.StrictNamedArgs) namedArguments {
	maps.Copy(a.values, values)
	return a
}
