package main

import (
	"context"
	"strconv"

	"countersign/internal/console"
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
	var newest, oldest int64
	for _, step := range steps {
		if !step.AppliedAt.IsZero() {
			newest = step.Version
			continue
		}
		p.printf("would apply %d %s\n", step.Version, step.Name)
		oldest = max(oldest, step.Compatible)
	}
	switch {
	case oldest == 0:
		p.printf("the schema is up to date\n")
	case newest == 0:
	case oldest <= newest:
		p.printf("nodes that run now can go on: their schema, %d, is compatible\n", newest)
	default:
		p.printf("stop the nodes that run now first: the new schema needs release schema %d, theirs is %d\n", oldest, newest)
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

type migrateStatus struct{}

// Run implements the command.
func (migrateStatus) Run(ctx context.Context, p *program) error {
	d, err := p.database()
	if err != nil {
		return err
	}
	steps, err := d.Status(ctx)
	if err != nil {
		return err
	}
	table := p.table("VERSION", "NAME", "APPLIED")
	for _, step := range steps {
		table.Row(strconv.FormatInt(step.Version, 10), step.Name, console.Time(step.AppliedAt))
	}
	return table.Flush()
}
