package admin

import (
	"context"
	"errors"
	"time"

	"countersign/internal/admin/fault"
	"countersign/internal/admin/moment"
	"countersign/store"
)

// Selection chooses grants and consents.
type Selection struct {
	// User is a user name or a subject; Client is a client_id. Empty chooses all.
	User, Client string
	// Since and Until are a date, a time of RFC 3339, or how long ago, such as 30d or 12h; empty is no bound.
	Since, Until string
	// Limit is how many are listed at most; 1 or more.
	Limit int
}

// Times are Since and Until as times of RFC 3339; empty is no bound.
func (s Selection) Times(now time.Time) (since, until string, err error) {
	from, err := moment.Parse(s.Since, now)
	if err != nil {
		return "", "", Usagef("--since: %w", err)
	}
	to, err := moment.Parse(s.Until, now)
	if err != nil {
		return "", "", Usagef("--until: %w", err)
	}
	text := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return text(from), text(to), nil
}

// Filter reads a selection. A user is found by name, and otherwise taken for a subject: that of an erased user too.
func (a *Admin) Filter(ctx context.Context, chosen Selection) (store.Filter, error) {
	filter := store.Filter{ClientID: chosen.Client, Subject: chosen.User, Limit: chosen.Limit}
	if chosen.Limit < 1 {
		return filter, Usagef("--limit must be 1 or more")
	}
	var err error
	if filter.Since, err = moment.Parse(chosen.Since, a.Now()); err != nil {
		return filter, Usagef("--since: %w", err)
	}
	if filter.Until, err = moment.Parse(chosen.Until, a.Now()); err != nil {
		return filter, Usagef("--until: %w", err)
	}
	if chosen.User == "" {
		return filter, nil
	}
	user, err := a.Store.UserByName(ctx, chosen.User)
	if errors.Is(err, store.ErrNotFound) {
		return filter, nil
	}
	if err != nil {
		return filter, err
	}
	filter.Subject = user.Subject
	return filter, nil
}

// ListedGrant is a grant as it is listed, as JSON too.
type ListedGrant struct {
	ID        string    `json:"id"`
	ClientID  string    `json:"client_id"`
	Subject   string    `json:"sub,omitempty"`
	Scopes    []string  `json:"scopes"`
	ACR       string    `json:"acr,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	// State is that of [GrantState].
	State string `json:"state"`
}

// Grants are those that were chosen, the newest first.
func (a *Admin) Grants(ctx context.Context, chosen Selection) ([]ListedGrant, error) {
	filter, err := a.Filter(ctx, chosen)
	if err != nil {
		return nil, err
	}
	grants, err := a.Store.ListGrants(ctx, filter)
	if err != nil {
		return nil, err
	}
	return ListGrants(grants, a.Now()), nil
}

// ListGrants describes grants, as they are now.
func ListGrants(grants []store.Grant, now time.Time) []ListedGrant {
	listed := make([]ListedGrant, len(grants))
	for i, g := range grants {
		listed[i] = ListedGrant{g.ID, g.ClientID, g.Subject, g.Scopes, g.ACR, g.CreatedAt, g.ExpiresAt, g.RevokedAt, GrantState(g, now)}
	}
	return listed
}

// ListedConsent is a consent as it is listed, as JSON too.
type ListedConsent struct {
	Subject   string    `json:"sub"`
	ClientID  string    `json:"client_id"`
	Scopes    []string  `json:"scopes"`
	Claims    []string  `json:"claims,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Consents are those that were chosen, the newest first.
func (a *Admin) Consents(ctx context.Context, chosen Selection) ([]ListedConsent, error) {
	filter, err := a.Filter(ctx, chosen)
	if err != nil {
		return nil, err
	}
	consents, err := a.Store.ListConsents(ctx, filter)
	if err != nil {
		return nil, err
	}
	listed := make([]ListedConsent, len(consents))
	for i, c := range consents {
		listed[i] = ListedConsent{c.Subject, c.ClientID, c.Scopes, c.Claims, c.CreatedAt, c.ExpiresAt}
	}
	return listed, nil
}

// GrantState is "active", "expired" or "revoked".
func GrantState(g store.Grant, now time.Time) string {
	switch {
	case !g.RevokedAt.IsZero():
		return "revoked"
	case !now.Before(g.ExpiresAt):
		return "expired"
	}
	return "active"
}

// RevokeGrant ends a grant with its codes and tokens, on all nodes.
func (a *Admin) RevokeGrant(ctx context.Context, id string) error {
	err := a.Store.RevokeGrant(ctx, id, store.RevokedByOperator, nil)
	if errors.Is(err, store.ErrNotFound) {
		return fault.Missingf("there is no grant %q; `countersign grants list` shows those that there are", id)
	}
	return err
}
