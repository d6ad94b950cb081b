// Package device is the authentication device (CIBA Core §4): the pages and the API by which users see backchannel
// requests, approve or deny them, and manage their passkeys, approval apps and browser notifications.
//
// actions.go lists the actions of the pages' forms; [Pages] only render.
package device

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/device/webpush"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/rar/display"
	"countersign/internal/outbound"
	"countersign/signer"
	"countersign/store"
)

// Store has the methods of package store that a device needs.
type Store interface {
	store.Authenticators
	User(ctx context.Context, subject string) (store.User, error)
}

// Requests are the backchannel authentication requests. [backchannel.Handler] implements it.
type Requests interface {
	// Pending lists the requests that wait for a user's decision, the oldest first.
	Pending(ctx context.Context, subject string) ([]backchannel.View, error)
	// Request reads a request of a user in any state; [backchannel.ErrNotFound].
	Request(ctx context.Context, reference, subject string) (backchannel.View, error)
	// Decide records a decision; [backchannel.ErrNotFound], [backchannel.ErrDecided], [backchannel.ErrExpired] and
	// [backchannel.ErrStepUp].
	Decide(ctx context.Context, decision backchannel.Decision) error
	// Block has nobody of the organisation of a request's client ask its user any more, and denies what is pending of it;
	// [backchannel.ErrNotFound].
	Block(ctx context.Context, reference string, by browser.Authentication) (blocked browser.Client, denied []string, err error)
	// Unblock lets it ask again, and Blocked lists what a user has blocked, the oldest first.
	Unblock(ctx context.Context, subject, organisation string) error
	Blocked(ctx context.Context, subject string) ([]backchannel.Blocked, error)
}

// Asset is a static file that pages load from the server.
type Asset struct {
	// Path is below the issuer, such as "/device/icon.png".
	Path        string
	ContentType string
	Body        []byte
	// Immutable reports that another content will have another path.
	Immutable bool
}

// Config is the configuration of a [Handler].
type Config struct {
	Store Store
	// Requests is nil (not a nil pointer in it) when backchannel authentication is off: then only the settings page is
	// served.
	Requests Requests
	// Pages render; with nil only the assets are served.
	Pages     Pages
	Passwords browser.Passwords
	// Passkeys is nil when passkeys are off.
	Passkeys  *browser.Passkeys
	Sessions  *browser.Sessions
	Forms     *browser.Forms
	Proofs    *endpoint.Proofs
	Addresses endpoint.Addresses
	Evidence  *event.Recorder
	// ACRValues are the authentication context classes that there are, best first.
	ACRValues []string
	// Apps bounds what approval apps may claim; the zero value is [DefaultAppPolicy].
	Apps AppPolicy
	// Signer and Fetcher are for web push; see [webpush.Sender].
	Signer  *signer.Signer
	Fetcher *outbound.Client
	// Draining reports whether the server is shutting down: long polls are answered at once.
	Draining func() bool
	// Language chooses the language of a page among Languages; nil does by the browser's.
	Language func(r *http.Request, wanted string) string
	// Languages are those of the API.
	Languages *display.Languages
	// Assets are static files that any page loads.
	Assets []Asset
	Now    func() time.Time
	Log    *slog.Logger
}

// Handler serves the device's pages, their assets and the API for approval apps. Make one with [New].
type Handler struct {
	store     Store
	requests  Requests
	pages     Pages
	passwords browser.Passwords
	passkeys  *browser.Passkeys
	sessions  *browser.Sessions
	forms     *browser.Forms
	addresses endpoint.Addresses
	evidence  *event.Recorder
	draining  func() bool
	language  func(r *http.Request, wanted string) string
	assets    []Asset
	now       func() time.Time
	log       *slog.Logger

	webPush   *webpush.Sender
	limits    *limits
	decisions *decisions
	api       *api
	settings  *settings
	actions   map[button]action
}

// New makes a handler.
func New(c Config) (*Handler, error) {
	limits, err := newLimits(c.Now)
	if err != nil {
		return nil, err
	}
	if c.Apps.zero() {
		c.Apps = DefaultAppPolicy()
	}
	if c.Language == nil {
		c.Language = c.Languages.Choose
	}
	h := &Handler{
		language: c.Language,
		store:    c.Store, requests: c.Requests, pages: c.Pages, passwords: c.Passwords, passkeys: c.Passkeys,
		sessions: c.Sessions, forms: c.Forms, addresses: c.Addresses, evidence: c.Evidence,
		draining: c.Draining, assets: c.Assets, now: c.Now, log: c.Log, limits: limits,
		webPush: &webpush.Sender{
			Store: c.Store, Signer: c.Signer, Fetcher: c.Fetcher, Issuer: c.Addresses.Issuer, Now: c.Now, Log: c.Log,
		},
	}
	h.decisions = &decisions{requests: c.Requests, limits: limits, draining: c.Draining, now: c.Now}
	h.api = &api{
		decisions: h.decisions, languages: c.Languages, store: c.Store, proofs: c.Proofs, addresses: c.Addresses, evidence: c.Evidence,
		acrValues: c.ACRValues, policy: c.Apps, limits: limits, now: c.Now, log: c.Log,
	}
	h.settings = &settings{
		store: c.Store, requests: c.Requests, passkeys: c.Passkeys, evidence: c.Evidence, limits: limits, now: c.Now, log: c.Log,
	}
	h.actions = h.actionTable()
	return h, nil
}

// Notify notifies the browsers of a user of a new request, in the background.
func (h *Handler) Notify(ctx context.Context, request store.BackchannelRequest) {
	if h.pages != nil {
		h.webPush.Notify(ctx, request.Subject, request.ExpiresAt)
	}
}

// path is the path of the pages, below the issuer.
const path = "/device"

// Routes returns the routes of the assets, the pages and the API.
func (h *Handler) Routes() []endpoint.Route {
	var routes []endpoint.Route
	for _, asset := range h.assets {
		routes = append(routes, endpoint.Route{
			Methods: endpoint.Get(), Path: asset.Path, Timeless: true, Serve: endpoint.Browser(serveAsset(asset)),
		})
	}
	if h.pages == nil {
		return routes
	}
	routes = append(routes, h.pageRoute(settingsPage, path+"/settings"))
	if h.requests == nil {
		return routes
	}
	routes = append(routes, h.api.routes()...)
	return append(routes,
		endpoint.Route{Methods: endpoint.Get(), Path: path + "/events", Serve: endpoint.Direct(h.events)},
		h.pageRoute(homePage, path),
		h.pageRoute(requestPage, path+"/requests/{id}"),
	)
}

func (h *Handler) pageRoute(page pageName, path string) endpoint.Route {
	return endpoint.Route{Methods: endpoint.GetAndPost(), Path: path, Serve: endpoint.Browser(h.page(page))}
}

func serveAsset(asset Asset) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		header := w.Header()
		header.Set("Content-Type", asset.ContentType)
		header.Set("Cache-Control", "public, max-age=300")
		if asset.Immutable {
			header.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		header.Set("Content-Security-Policy", "default-src 'none'")
		if asset.ContentType == "image/svg+xml" { // its own style, and no script for whoever opens it by itself
			header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox")
		}
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		_, _ = w.Write(asset.Body) // response already started; error ignored
	}
}
