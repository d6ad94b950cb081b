package postgres

import (
	"maps"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
)

// Statements with more than three parameters name them: @client_id, not $2.

// statements are those that were rewritten.
type statements = named.Statements

// namedArguments are the arguments of a statement by their names. They go in place of the arguments ([pgx.QueryRewriter]).
type namedArguments struct {
	named.Arguments
	store *Store
}

// named makes the arguments of a statement that has them by name: each of them, and no others.
func (s *Store) named(values pgx.StrictNamedArgs) namedArguments {
	return namedArguments{Arguments: s.statements.Arguments(values), store: s}
}

// oneTimes adds the arguments of [insertOneTimes].
func (a namedArguments) oneTimes(oneTimes []store.OneTime) namedArguments {
	now := a.store.moment()
	a.Values["kinds"], a.Values["keys"], a.Values["untils"] = oneTimeArrays(now, oneTimes)
	a.Values["database_now"] = a.store.clock.Test(now)
	return a
}

// consuming is oneTimes for packages below.
func (s *Store) consuming(a named.Arguments, oneTimes []store.OneTime) named.Arguments {
	return namedArguments{Arguments: a, store: s}.oneTimes(oneTimes).Arguments
}

const insertEvidence = named.InsertEvidence

// evidence adds the arguments of [insertEvidence].
func (a namedArguments) evidence(evidence []store.Evidence) namedArguments {
	a.Arguments = a.Arguments.Evidence(evidence)
	return a
}

// with adds other arguments.
func (a namedArguments) with(values pgx.StrictNamedArgs) namedArguments {
	maps.Copy(a.Values, values)
	return a
}
