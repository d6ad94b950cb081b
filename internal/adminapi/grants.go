package adminapi

import (
	"net/http"
	"strconv"
	"time"

	"countersign/internal/admin"
	"countersign/internal/adminapi/access"
	"countersign/store"
)

func (a *API) grantRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/grants", Roles: anyone(), Serve: a.listGrants},
		{Method: http.MethodPost, Path: "/grants/{id}/revoke", Roles: officer(), Serve: a.revokeGrant},
	}
}

func (a *API) consentRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/consents", Roles: anyone(), Serve: a.listConsents},
		{Method: http.MethodGet, Path: "/consents/{id}", Roles: anyone(), Serve: a.getConsent},
		{Method: http.MethodPost, Path: "/consents/{id}/end", Roles: officer(), MaxBody: maxBody, Serve: a.endConsent},
	}
}

// instant reads a parameter that is a time (RFC 3339); absent is zero.
func instant(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < 1970 || at.Year() > 9998 {
		return time.Time{}, badRequest("%s must be a time such as 2026-11-01T12:00:00Z", name)
	}
	return at, nil
}

func (a *API) listGrants(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor", "client_id", "subject", "since", "until")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	filter := store.Filter{ClientID: values.Get("client_id"), Subject: values.Get("subject"), Limit: page.limit + 1}
	if filter.Since, err = instant("since", values.Get("since")); err != nil {
		return err
	}
	if filter.Until, err = instant("until", values.Get("until")); err != nil {
		return err
	}
	if at := page.after.At(); !at.IsZero() {
		filter.Until, filter.Below = at, page.after.Key
	}
	grants, err := a.config.Store.ListGrants(r.Context(), filter)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, cut(admin.ListGrants(grants, a.config.Now()), page, func(g admin.ListedGrant) cursor {
		return cursor{Key: g.ID, Micros: g.CreatedAt.UnixMicro()}
	}))
}

func (a *API) revokeGrant(w http.ResponseWriter, r *http.Request) error {
	id, err := named(r, "id")
	if err != nil {
		return err
	}
	if _, err := parameters(r); err != nil {
		return err
	}
	if err := a.audited(r.Context()).RevokeGrant(r.Context(), id); err != nil {
		return err
	}
	return nothing(w)
}

func (a *API) listConsents(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor", "client_id", "subject", "status")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	filter := store.ConsentFilter{ClientID: values.Get("client_id"), Subject: values.Get("subject"), Status: store.ConsentStatus(values.Get("status"))}
	if filter.ClientID == "" && filter.Subject == "" {
		return badRequest("give client_id or subject: whose consents?")
	}
	found, err := a.config.Store.ListLodgedConsents(r.Context(), filter, store.Page{At: page.after.At(), Key: page.after.Key, Limit: page.limit + 1})
	if err != nil {
		return err
	}
	all := make([]admin.ListedLodged, len(found))
	for i, one := range found {
		all[i] = admin.Lodged(one)
	}
	return write(w, http.StatusOK, cut(all, page, func(c admin.ListedLodged) cursor { return cursor{Key: c.ID, Micros: c.CreatedAt.UnixMicro()} }))
}

func (a *API) getConsent(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	found, err := a.consent(r)
	if err != nil {
		return err
	}
	return writeConsent(w, found)
}

// consent reads the consent in the path.
func (a *API) consent(r *http.Request) (store.LodgedConsent, error) {
	id, err := named(r, "id")
	if err != nil {
		return store.LodgedConsent{}, err
	}
	return a.config.Store.LodgedConsent(r.Context(), "", id)
}

func writeConsent(w http.ResponseWriter, found store.LodgedConsent) error {
	etag(w, strconv.Itoa(found.Version))
	return write(w, http.StatusOK, admin.Lodged(found))
}

// endBody is why a consent is ended.
type endBody struct {
	Reason string `json:"reason"`
}

// maxReason bounds a reason, in bytes.
const maxReason = 200

func (a *API) endConsent(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	wanted, err := number(r)
	if err != nil {
		return err
	}
	var body endBody
	if err := read(r, &body); err != nil {
		return err
	}
	if len(body.Reason) > maxReason || !storable(body.Reason) {
		return badRequest("the reason has %d bytes at most, without control characters", maxReason)
	}
	found, err := a.consent(r)
	if err != nil {
		return err
	}
	if found.Version != wanted {
		return stale("the consent is of version %d", found.Version)
	}
	if _, err := (admin.Consents{Admin: a.audited(r.Context())}).End(r.Context(), found.ID, body.Reason); err != nil {
		return err
	}
	if found, err = a.consent(r); err != nil {
		return err
	}
	return writeConsent(w, found)
}
