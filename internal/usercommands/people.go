package usercommands

import (
	"context"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/store"
)

// People is about what is stored of a user, whatever directory the user is in.
type People struct {
	Export peopleExport `cmd:"" help:"Export all data of a user, as JSON."`
	Erase  peopleErase  `cmd:"" help:"Revoke all grants of a user and delete the rest."`
}

// Help implements kong.HelpProvider.
func (People) Help() string {
	return `A user is named by the user name, or by the subject, the identifier that clients see; countersign users list shows
both. The export holds no secret. Erasing cannot be undone: grants end, and sessions, consents, passkeys, devices, name, password
and claims are deleted. The subject stays, so that nobody else is ever given it, and so does the audit log, which
names users by their subject alone: countersign audit erase erases it there.

Examples:
  countersign people export alice > alice.json
  countersign people erase 7KQ2… --dry-run
  countersign people erase 7KQ2…`
}

// whom names a user.
type whom struct {
	User string `arg:"" help:"The user's name or subject."`
	By   string `enum:"any,name,subject" default:"any" help:"What that is: any, name or subject."`
}

type peopleExport struct {
	whom
	Out string `type:"path" placeholder:"FILE" help:"A new file, which only its owner can read; else standard output."`
}

// Run implements the command.
func (c peopleExport) Run(ctx context.Context, p *Program) error {
	if p.Remotely {
		return c.remotely(ctx, p)
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		subject, err := a.Find(ctx, c.User, c.By)
		if err != nil {
			return err
		}
		exported, err := a.Export(ctx, subject)
		if err != nil {
			return err
		}
		return c.write(p, exported)
	})
}

// remotely exports by the admin API.
func (c peopleExport) remotely(ctx context.Context, p *Program) error {
	remote, err := p.Remote()
	if err != nil {
		return err
	}
	subject, err := remote.FindUser(ctx, c.User, c.By)
	if err != nil {
		return err
	}
	exported, err := remote.ExportUser(ctx, subject)
	if err != nil {
		return err
	}
	return c.write(p, exported)
}

func (c peopleExport) write(p *Program, exported []byte) error {
	if c.Out != "" {
		return console.WriteNew(c.Out, exported, 0o600)
	}
	_, err := p.Stdout.Write(exported)
	return err
}

type peopleErase struct {
	whom
	DryRun bool `help:"Print what would be erased, and change nothing."`
	Yes    bool `help:"Do not ask for confirmation."`

	Approval string `placeholder:"ID" help:"By the admin API: carry out what another security officer has approved."`
}

// remotely erases by the admin API, which wants four eyes.
func (c peopleErase) remotely(ctx context.Context, p *Program) error {
	if c.DryRun {
		return admin.Usagef("--dry-run is not for the admin API: the approval says what would be erased")
	}
	remote, err := p.Remote()
	if err != nil {
		return err
	}
	subject, err := remote.FindUser(ctx, c.User, c.By)
	if err != nil {
		return err
	}
	outcome, err := remote.EraseUser(ctx, subject, c.Approval)
	if err == nil {
		outcome.Print(p.Stdout)
	}
	return err
}

// Run implements the command.
func (c peopleErase) Run(ctx context.Context, p *Program) error {
	if p.Remotely {
		return c.remotely(ctx, p)
	}
	if c.Approval != "" {
		return admin.Usagef("--approval is for the admin API, which --admin names")
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		subject, err := a.Find(ctx, c.User, c.By)
		if err != nil {
			return err
		}
		person, err := a.Person(ctx, subject)
		if err != nil {
			return err
		}
		c.summarise(p, subject, person, a.ActiveGrants(person.Grants))
		if c.DryRun {
			p.printf("nothing was changed\n")
			return nil
		}
		if !c.Yes {
			if err := console.Confirm(p.Stdin, p.Stderr, "the subject", subject); err != nil {
				return err
			}
		}
		if err := a.Erase(ctx, subject); err != nil {
			return err
		}
		p.printf("erased %s\n", subject)
		return nil
	})
}

func (c peopleErase) summarise(p *Program, subject string, person store.UserData, activeGrants int) {
	if !person.User.ErasedAt.IsZero() {
		p.printf("%s was erased at %s\n", subject, console.Time(person.User.ErasedAt))
	}
	p.printf("%s: %s, %s, %s, %s, %s, %s, %s\n", subject,
		console.Count(activeGrants, "active grant"), console.Count(len(person.Sessions), "session"),
		console.Count(len(person.Consents), "consent"), console.Count(len(person.Passkeys), "passkey"),
		console.Count(len(person.Devices)+len(person.Enrolments), "device"), console.Count(len(person.Subscriptions), "subscription"),
		console.Count(len(person.Backchannel), "backchannel request"))
}
