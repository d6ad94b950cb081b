package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"countersign/store"
)

// grantsCommand looks after what people and clients were granted.
type grantsCommand struct {
	List     grantsList     `cmd:"" help:"List grants, the newest first."`
	Consents grantsConsents `cmd:"" help:"List what people allowed and are not asked again, the newest first."`
	Revoke   grantsRevoke   `cmd:"" help:"End grants with their codes and tokens."`
}

// Help implements kong.HelpProvider.
func (grantsCommand) Help() string {
	return `A grant is what a person allowed a client, or what a client has for itself. Revoking one ends
its codes and tokens at once, on all nodes, and forgets the person's consent to the client.

Examples:
  countersign grants list --person alice --since 30d
  countersign grants list --client payments-app --since 2026-11-01 --json
  countersign grants consents --person alice
  countersign grants revoke 0d4c7a52-6c2b-4e0a-9b1f-2f6f1c1e8a77`
}

// chosen are the flags that choose grants and consents.
type chosen struct {
	Person string `placeholder:"NAME" help:"Only of this person: a user name or a subject."`
	Client string `placeholder:"ID" help:"Only to this client."`
	Since  string `placeholder:"WHEN" help:"Only those decided since: a date, a time in RFC 3339, or so long ago, such as 30d or 12h."`
	Until  string `placeholder:"WHEN" help:"Only those decided before."`
	Limit  int    `default:"100" help:"How many to list at most."`
	JSON   bool   `name:"json" help:"Print JSON, one object a line."`
}

// filter reads the flags. A person is found by user name, and otherwise taken for a subject: that of one who is gone too.
func (c chosen) filter(ctx context.Context, p *program, s store.Store) (store.Filter, error) {
	filter := store.Filter{ClientID: c.Client, Subject: c.Person, Limit: c.Limit}
	if c.Limit < 1 {
		return filter, errors.New("--limit must be 1 or more")
	}
	var err error
	if filter.Since, err = moment(c.Since, p.now()); err != nil {
		return filter, fmt.Errorf("--since: %w", err)
	}
	if filter.Until, err = moment(c.Until, p.now()); err != nil {
		return filter, fmt.Errorf("--until: %w", err)
	}
	if c.Person == "" {
		return filter, nil
	}
	switch user, err := s.UserByName(ctx, c.Person); {
	case err == nil:
		filter.Subject = user.Subject
	case !errors.Is(err, store.ErrNotFound):
		return filter, err
	}
	return filter, nil
}

// full tells on standard error that there may be more.
func (c chosen) full(p *program, listed int) {
	if listed == c.Limit {
		fmt.Fprintf(p.stderr, "these are the newest %d; there may be more: --until shows earlier ones, --limit more\n", listed)
	}
}

// moment reads a date, a time, or how long ago; empty is the zero time.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; give 2026-11-01, 2026-11-01T12:00:00Z, 30d or 12h", text)
}

type grantsList struct {
	chosen `embed:""`
}

// listedGrant is a grant as JSON.
type listedGrant struct {
	ID        string    `json:"id"`
	ClientID  string    `json:"client_id"`
	Subject   string    `json:"sub,omitempty"`
	Scopes    []string  `json:"scopes"`
	ACR       string    `json:"acr,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	State     string    `json:"state"`
}

// Run implements the command.
func (l grantsList) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		filter, err := l.filter(ctx, p, s)
		if err != nil {
			return err
		}
		grants, err := s.ListGrants(ctx, filter)
		if err != nil {
			return err
		}
		l.full(p, len(grants))
		if l.JSON {
			lines := json.NewEncoder(p.stdout)
			for _, g := range grants {
				if err := lines.Encode(listedGrant{g.ID, g.ClientID, g.Subject, g.Scopes, g.ACR, g.CreatedAt, g.ExpiresAt, g.RevokedAt, grantState(g, p.now())}); err != nil {
					return err
				}
			}
			return nil
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "GRANT\tCLIENT\tSUBJECT\tSCOPES\tDECIDED\tENDS\tSTATE")
		for _, g := range grants {
			subject := oneLine(g.Subject)
			if subject == "" {
				subject = "-"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(g.ID), oneLine(g.ClientID), subject,
				oneLine(strings.Join(g.Scopes, " ")), shortTime(g.CreatedAt), shortTime(g.ExpiresAt), grantState(g, p.now()))
		}
		return table.Flush()
	})
}

func grantState(g store.Grant, now time.Time) string {
	switch {
	case !g.RevokedAt.IsZero():
		return "revoked"
	case !now.Before(g.ExpiresAt):
		return "expired"
	}
	return "stands"
}

type grantsConsents struct {
	chosen `embed:""`
}

// listedConsent is a consent as JSON.
type listedConsent struct {
	Subject   string    `json:"sub"`
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	Claims    []string  `json:"claims,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Run implements the command.
func (l grantsConsents) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		filter, err := l.filter(ctx, p, s)
		if err != nil {
			return err
		}
		consents, err := s.ListConsents(ctx, filter)
		if err != nil {
			return err
		}
		l.full(p, len(consents))
		if l.JSON {
			lines := json.NewEncoder(p.stdout)
			for _, k := range consents {
				if err := lines.Encode(listedConsent{k.Subject, k.ClientID, k.Scopes, k.Claims, k.CreatedAt, k.ExpiresAt}); err != nil {
					return err
				}
			}
			return nil
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "SUBJECT\tCLIENT\tSCOPES\tCLAIMS\tDECIDED\tENDS")
		for _, k := range consents {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(k.Subject), oneLine(k.ClientID), oneLine(strings.Join(k.Scopes, " ")),
				oneLine(strings.Join(k.Claims, " ")), shortTime(k.CreatedAt), shortTime(k.ExpiresAt))
		}
		return table.Flush()
	})
}

type grantsRevoke struct {
	IDs []string `arg:"" name:"grant" help:"The grants' identifiers."`
}

// Run implements the command.
func (r grantsRevoke) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		for _, id := range r.IDs {
			err := s.RevokeGrant(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("there is no grant %q; `countersign grants list` shows those that there are", id)
			}
			if err != nil {
				return err
			}
			p.printf("revoked %s\n", id)
		}
		return nil
	})
}
