package named

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestArguments: a statement is rewritten as pgx does it, also from the second call on, and its arguments are just those
// that it names.
func TestArguments(t *testing.T) {
	const text = `SELECT @b::text, '@no', @a, @b -- @no`
	var s Statements
	for range 2 {
		arguments := pgx.StrictNamedArgs{"a": 1, "b": "two"}
		wantSQL, want, err := arguments.RewriteQuery(t.Context(), nil, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		sql, values, err := s.Arguments(arguments).RewriteQuery(t.Context(), nil, text, nil)
		if err != nil || sql != wantSQL || !slices.Equal(values, want) {
			t.Errorf("%q with %v, want %q with %v (%v)", sql, values, wantSQL, want, err)
		}
	}
	for name, wrong := range map[string]pgx.StrictNamedArgs{
		"one missing": {"a": 1}, "one too many": {"a": 1, "b": 2, "c": 3}, "another name": {"a": 1, "c": 2},
	} {
		for _, text := range []string{text, strings.Replace(text, "SELECT", "SELECT 1, ", 1)} { // one that was rewritten before, and one that was not
			if sql, _, err := s.Arguments(wrong).RewriteQuery(t.Context(), nil, text, nil); err == nil {
				t.Errorf("%s: taken as %q", name, sql)
			}
		}
	}
}
