package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"countersign/internal/admin"
	"countersign/internal/adminapi/access"
	"countersign/internal/jose"
	"countersign/store"
)

// clients answers about clients.
type clients struct{ *API }

func (a clients) clientRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/clients", Roles: anyone(), Serve: a.listClients},
		{Method: http.MethodGet, Path: "/clients/{id}", Roles: anyone(), Serve: a.getClient},
		{Method: http.MethodPut, Path: "/clients/{id}", Roles: clientManager(), MaxBody: maxClientBody, Serve: a.putClient},
		{Method: http.MethodDelete, Path: "/clients/{id}", Roles: clientManager(), Serve: a.deleteClient},
		{Method: http.MethodGet, Path: "/clients/{id}/holdings", Roles: anyone(), Serve: a.clientHoldings},
		{Method: http.MethodPost, Path: "/clients/{id}/disable", Roles: either(), Serve: a.setDisabled(true)},
		{Method: http.MethodPost, Path: "/clients/{id}/enable", Roles: clientManager(), Serve: a.setDisabled(false)},
		{Method: http.MethodPost, Path: "/clients/{id}/keys", Roles: clientManager(), MaxBody: maxClientBody, Serve: a.rotateClientKeys},
	}
}

func (a clients) listClients(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	found, err := a.config.Store.ListClients(r.Context(), page.after.Key, page.limit+1)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, cut(admin.ListedClients(found), page, byKey(func(c admin.ListedClient) string { return c.ID })))
}

// keysTimeout bounds how long the keys at a jwks_uri are waited for.
const keysTimeout = 4 * time.Second

func (a clients) getClient(w http.ResponseWriter, r *http.Request) error {
	id, err := named(r, "id")
	if err != nil {
		return err
	}
	values, err := parameters(r, "fetch_keys")
	if err != nil {
		return err
	}
	fetches, err := flag(values, "fetch_keys")
	if err != nil {
		return err
	}
	record, err := a.reading().Client(r.Context(), id)
	if err != nil {
		return err
	}
	var fetch jose.Fetch
	if fetches {
		fetch = a.config.Fetch
	}
	ctx, cancel := context.WithTimeout(r.Context(), keysTimeout)
	defer cancel()
	return writeClient(ctx, w, http.StatusOK, record, fetch)
}

func writeClient(ctx context.Context, w http.ResponseWriter, status int, record store.Client, fetch jose.Fetch) error {
	etag(w, strconv.Itoa(record.Version))
	return write(w, status, admin.Show(ctx, record, fetch))
}

// pinned is a store in which a client has to be of a version: a change that was meant for another one is refused, also when it is made
// between the look and the change, since a client's versions follow each other.
type pinned struct {
	store.Store
	id      string
	version int
}

// Client implements store.Clients.
func (p pinned) Client(ctx context.Context, id string) (store.Client, error) {
	record, err := p.Store.Client(ctx, id)
	if err == nil && id == p.id && record.Version != p.version {
		return store.Client{}, store.ErrConflict
	}
	return record, err
}

// changing is a change of a client that the request names, of the version that it names.
func (a clients) changing(r *http.Request) (*admin.Admin, string, error) {
	id, err := named(r, "id")
	if err != nil {
		return nil, "", err
	}
	if _, err := parameters(r); err != nil {
		return nil, "", err
	}
	version, err := number(r)
	if err != nil {
		return nil, "", err
	}
	by := a.audited(r.Context())
	by.Store = pinned{by.Store, id, version}
	return by, id, nil
}

// clientBody is what a client is to be.
type clientBody struct {
	Profile  string          `json:"profile"`
	Metadata json.RawMessage `json:"metadata"`
}

// plannedClient is a change that was not made.
type plannedClient struct {
	Changes []string `json:"changes"`
}

func (a clients) putClient(w http.ResponseWriter, r *http.Request) error {
	id, err := named(r, "id")
	if err != nil {
		return err
	}
	values, err := parameters(r, "dry_run")
	if err != nil {
		return err
	}
	dry, err := flag(values, "dry_run")
	if err != nil {
		return err
	}
	create, err := creates(r)
	if err != nil {
		return err
	}
	version := 0
	if !create {
		if version, err = number(r); err != nil {
			return err
		}
	}
	var body clientBody
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Metadata == nil {
		return badRequest("the member metadata is missing")
	}
	wanted := a.config.Known
	wanted.ID, wanted.Profile, wanted.Metadata = id, body.Profile, body.Metadata
	by := a.audited(r.Context())
	if create {
		return a.createClient(w, r, by, wanted, dry)
	}
	by.Store = pinned{by.Store, id, version}
	planned, err := by.PlanUpdate(r.Context(), wanted)
	if err != nil {
		return err
	}
	if dry {
		return write(w, http.StatusOK, plannedClient{append([]string{}, planned.Changes...)})
	}
	record := planned.Client()
	if len(planned.Changes) == 0 {
		record.Version = version // it is like that already
	} else if err := by.Update(r.Context(), planned); err != nil {
		return err
	} else if record, err = a.reading().Client(r.Context(), id); err != nil {
		return err
	}
	return writeClient(r.Context(), w, http.StatusOK, record, nil)
}

func (a clients) createClient(w http.ResponseWriter, r *http.Request, by *admin.Admin, wanted admin.NewClient, dry bool) error {
	if dry {
		return badRequest("dry_run shows what a change would change; leave it out to create")
	}
	if !clientName(wanted.ID) {
		return badRequest("a client_id has 1 to 200 printable ASCII characters without spaces (RFC 6749 appendix A.1)")
	}
	if _, err := a.config.Store.Client(r.Context(), wanted.ID); err == nil {
		return exists("client", wanted.ID)
	}
	record, err := by.AddClient(r.Context(), wanted)
	if err != nil {
		return err
	}
	location(w, "clients", wanted.ID)
	return writeClient(r.Context(), w, http.StatusCreated, record, nil)
}

func clientName(id string) bool {
	for _, octet := range []byte(id) {
		if octet <= ' ' || octet > '~' {
			return false
		}
	}
	return id != "" && len(id) <= 200
}

func (a clients) deleteClient(w http.ResponseWriter, r *http.Request) error {
	by, id, err := a.changing(r)
	if err != nil {
		return err
	}
	// The version is held by its being disabled first: what somebody else changes until it is gone fails.
	if changed, err := by.SetClientDisabled(r.Context(), id, true); err != nil {
		return err
	} else if changed {
		pin := by.Store.(pinned)
		by.Store = pinned{pin.Store, id, pin.version + 1}
	}
	if err := by.RemoveClient(r.Context(), id); err != nil {
		return err
	}
	return nothing(w)
}

// shownHoldings are what ends with a client.
type shownHoldings struct {
	Grants   int  `json:"grants"`
	Consents int  `json:"consents"`
	More     bool `json:"more"`
}

func (a clients) clientHoldings(w http.ResponseWriter, r *http.Request) error {
	id, err := named(r, "id")
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	if _, err := a.reading().Client(r.Context(), id); err != nil {
		return err
	}
	has, err := a.reading().Holdings(r.Context(), id)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, shownHoldings(has))
}

func (a clients) setDisabled(disabled bool) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		by, id, err := a.changing(r)
		if err != nil {
			return err
		}
		if _, err := by.SetClientDisabled(r.Context(), id, disabled); err != nil {
			return err
		}
		record, err := a.reading().Client(r.Context(), id)
		if err != nil {
			return err
		}
		return writeClient(r.Context(), w, http.StatusOK, record, nil)
	}
}

// keysBody are new keys of a client.
type keysBody struct {
	JWKS json.RawMessage `json:"jwks"`
	// Add keeps the old ones.
	Add bool `json:"add"`
}

func (a clients) rotateClientKeys(w http.ResponseWriter, r *http.Request) error {
	by, id, err := a.changing(r)
	if err != nil {
		return err
	}
	var body keysBody
	if err := read(r, &body); err != nil {
		return err
	}
	if body.JWKS == nil {
		return badRequest("the member jwks is missing")
	}
	if _, err := by.Client(r.Context(), id); err != nil { // what is changed counts more than what is wrong with the change
		return err
	}
	if _, err := by.RotateClientKeys(r.Context(), id, body.JWKS, body.Add); err != nil {
		return err
	}
	record, err := a.reading().Client(r.Context(), id)
	if err != nil {
		return err
	}
	return writeClient(r.Context(), w, http.StatusOK, record, nil)
}
