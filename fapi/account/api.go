package account

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/resource"
	"countersign/internal/oauth"
	"countersign/store"
)

// apiPath is the path of the API, below the issuer; docs/api/account-v1.yaml describes it.
const apiPath = path + "/v1"

// call is a call of an application for its user.
type call struct {
	*http.Request
	resource.Access
}

func (c call) actor() actor {
	return actor{subject: c.Subject, acr: c.ACR, authTime: c.AuthTime, through: "api", application: c.ClientID}
}

// ended is the answer to everything that ends something: how much of it was still there.
type ended struct {
	Ended int `json:"ended"`
}

// apiRoutes returns the routes of the API.
func (h *Handler) apiRoutes() []endpoint.Route {
	var routes []endpoint.Route
	add := func(method, below string, answer func(c call) (any, error)) {
		routes = append(routes, endpoint.Route{Methods: []string{method}, Path: apiPath + below, Alias: true, Serve: h.called(answer)})
	}
	// The mux has one route for a path: both methods of one path are one row.
	both := func(below string, get, end func(c call) (any, error)) {
		routes = append(routes, endpoint.Route{
			Methods: []string{http.MethodGet, http.MethodDelete}, Path: apiPath + below, Alias: true, Serve: h.called(func(c call) (any, error) {
				if c.Method == http.MethodDelete {
					return bare(end)(c)
				}
				return get(c)
			}),
		})
	}
	add(http.MethodGet, "/access", h.listAccess)
	both("/access/{id}", h.getAccess, h.endAccess)
	add(http.MethodDelete, "/access/{id}/grants/{grant}", bare(h.endGrant))
	both("/sessions", h.listSessions, h.endSessions)
	add(http.MethodDelete, "/sessions/{id}", bare(h.endSession))
	add(http.MethodGet, "/passkeys", bare(h.listPasskeys))
	add(http.MethodDelete, "/passkeys/{id}", bare(h.removePasskey))
	add(http.MethodGet, "/applications", bare(h.listApplications))
	add(http.MethodDelete, "/applications/{id}", bare(h.removeApplication))
	both("/browsers", bare(h.listBrowsers), h.forgetBrowsers)
	add(http.MethodDelete, "/browsers/{id}", bare(h.endBrowser))
	return routes
}

// bare is answer for a call without parameters.
func bare(answer func(c call) (any, error)) func(c call) (any, error) {
	return func(c call) (any, error) {
		if c.URL.RawQuery != "" {
			return nil, oauth.Errorf(oauth.InvalidRequest, "this call has no parameters")
		}
		return answer(c)
	}
}

// called serves a call of one of the operator's own applications, which has a token of a user.
func (h *Handler) called(answer func(c call) (any, error)) endpoint.Serve {
	return h.protect(h.api.Scope, func(r *http.Request, access resource.Access) (any, error) {
		switch {
		case !slices.Contains(h.api.Clients, access.ClientID):
			return nil, oauth.Errorf(oauth.AccessDenied, "this API is for applications of the operator's own: account.clients names them").
				WithStatus(http.StatusForbidden)
		case access.Subject == "":
			return nil, oauth.Errorf(oauth.AccessDenied, "the access token was not issued for a user").WithStatus(http.StatusForbidden)
		}
		if err := endpoint.Allow(h.limits.calls, access.Subject, "there are too many calls for this user"); err != nil {
			return nil, err
		}
		return answer(call{r, access})
	})
}

// page reads the parameters of a list.
func (c call) page(others ...string) (store.Page, error) {
	query := c.URL.Query()
	for name, values := range query {
		if len(values) > 1 || name != "limit" && name != "after" && !slices.Contains(others, name) {
			return store.Page{}, oauth.Errorf(oauth.InvalidRequest, "the parameter %s is unknown, or given twice", oauth.Printable(name))
		}
	}
	limit := pageSize
	if text := query.Get("limit"); query.Has("limit") {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > listSize {
			return store.Page{}, oauth.Errorf(oauth.InvalidRequest, "limit must be a number from 1 to %d", listSize)
		}
	}
	if query.Has("after") && query.Get("after") == "" {
		return store.Page{}, errAfter()
	}
	return pageAfter(query.Get("after"), limit)
}

type shownAccess struct {
	ID         string    `json:"id"`
	ClientID   string    `json:"client_id"`
	ClientName string    `json:"client_name,omitempty"`
	ClientURI  string    `json:"client_uri,omitempty"`
	PolicyURI  string    `json:"policy_uri,omitempty"`
	Count      int       `json:"grant_count"`
	GivenAt    time.Time `json:"given_at"`
	LastAt     time.Time `json:"last_given_at"`
	UsedAt     time.Time `json:"last_used_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	EndedBy    State     `json:"ended_by,omitempty"`
}

func shownAs(a Access) shownAccess {
	return shownAccess{
		ID: a.ID, ClientID: a.Client.ID, ClientName: a.Client.Name, ClientURI: a.Client.URI, PolicyURI: a.Client.PolicyURI, Count: a.Count,
		GivenAt: a.GivenAt, LastAt: a.LastAt, UsedAt: a.UsedAt, ExpiresAt: a.ExpiresAt, EndedAt: a.EndedAt, EndedBy: a.EndedBy,
	}
}

func (h *Handler) listAccess(c call) (any, error) {
	page, err := c.page("state")
	if err != nil {
		return nil, err
	}
	state := c.URL.Query().Get("state")
	if c.URL.Query().Has("state") && state != "active" && state != "ended" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "state must be active or ended")
	}
	all, next, err := h.content.list(c.Context(), c.Subject, state == "ended", page)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Access []shownAccess `json:"access"`
		Next   string        `json:"next,omitempty"`
	}{[]shownAccess{}, next}
	for _, each := range all {
		answer.Access = append(answer.Access, shownAs(each))
	}
	return answer, nil
}

type shownScope struct {
	Name        string `json:"scope"`
	Description string `json:"description,omitempty"`
}

type shownGrant struct {
	ID        string         `json:"id"`
	State     State          `json:"state"`
	Scopes    []shownScope   `json:"scopes"`
	Claims    []string       `json:"claims,omitempty"`
	Resources []string       `json:"resource,omitempty"`
	Details   rar.Details    `json:"authorization_details,omitempty"`
	ConsentID string         `json:"consent_id,omitempty"`
	Shown     []display.View `json:"shown,omitempty"`
	ACR       string         `json:"acr,omitempty"`
	GivenAt   time.Time      `json:"given_at"`
	UsedAt    time.Time      `json:"last_used_at,omitzero"`
	ExpiresAt time.Time      `json:"expires_at"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
}

func (h *Handler) getAccess(c call) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	clientID, err := clientOf(c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	one, next, err := h.content.access(c.Context(), c.Subject, clientID, h.content.details.Languages().Choose(c.Request, ""), page)
	if err != nil {
		return nil, err
	}
	answer := struct {
		shownAccess
		Grants []shownGrant `json:"grants"`
		Next   string       `json:"next,omitempty"`
	}{shownAs(one), []shownGrant{}, next}
	for _, g := range one.Grants {
		grant := shownGrant{
			ID: g.ID, State: g.State, Scopes: []shownScope{}, Claims: g.Claims, Resources: g.Resources, Details: g.Raw, Shown: g.Details, ConsentID: g.ConsentID, ACR: g.ACR,
			GivenAt: g.GivenAt, UsedAt: g.UsedAt, ExpiresAt: g.ExpiresAt, EndedAt: g.EndedAt,
		}
		for _, each := range g.Scopes {
			grant.Scopes = append(grant.Scopes, shownScope{each.Name, each.Description})
		}
		answer.Grants = append(answer.Grants, grant)
	}
	return answer, nil
}

func (h *Handler) endAccess(c call) (any, error) { return h.endGiven(c, "") }

func (h *Handler) endGrant(c call) (any, error) { return h.endGiven(c, c.PathValue("grant")) }

func (h *Handler) endGiven(c call, grantID string) (any, error) {
	clientID, err := clientOf(c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	count, err := h.ender.access(c.Context(), c.actor(), clientID, grantID)
	return ended{count}, err
}

func (h *Handler) listSessions(c call) (any, error) {
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	all, next, err := h.content.signIns(c.Context(), c.Subject, store.Digest{}, page)
	if err != nil {
		return nil, err
	}
	type session struct {
		ID        string    `json:"id"`
		Browser   string    `json:"browser,omitempty"`
		System    string    `json:"system,omitempty"`
		Signed    time.Time `json:"signed_in_at"`
		ExpiresAt time.Time `json:"expires_at"`
		Method    Method    `json:"method"`
	}
	answer := struct {
		Sessions []session `json:"sessions"`
		Next     string    `json:"next,omitempty"`
	}{[]session{}, next}
	for _, s := range all {
		answer.Sessions = append(answer.Sessions, session{s.ID, s.Browser, s.System, s.SignedInAt, s.ExpiresAt, s.Method})
	}
	return answer, nil
}

func (h *Handler) endSession(c call) (any, error) {
	return ended{1}, h.ender.session(c.Context(), c.actor(), c.PathValue("id"))
}

func (h *Handler) endSessions(c call) (any, error) {
	count, err := h.ender.sessions(c.Context(), c.actor(), store.Digest{})
	return ended{count}, err
}

func (h *Handler) listPasskeys(c call) (any, error) {
	all, err := h.content.passkeys(c.Context(), c.Subject)
	type passkey struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		Synced    bool      `json:"synced"`
		Last      bool      `json:"last"`
		CreatedAt time.Time `json:"created_at"`
		UsedAt    time.Time `json:"last_used_at,omitzero"`
		ClonedAt  time.Time `json:"refused_since,omitzero"`
	}
	answer := map[string][]passkey{"passkeys": {}}
	for _, p := range all {
		answer["passkeys"] = append(answer["passkeys"], passkey(p))
	}
	return answer, err
}

func (h *Handler) removePasskey(c call) (any, error) {
	err := h.ender.passkey(c.Context(), c.actor(), c.PathValue("id"))
	switch {
	case errors.Is(err, errNotFresh):
		return nil, c.StepUp([]string{browser.PasskeyACR}, freshTime)
	case errors.Is(err, errLastPasskey):
		return nil, lastByAPI(h.addresses.Issuer + "/device/settings")
	}
	return ended{1}, err
}

func (h *Handler) listApplications(c call) (any, error) {
	all, err := h.content.applications(c.Context(), c.Subject)
	type application struct {
		ID        string    `json:"id"`
		Name      string    `json:"name"`
		CreatedAt time.Time `json:"created_at"`
		UsedAt    time.Time `json:"last_used_at,omitzero"`
	}
	answer := map[string][]application{"applications": {}}
	for _, a := range all {
		answer["applications"] = append(answer["applications"], application(a))
	}
	return answer, err
}

func (h *Handler) removeApplication(c call) (any, error) {
	return ended{1}, h.ender.application(c.Context(), c.actor(), c.PathValue("id"))
}

func (h *Handler) listBrowsers(c call) (any, error) {
	told, err := h.content.notified(c.Context(), c.Subject)
	if err != nil {
		return nil, err
	}
	knowing, err := h.content.knowing(c.Context(), c.Subject)
	type notified struct {
		ID        string    `json:"id"`
		Service   string    `json:"push_service"`
		CreatedAt time.Time `json:"created_at"`
	}
	type known struct {
		ID        string    `json:"id"`
		Browser   string    `json:"browser,omitempty"`
		System    string    `json:"system,omitempty"`
		CreatedAt time.Time `json:"created_at"`
		UsedAt    time.Time `json:"last_signed_in_at"`
	}
	answer := struct {
		Notified []notified `json:"notified"`
		Known    []known    `json:"known"`
	}{[]notified{}, []known{}}
	for _, n := range told {
		answer.Notified = append(answer.Notified, notified(n))
	}
	for _, k := range knowing {
		answer.Known = append(answer.Known, known(k))
	}
	return answer, err
}

// endBrowser ends what a browser is told, or known by: no identifier is of both.
func (h *Handler) endBrowser(c call) (any, error) {
	err := h.ender.notifications(c.Context(), c.actor(), c.PathValue("id"))
	if errors.Is(err, errMissing) {
		err = h.ender.forgetOne(c.Context(), c.actor(), c.PathValue("id"))
	}
	return ended{1}, err
}

func (h *Handler) forgetBrowsers(c call) (any, error) {
	return ended{1}, h.ender.forget(c.Context(), c.actor())
}
