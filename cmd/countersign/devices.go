package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/store"
)

// devicesCommand keeps what people confirm with.
type devicesCommand struct {
	Add    devicesAdd    `cmd:"" help:"Make a one-time code for an application of a user, or add its key."`
	List   devicesList   `cmd:"" help:"List a user's applications, passkeys, and browsers that are woken."`
	Remove devicesRemove `cmd:"" help:"Remove one of them: it confirms nothing any more."`
}

// Help implements kong.HelpProvider.
func (devicesCommand) Help() string {
	return `People keep these themselves at /device/settings. This is for those who do it for them, and for a telephone
that was lost. Whoever has a code can confirm in the user's name; it is good for ten minutes, once.

Examples:
  countersign devices add alice
  countersign devices add alice --public-key app.jwk --name "Bank app"
  countersign devices list alice
  countersign devices remove alice 0c1f5a52-0f1e-4b7e-9f6c-8f1e3d1c2b3a`
}

// deviceCodeLife is how long a code for an application is good.
const deviceCodeLife = 10 * time.Minute

// maxPublicKey bounds the file of a public key, in bytes.
const maxPublicKey = 16 << 10

type devicesAdd struct {
	Username  string `arg:"" help:"The user's name."`
	PublicKey string `placeholder:"FILE" help:"The application's public key as a JWK, in place of a code; - reads standard input."`
	Name      string `help:"What the application is called; with --public-key."`
}

// Run implements the command.
func (c devicesAdd) Run(ctx context.Context, p *program) error {
	if c.PublicKey == "" && c.Name != "" {
		return errors.New("--name belongs to --public-key: an application that comes with a code names itself")
	}
	return p.withStore(ctx, func(s store.Store) error {
		user, err := findUser(ctx, s, c.Username)
		if err != nil {
			return err
		}
		now := p.now()
		if c.PublicKey != "" {
			return c.addKey(ctx, p, s, user, now)
		}
		code := rand.Text()
		enrolment := store.Enrolment{ID: store.DigestOf(code), Subject: user.Subject, CreatedAt: now, ExpiresAt: now.Add(deviceCodeLife)}
		if err := s.PutEnrolment(ctx, enrolment); err != nil {
			return err
		}
		p.printf("%s\n", code)
		return nil
	})
}

func (c devicesAdd) addKey(ctx context.Context, p *program, s store.Store, user store.User, now time.Time) error {
	if err := fapi.CheckDeviceName(c.Name); err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	encoded, err := p.readInput(c.PublicKey, maxPublicKey)
	if err != nil {
		return err
	}
	key, err := jose.ParsePublicJWK(encoded)
	if err != nil {
		return fmt.Errorf("%s: %w", c.PublicKey, err)
	}
	device := store.Device{ID: rand.Text(), Subject: user.Subject, Name: c.Name, JKT: key.Thumbprint(), CreatedAt: now}
	if err := s.AddDevice(ctx, device); errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("%s: this key belongs to a device already; make a new one", c.PublicKey)
	} else if err != nil {
		return err
	}
	p.printf("added the application %s of %s\n", device.ID, user.Username)
	return nil
}

type devicesList struct {
	Username string `arg:"" help:"The user's name."`
}

// Run implements the command.
func (c devicesList) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		user, err := findUser(ctx, s, c.Username)
		if err != nil {
			return err
		}
		devices, err := s.Devices(ctx, user.Subject)
		if err != nil {
			return err
		}
		passkeys, err := s.Passkeys(ctx, user.Subject)
		if err != nil {
			return err
		}
		browsers, err := s.Subscriptions(ctx, user.Subject)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KIND\tID\tNAME\tSTATE\tCREATED\tUSED")
		for _, d := range devices {
			fmt.Fprintf(table, "application\t%s\t%s\tenabled\t%s\t%s\n", oneLine(d.ID), oneLine(d.Name), shortTime(d.CreatedAt), shortTime(d.UsedAt))
		}
		for _, k := range passkeys {
			state := "enabled"
			if !k.ClonedAt.IsZero() {
				state = "copied"
			}
			fmt.Fprintf(table, "passkey\t%s\t%s\t%s\t%s\t%s\n", passkeyID(k), oneLine(k.Name), state, shortTime(k.CreatedAt), shortTime(k.UsedAt))
		}
		for _, b := range browsers {
			fmt.Fprintf(table, "browser\t%s\t-\tenabled\t%s\t-\n", browserID(b), shortTime(b.CreatedAt))
		}
		return table.Flush()
	})
}

// passkeyID is a passkey's name on the command line: a name that begins with a hyphen would be a flag.
func passkeyID(k store.Passkey) string {
	return "passkey:" + base64.RawURLEncoding.EncodeToString(k.ID)
}

func browserID(b store.Subscription) string { return "browser:" + hex.EncodeToString(b.ID[:8]) }

type devicesRemove struct {
	Username string `arg:"" help:"The user's name."`
	ID       string `arg:"" help:"Which one, as devices list shows it."`
}

// Run implements the command.
func (c devicesRemove) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		user, err := findUser(ctx, s, c.Username)
		if err != nil {
			return err
		}
		err = s.RemoveDevice(ctx, user.Subject, c.ID)
		if errors.Is(err, store.ErrNotFound) {
			err = c.removeOther(ctx, s, user.Subject)
		}
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%s has no %q; countersign devices list %s shows what there is", c.Username, c.ID, c.Username)
		}
		if err != nil {
			return err
		}
		p.printf("removed %s of %s\n", c.ID, c.Username)
		return nil
	})
}

// removeOther removes a passkey or a browser.
func (c devicesRemove) removeOther(ctx context.Context, s store.Store, subject string) error {
	passkeys, err := s.Passkeys(ctx, subject)
	if err != nil {
		return err
	}
	for _, k := range passkeys {
		if passkeyID(k) == c.ID {
			return s.RemovePasskey(ctx, subject, k.ID)
		}
	}
	browsers, err := s.Subscriptions(ctx, subject)
	if err != nil {
		return err
	}
	for _, b := range browsers {
		if browserID(b) == c.ID {
			return s.RemoveSubscription(ctx, b.ID)
		}
	}
	return store.ErrNotFound
}
