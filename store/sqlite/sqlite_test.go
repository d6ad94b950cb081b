package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/sqlite"
	"countersign/store/storetest"
)

var backend = storetest.Backend{
	Create: func(t *testing.T) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "store.db")
		if _, err := sqlite.Migrate(t.Context(), sqlite.Config{File: file}); err != nil {
			t.Fatal(err)
		}
		return file
	},
	Open: func(ctx context.Context, file string, now func() time.Time) (store.Store, error) {
		return sqlite.Open(ctx, sqlite.Config{File: file, Now: now})
	},
}

func TestMain(m *testing.M) {
	backend.Child()
	os.Exit(m.Run())
}

func TestProcesses(t *testing.T) { backend.Processes(t) }
