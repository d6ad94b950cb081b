package operations

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"countersign/internal/admin"
	"countersign/internal/admin/fault"
	"countersign/store"
)

// ListClients implements [Operations].
func (r *Remote) ListClients(ctx context.Context) ([]admin.ListedClient, error) {
	return list[admin.ListedClient](ctx, r, 0, nil, "clients")
}

// ShowClient implements [Operations].
func (r *Remote) ShowClient(ctx context.Context, id string, fetch bool) (shown admin.ShownClient, err error) {
	_, _, err = r.do(ctx, call{method: http.MethodGet, path: []string{"clients", id}, query: url.Values{"fetch_keys": {strconv.FormatBool(fetch)}}}, &shown)
	return shown, err
}

// Client implements [Operations].
func (r *Remote) Client(ctx context.Context, id string) (store.Client, error) {
	shown, err := r.ShowClient(ctx, id, false)
	return recordOf(shown), err
}

func recordOf(c admin.ShownClient) store.Client {
	return store.Client{
		ID: c.ID, Profile: c.Profile, Metadata: c.Metadata, Disabled: c.Disabled, Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
		Organisation: c.Organisation, Suspended: c.Suspended,
	}
}

// clientWanted is what a client is to be.
type clientWanted struct {
	Profile  string          `json:"profile,omitempty"`
	Metadata json.RawMessage `json:"metadata"`
}

// tag is the entity tag of a version.
func tag(version int) string { return strconv.Quote(strconv.Itoa(version)) }

// errNotJSON is the problem of what cannot be sent.
var errNotJSON = errors.New("not correct JSON")

// readable refuses metadata that could not be sent: they are no JSON.
func readable(wanted admin.NewClient) error {
	if !json.Valid(wanted.Metadata) {
		return &fault.InputError{Err: errNotJSON}
	}
	return nil
}

// AddClient implements [Operations].
func (r *Remote) AddClient(ctx context.Context, wanted admin.NewClient) (store.Client, error) {
	if err := readable(wanted); err != nil {
		return store.Client{}, err
	}
	c := call{method: http.MethodPut, path: []string{"clients", wanted.ID}, create: true, body: clientWanted{wanted.Profile, wanted.Metadata}}
	if wanted.Replace {
		if existing, err := r.Client(ctx, wanted.ID); err == nil {
			c.create, c.match = false, tag(existing.Version)
		}
	}
	var shown admin.ShownClient
	_, _, err := r.do(ctx, c, &shown)
	return recordOf(shown), err
}

// PlanUpdate implements [Operations].
func (r *Remote) PlanUpdate(ctx context.Context, wanted admin.NewClient) (admin.ClientUpdate, error) {
	if err := readable(wanted); err != nil {
		return admin.ClientUpdate{}, err
	}
	existing, err := r.Client(ctx, wanted.ID)
	if err != nil {
		return admin.ClientUpdate{}, err
	}
	var planned struct {
		Changes []string `json:"changes"`
	}
	if _, _, err := r.do(ctx, call{
		method: http.MethodPut, path: []string{"clients", wanted.ID}, query: url.Values{"dry_run": {"true"}}, match: tag(existing.Version),
		body: clientWanted{wanted.Profile, wanted.Metadata},
	}, &planned); err != nil {
		return admin.ClientUpdate{}, err
	}
	existing.Version++
	existing.Metadata = wanted.Metadata
	var named struct {
		Profile string `json:"profile"`
	}
	_ = json.Unmarshal(wanted.Metadata, &named) // what is wrong with them was said before
	existing.Profile = cmp.Or(wanted.Profile, named.Profile, existing.Profile)
	return admin.PlannedUpdate(existing, planned.Changes), nil
}

// Update implements [Operations].
func (r *Remote) Update(ctx context.Context, planned admin.ClientUpdate) error {
	record := planned.Client()
	_, _, err := r.do(ctx, call{
		method: http.MethodPut, path: []string{"clients", record.ID}, match: tag(record.Version - 1), body: clientWanted{record.Profile, record.Metadata},
	}, nil)
	return err
}

// SetClientDisabled implements [Operations].
func (r *Remote) SetClientDisabled(ctx context.Context, id string, disabled bool) (changed bool, err error) {
	existing, err := r.Client(ctx, id)
	if err != nil || existing.Disabled == disabled {
		return false, err
	}
	verb := "enable"
	if disabled {
		verb = "disable"
	}
	_, _, err = r.do(ctx, call{method: http.MethodPost, path: []string{"clients", id, verb}, match: tag(existing.Version)}, nil)
	return err == nil, err
}

// RotateClientKeys implements [Operations].
func (r *Remote) RotateClientKeys(ctx context.Context, id string, jwks []byte, add bool) (version int, err error) {
	if !json.Valid(jwks) {
		return 0, &fault.InputError{Err: errNotJSON}
	}
	existing, err := r.Client(ctx, id)
	if err != nil {
		return 0, err
	}
	var shown admin.ShownClient
	_, _, err = r.do(ctx, call{method: http.MethodPost, path: []string{"clients", id, "keys"}, match: tag(existing.Version), body: struct {
		JWKS json.RawMessage `json:"jwks"`
		Add  bool            `json:"add"`
	}{jwks, add}}, &shown)
	if err != nil || shown.Version == existing.Version {
		return 0, err
	}
	return shown.Version, nil
}

// Holdings implements [Operations].
func (r *Remote) Holdings(ctx context.Context, id string) (admin.Holdings, error) {
	var has struct {
		Grants   int  `json:"grants"`
		Consents int  `json:"consents"`
		More     bool `json:"more"`
	}
	_, _, err := r.do(ctx, call{method: http.MethodGet, path: []string{"clients", id, "holdings"}}, &has)
	return admin.Holdings(has), err
}

// RemoveClient implements [Operations].
func (r *Remote) RemoveClient(ctx context.Context, id string) error {
	existing, err := r.Client(ctx, id)
	if err != nil {
		return err
	}
	_, _, err = r.do(ctx, call{method: http.MethodDelete, path: []string{"clients", id}, match: tag(existing.Version)}, nil)
	return err
}

// ListInitialTokens implements [Operations].
func (r *Remote) ListInitialTokens(ctx context.Context) ([]admin.ListedToken, error) {
	return list[admin.ListedToken](ctx, r, 0, nil, "initial-access-tokens")
}

// AddInitialToken implements [Operations].
func (r *Remote) AddInitialToken(ctx context.Context, wanted admin.NewInitialToken) (token string, made store.InitialToken, err error) {
	c := call{method: http.MethodPut, path: []string{"initial-access-tokens", wanted.Organisation}, create: true, body: struct {
		Clients int    `json:"clients"`
		Seconds int64  `json:"lifetime_seconds"`
		Profile string `json:"profile,omitempty"`
	}{wanted.Clients, int64(wanted.Lifetime / time.Second), wanted.Profile}}
	if wanted.Replace {
		if _, existing, err := r.do(ctx, call{method: http.MethodGet, path: c.path}, nil); err == nil {
			c.create, c.match = false, existing
		}
	}
	var issued struct {
		Token string `json:"token"`
		admin.ListedToken
	}
	if _, _, err = r.do(ctx, c, &issued); err != nil {
		return "", made, err
	}
	return issued.Token, store.InitialToken{
		Organisation: issued.Organisation, Profile: issued.Profile, Remaining: issued.Remaining, CreatedAt: issued.CreatedAt, ExpiresAt: issued.ExpiresAt,
	}, nil
}

// DeleteInitialToken implements [Operations].
func (r *Remote) DeleteInitialToken(ctx context.Context, organisation string) error {
	path := []string{"initial-access-tokens", organisation}
	_, existing, err := r.do(ctx, call{method: http.MethodGet, path: path}, nil)
	if err != nil {
		return err
	}
	_, _, err = r.do(ctx, call{method: http.MethodDelete, path: path, match: existing}, nil)
	return err
}

// subject finds the subject of a user by the name or the subject, as [admin.Admin.Filter] does.
func (r *Remote) subject(ctx context.Context, user string) (string, error) {
	if user == "" {
		return "", nil
	}
	found, err := list[admin.ListedUser](ctx, r, 1, url.Values{"username": {user}}, "people")
	if err != nil || len(found) == 0 {
		return user, err
	}
	return found[0].Subject, nil
}

// chosen are the parameters of a selection.
func (r *Remote) chosen(ctx context.Context, chosen admin.Selection) (url.Values, error) {
	if chosen.Limit < 1 {
		return nil, fault.Usagef("--limit must be 1 or more")
	}
	query := url.Values{}
	subject, err := r.subject(ctx, chosen.User)
	if err != nil {
		return nil, err
	}
	since, until, err := chosen.Times(r.now())
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"subject": subject, "client_id": chosen.Client, "since": since, "until": until} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query, nil
}

// Grants implements [Operations].
func (r *Remote) Grants(ctx context.Context, chosen admin.Selection) ([]admin.ListedGrant, error) {
	query, err := r.chosen(ctx, chosen)
	if err != nil {
		return nil, err
	}
	return list[admin.ListedGrant](ctx, r, chosen.Limit, query, "grants")
}

// RevokeGrant implements [Operations].
func (r *Remote) RevokeGrant(ctx context.Context, id string) error {
	_, _, err := r.do(ctx, call{method: http.MethodPost, path: []string{"grants", id, "revoke"}}, nil)
	return err
}

// ListConsents implements [Operations].
func (r *Remote) ListConsents(ctx context.Context, chosen admin.Selection) ([]admin.ListedLodged, error) {
	if chosen.User == "" && chosen.Client == "" {
		return nil, fault.Usagef("give --user or --client")
	}
	query, err := r.chosen(ctx, chosen)
	if err != nil {
		return nil, err
	}
	return list[admin.ListedLodged](ctx, r, chosen.Limit, query, "consents")
}

// ShowConsent implements [Operations].
func (r *Remote) ShowConsent(ctx context.Context, id string) (shown admin.ListedLodged, err error) {
	_, _, err = r.do(ctx, call{method: http.MethodGet, path: []string{"consents", id}}, &shown)
	return shown, err
}

// EndConsent implements [Operations].
func (r *Remote) EndConsent(ctx context.Context, id, reason string) (ended admin.ListedLodged, err error) {
	_, existing, err := r.do(ctx, call{method: http.MethodGet, path: []string{"consents", id}}, nil)
	if err != nil {
		return ended, err
	}
	_, _, err = r.do(ctx, call{method: http.MethodPost, path: []string{"consents", id, "end"}, match: existing, body: map[string]string{"reason": reason}}, &ended)
	return ended, err
}

// ListKeys implements [Operations].
func (r *Remote) ListKeys(ctx context.Context) ([]admin.ListedKey, error) {
	keys, err := list[admin.ListedKey](ctx, r, 0, nil, "keys")
	slices.SortFunc(keys, func(a, b admin.ListedKey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return keys, err
}
