package main

import (
	"context"

	"countersign/fapi/browser"
	"countersign/internal/admin"
	"countersign/internal/console"
)

// devicesCommand manages what users approve with.
type devicesCommand struct {
	Add    devicesAdd    `cmd:"" help:"Issue a one-time code for a user's approval app, or add the app's key."`
	List   devicesList   `cmd:"" help:"List a user's approval apps, passkeys, and browsers that get notifications."`
	Remove devicesRemove `cmd:"" help:"Remove one of them: it can approve nothing any more."`
}

// Help implements kong.HelpProvider.
func (devicesCommand) Help() string {
	return `Users manage these themselves at /device/settings. This is for administrators, and for a telephone
that was lost. Whoever has a code can approve in the user's name; it is valid for ten minutes, once.
An app approves as if the user had typed a password, unless --level passkey says that you know who
the user is and trust the app to ask for more ([approval_apps] in the configuration).

Examples:
  countersign devices add alice
  countersign devices add alice --public-key app.jwk --name "Bank app"
  countersign devices list alice
  countersign devices remove alice 0c1f5a52-0f1e-4b7e-9f6c-8f1e3d1c2b3a`
}

// maxPublicKey bounds the file of a public key, in bytes.
const maxPublicKey = 16 << 10

type devicesAdd struct {
	Username  string `arg:"" help:"The user's name."`
	PublicKey string `placeholder:"FILE" help:"The app's public key as a JWK, in place of a code; - reads standard input."`
	Name      string `help:"What the app is called; with --public-key."`
	Level     string `enum:"password,passkey" default:"password" help:"What the app may claim: what one may that is enrolled under a password, or under a passkey."`
}

// acr is the authentication context class of the level.
func (c devicesAdd) acr() string {
	if c.Level == "passkey" {
		return browser.PasskeyACR
	}
	return browser.PasswordACR
}

// Run implements the command.
func (c devicesAdd) Run(ctx context.Context, p *program) error {
	if c.PublicKey != "" {
		return c.addKey(ctx, p)
	}
	if c.Name != "" {
		return admin.Usagef("--name belongs to --public-key: an application that comes with a code names itself")
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		code, err := a.AddDeviceCode(ctx, c.Username, c.acr())
		if err != nil {
			return err
		}
		p.printf("%s\n", code)
		return nil
	})
}

func (c devicesAdd) addKey(ctx context.Context, p *program) error {
	jwk, err := p.readInput(c.PublicKey, maxPublicKey)
	if err != nil {
		return err
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		device, err := a.AddDevice(ctx, c.Username, c.Name, jwk, c.acr())
		if err != nil {
			return p.inputProblems(c.PublicKey, err)
		}
		p.printf("added the application %s of %s\n", device.ID, c.Username)
		return nil
	})
}

type devicesList struct {
	Username string `arg:"" help:"The user's name."`
	jsonLines
}

// Run implements the command.
func (c devicesList) Run(ctx context.Context, p *program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		all, err := a.Authenticators(ctx, c.Username)
		if err != nil {
			return err
		}
		header := []string{"KIND", "ID", "NAME", "LEVEL", "STATE", "CREATED", "USED"}
		return console.List(p.stdout, c.JSON, all, header, func(one admin.Authenticator) []string {
			return []string{one.Kind, one.ID, one.Name, level(one), one.State, console.Time(one.CreatedAt), console.Time(one.UsedAt)}
		})
	})
}

// level is that of an application.
func level(one admin.Authenticator) string {
	switch {
	case one.Kind != "application":
		return "-"
	case one.ACR == browser.PasskeyACR:
		return "passkey"
	}
	return "password"
}

type devicesRemove struct {
	Username string `arg:"" help:"The user's name."`
	ID       string `arg:"" help:"Which one, as devices list shows it."`
}

// Run implements the command.
func (c devicesRemove) Run(ctx context.Context, p *program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		if err := a.RemoveAuthenticator(ctx, c.Username, c.ID); err != nil {
			return err
		}
		p.printf("removed %s of %s\n", c.ID, c.Username)
		return nil
	})
}
