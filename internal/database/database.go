// Package database chooses the store that the configuration names.
package database

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/internal/config"
	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// Migration is one step of a schema; it is the same type for both backends.
type Migration = sqlite.Migration

// Database is a store that is not open yet: what the two backends have in common.
type Database struct {
	// Name identifies the store to the operator and holds no secret.
	Name string
	// Open connects. It fails unless the schema is up to date.
	Open func(context.Context) (store.Store, error)
	// Migrate brings the schema up to date and returns the steps that it applied.
	Migrate func(context.Context) ([]Migration, error)
	// Status returns all steps, applied or not.
	Status func(context.Context) ([]Migration, error)
}

// New chooses the backend and reads its URL, if it has one. traces may be nil.
func New(c *config.Config, now func() time.Time, traces trace.TracerProvider) (Database, error) {
	if c.Store.Driver == "postgres" {
		return newPostgres(c, now, traces)
	}
	settings := sqlite.Config{
		File: c.Store.File.Path(), Now: now, TracerProvider: traces,
		KeepGrants: c.Retention.Grants.Std(), KeepBackchannel: c.Retention.BackchannelRequests.Std(),
	}
	return Database{
		Name:    "sqlite, " + c.Store.File.Path(),
		Open:    func(ctx context.Context) (store.Store, error) { return opened(sqlite.Open(ctx, settings)) },
		Migrate: func(ctx context.Context) ([]Migration, error) { return sqlite.Migrate(ctx, settings) },
		Status:  func(ctx context.Context) ([]Migration, error) { return sqlite.MigrationStatus(ctx, settings) },
	}, nil
}

func newPostgres(c *config.Config, now func() time.Time, traces trace.TracerProvider) (Database, error) {
	address, err := c.Store.URL.Read()
	if err != nil {
		return Database{}, fmt.Errorf("store.url_file: %w", err)
	}
	settings := postgres.Config{
		URL: string(address), Now: now, TracerProvider: traces, MaxConnections: c.Store.MaxConnections,
		KeepGrants: c.Retention.Grants.Std(), KeepBackchannel: c.Retention.BackchannelRequests.Std(),
	}
	return Database{
		Name:    "postgres, " + string(c.Store.URL),
		Open:    func(ctx context.Context) (store.Store, error) { return opened(postgres.Open(ctx, settings)) },
		Migrate: func(ctx context.Context) ([]Migration, error) { return postgres.Migrate(ctx, settings) },
		Status:  func(ctx context.Context) ([]Migration, error) { return postgres.MigrationStatus(ctx, settings) },
	}, nil
}

// opened keeps a nil pointer from becoming a non-nil store.Store.
func opened[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
