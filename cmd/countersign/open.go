package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/internal/usercommands"
	"countersign/store"
)

// database reads the configuration and chooses the backend.
func (p *program) database() (database.Database, error) {
	c, err := p.loadConfig()
	if err != nil {
		return database.Database{}, err
	}
	return database.New(c, p.now, nil)
}

// withStore opens the configured store for one command. What the command changes is recorded in the audit log.
func (p *program) withStore(ctx context.Context, work func(store.Store) error) error {
	d, err := p.database()
	if err != nil {
		return err
	}
	s, err := d.Open(ctx)
	if err != nil {
		return err
	}
	err = work(admin.Audited(s, p.now, console.Operator()))
	closeErr := s.Close()
	if err != nil {
		return err
	}
	if closeErr != nil {
		return fmt.Errorf("close the store: %w", closeErr)
	}
	return nil
}

// withAdmin is withStore for what an operator does.
func (p *program) withAdmin(ctx context.Context, work func(*admin.Admin) error) error {
	return p.withStore(ctx, func(s store.Store) error { return work(&admin.Admin{Store: s, Now: p.now}) })
}

// userCommands is the program as the commands about users have it.
func (p *program) userCommands() *usercommands.Program {
	return &usercommands.Program{
		Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr, Now: p.now, Config: p.loadConfig, WithStore: p.withStore,
		InputProblems: p.inputProblems, Reported: silentError{},
	}
}

// inputProblems prints every problem of a file, one a line. Other errors are returned as they are.
func (p *program) inputProblems(file string, err error) error {
	problem, ok := errors.AsType[*admin.InputError](err)
	if !ok {
		return err
	}
	lines := strings.Split(problem.Error(), "\n")
	if len(lines) == 1 {
		return fmt.Errorf("%s: %w", file, err)
	}
	fmt.Fprintf(p.stderr, "countersign: %s has %s:\n", file, console.Count(len(lines), "problem"))
	for _, line := range lines {
		fmt.Fprintf(p.stderr, "%s: %s\n", file, line)
	}
	return silentError{}
}

// readInput is [console.ReadInput] with the program's standard input.
func (p *program) readInput(name string, most int64) ([]byte, error) {
	return console.ReadInput(p.stdin, name, most)
}

// table begins a table, with a header if there is one.
func (p *program) table(header ...string) console.Table { return console.NewTable(p.stdout, header...) }

// jsonLines is the flag of every command that lists.
type jsonLines struct {
	JSON bool `name:"json" help:"Print JSON, one object a line."`
}

// jsonAlways is the same flag of a command that knows no other form.
type jsonAlways struct {
	JSON bool `name:"json" help:"Print JSON; this command always does."`
}

// printJSON prints a value, indented.
func (p *program) printJSON(value any) error { return console.WriteJSON(p.stdout, value) }
