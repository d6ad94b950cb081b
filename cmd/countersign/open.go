package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/internal/jose"
	"countersign/internal/operations"
	"countersign/internal/serve"
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
	if p.admin.Address != "" {
		return admin.Usagef("the admin API does not do this: run it where the configuration is, without --admin")
	}
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

// operate does what an operator does by the admin API, if --admin names one, and else by the configured store.
func (p *program) operate(ctx context.Context, work func(operations.Operations) error) error {
	if p.admin.Address == "" {
		return p.withAdmin(ctx, func(a *admin.Admin) error { return work(operations.Local{Admin: a, Fetch: p.fetcher}) })
	}
	remote, err := p.remote()
	if err != nil {
		return err
	}
	return work(remote)
}

// remote is the admin API that --admin names.
func (p *program) remote() (*operations.Remote, error) { return operations.NewRemote(p.admin, p.now) }

// fourEyes asks the admin API for something that needs an approval, or carries it out with one; local says that flags are not for it.
func (p *program) fourEyes(local bool, ask func(*operations.Remote) (operations.Outcome, error)) error {
	if p.admin.Address == "" {
		return admin.Usagef("--approval is for the admin API, which --admin names")
	}
	if local {
		return admin.Usagef("--wait, --dry-run, --operator and --transcript are not for the admin API: an approval says what would be done, and by whom")
	}
	remote, err := p.remote()
	if err != nil {
		return err
	}
	outcome, err := ask(remote)
	if err == nil {
		outcome.Print(p.stdout)
	}
	return err
}

// fetcher fetches the keys of clients as the server does.
func (p *program) fetcher() (jose.Fetch, error) {
	settings, err := p.loadConfig()
	if err != nil {
		return nil, err
	}
	return serve.KeyFetcher(settings, p.now)
}

// userCommands is the program as the commands about users have it.
func (p *program) userCommands() *usercommands.Program {
	return &usercommands.Program{
		Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr, Now: p.now, Config: p.loadConfig, WithStore: p.withStore,
		InputProblems: p.inputProblems, Reported: silentError{}, Operate: p.operate, Remotely: p.admin.Address != "", Remote: p.remote,
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
