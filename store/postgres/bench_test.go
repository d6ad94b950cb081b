package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"countersign/store/postgres"
)

// BenchmarkFlow is one flow after the other on one connection.
func BenchmarkFlow(b *testing.B) {
	url := cluster.Database(b)
	if _, err := postgres.Migrate(b.Context(), postgres.Config{URL: url}); err != nil {
		b.Fatal(err)
	}
	s, err := postgres.Open(b.Context(), postgres.Config{URL: url, MaxConnections: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	serial := 0
	for b.Loop() {
		serial++
		if err := oneFlow(s, time.Now(), fmt.Sprint(serial), 3*time.Minute); err != nil {
			b.Fatal(err)
		}
	}
}
