package main

import (
	"context"

	"countersign/internal/config"
	"countersign/internal/serve"
)

// configCommand prints the configuration and its schema.
type configCommand struct {
	Print  configPrint  `cmd:"" help:"Print the effective configuration, defaults included, secrets left out."`
	Schema configSchema `cmd:"" help:"Print the JSON Schema of the configuration file."`
}

type configPrint struct {
	ValuesOnly bool `help:"Do not look at the files that are named: for whoever may not read them."`
}

// Run implements the command.
func (c configPrint) Run(ctx context.Context, p *program) error {
	// What is in effect is shown also where a file is missing; then it is said, as serve would.
	values, err := p.load(config.LoadValues)
	if err != nil {
		return err
	}
	p.printf("%s", values.Print())
	if c.ValuesOnly {
		return nil
	}
	checked, err := p.loadConfig()
	if err != nil {
		return err
	}
	return serve.Check(ctx, checked, p.now)
}

type configSchema struct{}

// Run implements the command.
func (configSchema) Run(p *program) error {
	p.printf("%s", config.Schema())
	return nil
}

// Help implements kong.HelpProvider.
func (configCommand) Help() string {
	return `Print checks what it prints as serve does: exit code 2, and every problem on standard error, when the
server would not start with it.

Examples:
  countersign config print
  countersign config print --values-only
  countersign config schema > countersign.schema.json`
}
