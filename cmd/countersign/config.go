package main

import "countersign/internal/config"

// configCommand prints the configuration and its schema.
type configCommand struct {
	Print  configPrint  `cmd:"" help:"Print the effective configuration, defaults included, secrets left out."`
	Schema configSchema `cmd:"" help:"Print the JSON Schema of the configuration file."`
}

type configPrint struct{}

// Run implements the command.
func (configPrint) Run(p *program) error {
	// The files that hold secrets need not be readable to whoever looks at the configuration.
	c, err := p.load(config.LoadValues)
	if err != nil {
		return err
	}
	p.printf("%s", c.Print())
	return nil
}

type configSchema struct{}

// Run implements the command.
func (configSchema) Run(p *program) error {
	p.printf("%s", config.Schema())
	return nil
}

// Help implements kong.HelpProvider.
func (configCommand) Help() string {
	return `Examples:
  countersign config print
  countersign config schema > countersign.schema.json`
}
