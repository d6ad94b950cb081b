package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/internal/config"
)

const (
	// commandTimeout is how long the command that prints the password may take, and commandLasts for how long the connections that are
	// made at once share what it has printed.
	commandTimeout = 10 * time.Second
	commandLasts   = 5 * time.Second
	// longestPassword bounds what it may print, in bytes. Tokens of IAM are some thousand.
	longestPassword = 64 << 10
)

// password reads the password of the database, for each connection.
type password struct {
	file    config.Secret
	command []string
	// environment is that of the command: without what is the signer's.
	environment []string
	now         func() time.Time

	mu sync.Mutex
	// printed is what the command printed at a time.
	printed   string
	printedAt time.Time
}

// newPassword reads the password as a configuration says; nil where it is in the URL.
func newPassword(c *config.Config, now func() time.Time) *password {
	if c.Store.PasswordFile == "" && c.Store.PasswordCommand == "" {
		return nil
	}
	secret := map[string]bool{c.Signer.PINEnv: true}
	for _, replica := range c.Signer.Replicas {
		secret[replica.PINEnv] = true
	}
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return secret[name]
	})
	return &password{file: c.Store.PasswordFile, command: strings.Fields(c.Store.PasswordCommand), environment: environment, now: now}
}

// in returns a URL, or a key-value string, with the password of now. No error repeats any of it.
func (p *password) in(address string) (string, error) {
	if p == nil {
		return address, nil
	}
	secret, err := p.read()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		return address + " password='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secret) + "'", nil
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	// A plus is one there, and no space.
	return address + separator + "password=" + strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"), nil
}

// read reads the file, or runs the command.
func (p *password) read() (string, error) {
	if p.file != "" {
		text, err := p.file.Read()
		if err != nil {
			return "", fmt.Errorf("store.password_file: %w", err)
		}
		if len(text) == 0 {
			return "", errors.New("store.password_file: the file is empty")
		}
		return string(text), nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if age := p.now().Sub(p.printedAt); p.printed != "" && age >= 0 && age < commandLasts {
		return p.printed, nil
	}
	printed, err := p.run()
	if err != nil {
		return "", fmt.Errorf("store.password_command: %w; run it by hand as the server's user to see why", err)
	}
	p.printed, p.printedAt = printed, p.now()
	return printed, nil
}

// run runs the command. What it says on standard error may be a secret, too.
func (p *password) run() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
	command.Env, command.WaitDelay = p.environment, time.Second
	output, err := command.Output()
	if ctx.Err() != nil {
		return "", fmt.Errorf("it took longer than %s", commandTimeout)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", errors.New(exit.ProcessState.String())
	}
	if err != nil {
		return "", errors.New("it cannot be run")
	}
	text := strings.TrimRight(string(output), "\r\n")
	if text == "" || len(text) > longestPassword || bytes.ContainsAny(output[:len(text)], "\r\n\x00") {
		return "", errors.New("it did not print one line")
	}
	return text, nil
}
