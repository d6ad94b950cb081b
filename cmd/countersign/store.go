package main

import (
	"context"
	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/store/postgres"
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
	source, err := database.SourceFile(c.From)
	if err != nil {
		return admin.Usagef("--from: %w", err)
	}
	address, err := c.target(p)
	if err != nil {
		return err
	}
	rows := 0
	copied, err := database.Copy(ctx, source, address, p.now, database.Progress{
		Migrated: func(applied int) {
			p.printf("made the schema, %s\n", console.Count(applied, "step"))
		},
		Copied: func(one postgres.Copied) {
			rows += one.Rows
			p.printf("%-24s %9d  %s\n", one.Table, one.Rows, one.Digest[:16])
		},
	})
	if err != nil {
		return err
	}
	p.printf("copied and compared %s of %s\n", console.Count(rows, "record"), console.Count(len(copied), "table"))
	p.printf("keep %s from being served again: it does not learn what is used from now on\n", source)
	return nil
}

// target is the URL of the database to fill: of the flag, or of the configuration.
func (c storeCopy) target(p *program) (string, error) {
	if c.To != "" {
		address, err := database.TargetURL(c.To)
		if err != nil {
			return "", admin.Usagef("--to: %w", err)
		}
		return address, nil
	}
	settings, err := p.loadConfig()
	if err != nil {
		return "", err
	}
	return database.ConfiguredURL(settings, p.now)
}
