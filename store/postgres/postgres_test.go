package postgres_test

import (
	"context"
	"os"
	"testing"
	"time"

	"countersign/internal/postgrestest"
	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/storetest"
)

var cluster postgrestest.Cluster

var backend = storetest.Backend{
	Create: func(t *testing.T) string {
		t.Helper()
		url := cluster.Database(t)
		if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
			t.Fatal(err)
		}
		return url
	},
	Open: func(ctx context.Context, url string, now func() time.Time) (store.Store, error) {
		return postgres.Open(ctx, postgres.Config{URL: url, Now: now, MaxConnections: 16})
	},
}

func TestMain(m *testing.M) {
	backend.Child()
	os.Exit(cluster.Run(m))
}

func TestContract(t *testing.T) { storetest.Run(t, backend.New) }

func TestProcesses(t *testing.T) { backend.Processes(t) }
