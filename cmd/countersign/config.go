package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"reflect"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/change"
	"countersign/internal/noted"
	"countersign/internal/serve"
)

// configCommand checks and prints the configuration, and its schema.
type configCommand struct {
	Check  configCheck  `cmd:"" help:"Check the configuration file, and say what a reload would change of a running server."`
	Print  configPrint  `cmd:"" help:"Print the effective configuration, defaults included, secrets left out."`
	Schema configSchema `cmd:"" help:"Print the JSON Schema of the configuration file."`
}

type configPrint struct {
	ValuesOnly bool `help:"Do not look at the files that are named: for whoever may not read them."`
}

// Run implements the command.
func (c configPrint) Run(ctx context.Context, p *program) error {
	// What is in effect is shown also where a file is missing; then it is said, as serve would.
	values, err := p.load(func(file string) (*config.Config, error) { return config.LoadValues(file) })
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

// configCheck says what is wrong with the file, and what a server that runs would take of it.
type configCheck struct{}

// Run implements the command.
func (configCheck) Run(ctx context.Context, p *program) error {
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	if err := serve.Check(ctx, c, p.now); err != nil {
		return err
	}
	p.printf("The configuration is correct.\n")
	note := serve.NoteFile(c)
	running, takenAt, err := noted.Read(note)
	if errors.Is(err, fs.ErrNotExist) {
		p.printf("No server runs with it: what a reload would change is not known (%s is not there).\n", cmp.Or(note, "signer.state_dir"))
		return nil
	}
	if err != nil {
		return err
	}
	changes := running.To(change.Of(c))
	p.printf("The server runs with what it took at %s.\n", takenAt.Format(time.RFC3339))
	for _, key := range changes.Live {
		p.printf("%s: differs; taken by a reload\n", key)
	}
	for _, key := range changes.Restart {
		p.printf("%s: differs; taken by a restart only: %s\n", key, change.Why(reflect.TypeFor[config.Config](), key))
	}
	if len(changes.Live)+len(changes.Restart) == 0 {
		p.printf("No key differs. Files that keys name are read again when they change.\n")
	}
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
	return `Print checks what it prints as serve does: exit code 2, and every problem on standard error, when the
server would not start with it.

Check is the same without printing, for before a reload (systemctl reload, SIGHUP): it says of each key that
differs from what the server runs with whether a reload takes it or only a restart.

Examples:
  countersign config check && systemctl reload countersign
  countersign config print
  countersign config print --values-only
  countersign config schema > countersign.schema.json`
}
