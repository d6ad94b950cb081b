package usercommands

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/serve"
	"countersign/internal/strictjson"
	"countersign/internal/userimport"
)

type usersShow struct {
	whom
	JSON bool `name:"json" help:"Print JSON."`
}

// Run implements the command.
func (c usersShow) Run(ctx context.Context, p *Program) error {
	configured, err := p.Config()
	if err != nil {
		return err
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		subject, err := a.Find(ctx, c.User, c.By)
		if err != nil {
			return err
		}
		shown, err := admin.Users{Admin: a}.Show(ctx, subject, serve.PasswordRates(configured.Limits))
		if err != nil {
			return err
		}
		if c.JSON {
			return p.printJSON(shown)
		}
		return c.print(p, shown)
	})
}

func (usersShow) print(p *Program, shown admin.ShownUser) error {
	var claims map[string]json.RawMessage
	if len(shown.Claims) > 0 {
		if err := strictjson.Decode(shown.Claims, &claims); err != nil {
			return err
		}
	}
	t := p.table()
	row := func(name, value string) {
		if value != "" {
			t.Row(name, value)
		}
	}
	row("user name", shown.Username)
	row("subject", shown.Subject)
	row("state", shown.State)
	for _, name := range userimport.ClaimsOf(claims) {
		row(name, claimText(claims[name]))
	}
	row("password", console.YesNo(shown.Password))
	row("wrong passwords", strconv.Itoa(shown.WrongPasswords))
	row("user code", console.YesNo(shown.UserCode))
	row("signed-in browsers", strconv.Itoa(shown.Sessions))
	row("last sign-in", console.Time(shown.LastSignIn))
	row("active grants", strconv.Itoa(shown.Grants))
	row("consents", strconv.Itoa(shown.Consents))
	row("created", console.Time(shown.CreatedAt))
	row("changed", console.Time(shown.UpdatedAt))
	for _, device := range shown.Devices {
		row(device.Kind, device.Name+", "+device.State+", added "+console.Time(device.CreatedAt)+", last used "+console.Time(device.UsedAt)+", "+device.ID)
	}
	return t.Flush()
}

// claimText is the value of a claim for a table.
func claimText(value json.RawMessage) string {
	var text string
	if strictjson.Decode(value, &text) == nil {
		return text
	}
	return string(value)
}

type usersChange struct {
	whom
	Username      string   `placeholder:"NAME" help:"A new name to sign in with."`
	Name          string   `help:"Full name, for the scope profile."`
	GivenName     string   `help:"Given names."`
	FamilyName    string   `help:"Family names."`
	Email         string   `help:"E-mail address, for the scope email. A new one is not verified, unless --email-verified is given."`
	EmailVerified *bool    `negatable:"" help:"The e-mail address was verified, or was not."`
	Locale        string   `help:"Language, such as pt-BR (BCP 47)."`
	Zoneinfo      string   `help:"Time zone, such as Europe/Lisbon."`
	Claims        string   `placeholder:"FILE" help:"Other claims, a JSON object; null removes one. - reads standard input."`
	Remove        []string `placeholder:"CLAIM" help:"Remove a claim."`
}

// Help implements kong.HelpProvider.
func (usersChange) Help() string {
	return `What is not given stays as it is. Sessions and grants go on; clients see the change when they next ask for claims.`
}

// Run implements the command.
func (c usersChange) Run(ctx context.Context, p *Program) error {
	changes, err := c.changes(p)
	if err != nil {
		return err
	}
	if c.Username == "" && len(changes) == 0 {
		return admin.Usagef("there is nothing to change; countersign users change --help lists what can be")
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		subject, err := a.Find(ctx, c.User, c.By)
		if err != nil {
			return err
		}
		changed, err := admin.Users{Admin: a}.Change(ctx, subject, admin.UserChange{Username: c.Username, Claims: changes})
		if err != nil {
			return err
		}
		if len(changed) == 0 {
			p.printf("%s is like that already\n", c.User)
			return nil
		}
		p.printf("changed %s: %s\n", c.User, strings.Join(changed, ", "))
		return nil
	})
}

// changes puts the flags over the file.
func (c usersChange) changes(p *Program) (map[string]json.RawMessage, error) {
	changes := map[string]json.RawMessage{}
	if c.Claims != "" {
		content, err := p.readInput(c.Claims, maxClaims)
		if err != nil {
			return nil, err
		}
		if err := strictjson.DecodeObject(content, &changes); err != nil {
			return nil, admin.Usagef("%s: %w", c.Claims, err)
		}
	}
	for _, name := range c.Remove {
		changes[name] = json.RawMessage("null")
	}
	texts := map[string]string{
		"name": c.Name, "given_name": c.GivenName, "family_name": c.FamilyName, "email": c.Email, "locale": c.Locale, "zoneinfo": c.Zoneinfo,
	}
	if c.EmailVerified != nil {
		texts["email_verified"] = strconv.FormatBool(*c.EmailVerified)
	}
	for name, text := range texts {
		if text == "" {
			continue
		}
		value, err := userimport.FromText(name, text)
		if err != nil {
			return nil, admin.Usagef("%w", err)
		}
		changes[name] = value
	}
	return changes, nil
}
