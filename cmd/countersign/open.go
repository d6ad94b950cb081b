package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/database"
	"countersign/internal/jose"
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
	err = work(admin.Audited(s, p.now, operator()))
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

// operator names the user of this process, and who became it by sudo.
func operator() string {
	name := strconv.Itoa(os.Getuid())
	if current, err := user.Current(); err == nil {
		name = current.Username
	}
	if behind := os.Getenv("SUDO_USER"); behind != "" {
		name += " (sudo: " + behind + ")"
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// readInput reads a text file of at most so many bytes, or standard input for "-", without the byte order mark that some
// editors write.
func (p *program) readInput(name string, most int64) ([]byte, error) {
	source := p.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		source = file
	}
	content, err := io.ReadAll(io.LimitReader(source, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return jose.TrimByteOrderMark(content), nil
}

// writeNew writes a file that must not exist.
func writeNew(name string, content []byte, mode os.FileMode) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
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

// table is columns of text.
type table struct{ *tabwriter.Writer }

// table begins one, with a header if there is one.
func (p *program) table(header ...string) table {
	t := table{tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)}
	if len(header) > 0 {
		t.row(header...)
	}
	return t
}

// row adds a row. Stored text cannot write outside its cell. Flush returns the error of writing.
func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = console.OneLine(cell)
	}
	fmt.Fprintln(t.Writer, strings.Join(cells, "\t"))
}

// printJSON prints a value, indented.
func (p *program) printJSON(value any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
