package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"
)

func BenchmarkNamedArguments(b *testing.B) {
	s := &Store{}
	for b.Loop() {
		arguments := s.named(pgx.StrictNamedArgs{"id": 1, "now": 2}).oneTimes(nil)
		if _, _, err := arguments.RewriteQuery(b.Context(), nil, `SELECT @id, @now, `+insertOneTimes, nil); err != nil {
			b.Fatal(err)
		}
	}
}
