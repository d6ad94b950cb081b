// Package account is a user's own account: the page, and the same as an API for applications of the operator's own, on which
// users see what they gave to clients, where they are signed in and what confirms for them, and end each of it in one step.
//
// content.go reads, end.go ends; the page and the API only ask and show. Everything is looked up under the subject that is
// signed in or that the access token is of, so that what belongs to another user does not exist.
package account

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/rar"
	"countersign/fapi/resource"
	"countersign/fapi/scope"
	"countersign/store"
)

// Store has the methods of package store that an account needs.
type Store interface {
	store.Accounts
	Session(ctx context.Context, session store.Digest) (store.Session, error)
	User(ctx context.Context, subject string) (store.User, error)
	Client(ctx context.Context, id string) (store.Client, error)
	Passkeys(ctx context.Context, subject string) ([]store.Passkey, error)
	RemovePasskey(ctx context.Context, subject string, id []byte) error
	Devices(ctx context.Context, subject string) ([]store.Device, error)
	RemoveDevice(ctx context.Context, subject, id string) error
	Subscriptions(ctx context.Context, subject string) ([]store.Subscription, error)
	RemoveSubscription(ctx context.Context, id store.Digest) error
	LodgedConsent(ctx context.Context, clientID, id string) (store.LodgedConsent, error)
}

// API says who may use the API. Of all clients these alone can: whoever holds a token for it can end everything.
type API struct {
	// Scope is the scope value that an access token must have; empty for no API.
	Scope string
	// Clients are the client_ids of the operator's own applications.
	Clients []string
}

// Check reports an API that nobody or nothing can use, by the scopes that there are.
func (a API) Check(scopes *scope.Catalog) error {
	switch {
	case a.Scope == "" && len(a.Clients) == 0:
		return nil
	case a.Scope == "":
		return fmt.Errorf("fapi: Account: clients are named, and no scope")
	case !scopes.Known(a.Scope):
		return fmt.Errorf("fapi: Account: the scope %q is not known", a.Scope)
	case len(a.Clients) == 0:
		return fmt.Errorf("fapi: Account: no client may use the scope %q", a.Scope)
	}
	return nil
}

// Config is the configuration of a [Handler].
type Config struct {
	Store    Store
	Clients  *client.Cache
	Scopes   *scope.Catalog
	Details  *rar.Types
	Consents *consent.Engine
	Evidence *event.Recorder
	// API is who may use it.
	API API
	// Protect is that of the package resource.
	Protect func(scope string, answer func(r *http.Request, access resource.Access) (any, error)) endpoint.Serve
	// Pages render; nil serves the API alone.
	Pages Pages
	// SignIn shows the sign-in page in place of a page, and handles its form, for whoever is not signed in.
	SignIn func(w http.ResponseWriter, r *http.Request)
	// Confirms reports whether backchannel authentication is on.
	Confirms bool
	// Language chooses the language of a page.
	Language  func(r *http.Request, wanted string) string
	Sessions  *browser.Sessions
	Forms     *browser.Forms
	Addresses endpoint.Addresses
	Now       func() time.Time
}

// Handler serves the page and the API. Make one with [New].
type Handler struct {
	content   content
	ender     ender
	limits    *limits
	api       API
	protect   func(scope string, answer func(r *http.Request, access resource.Access) (any, error)) endpoint.Serve
	pages     Pages
	signIn    func(w http.ResponseWriter, r *http.Request)
	confirms  bool
	language  func(r *http.Request, wanted string) string
	sessions  *browser.Sessions
	forms     *browser.Forms
	addresses endpoint.Addresses
	now       func() time.Time
}

// New makes a handler.
func New(c Config) (*Handler, error) {
	if err := c.API.Check(c.Scopes); err != nil {
		return nil, err
	}
	limits, err := newLimits(c.Now)
	if err != nil {
		return nil, err
	}
	return &Handler{
		content: content{store: c.Store, clients: c.Clients, scopes: c.Scopes, details: c.Details, consents: c.Consents, now: c.Now},
		ender:   ender{store: c.Store, evidence: c.Evidence, limits: limits, now: c.Now},
		limits:  limits, api: c.API, protect: c.Protect, pages: c.Pages, signIn: c.SignIn, confirms: c.Confirms,
		language: c.Language, sessions: c.Sessions, forms: c.Forms, addresses: c.Addresses, now: c.Now,
	}, nil
}

// path is that of the pages, below the issuer.
const path = "/account"

// Routes returns the routes of the pages and of the API.
func (h *Handler) Routes() []endpoint.Route {
	var routes []endpoint.Route
	if h.pages != nil {
		for _, page := range []struct {
			name pageName
			path string
		}{{overviewPage, path}, {endedPage, path + "/ended"}, {accessPage, path + "/access/{id}"}} {
			routes = append(routes, endpoint.Route{Methods: endpoint.GetAndPost(), Path: page.path, Serve: endpoint.Browser(h.page(page.name))})
		}
	}
	if h.api.Scope == "" {
		return routes
	}
	return slices.Concat(routes, h.apiRoutes())
}
