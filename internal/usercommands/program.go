// Package usercommands is the part of the command line that manages users: countersign users and countersign people.
package usercommands

import (
	"context"
	"fmt"
	"io"
	"time"

	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/console"
	"countersign/internal/operations"
	"countersign/store"
)

// maxClaims bounds a file of claims, in bytes.
const maxClaims = 64 << 10

// Program is what the commands have of the program that they are part of.
type Program struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Now            func() time.Time
	// Config reads the configuration.
	Config func() (*config.Config, error)
	// WithStore opens the configured store for one command.
	WithStore func(ctx context.Context, work func(store.Store) error) error
	// InputProblems prints every problem of a file, and returns what the command ends with.
	InputProblems func(file string, err error) error
	// Operate does what an operator does by the admin API or by the configured store.
	Operate func(ctx context.Context, work func(operations.Operations) error) error
	// Remotely reports whether the admin API does what the commands say, which is then Remote.
	Remotely bool
	Remote   func() (*operations.Remote, error)
	// Reported ends a command that failed and has already printed why.
	Reported error
}

func (p *Program) withAdmin(ctx context.Context, work func(*admin.Admin) error) error {
	return p.WithStore(ctx, func(s store.Store) error { return work(&admin.Admin{Store: s, Now: p.Now}) })
}

func (p *Program) printf(format string, arguments ...any) {
	fmt.Fprintf(p.Stdout, format, arguments...)
}

func (p *Program) readInput(name string, most int64) ([]byte, error) {
	return console.ReadInput(p.Stdin, name, most)
}

func (p *Program) table() console.Table { return console.NewTable(p.Stdout) }

func (p *Program) printJSON(value any) error { return console.WriteJSON(p.Stdout, value) }

// jsonLines is the flag of every command that lists.
type jsonLines struct {
	JSON bool `name:"json" help:"Print JSON, one object a line."`
}
