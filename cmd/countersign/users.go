package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/store"
)

// usersCommand keeps the built-in user directory.
type usersCommand struct {
	Add         usersAdd         `cmd:"" help:"Add a user."`
	List        usersList        `cmd:"" help:"List the users."`
	SetPassword usersSetPassword `cmd:"" help:"Give a user a new password."`
	SetUserCode usersSetUserCode `cmd:"" help:"Give a user a code, or take it away, without which nobody asks them over the backchannel."`
	Disable     usersDisable     `cmd:"" help:"Keep a user from signing in."`
	Enable      usersEnable      `cmd:"" help:"Take back disable."`
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
func (a usersAdd) Run(ctx context.Context, p *program) error {
	if err := checkUser(a.Username, a.Subject); err != nil {
		return err
	}
	claims, err := a.claims(p)
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		if _, err := s.UserByName(ctx, a.Username); !errors.Is(err, store.ErrNotFound) {
			return orExists(err, "there is a user %q already; countersign users set-password changes the password", a.Username)
		}
		if a.Subject == "" {
			a.Subject = rand.Text()
		} else if _, err := s.User(ctx, a.Subject); !errors.Is(err, store.ErrNotFound) {
			return orExists(err, "the subject %q belongs to another user; subjects are never given twice", a.Subject)
		}
		password, err := a.Password.read(p, a.Username)
		if err != nil {
			return err
		}
		if err := putUser(ctx, s, p, store.User{Subject: a.Subject, Username: a.Username, Claims: claims}, password); err != nil {
			return err
		}
		p.printf("added the user %s (subject %s)\n", a.Username, a.Subject)
		return nil
	})
}

// orExists is err, or that something exists when reading it went well.
func orExists(err error, format string, name string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf(format, name)
}

// putUser stores a user with a new password.
func putUser(ctx context.Context, s store.Users, p *program, user store.User, password []byte) error {
	hash, err := directory.HashPassword(string(password))
	if err != nil {
		return err
	}
	user.Password = hash
	return saveUser(ctx, s, p, user)
}

func saveUser(ctx context.Context, s store.Users, p *program, user store.User) error {
	user.UpdatedAt = p.now()
	if user.CreatedAt.IsZero() {
		user.CreatedAt = user.UpdatedAt
	}
	err := s.PutUser(ctx, user)
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("the name %q belongs to another user", user.Username)
	}
	return err
}

func checkUser(username, subject string) error {
	unfit := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }
	if username == "" || len(username) > 200 || !utf8.ValidString(username) || strings.ContainsFunc(username, unfit) {
		return errors.New("the user name must be 1 to 200 bytes without spaces and control characters")
	}
	// OpenID Connect Core §2: sub is at most 255 ASCII characters.
	notASCII := func(r rune) bool { return r <= 0x20 || r > 0x7e }
	if len(subject) > 255 || strings.ContainsFunc(subject, notASCII) {
		return errors.New("the subject must be at most 255 printable ASCII characters (OpenID Connect Core §2)")
	}
	return nil
}

// claims puts the flags over the file.
func (a usersAdd) claims(p *program) (json.RawMessage, error) {
	claims := map[string]any{}
	if a.Claims != "" {
		content, err := p.readInput(a.Claims, maxMetadata)
		if err != nil {
			return nil, err
		}
		if err := jose.DecodeStrict(content, &claims); err != nil {
			return nil, fmt.Errorf("%s: not a JSON object of claims: %w", a.Claims, err)
		}
		if _, ok := claims["sub"]; ok {
			return nil, fmt.Errorf("%s: sub is not a claim of the file; give it with --subject", a.Claims)
		}
	}
	if a.Name != "" {
		claims["name"] = a.Name
	}
	if a.Email != "" {
		claims["email"] = a.Email
	}
	return json.Marshal(claims)
}

type usersList struct{}

// Run implements the command.
func (usersList) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		users, err := s.Users(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "USER\tSUBJECT\tPASSWORD\tSTATE\tCREATED")
		for _, u := range users {
			state := "enabled"
			switch {
			case !u.ErasedAt.IsZero():
				state = "erased"
			case u.Disabled:
				state = "disabled"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", oneLine(u.Username), oneLine(u.Subject), yes(u.Password != ""), state, shortTime(u.CreatedAt))
		}
		return table.Flush()
	})
}

type usersSetPassword struct {
	Username string         `arg:"" help:"The user's name."`
	Password passwordSource `embed:""`
}

// Run implements the command.
func (c usersSetPassword) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		user, err := findUser(ctx, s, c.Username)
		if err != nil {
			return err
		}
		password, err := c.Password.read(p, c.Username)
		if err != nil {
			return err
		}
		if err := putUser(ctx, s, p, user, password); err != nil {
			return err
		}
		p.printf("changed the password of %s\n", c.Username)
		return nil
	})
}

type usersSetUserCode struct {
	Username string `arg:"" help:"The user's name."`
	CodeFile string `placeholder:"FILE" xor:"code" required:"" help:"File with the code, 6 characters or more; - reads standard input."`
	None     bool   `xor:"code" required:"" help:"Take the code away."`
}

// Run implements the command.
func (c usersSetUserCode) Run(ctx context.Context, p *program) error {
	hash := ""
	if !c.None {
		code, err := p.readInput(c.CodeFile, maxMetadata)
		if err != nil {
			return err
		}
		if hash, err = directory.HashUserCode(strings.TrimRight(string(code), "\r\n")); err != nil {
			return fmt.Errorf("%s: %w", c.CodeFile, err)
		}
	}
	return p.withStore(ctx, func(s store.Store) error {
		user, err := findUser(ctx, s, c.Username)
		if err != nil {
			return err
		}
		user.UserCode = hash
		if err := saveUser(ctx, s, p, user); err != nil {
			return err
		}
		if c.None {
			p.printf("%s has no user code any more\n", c.Username)
		} else {
			p.printf("%s has a new user code; clients without user codes cannot ask for %s any more\n", c.Username, c.Username)
		}
		return nil
	})
}

func findUser(ctx context.Context, s store.Users, username string) (store.User, error) {
	user, err := s.UserByName(ctx, username)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, fmt.Errorf("there is no user %q; countersign users list shows those that exist", username)
	}
	if err == nil && !user.ErasedAt.IsZero() {
		return store.User{}, fmt.Errorf("%s was erased: add a new user instead", user.Subject)
	}
	return user, err
}

type usersDisable struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c usersDisable) Run(ctx context.Context, p *program) error {
	return switchUser(ctx, p, c.Username, true)
}

type usersEnable struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c usersEnable) Run(ctx context.Context, p *program) error {
	return switchUser(ctx, p, c.Username, false)
}

func switchUser(ctx context.Context, p *program, username string, disabled bool) error {
	state := map[bool]string{true: "disabled", false: "enabled"}[disabled]
	return p.withStore(ctx, func(s store.Store) error {
		user, err := findUser(ctx, s, username)
		if err != nil {
			return err
		}
		user.Disabled = disabled
		if err := saveUser(ctx, s, p, user); err != nil {
			return err
		}
		p.printf("the user %s is %s\n", username, state)
		return nil
	})
}
