package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/serve"
	"countersign/store"
)

// usersCommand manages the built-in user directory.
type usersCommand struct {
	Add         usersAdd         `cmd:"" help:"Add a user."`
	List        usersList        `cmd:"" help:"List the users."`
	SetPassword usersSetPassword `cmd:"" help:"Set a user's password."`
	SetUserCode usersSetUserCode `cmd:"" help:"Set or remove the user code that clients must send for a user over the backchannel."`
	Disable     usersDisable     `cmd:"" help:"Disable a user: no more sign-ins."`
	Enable      usersEnable      `cmd:"" help:"Re-enable a user."`
	Unlock      usersUnlock      `cmd:"" help:"Forget the wrong passwords that were tried for a user."`
	SignOut     usersSignOut     `cmd:"" help:"End a user's sessions, and on request grants and devices."`
}

// Help implements kong.HelpProvider.
func (usersCommand) Help() string {
	return `Passwords have 15 characters or more and are stored as Argon2id hashes. A password is
asked for, read from standard input or from a file, and never given as a flag.

Examples:
  countersign users add alice --name "Alice Example" --email alice@example.com
  countersign users add bob --claims bob.json --password-file bob.password
  pass show alice | countersign users set-password alice
  countersign users disable bob
  countersign users unlock alice
  countersign users sign-out bob --grants --devices
  countersign users set-user-code alice --code-file alice.code`
}

type usersAdd struct {
	Username string         `arg:"" help:"The name to sign in with."`
	Subject  string         `help:"The stable identifier (sub) that clients see; without it a random one is made."`
	Name     string         `help:"Full name, for the scope profile."`
	Email    string         `help:"E-mail address, for the scope email."`
	Claims   string         `placeholder:"FILE" help:"More OpenID Connect claims, a JSON object."`
	Password passwordSource `embed:""`
}

// Run implements the command.
func (c usersAdd) Run(ctx context.Context, p *program) error {
	claims, err := c.claims(p)
	if err != nil {
		return err
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		wanted := admin.NewUser{Username: c.Username, Subject: c.Subject, Claims: claims}
		user, err := a.AddUser(ctx, wanted, c.Password.ask(p, c.Username))
		if err != nil {
			return err
		}
		p.printf("added the user %s (subject %s)\n", user.Username, user.Subject)
		return nil
	})
}

// claims puts the flags over the file.
func (c usersAdd) claims(p *program) (json.RawMessage, error) {
	if c.Claims == "" {
		return admin.Claims(nil, c.Name, c.Email)
	}
	content, err := p.readInput(c.Claims, maxMetadata)
	if err != nil {
		return nil, err
	}
	claims, err := admin.Claims(content, c.Name, c.Email)
	if err != nil {
		return nil, p.inputProblems(c.Claims, err)
	}
	return claims, nil
}

type usersList struct{ jsonLines }

// Help implements kong.HelpProvider.
func (usersList) Help() string {
	return `WRONG is how many wrong passwords there were in a row. A user whose state is locked signs in
with a passkey, or in a browser in which that user has signed in before, which ends the row;
users unlock and users set-password end it too.`
}

// Run implements the command.
func (c usersList) Run(ctx context.Context, p *program) error {
	configured, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		users, err := admin.ListUsers(ctx, s, serve.PasswordRates(configured.Limits))
		if err != nil {
			return err
		}
		header := []string{"USER", "SUBJECT", "PASSWORD", "STATE", "WRONG", "CREATED"}
		return console.List(p.stdout, c.JSON, users, header, func(u admin.ListedUser) []string {
			return []string{u.Username, u.Subject, console.YesNo(u.Password), u.State, strconv.Itoa(u.WrongPasswords), console.Time(u.CreatedAt)}
		})
	})
}

type usersUnlock struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c usersUnlock) Run(ctx context.Context, p *program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		if err := a.Unlock(ctx, c.Username); err != nil {
			return err
		}
		p.printf("the wrong passwords for %s are forgotten\n", c.Username)
		return nil
	})
}

type usersSetPassword struct {
	Username string         `arg:"" help:"The user's name."`
	Password passwordSource `embed:""`
}

// Run implements the command.
func (c usersSetPassword) Run(ctx context.Context, p *program) error {
	return changeUser(ctx, p, c.Username, "changed the password of "+c.Username, func(a *admin.Admin) error {
		return a.SetPassword(ctx, c.Username, c.Password.ask(p, c.Username))
	})
}

type usersSetUserCode struct {
	Username string `arg:"" help:"The user's name."`
	CodeFile string `placeholder:"FILE" xor:"code" required:"" help:"File with the code, 6 characters or more; - reads standard input."`
	None     bool   `xor:"code" required:"" help:"Remove the code."`
}

// Run implements the command.
func (c usersSetUserCode) Run(ctx context.Context, p *program) error {
	if c.None {
		return c.remove(ctx, p)
	}
	code, err := p.readInput(c.CodeFile, maxMetadata)
	if err != nil {
		return err
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		if err := a.SetUserCode(ctx, c.Username, strings.TrimRight(string(code), "\r\n")); err != nil {
			return p.inputProblems(c.CodeFile, err)
		}
		p.printf("%s has a new user code; clients without user codes cannot ask for %s any more\n", c.Username, c.Username)
		return nil
	})
}

func (c usersSetUserCode) remove(ctx context.Context, p *program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		if err := a.RemoveUserCode(ctx, c.Username); err != nil {
			return err
		}
		p.printf("%s has no user code any more\n", c.Username)
		return nil
	})
}

type usersDisable struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c usersDisable) Run(ctx context.Context, p *program) error {
	return setUserDisabled(ctx, p, c.Username, true, "disabled")
}

type usersEnable struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c usersEnable) Run(ctx context.Context, p *program) error {
	return setUserDisabled(ctx, p, c.Username, false, "enabled")
}

func setUserDisabled(ctx context.Context, p *program, username string, disabled bool, state string) error {
	return changeUser(ctx, p, username, "the user "+username+" is "+state, func(a *admin.Admin) error {
		return a.SetUserDisabled(ctx, username, disabled)
	})
}

type usersSignOut struct {
	Username string `arg:"" help:"The user's name."`
	Grants   bool   `help:"Revoke the user's grants with their tokens too."`
	Devices  bool   `help:"Remove the user's approval apps, passkeys and browser notifications too."`
}

// Run implements the command.
func (c usersSignOut) Run(ctx context.Context, p *program) error {
	return changeUser(ctx, p, c.Username, "signed out "+c.Username, func(a *admin.Admin) error {
		if err := a.SignOut(ctx, c.Username); err != nil {
			return err
		}
		revoked, removed, err := a.EndRemaining(ctx, c.Username, c.Grants, c.Devices)
		p.printf("revoked %d grants and removed %d devices of %s\n", revoked, removed, c.Username)
		return err
	})
}

// changeUser makes a change that ends a user's sessions, and prints that it is done and what goes on.
func changeUser(ctx context.Context, p *program, username, done string, change func(a *admin.Admin) error) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		if err := change(a); err != nil {
			return err
		}
		left, err := a.Remaining(ctx, username)
		p.printf("%s\nthe sessions and pending device codes of %s have ended\n%s", done, username, left.Commands(username))
		return err
	})
}
