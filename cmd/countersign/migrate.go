package main

import (
	"context"
	"fmt"
	"text/tabwriter"
)

// migrateCommand keeps the store's schema.
type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Bring the store's schema up to this program's. Safe to repeat, and from several nodes at once."`
	Status migrateStatus `cmd:"" help:"List the steps of the schema and when each was applied."`
}

// Help implements kong.HelpProvider.
func (migrateCommand) Help() string {
	return `The server refuses to start on a schema that is not its own, older or newer.
Migrate first, then start the new release; steps go forward only.

Examples:
  countersign migrate status
  countersign migrate up`
}

type migrateUp struct{}

// Run implements the command.
func (migrateUp) Run(ctx context.Context, p *program) error {
	d, err := p.database()
	if err != nil {
		return err
	}
	applied, err := d.migrate(ctx)
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
	steps, err := d.status(ctx)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tNAME\tAPPLIED")
	for _, step := range steps {
		fmt.Fprintf(table, "%d\t%s\t%s\n", step.Version, step.Name, shortTime(step.AppliedAt))
	}
	return table.Flush()
}
