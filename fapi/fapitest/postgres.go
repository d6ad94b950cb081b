package fapitest

import (
	"context"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
)

// newWorldOnPostgres makes a world whose nodes share a PostgreSQL database; change may alter how a node connects.
func NewPostgresWorld(t *testing.T, change func(*postgres.Config), options ...Option) (w *World, url string) {
	t.Helper()
	url = database.Database(t)
	if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return newWorldOn(t, func(now func() time.Time) store.Store {
		config := postgres.Config{URL: url, Now: now, MaxConnections: 8}
		if change != nil {
			change(&config)
		}
		return OpenPostgres(t, config)
	}, options...), url
}

func OpenPostgres(t *testing.T, config postgres.Config) *postgres.Store {
	t.Helper()
	opened, err := postgres.Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}
