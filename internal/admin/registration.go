package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"countersign/internal/admin/fault"
	"countersign/store"
)

const (
	// maxTokenLife bounds how long an initial access token is valid.
	maxTokenLife = 365 * 24 * time.Hour
	// maxTokenClients bounds how many clients one initial access token registers.
	maxTokenClients = 10_000
)

// NewInitialToken is an initial access token to be issued (RFC 7591 §1.2).
type NewInitialToken struct {
	// Organisation may register clients with it. It has at most one token.
	Organisation string
	// Clients is how many it may register.
	Clients int
	// Lifetime is how long the token is valid.
	Lifetime time.Duration
	// Profile is that of the clients, or empty for the first that the server offers.
	Profile string
	// Replace allows an organisation that has a token, which is revoked.
	Replace bool
}

// AddInitialToken issues an initial access token and returns it with its record, which does not hold it.
func (a *Admin) AddInitialToken(ctx context.Context, wanted NewInitialToken) (token string, made store.InitialToken, err error) {
	if err := wanted.check(); err != nil {
		return "", made, err
	}
	existing, err := a.Store.InitialTokens(ctx)
	if err != nil {
		return "", made, err
	}
	has := slices.ContainsFunc(existing, func(t store.InitialToken) bool { return t.Organisation == wanted.Organisation })
	if has && !wanted.Replace {
		return "", made, fault.Refusedf("%q has an initial access token already; give --replace to make another in its place", wanted.Organisation)
	}
	token = rand.Text() + rand.Text()
	now := a.Now()
	made = store.InitialToken{
		ID: store.DigestOf(token), Organisation: wanted.Organisation, Profile: wanted.Profile, Remaining: wanted.Clients,
		CreatedAt: now, ExpiresAt: now.Add(wanted.Lifetime),
	}
	return token, made, a.Store.PutInitialToken(ctx, made)
}

func (n NewInitialToken) check() error {
	if err := checkOrganisation(n.Organisation); err != nil {
		return err
	}
	switch {
	case n.Profile != "" && !knownProfile(n.Profile):
		return Usagef("--profile: %s", unknownProfile(n.Profile))
	case n.Clients < 1 || n.Clients > maxTokenClients:
		return Usagef("--clients must be 1 to %d", maxTokenClients)
	case n.Lifetime < time.Minute || n.Lifetime > maxTokenLife:
		return Usagef("--for must be 1m to %dh", maxTokenLife/time.Hour)
	}
	return nil
}

// DeleteInitialToken revokes an organisation's initial access token. The clients that were registered with it stay.
func (a *Admin) DeleteInitialToken(ctx context.Context, organisation string) error {
	err := a.Store.DeleteInitialToken(ctx, organisation)
	if errors.Is(err, store.ErrNotFound) {
		return fault.Missingf("%q has no initial access token; countersign clients tokens list shows those that exist", organisation)
	}
	return err
}

// InitialTokenState is "usable", "expired" or "used up".
func InitialTokenState(token store.InitialToken, now time.Time) string {
	switch {
	case !now.Before(token.ExpiresAt):
		return "expired"
	case token.Remaining == 0:
		return "used up"
	}
	return "usable"
}
