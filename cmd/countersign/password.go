package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unicode/utf8"

	"golang.org/x/term"

	"countersign/internal/config"
)

const (
	// minPassword is the least length where a password is the only factor (NIST SP 800-63B-4 §3.1.1.2).
	minPassword = 15
	maxPassword = 1024
)

// passwordSource is where a password comes from. It is never a flag's value, which every user of the machine sees.
type passwordSource struct {
	PasswordFile string `placeholder:"FILE" help:"File that holds the password, readable by you alone. Without it the password is asked for, or read from standard input."`
}

// read gets the password.
func (s passwordSource) read(p *program, username string) ([]byte, error) {
	password, err := s.obtain(p, username)
	if err != nil {
		return nil, err
	}
	switch length := utf8.RuneCount(password); {
	case !utf8.Valid(password) || bytes.ContainsAny(password, "\x00\n\r"):
		return nil, errors.New("the password holds characters that cannot be typed")
	case length < minPassword:
		return nil, fmt.Errorf("the password is shorter than %d characters; a few words do well (NIST SP 800-63B-4 §3.1.1.2)", minPassword)
	case len(password) > maxPassword:
		return nil, fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	return password, nil
}

func (s passwordSource) obtain(p *program, username string) ([]byte, error) {
	if s.PasswordFile != "" {
		password, err := config.Secret(s.PasswordFile).Read()
		if err != nil {
			return nil, fmt.Errorf("--password-file: %w", err)
		}
		return password, nil
	}
	terminal, ok := p.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		content, err := p.readInput("-", maxPassword+2)
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
