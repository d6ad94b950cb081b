package postgrestest_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"countersign/internal/postgrestest"
)

var cluster postgrestest.Cluster

func TestMain(m *testing.M) { os.Exit(cluster.Run(m)) }

// TestDatabase: each call gives an empty database of its own on the one server.
func TestDatabase(t *testing.T) {
	for range 2 {
		conn, err := pgx.Connect(t.Context(), cluster.Database(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if _, err := conn.Exec(t.Context(), "CREATE TABLE one (here integer)"); err != nil {
			t.Fatal(err)
		}
	}
}
