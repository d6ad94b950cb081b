package usercommands

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/operations"
	"countersign/store"
)

// Grants manages what users and clients were granted.
type Grants struct {
	List     grantsList     `cmd:"" help:"List grants, the newest first."`
	Consents grantsConsents `cmd:"" help:"List consents that are not asked for again, the newest first."`
	Revoke   grantsRevoke   `cmd:"" help:"Revoke grants with their codes and tokens."`
}

// Help implements kong.HelpProvider.
func (Grants) Help() string {
	return `A grant is what a user allowed a client, or what a client has for itself. Revoking one ends
its codes and tokens at once, on all nodes, and deletes the user's consent to the client.

Examples:
  countersign grants list --user alice --since 30d
  countersign grants list --client payments-app --since 2026-11-01 --json
  countersign grants consents --user alice
  countersign grants revoke 0d4c7a52-6c2b-4e0a-9b1f-2f6f1c1e8a77`
}

// selection are the flags that choose grants and consents.
type selection struct {
	User   string `placeholder:"NAME" aliases:"person" help:"Only of this user: a user name or a subject."`
	Client string `placeholder:"ID" help:"Only to this client."`
	Since  string `placeholder:"WHEN" help:"Only those decided since: a date, a time in RFC 3339, or so long ago, such as 30d or 12h."`
	Until  string `placeholder:"WHEN" help:"Only those decided before."`
	Limit  int    `default:"100" help:"How many to list at most."`
	jsonLines
}

// chosen is what the flags choose.
func (s selection) chosen() admin.Selection {
	return admin.Selection{User: s.User, Client: s.Client, Since: s.Since, Until: s.Until, Limit: s.Limit}
}

// known refuses a client that there is not, where nothing was found: else a name that is misspelt would look like one that holds nothing.
func known(ctx context.Context, find func(context.Context, string) (store.Client, error), client string, listed int) error {
	if client == "" || listed > 0 {
		return nil
	}
	_, err := find(ctx, client)
	return err
}

// full says on standard error that there may be more.
func (s selection) full(p *Program, listed int) {
	if listed == s.Limit {
		fmt.Fprintf(p.Stderr, "these are the newest %d; there may be more: --until shows earlier ones, --limit more\n", listed)
	}
}

type grantsList struct {
	selection `embed:""`
}

// Run implements the command.
func (c grantsList) Run(ctx context.Context, p *Program) error {
	return p.Operate(ctx, func(a operations.Operations) error {
		listed, err := a.Grants(ctx, c.chosen())
		if err != nil {
			return err
		}
		if err := known(ctx, a.Client, c.Client, len(listed)); err != nil {
			return err
		}
		c.full(p, len(listed))
		header := []string{"GRANT", "CLIENT", "SUBJECT", "SCOPES", "DECIDED", "ENDS", "STATE"}
		return console.List(p.Stdout, c.JSON, listed, header, func(g admin.ListedGrant) []string {
			return []string{g.ID, g.ClientID, cmp.Or(g.Subject, "-"), strings.Join(g.Scopes, " "), console.Time(g.CreatedAt), console.Time(g.ExpiresAt), g.State}
		})
	})
}

type grantsConsents struct {
	selection `embed:""`
}

// Run implements the command.
func (c grantsConsents) Run(ctx context.Context, p *Program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		listed, err := a.Consents(ctx, c.chosen())
		if err != nil {
			return err
		}
		if err := known(ctx, a.Client, c.Client, len(listed)); err != nil {
			return err
		}
		c.full(p, len(listed))
		header := []string{"SUBJECT", "CLIENT", "SCOPES", "CLAIMS", "DECIDED", "ENDS"}
		return console.List(p.Stdout, c.JSON, listed, header, func(k admin.ListedConsent) []string {
			return []string{k.Subject, k.ClientID, strings.Join(k.Scopes, " "), strings.Join(k.Claims, " "), console.Time(k.CreatedAt), console.Time(k.ExpiresAt)}
		})
	})
}

type grantsRevoke struct {
	IDs []string `arg:"" name:"grant" help:"The grants' identifiers."`
}

// Run implements the command.
func (c grantsRevoke) Run(ctx context.Context, p *Program) error {
	return p.Operate(ctx, func(a operations.Operations) error {
		for _, id := range c.IDs {
			if err := a.RevokeGrant(ctx, id); err != nil {
				return err
			}
			p.printf("revoked %s\n", id)
		}
		return nil
	})
}
