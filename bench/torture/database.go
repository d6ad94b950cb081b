package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"countersign/bench/servers"
	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// database is what is tortured.
type database interface {
	// driver and URL are how a player opens it.
	driver() string
	URL() string
	// fail takes it down the hard way and tells how, with the moment, and when, by its own account, it took writes again.
	// It must not be called again before ready.
	fail(ctx context.Context) (f failure, again time.Time, err error)
	// ready waits until it is ready for the next failure.
	ready(ctx context.Context) error
	Close() error
}

// failure is one fault that was done to the database.
type failure struct {
	what string
	at   time.Time
}

// newDatabase makes an empty database of a kind, with its schema.
func newDatabase(ctx context.Context, kind, folder string) (database, error) {
	var d database
	switch kind {
	case "sqlite":
		d = embedded{filepath.Join(folder, "store.db")}
	case "postgres":
		p, err := servers.NewPostgres(ctx)
		if err != nil {
			return nil, err
		}
		d = single{p}
	case "patroni":
		p, err := servers.NewPatroni(ctx)
		if err != nil {
			return nil, err
		}
		d = cluster{p}
	default:
		return nil, fmt.Errorf("there is no database %q: sqlite, postgres or patroni", kind)
	}
	var err error
	if d.driver() == "sqlite" {
		_, err = sqlite.Migrate(ctx, sqlite.Config{File: d.URL()})
	} else {
		_, err = postgres.Migrate(ctx, postgres.Config{URL: d.URL()})
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// embedded is a SQLite file: it has no process of its own that could fail.
type embedded struct{ file string }

func (e embedded) driver() string              { return "sqlite" }
func (e embedded) URL() string                 { return e.file }
func (e embedded) ready(context.Context) error { return nil }
func (e embedded) Close() error                { return nil }
func (e embedded) fail(context.Context) (failure, time.Time, error) {
	return failure{}, time.Time{}, errors.New("a file does not fail by itself: -failures 0 with -database sqlite")
}

// single is one PostgreSQL.
type single struct{ *servers.Postgres }

func (single) driver() string              { return "postgres" }
func (single) ready(context.Context) error { return nil }
func (s single) fail(ctx context.Context) (failure, time.Time, error) {
	killed, again, err := s.Crash(ctx)
	return failure{"PostgreSQL killed and started again", killed}, again, err
}

// cluster is Patroni.
type cluster struct{ *servers.Patroni }

func (cluster) driver() string                    { return "postgres" }
func (c cluster) ready(ctx context.Context) error { return c.Ready(ctx) }
func (c cluster) fail(ctx context.Context) (failure, time.Time, error) {
	what, killed, promoted, err := c.Crash(ctx)
	return failure{what, killed}, promoted, err
}
