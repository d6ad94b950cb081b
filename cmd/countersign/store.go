package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"countersign/internal/config"
	"countersign/internal/console"
	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// storeCommand is about the store as a whole.
type storeCommand struct {
	Copy storeCopy `cmd:"" help:"Copy everything from the embedded database into an empty PostgreSQL."`
}

// storeCopy takes an installation from the embedded database to PostgreSQL.
type storeCopy struct {
	From string `required:"" placeholder:"sqlite:FILE" help:"The embedded database. Its server must be stopped."`
	To   string `placeholder:"postgres:FILE" help:"A file that holds the URL of the PostgreSQL database; else the store of the configuration."`
}

// Help implements kong.HelpProvider.
func (storeCopy) Help() string {
	return `For an installation that needs more than one node. Stop the server; then everything is copied: clients, users,
grants, tokens, consents, sessions, keys' states, and all one-time values, so that none can be used again. The
schema is made first, if it is not there. All rows are read again and compared before the copy is committed: a copy
that fails leaves an empty database. The embedded database is not changed. Afterwards set store.driver and
store.url_file and start the server; keep the old file from being served again, as it does not learn what is used
from then on.

Examples:
  countersign store copy --from sqlite:/var/lib/countersign/countersign.db --to postgres:/etc/countersign/database-url`
}

// Run implements the command.
func (c storeCopy) Run(ctx context.Context, p *program) error {
	file, isFile := strings.CutPrefix(c.From, "sqlite:")
	if !isFile || file == "" {
		return fmt.Errorf("--from %s: write sqlite: and the name of the database's file", c.From)
	}
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	address, err := c.target(p)
	if err != nil {
		return err
	}
	source, err := sqlite.OpenSource(ctx, sqlite.Config{File: file, Now: p.now})
	if err != nil {
		return err
	}
	defer source.Close() // it was only read
	settings := postgres.Config{URL: address, Now: p.now}
	applied, err := postgres.Migrate(ctx, settings)
	if err != nil {
		return err
	}
	if len(applied) > 0 {
		p.printf("made the schema, %s\n", console.Count(len(applied), "step"))
	}
	rows := 0
	all, err := postgres.Fill(ctx, settings, source, func(copied postgres.Copied) {
		rows += copied.Rows
		p.printf("%-24s %9d  %s\n", copied.Table, copied.Rows, copied.Digest[:16])
	})
	if err != nil {
		return err
	}
	p.printf("copied and compared %s of %s\n", console.Count(rows, "record"), console.Count(len(all), "table"))
	p.printf("keep %s from being served again: it does not learn what is used from now on\n", file)
	return nil
}

// target is the URL of the database to fill.
func (c storeCopy) target(p *program) (string, error) {
	if c.To != "" {
		name, isFile := strings.CutPrefix(c.To, "postgres:")
		if !isFile || name == "" || strings.HasPrefix(name, "//") {
			return "", errors.New("--to: write postgres: and the name of a file that holds the database's URL")
		}
		address, err := config.Secret(name).Read()
		if err != nil {
			return "", fmt.Errorf("--to: %w", err)
		}
		return string(address), nil
	}
	settings, err := p.loadConfig()
	if err != nil {
		return "", err
	}
	if settings.Store.Driver != "postgres" {
		return "", errors.New("the configured store is not PostgreSQL: give --to postgres:FILE, or set store.driver and store.url_file first")
	}
	address, err := settings.Store.URL.Read()
	if err != nil {
		return "", fmt.Errorf("store.url_file: %w", err)
	}
	return string(address), nil
}
