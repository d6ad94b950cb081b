package main

import (
	"context"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/store"
)

// peopleCommand is about what is stored of a user, whatever directory the user is in.
type peopleCommand struct {
	Export peopleExport `cmd:"" help:"Export all data of a user, as JSON."`
	Erase  peopleErase  `cmd:"" help:"Revoke all grants of a user and delete the rest."`
}

// Help implements kong.HelpProvider.
func (peopleCommand) Help() string {
	return `A user is named by the subject, the identifier that clients see; countersign users list shows it. The export
holds no secret. Erasing cannot be undone: grants end, and sessions, consents, passkeys, devices, name, password
and claims are deleted. The subject stays, so that nobody else is ever given it, and so does the audit log, which
names users by their subject alone.

Examples:
  countersign people export 7KQ2… > alice.json
  countersign people erase 7KQ2… --dry-run
  countersign people erase 7KQ2…`
}

type peopleExport struct {
	Subject string `arg:"" help:"The user's subject."`
	Out     string `type:"path" placeholder:"FILE" help:"A new file, which only its owner can read; else standard output."`
}

// Run implements the command.
func (c peopleExport) Run(ctx context.Context, p *program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		exported, err := a.Export(ctx, c.Subject)
		if err != nil {
			return err
		}
		if c.Out != "" {
			return console.WriteNew(c.Out, exported, 0o600)
		}
		_, err = p.stdout.Write(exported)
		return err
	})
}

type peopleErase struct {
	Subject string `arg:"" help:"The user's subject."`
	DryRun  bool   `help:"Print what would be erased, and change nothing."`
	Yes     bool   `help:"Do not ask for confirmation."`
}

// Run implements the command.
func (c peopleErase) Run(ctx context.Context, p *program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		person, err := a.Person(ctx, c.Subject)
		if err != nil {
			return err
		}
		c.summarise(p, person, a.ActiveGrants(person.Grants))
		if c.DryRun {
			p.printf("nothing was changed\n")
			return nil
		}
		if !c.Yes {
			if err := p.confirm("the subject", c.Subject); err != nil {
				return err
			}
		}
		if err := a.Erase(ctx, c.Subject); err != nil {
			return err
		}
		p.printf("erased %s\n", c.Subject)
		return nil
	})
}

func (c peopleErase) summarise(p *program, person store.UserData, activeGrants int) {
	if !person.User.ErasedAt.IsZero() {
		p.printf("%s was erased at %s\n", c.Subject, console.Time(person.User.ErasedAt))
	}
	p.printf("%s: %s, %s, %s, %s, %s, %s, %s\n", c.Subject,
		console.Count(activeGrants, "active grant"), console.Count(len(person.Sessions), "session"),
		console.Count(len(person.Consents), "consent"), console.Count(len(person.Passkeys), "passkey"),
		console.Count(len(person.Devices)+len(person.Enrolments), "device"), console.Count(len(person.Subscriptions), "subscription"),
		console.Count(len(person.Backchannel), "backchannel request"))
}
