// Package storage is the part of the configuration about the database.
package storage

import (
	"os"
	"path/filepath"
	"strings"

	"countersign/internal/config/value"
)

// Store is the database.
type Store struct {
	Driver string       `toml:"driver" default:"sqlite" enum:"sqlite,postgres" doc:"sqlite for one node, postgres for several."`
	File   value.File   `toml:"file" doc:"Database file of the sqlite driver."`
	URL    value.Secret `toml:"url_file" doc:"File that holds the connection URL of the postgres driver: postgres://user:password@host/database?sslmode=verify-full. It is read again for each connection, so that a password in it can change."`
	// NotifyURL is for what needs a session.
	NotifyURL value.Secret `toml:"notify_url_file" doc:"File that holds a URL of the same database that leads past a pooler such as PgBouncer: for notifications of changes and for migrations. Needed where url_file leads to a pooler that hands each transaction to another session; without it changes are polled for, once a second."`
	// PasswordFile and PasswordCommand are for a password that is not in the URL.
	PasswordFile    value.Secret `toml:"password_file" doc:"File that holds the password alone, of url_file and notify_url_file, in place of one in them. It is read again for each connection: a password may rotate, a token may be short-lived."`
	PasswordCommand string       `toml:"password_command" doc:"Program that prints the password, such as a token of a cloud's IAM, with its arguments, separated by spaces; by its whole name, and without a shell. It is run for new connections, once for those within five seconds, and has ten seconds."`
	// MaxConnections bounds the pool of the postgres driver.
	MaxConnections int `toml:"max_connections" default:"16" min:"2" max:"1000" doc:"Largest number of connections of the postgres driver."`
}

// Problem is what is wrong with a key of the table.
type Problem struct {
	// Key is that of the table, and Text what is wrong. A value that may be a secret is not repeated.
	Key, Text string
}

const ofPostgres = "belongs to the driver postgres; leave it out or set store.driver"

// Problems lists what is wrong with the password.
func (s Store) Problems() (problems []Problem) {
	program := ""
	if words := strings.Fields(s.PasswordCommand); len(words) > 0 {
		program = words[0]
	}
	switch {
	case s.PasswordFile != "" && s.Driver != "postgres":
		problems = append(problems, Problem{"password_file", ofPostgres})
	case s.PasswordFile != "" && s.PasswordCommand != "":
		problems = append(problems, Problem{"password_command", "the password is that of password_file; leave one of them out"})
	}
	switch {
	case s.PasswordCommand == "":
	case s.Driver != "postgres":
		problems = append(problems, Problem{"password_command", ofPostgres})
	case !filepath.IsAbs(program):
		problems = append(problems, Problem{"password_command", "does not begin with the whole name of a program, such as /usr/bin/token"})
	default:
		if info, err := os.Stat(program); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			problems = append(problems, Problem{"password_command", "its program is not there, or may not be run"})
		}
	}
	return problems
}
