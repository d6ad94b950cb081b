package main

import (
	"context"
	"strconv"

	"countersign/internal/console"
	"countersign/internal/database"
)

// migrateCommand shows and applies migrations.
type migrateCommand struct {
	Plan   migratePlan   `cmd:"" help:"Show which steps would be applied, and which releases can run meanwhile."`
	Up     migrateUp     `cmd:"" help:"Apply all migrations. Safe to repeat, and from several nodes at once."`
	Status migrateStatus `cmd:"" help:"List the steps of the schema and when each was applied."`
}

// Help implements kong.HelpProvider.
func (migrateCommand) Help() string {
	return `The server refuses to start on a schema that is older than its own, or on a newer one that is not
compatible with it. Migrate first, with the new release, while the old one still runs; then replace the
nodes one by one. Steps go forward only, and one that was changed after it was applied is refused.

Examples:
  countersign migrate plan
  countersign migrate up`
}

type migratePlan struct{}

// Run implements the command.
func (migratePlan) Run(ctx context.Context, p *program) error {
	d, err := p.database()
	if err != nil {
		return err
	}
	steps, err := d.Status(ctx)
	if err != nil {
		return err
	}
	for _, line := range database.Plan(steps) {
		p.printf("%s\n", line)
	}
	return nil
}

type migrateUp struct{}

// Run implements the command.
func (migrateUp) Run(ctx context.Context, p *program) error {
	d, err := p.database()
	if err != nil {
		return err
	}
	applied, err := d.Migrate(ctx)
	if err != nil {
		return err
	}
	if len(applied) == 0 {
		p.printf("the schema is up to date\n")
	}
	for _, step := range applied {
		p.printf("applied %d %s\n", step.Version, step.Name)
	}
	return nil
}

type migrateStatus struct{ jsonLines }

// Run implements the command.
func (c migrateStatus) Run(ctx context.Context, p *program) error {
	d, err := p.database()
	if err != nil {
		return err
	}
	steps, err := d.Status(ctx)
	if err != nil {
		return err
	}
	return console.List(p.stdout, c.JSON, database.List(steps), []string{"VERSION", "NAME", "APPLIED"}, func(s database.ListedStep) []string {
		return []string{strconv.FormatInt(s.Version, 10), s.Name, console.Time(s.AppliedAt)}
	})
}
