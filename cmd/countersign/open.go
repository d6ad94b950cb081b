package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/internal/config"
	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// migration is one step of a schema; it is the same type for both backends.
type migration = sqlite.Migration

// database is the configured store: what the two backends have in common.
type database struct {
	// name tells the operator which store it is, without a secret.
	name string
	// open needs an up-to-date schema.
	open func(context.Context) (store.Store, error)
	// migrate brings the schema up to date and returns what it did.
	migrate func(context.Context) ([]migration, error)
	status  func(context.Context) ([]migration, error)
}

// newDatabase chooses the backend. traces may be nil.
func newDatabase(c *config.Config, now func() time.Time, traces trace.TracerProvider) (database, error) {
	if c.Store.Driver == "postgres" {
		address, err := c.Store.URL.Read()
		if err != nil {
			return database{}, fmt.Errorf("store.url_file: %w", err)
		}
		settings := postgres.Config{URL: string(address), Now: now, TracerProvider: traces, MaxConnections: c.Store.MaxConnections, KeepGrants: c.Retention.Grants.Std(), KeepBackchannel: c.Retention.BackchannelRequests.Std()}
		return database{
			name:    "postgres, " + string(c.Store.URL),
			open:    func(ctx context.Context) (store.Store, error) { return opened(postgres.Open(ctx, settings)) },
			migrate: func(ctx context.Context) ([]migration, error) { return postgres.Migrate(ctx, settings) },
			status:  func(ctx context.Context) ([]migration, error) { return postgres.MigrationStatus(ctx, settings) },
		}, nil
	}
	settings := sqlite.Config{File: c.Store.File.Path(), Now: now, TracerProvider: traces,
		KeepGrants: c.Retention.Grants.Std(), KeepBackchannel: c.Retention.BackchannelRequests.Std()}
	return database{
		name:    "sqlite, " + c.Store.File.Path(),
		open:    func(ctx context.Context) (store.Store, error) { return opened(sqlite.Open(ctx, settings)) },
		migrate: func(ctx context.Context) ([]migration, error) { return sqlite.Migrate(ctx, settings) },
		status:  func(ctx context.Context) ([]migration, error) { return sqlite.MigrationStatus(ctx, settings) },
	}, nil
}

// opened keeps a nil pointer from becoming a store.
func opened[S store.Store](s S, err error) (store.Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// database reads the configuration and chooses the backend.
func (p *program) database() (database, error) {
	c, err := p.loadConfig()
	if err != nil {
		return database{}, err
	}
	return newDatabase(c, p.now, nil)
}

// withStore opens the configured store for one command. What the command changes is recorded in the audit log.
func (p *program) withStore(ctx context.Context, work func(store.Store) error) error {
	d, err := p.database()
	if err != nil {
		return err
	}
	s, err := d.open(ctx)
	if err != nil {
		return err
	}
	err = work(audited{Store: s, now: p.now, by: operator()})
	if closeErr := s.Close(); err == nil && closeErr != nil {
		return fmt.Errorf("close the store: %w", closeErr)
	}
	return err
}

// shortTime writes a time for a table.
func shortTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// oneLine keeps stored text from writing more than its place in a table.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}
