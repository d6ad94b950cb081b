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

// Newest is the newest step of the schema that is applied.
func (d Database) Newest(ctx context.Context) (newest int64, err error) {
	steps, err := d.Status(ctx)
	for _, step := range steps {
		if !step.AppliedAt.IsZero() {
			newest = max(newest, step.Version)
		}
	}
	return newest, err
}

// New chooses the backend and reads its URL, if it has one. traces may be nil.
func New(c *config.Config, now func() time.Time, traces trace.TracerProvider) (Database, error) {
	return Measured(c, now, traces, nil)
}

// Measured is [New] with a meter that is told of each verb; nil is told nothing.
func Measured(c *config.Config, now func() time.Time, traces trace.TracerProvider, meter store.Meter) (Database, error) {
	if c.Store.Driver == "postgres" {
		return newPostgres(c, now, traces, meter)
	}
	settings := sqlite.Config{
		File: c.Store.File.Path(), Now: now, TracerProvider: traces, Meter: meter,
		KeepGrants: c.Retention.Grants.Std(), KeepBackchannel: c.Retention.BackchannelRequests.Std(),
	}
	return Database{
		Name:    "sqlite, " + c.Store.File.Path(),
		Open:    func(ctx context.Context) (store.Store, error) { return opened(sqlite.Open(ctx, settings)) },
		Migrate: func(ctx context.Context) ([]Migration, error) { return sqlite.Migrate(ctx, settings) },
		Status:  func(ctx context.Context) ([]Migration, error) { return sqlite.MigrationStatus(ctx, settings) },
	}, nil
}

func newPostgres(c *config.Config, now func() time.Time, traces trace.TracerProvider, meter store.Meter) (Database, error) {
	settings, err := Postgres(c, now, traces)
	if err != nil {
		return Database{}, err
	}
	settings.Meter = meter
	return Database{
		Name:    "postgres, " + string(c.Store.URL),
		Open:    func(ctx context.Context) (store.Store, error) { return opened(postgres.Open(ctx, settings)) },
		Migrate: func(ctx context.Context) ([]Migration, error) { return postgres.Migrate(ctx, settings) },
		Status:  func(ctx context.Context) ([]Migration, error) { return postgres.MigrationStatus(ctx, settings) },
	}, nil
}

// reading reads a URL from a file, and its password, again and again.
func reading(key string, file config.Secret, secret *password) func() (string, error) {
	return func() (string, error) {
		address, err := file.Read()
		if err != nil {
			return "", fmt.Errorf("%s: %w", key, err)
		}
		return secret.in(string(address))
	}
}

// Postgres is how the PostgreSQL of a configuration is reached. Its URLs are read again for each connection; now they must be
// readable.
func Postgres(c *config.Config, now func() time.Time, traces trace.TracerProvider) (postgres.Config, error) {
	secret := newPassword(c, now)
	settings := postgres.Config{
		ReadURL: reading("store.url_file", c.Store.URL, secret), Now: now, TracerProvider: traces, MaxConnections: c.Store.MaxConnections,
		KeepGrants: c.Retention.Grants.Std(), KeepBackchannel: c.Retention.BackchannelRequests.Std(),
	}
	if c.Store.NotifyURL != "" {
		settings.ReadNotifyURL = reading("store.notify_url_file", c.Store.NotifyURL, secret)
		if _, err := settings.ReadNotifyURL(); err != nil {
			return settings, err
		}
	}
	_, err := settings.ReadURL()
	return settings, err
}

// opened keeps a nil pointer from becoming a non-nil store.Store.
func opened[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
