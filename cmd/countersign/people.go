package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"countersign/store"
)

// peopleCommand is about what is stored of a person, whatever directory the person is in.
type peopleCommand struct {
	Export peopleExport `cmd:"" help:"Write all that is stored about a person, as JSON."`
	Erase  peopleErase  `cmd:"" help:"End all grants of a person and forget the rest."`
}

// Help implements kong.HelpProvider.
func (peopleCommand) Help() string {
	return `A person is named by the subject, the identifier that clients see; countersign users list tells it. What is told
holds no secret. Erasing cannot be undone: grants end, and sign-ins, consents, passkeys, devices, name, password
and claims are gone. The subject stays, so that nobody else is ever given it, and so does the audit log, which
names people by their subject alone.

Examples:
  countersign people export 7KQ2… > alice.json
  countersign people erase 7KQ2… --dry-run
  countersign people erase 7KQ2…`
}

type peopleExport struct {
	Subject string `arg:"" help:"The person's subject."`
	Out     string `type:"path" placeholder:"FILE" help:"A new file, which only its owner can read; else standard output."`
}

// Run implements the command.
func (c peopleExport) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		person, err := findPerson(ctx, s, c.Subject)
		if err != nil {
			return err
		}
		encoded, err := json.MarshalIndent(exported(c.Subject, person, p.now()), "", "  ")
		if err != nil {
			return err
		}
		encoded = append(encoded, '\n')
		if c.Out == "" {
			_, err = p.stdout.Write(encoded)
			return err
		}
		file, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = file.Write(encoded)
		return errors.Join(err, file.Close())
	})
}

type peopleErase struct {
	Subject string `arg:"" help:"The person's subject."`
	DryRun  bool   `help:"Say what would be erased, and change nothing."`
	Yes     bool   `help:"Do not ask."`
}

// Run implements the command.
func (c peopleErase) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		person, err := findPerson(ctx, s, c.Subject)
		if err != nil {
			return err
		}
		standing := 0
		for _, grant := range person.Grants {
			if grant.RevokedAt.IsZero() && grant.ExpiresAt.After(p.now()) {
				standing++
			}
		}
		if !person.User.ErasedAt.IsZero() {
			p.printf("%s was erased at %s\n", c.Subject, shortTime(person.User.ErasedAt))
		}
		p.printf("%s: %s that stand, %s, %s, %s, %s, %s, %s\n", c.Subject, counted(standing, "grant"),
			counted(len(person.Sessions), "sign-in"), counted(len(person.Consents), "consent"), counted(len(person.Passkeys), "passkey"),
			counted(len(person.Devices)+len(person.Enrolments), "device"), counted(len(person.Subscriptions), "subscription"),
			counted(len(person.Backchannel), "backchannel request"))
		if c.DryRun {
			p.printf("nothing was changed\n")
			return nil
		}
		if !c.Yes {
			fmt.Fprintf(p.stderr, "this cannot be undone; to go on, write the subject once more: ")
			answer, err := bufio.NewReader(io.LimitReader(p.stdin, 1024)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if strings.TrimSpace(answer) != c.Subject {
				return fmt.Errorf("that is not %s: nothing was changed", c.Subject)
			}
		}
		if err := s.EraseUser(ctx, c.Subject); err != nil {
			return err
		}
		p.printf("erased %s\n", c.Subject)
		return nil
	})
}

// findPerson gathers what is stored, and helps whoever gives a name instead of a subject.
func findPerson(ctx context.Context, s store.Store, subject string) (store.UserData, error) {
	person, err := s.UserData(ctx, subject)
	if !errors.Is(err, store.ErrNotFound) {
		return person, err
	}
	if user, err := s.UserByName(ctx, subject); err == nil {
		return person, fmt.Errorf("%q is a user name: the subject is %s", subject, user.Subject)
	}
	return person, fmt.Errorf("nothing is stored about the subject %q", subject)
}
