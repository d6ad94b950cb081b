package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"countersign/internal/admin"
	"countersign/internal/config"
)

// passwordSource is where a password comes from. It is never a flag's value, which every user of the machine sees.
type passwordSource struct {
	PasswordFile string `placeholder:"FILE" help:"File that holds the password, readable by you alone. Without it the password is asked for, or read from standard input."`
}

// ask returns how to get the password of a user.
func (s passwordSource) ask(p *program, username string) func() ([]byte, error) {
	return func() ([]byte, error) { return s.read(p, username) }
}

func (s passwordSource) read(p *program, username string) ([]byte, error) {
	if s.PasswordFile != "" {
		password, err := config.Secret(s.PasswordFile).Read()
		if err != nil {
			return nil, fmt.Errorf("--password-file: %w", err)
		}
		return password, nil
	}
	terminal, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		content, err := p.readInput("-", admin.MaxPassword+2) // two for the end of the line
		line, _, _ := bytes.Cut(content, []byte("\n"))
		return bytes.TrimSuffix(line, []byte("\r")), err
	}
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(p.stderr, prompt)
		defer fmt.Fprintln(p.stderr)
		return term.ReadPassword(int(terminal.Fd()))
	}
	password, err := ask(fmt.Sprintf("Password of %s: ", username))
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	again, err := ask("The same again: ")
	if err != nil {
		return nil, fmt.Errorf("read the password: %w", err)
	}
	if !bytes.Equal(password, again) {
		return nil, errors.New("the two passwords differ; nothing was changed")
	}
	return password, nil
}
