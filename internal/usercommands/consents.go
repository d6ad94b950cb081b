package usercommands

import (
	"cmp"
	"context"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/operations"
)

// Consents manages the consents that clients lodge.
type Consents struct {
	List  consentsList  `cmd:"" help:"List the consents of a client or a user, the newest first."`
	Show  consentsShow  `cmd:"" help:"Show a consent with its content."`
	End   consentsEnd   `cmd:"" help:"End consents with their grants and tokens."`
	Spend consentsSpend `cmd:"" help:"Mark consents as consumed: what they allowed once was done."`
}

// Help implements kong.HelpProvider.
func (Consents) Help() string {
	return `A consent is lodged by a client before it asks for an authorization, as in open-banking ecosystems.
Ending one ends its grant, codes and tokens at once, on all nodes.

Examples:
  countersign consents list --client budget-app
  countersign consents show urn:bank:C1DD33123
  countersign consents end urn:bank:C1DD33123 --reason "reported as fraud"`
}

type consentsList struct {
	User   string `placeholder:"NAME" help:"Those that this user authorised: a user name or a subject."`
	Client string `placeholder:"ID" help:"Those of this client."`
	Limit  int    `default:"100" help:"How many to list at most."`
	jsonLines
}

// Run implements the command.
func (c consentsList) Run(ctx context.Context, p *Program) error {
	return p.Operate(ctx, func(a operations.Operations) error {
		listed, err := a.ListConsents(ctx, admin.Selection{User: c.User, Client: c.Client, Limit: c.Limit})
		if err != nil {
			return err
		}
		if err := known(ctx, a.Client, c.Client, len(listed)); err != nil {
			return err
		}
		header := []string{"CONSENT", "CLIENT", "KIND", "STATUS", "SUBJECT", "CREATED", "CHANGED"}
		return console.List(p.Stdout, c.JSON, listed, header, func(k admin.ListedLodged) []string {
			return []string{k.ID, k.ClientID, k.Kind, string(k.Status), cmp.Or(k.Subject, "-"), console.Time(k.CreatedAt), console.Time(k.ChangedAt)}
		})
	})
}

type consentsShow struct {
	ID string `arg:"" name:"consent" help:"The consent's identifier."`
}

// Run implements the command.
func (c consentsShow) Run(ctx context.Context, p *Program) error {
	return p.Operate(ctx, func(a operations.Operations) error {
		found, err := a.ShowConsent(ctx, c.ID)
		if err != nil {
			return err
		}
		return p.printJSON(found)
	})
}

type consentsEnd struct {
	IDs    []string `arg:"" name:"consent" help:"The consents' identifiers."`
	Reason string   `placeholder:"TEXT" help:"Why, for the client, the webhook and the audit log."`
}

// Run implements the command.
func (c consentsEnd) Run(ctx context.Context, p *Program) error {
	return p.Operate(ctx, func(a operations.Operations) error {
		for _, id := range c.IDs {
			ended, err := a.EndConsent(ctx, id, c.Reason)
			if err != nil {
				return err
			}
			p.printf("%s %s\n", ended.Status, id)
		}
		return nil
	})
}

type consentsSpend struct {
	IDs []string `arg:"" name:"consent" help:"The consents' identifiers."`
}

// Run implements the command.
func (c consentsSpend) Run(ctx context.Context, p *Program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		for _, id := range c.IDs {
			spent, err := admin.Consents{Admin: a}.Spend(ctx, id)
			if err != nil {
				return err
			}
			p.printf("%s %s\n", spent.Status, id)
		}
		return nil
	})
}
