package main

import (
	"context"

	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/internal/issuers/flag"
)

// backupCommand copies the embedded database.
type backupCommand struct {
	flag.Of
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
	settings, err := p.loadConfig()
	if err != nil {
		return err
	}
	of, err := database.Backup(ctx, settings, c.File, p.now)
	if err != nil {
		return err
	}
	p.printf("%s: a checked copy of %s\n", c.File, of)
	return nil
}

// restoreCommand restores a backup.
type restoreCommand struct {
	flag.Of
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
	settings, err := p.loadConfig()
	if err != nil {
		return err
	}
	done, err := database.Restore(ctx, settings, c.File, p.now)
	if err != nil {
		return err
	}
	p.printf("%s: restored from %s\n", done.File, c.File)
	if done.Kept != "" {
		p.printf("what was there is in %s\n", done.Kept)
	}
	if !done.Until.IsZero() {
		p.printf("the server starts from %s on: what was used since the backup could be used again before\n", console.Time(done.Until))
	}
	return nil
}
