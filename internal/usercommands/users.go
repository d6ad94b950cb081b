package usercommands

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"countersign/fapi/upstream"
	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/serve"
	"countersign/store"
)

// Users manages the built-in user directory.
type Users struct {
	Add         usersAdd         `cmd:"" help:"Add a user."`
	List        usersList        `cmd:"" help:"List the users."`
	Show        usersShow        `cmd:"" help:"Show one user: profile, state, sign-ins, devices and grants."`
	Change      usersChange      `cmd:"" help:"Change a user's names, e-mail address, language or other claims."`
	Import      usersImport      `cmd:"" help:"Add and change users from a CSV or JSON file."`
	SetPassword usersSetPassword `cmd:"" help:"Set a user's password."`
	SetUserCode usersSetUserCode `cmd:"" help:"Set or remove the user code that clients must send for a user over the backchannel."`
	Disable     usersDisable     `cmd:"" help:"Disable a user: no more sign-ins."`
	Enable      usersEnable      `cmd:"" help:"Re-enable a user."`
	Unlock      usersUnlock      `cmd:"" help:"Forget the wrong passwords that were tried for a user."`
	SignOut     usersSignOut     `cmd:"" help:"End a user's sessions, and on request grants and devices."`
	Upstream    usersUpstream    `cmd:"" name:"upstream-subject" help:"Print the subject that a user of the upstream provider has here."`
}

// Help implements kong.HelpProvider.
func (Users) Help() string {
	return `Passwords have 15 characters or more and are stored as Argon2id hashes. A password is
asked for, read from standard input or from a file, and never given as a flag.

Examples:
  countersign users add alice --name "Alice Example" --email alice@example.com
  countersign users add bob --claims bob.json --password-file bob.password
  countersign users show alice
  countersign users change alice --email alice@new.example --email-verified --locale pt-BR
  countersign users import users.csv --dry-run
  pass show alice | countersign users set-password alice
  countersign users disable bob
  countersign users unlock alice
  countersign users sign-out bob --grants --devices
  countersign users set-user-code alice --code-file alice.code
  countersign users upstream-subject 9f0c4d1e-5a8e-4d6b-9a55-2f1f6f0f3c11`
}

type usersUpstream struct {
	Sub string `arg:"" help:"The user's sub at the provider of login.issuer."`
}

// Help implements kong.HelpProvider.
func (usersUpstream) Help() string {
	return `It is made of login.issuer and sub alone, and stays the same for ever. With login.users = "known"
only users who are known here under theirs may sign in: countersign users import adds them.`
}

// Run implements the command.
func (c usersUpstream) Run(p *Program) error {
	configured, err := p.Config()
	if err != nil {
		return err
	}
	if configured.Login.Issuer == "" {
		return errors.New("login.issuer is not set: no provider elsewhere signs users in")
	}
	p.printf("%s\n", upstream.SubjectOf(configured.Login.Issuer, c.Sub))
	return nil
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
func (c usersAdd) Run(ctx context.Context, p *Program) error {
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
func (c usersAdd) claims(p *Program) (json.RawMessage, error) {
	if c.Claims == "" {
		return admin.Claims(nil, c.Name, c.Email)
	}
	content, err := p.readInput(c.Claims, maxClaims)
	if err != nil {
		return nil, err
	}
	claims, err := admin.Claims(content, c.Name, c.Email)
	if err != nil {
		return nil, p.InputProblems(c.Claims, err)
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
func (c usersList) Run(ctx context.Context, p *Program) error {
	if p.Remotely {
		remote, err := p.Remote()
		if err != nil {
			return err
		}
		users, err := remote.ListUsers(ctx)
		if err != nil {
			return err
		}
		return c.print(p, users)
	}
	configured, err := p.Config()
	if err != nil {
		return err
	}
	return p.WithStore(ctx, func(s store.Store) error {
		users, err := admin.ListUsers(ctx, s, serve.PasswordRates(configured.Limits))
		if err != nil {
			return err
		}
		return c.print(p, users)
	})
}

func (c usersList) print(p *Program, users []admin.ListedUser) error {
	header := []string{"USER", "SUBJECT", "PASSWORD", "STATE", "WRONG", "CREATED"}
	return console.List(p.Stdout, c.JSON, users, header, func(u admin.ListedUser) []string {
		return []string{u.Username, u.Subject, console.YesNo(u.Password), u.State, strconv.Itoa(u.WrongPasswords), console.Time(u.CreatedAt)}
	})
}

type usersUnlock struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c usersUnlock) Run(ctx context.Context, p *Program) error {
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
func (c usersSetPassword) Run(ctx context.Context, p *Program) error {
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
func (c usersSetUserCode) Run(ctx context.Context, p *Program) error {
	if c.None {
		return c.remove(ctx, p)
	}
	code, err := p.readInput(c.CodeFile, maxClaims)
	if err != nil {
		return err
	}
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		if err := a.SetUserCode(ctx, c.Username, strings.TrimRight(string(code), "\r\n")); err != nil {
			return p.InputProblems(c.CodeFile, err)
		}
		p.printf("%s has a new user code; clients without user codes cannot ask for %s any more\n", c.Username, c.Username)
		return nil
	})
}

func (c usersSetUserCode) remove(ctx context.Context, p *Program) error {
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
func (c usersDisable) Run(ctx context.Context, p *Program) error {
	return setUserDisabled(ctx, p, c.Username, true, "disabled")
}

type usersEnable struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c usersEnable) Run(ctx context.Context, p *Program) error {
	return setUserDisabled(ctx, p, c.Username, false, "enabled")
}

func setUserDisabled(ctx context.Context, p *Program, username string, disabled bool, state string) error {
	return changeUser(ctx, p, username, "the user "+username+" is "+state, func(a *admin.Admin) error {
		return a.SetUserDisabled(ctx, username, disabled)
	})
}

type usersSignOut struct {
	whom
	Grants  bool `help:"Revoke the user's grants with their tokens too."`
	Devices bool `help:"Remove the user's approval apps, passkeys and browser notifications too."`
}

// Help implements kong.HelpProvider.
func (usersSignOut) Help() string {
	return `Sessions end at once, on all nodes: the next request of a browser is one of nobody. A subject of an external directory
can be signed out too.`
}

// Run implements the command.
func (c usersSignOut) Run(ctx context.Context, p *Program) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		subject, err := a.Find(ctx, c.User, c.By)
		if err != nil {
			return err
		}
		if err := a.SignOut(ctx, subject); err != nil {
			return err
		}
		name := c.User
		if user, err := a.Store.User(ctx, subject); err == nil && user.Username != "" {
			name = user.Username
		}
		revoked, removed, err := a.EndRemaining(ctx, subject, c.Grants, c.Devices)
		p.printf("revoked %d grants and removed %d devices of %s\n", revoked, removed, name)
		if err != nil {
			return err
		}
		return p.printEnded(ctx, a, subject, name, "signed out "+name)
	})
}

// changeUser makes a change that ends a user's sessions, and prints that it is done and what goes on.
func changeUser(ctx context.Context, p *Program, username, done string, change func(a *admin.Admin) error) error {
	return p.withAdmin(ctx, func(a *admin.Admin) error {
		if err := change(a); err != nil {
			return err
		}
		user, err := a.User(ctx, username)
		if err != nil {
			return err
		}
		return p.printEnded(ctx, a, user.Subject, username, done)
	})
}

// printEnded prints that sessions have ended, and what goes on.
func (p *Program) printEnded(ctx context.Context, a *admin.Admin, subject, name, done string) error {
	left, err := a.Remaining(ctx, subject)
	p.printf("%s\nthe sessions and pending device codes of %s have ended\n%s", done, name, left.Commands(name))
	return err
}
