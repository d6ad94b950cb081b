package adminapi

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"countersign/internal/admin"
	"countersign/internal/adminapi/access"
	"countersign/store"
)

// tokens answers about initial access tokens.
type tokens struct{ *API }

func (a tokens) tokenRoutes() []access.Route {
	return []access.Route{
		{Method: http.MethodGet, Path: "/initial-access-tokens", Roles: anyone(), Serve: a.listTokens},
		{Method: http.MethodGet, Path: "/initial-access-tokens/{organisation}", Roles: anyone(), Serve: a.getToken},
		{Method: http.MethodPut, Path: "/initial-access-tokens/{organisation}", Roles: clientManager(), MaxBody: maxBody, Serve: a.putToken},
		{Method: http.MethodDelete, Path: "/initial-access-tokens/{organisation}", Roles: clientManager(), Serve: a.deleteToken},
	}
}

func (a tokens) listTokens(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := pageFrom(r, values)
	if err != nil {
		return err
	}
	found, err := a.config.Store.ListInitialTokens(r.Context(), page.after.Key, page.limit+1)
	if err != nil {
		return err
	}
	all := make([]admin.ListedToken, len(found))
	for i, one := range found {
		all[i] = admin.ListToken(one, a.config.Now())
	}
	return write(w, http.StatusOK, cut(all, page, byKey(func(t admin.ListedToken) string { return t.Organisation })))
}

// token finds the token of the organisation in the path, with its entity tag.
func (a tokens) token(r *http.Request) (found admin.ListedToken, tag string, err error) {
	organisation, err := named(r, "organisation")
	if err != nil {
		return found, "", err
	}
	token, err := a.config.Store.InitialTokenOf(r.Context(), organisation)
	if errors.Is(err, store.ErrNotFound) {
		return found, "", access.Problemf(http.StatusNotFound, "not_found", "%q has no initial access token", organisation)
	}
	if err != nil {
		return found, "", err
	}
	return admin.ListToken(token, a.config.Now()), strconv.FormatInt(token.CreatedAt.UnixMicro(), 10), nil
}

func (a tokens) getToken(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	found, tag, err := a.token(r)
	if err != nil {
		return err
	}
	etag(w, tag)
	return write(w, http.StatusOK, found)
}

// tokenBody is an initial access token that is wanted.
type tokenBody struct {
	Clients int `json:"clients"`
	// Seconds is how long it is valid.
	Seconds int64  `json:"lifetime_seconds"`
	Profile string `json:"profile"`
}

// issuedToken is one that was issued. It is shown this once.
type issuedToken struct {
	Token string `json:"token"`
	admin.ListedToken
}

func (a tokens) putToken(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	organisation, err := named(r, "organisation")
	if err != nil {
		return err
	}
	create, err := creates(r)
	if err != nil {
		return err
	}
	if !create {
		if err := a.sameToken(r); err != nil {
			return err
		}
	} else if _, _, err := a.token(r); err == nil {
		return exists("token of", organisation)
	}
	var body tokenBody
	if err := read(r, &body); err != nil {
		return err
	}
	if body.Seconds < 0 || body.Seconds > int64(1000*24*time.Hour/time.Second) {
		return badRequest("lifetime_seconds must be 60 to a year")
	}
	token, made, err := a.audited(r.Context()).AddInitialToken(r.Context(), admin.NewInitialToken{
		Organisation: organisation, Clients: body.Clients, Lifetime: time.Duration(body.Seconds) * time.Second, Profile: body.Profile, Replace: !create,
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if create {
		status = http.StatusCreated
		location(w, "initial-access-tokens", organisation)
	}
	etag(w, strconv.FormatInt(made.CreatedAt.UTC().Truncate(time.Microsecond).UnixMicro(), 10))
	return write(w, status, issuedToken{token, admin.ListedToken{
		Organisation: organisation, Profile: made.Profile, Remaining: made.Remaining, CreatedAt: made.CreatedAt.UTC(), ExpiresAt: made.ExpiresAt.UTC(),
		State: admin.InitialTokenState(made, a.config.Now()),
	}})
}

// sameToken demands that the token is the one that the request names.
func (a tokens) sameToken(r *http.Request) error {
	wanted, err := version(r)
	if err != nil {
		return err
	}
	_, tag, err := a.token(r)
	if err != nil {
		return err
	}
	if tag != wanted {
		return stale("there is another token since")
	}
	return nil
}

func (a tokens) deleteToken(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	if err := a.sameToken(r); err != nil {
		return err
	}
	if err := a.audited(r.Context()).DeleteInitialToken(r.Context(), r.PathValue("organisation")); err != nil {
		return err
	}
	return nothing(w)
}
