package usercommands

import (
	"fmt"

	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/console"
)

// passwordSource is where a password comes from. It is never a flag's value, which every user of the machine sees.
type passwordSource struct {
	PasswordFile string `placeholder:"FILE" help:"File that holds the password, readable by you alone. Without it the password is asked for, or read from standard input."`
}

// ask returns how to get the password of a user.
func (s passwordSource) ask(p *Program, username string) func() ([]byte, error) {
	return func() ([]byte, error) { return s.read(p, username) }
}

func (s passwordSource) read(p *Program, username string) ([]byte, error) {
	if s.PasswordFile != "" {
		password, err := config.Secret(s.PasswordFile).Read()
		if err != nil {
			return nil, fmt.Errorf("--password-file: %w", err)
		}
		return password, nil
	}
	return console.AskPassword(p.Stdin, p.Stderr, username, admin.MaxPassword)
}
