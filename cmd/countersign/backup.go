package main

import (
	"context"
	"errors"

	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/store/sqlite"
)

// errOwnTools is for a store that has its own.
var errOwnTools = errors.New("the store is PostgreSQL: back it up with its own tools, such as pg_basebackup or pg_dump (SQLite only is backed up by this command)")

// backupCommand copies the embedded database.
type backupCommand struct {
	File string `arg:"" type:"path" help:"The new file. It holds what the database holds: keep it as safe."`
}

// Help implements kong.HelpProvider.
func (backupCommand) Help() string {
	return `Writes a consistent copy into a new file while the server runs, and checks it. Signing keys are in the
HSM and not in it.

Examples:
  countersign backup /backup/countersign-2026-11-24.db`
}

// Run implements the command.
func (c backupCommand) Run(ctx context.Context, p *program) error {
	settings, err := p.sqlite()
	if err != nil {
		return err
	}
	if err := sqlite.Backup(ctx, settings, c.File); err != nil {
		return err
	}
	p.printf("%s: a checked copy of %s\n", c.File, settings.File)
	return nil
}

// restoreCommand restores a backup.
type restoreCommand struct {
	File string `arg:"" type:"existingfile" help:"A file that countersign backup wrote."`
}

// Help implements kong.HelpProvider.
func (restoreCommand) Help() string {
	return `Stop the server first. What is in the database's place is kept beside it. Codes, requests, sessions
and initial access tokens are left out, so that nothing used after the backup can be used again; users sign in again.
What was revoked or changed after the backup has to be revoked or changed again. Client assertions and proofs that were
seen after it are forgotten: the server does not start until the last of them has expired, ten minutes after the database
that is replaced was last written to, or an hour with CIBA. The time is printed.

Examples:
  countersign restore /backup/countersign-2026-11-24.db`
}

// Run implements the command.
func (c restoreCommand) Run(ctx context.Context, p *program) error {
	settings, err := p.sqlite()
	if err != nil {
		return err
	}
	all, err := p.loadConfig()
	if err != nil {
		return err
	}
	until, undo, err := database.BeginRestore(all, p.now())
	if err != nil {
		return err
	}
	kept, err := sqlite.Restore(ctx, settings, c.File)
	if err != nil {
		return errors.Join(err, undo())
	}
	p.printf("%s: restored from %s\n", settings.File, c.File)
	if kept != "" {
		p.printf("what was there is in %s\n", kept)
	}
	if !until.IsZero() {
		p.printf("the server starts from %s on: what was used since the backup could be used again before\n", console.Time(until))
	}
	return nil
}

// sqlite is the configured embedded store.
func (p *program) sqlite() (sqlite.Config, error) {
	c, err := p.loadConfig()
	if err != nil {
		return sqlite.Config{}, err
	}
	if c.Store.Driver == "postgres" {
		return sqlite.Config{}, errOwnTools
	}
	return sqlite.Config{File: c.Store.File.Path(), Now: p.now}, nil
}
