package fapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"countersign/internal/oauth"
	"countersign/internal/passkey"
	"countersign/store"
)

// DevicePages shows the authentication device (CIBA Core §4): the pages on which a person sees who asks for what, and
// approves or denies it, and keeps passkeys and applications.
type DevicePages interface {
	// Device answers GET and POST of the device's addresses. The server has already checked the browser's cookie and,
	// on POST, the content type, the origin and the form token, and has done what the form's "action" says, unless it
	// needs to know a password: [DeviceVisit.Form] is nil on GET and when the action was done. It ends with exactly one
	// of: writing a page, [DeviceVisit.SignIn], [DeviceVisit.Decide].
	Device(w http.ResponseWriter, r *http.Request, visit *DeviceVisit)
}

// DevicePage says what a visit is to.
type DevicePage string

// The pages of a device.
const (
	// DeviceSignIn is any page for somebody who is not signed in.
	DeviceSignIn DevicePage = "sign-in"
	// DeviceHome lists what waits for a decision.
	DeviceHome DevicePage = "home"
	// DeviceRequest shows one request.
	DeviceRequest DevicePage = "request"
	// DeviceSettings shows passkeys and applications.
	DeviceSettings DevicePage = "settings"
)

// DeviceVisit is one visit of a browser to a page of its device.
type DeviceVisit struct {
	Page DevicePage
	// Form is the body of a POST that is still to be answered, or nil.
	Form url.Values
	// FormToken has to be sent back by each form as the hidden input "form_token". It is good for this person only.
	FormToken string
	// Confirms tells that people are asked over the backchannel. Without it there is [DeviceSettings] only.
	Confirms bool
	// SignedIn is nil on [DeviceSignIn].
	SignedIn *SignedIn
	// Passkey is what a script gives to navigator.credentials.get on [DeviceSignIn], or to navigator.credentials.create
	// on [DeviceSettings], as JSON; empty when that is not possible.
	Passkey string
	// Problem is why the last form was not done, in a sentence for the person, or empty. Status is the HTTP status to
	// answer with, 0 for 200.
	Problem string
	Status  int
	// Notice is what was done, or empty.
	Notice string

	// Requests are what waits, on [DeviceHome], the oldest first.
	Requests []RequestView
	// Request is what [DeviceRequest] shows.
	Request *RequestView
	// Approve and Deny are what a script gives to navigator.credentials.get for either decision, as JSON. They are bound
	// to the request as it is shown, to the person and to the browser. Empty for somebody without a passkey, who gives
	// the password instead.
	Approve, Deny string

	// PushEndpoints are where browsers of this person take messages, on [DeviceHome].
	PushEndpoints []string
	// Passkeys, Devices and the rest are for [DeviceSettings].
	Passkeys []PasskeyView
	Devices  []DeviceView
	// Code is a one-time code for an application that was just asked for, and CodeLifetime for how long it is good.
	Code         string
	CodeLifetime time.Duration
	// Fresh tells that the sign-in is recent and strong enough to change what the person confirms with.
	Fresh bool

	// PushKey is the key that the browser is to expect messages from (RFC 8292 §3.2, applicationServerKey), or empty when
	// none can be sent.
	PushKey string
	// Version changes with what the page shows; see [Server] path /device/events.
	Version string

	server  *Server
	session *store.Session
	browser string
	path    string
}

// PasskeyView is what a person sees of a passkey.
type PasskeyView struct {
	// ID is the credential ID in base64url.
	ID, Name string
	// Synced tells that it may be on several devices of the person.
	Synced bool
	// UsedAt is zero until the first use, ClonedAt unless a copy was noticed: then the passkey is refused.
	CreatedAt, UsedAt, ClonedAt time.Time
}

// DeviceView is what a person sees of an application that confirms.
type DeviceView struct {
	ID, Name string
	// UsedAt is zero until the first use.
	CreatedAt, UsedAt time.Time
}

// Asset is a static file that pages load from the server.
type Asset struct {
	// Path is below the issuer, such as "/device/icon.png".
	Path        string
	ContentType string
	Body        []byte
}

// devicePath is where the device lives, below the issuer.
const devicePath = "/device"

// deviceRoutes are the routes of the assets, the device's pages and the devices' API.
func (s *Server) deviceRoutes() []route {
	var routes []route
	get, both := []string{"GET"}, []string{"GET", "POST"}
	for _, asset := range s.config.Assets {
		routes = append(routes, route{methods: get, path: asset.Path, kind: direct, direct: serveAsset(asset)})
	}
	if s.config.DevicePages == nil {
		return routes
	}
	routes = append(routes, route{methods: both, path: devicePath + "/settings", kind: browser, browser: s.devicePage(DeviceSettings)})
	if s.config.Backchannel == nil { // nobody is asked anything
		return routes
	}
	routes = append(routes, s.apiRoutes()...)
	return append(routes,
		route{methods: get, path: devicePath + "/events", kind: direct, direct: s.deviceEvents},
		route{methods: both, path: devicePath, kind: browser, browser: s.devicePage(DeviceHome)},
		route{methods: both, path: devicePath + "/requests/{id}", kind: browser, browser: s.devicePage(DeviceRequest)},
	)
}

func serveAsset(asset Asset) func(http.ResponseWriter, *http.Request, bool) error {
	return func(w http.ResponseWriter, _ *http.Request, _ bool) error {
		header := w.Header()
		header.Set("Content-Type", asset.ContentType)
		header.Set("Cache-Control", "public, max-age=300")
		header.Set("Content-Security-Policy", "default-src 'none'")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		_, _ = w.Write(asset.Body) // nobody is left to be told
		return nil
	}
}

// devicePage checks a visit, does what its form says, and has the page shown.
func (s *Server) devicePage(page DevicePage) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		visit, err := s.visit(w, r, page)
		if err == nil && visit.Form != nil {
			var done bool
			if done, err = s.act(w, r, visit); done {
				return
			}
		}
		if err == nil {
			err = s.fill(r.Context(), visit, r.PathValue("id"))
		}
		if err != nil {
			s.showError(w, r, err)
			return
		}
		s.config.DevicePages.Device(w, r, visit)
	}
}

// visit checks the cookies and the form of a visit.
func (s *Server) visit(w http.ResponseWriter, r *http.Request, page DevicePage) (*DeviceVisit, error) {
	visit := &DeviceVisit{Page: page, Confirms: s.config.Backchannel != nil, server: s, path: r.URL.Path}
	var form oauth.Form
	if r.Method == http.MethodPost {
		var err error
		if form, err = s.ownForm(w, r); err != nil {
			return nil, err
		}
		cookie, err := r.Cookie(browserCookie)
		if err != nil {
			return nil, oauth.Errorf(oauth.InvalidRequest, "cookies are off in this browser; without them nothing can be confirmed").Because(err)
		}
		visit.browser = cookie.Value
	} else {
		visit.browser = browserSecret(w, r)
	}
	digest := sessionOf(r)
	if !digest.Zero() {
		session, err := s.store.Session(r.Context(), digest)
		switch {
		case err == nil:
			visit.session = &session
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	// The token is the person's: in a form that was shown to somebody else, in another tab, it is wrong.
	visit.FormToken = deviceToken(visit.browser, visit.session)
	if r.Method == http.MethodPost {
		if !sameToken(form.Get("form_token"), visit.FormToken) {
			return nil, oauth.Errorf(oauth.InvalidRequest, "nothing was done: since this page was loaded, the sign-in in this browser has ended or changed; load the page again").WithStatus(http.StatusForbidden)
		}
		visit.Form = form.Values()
	}
	if visit.session == nil {
		visit.Page = DeviceSignIn
		return visit, nil
	}
	user, err := s.store.User(r.Context(), visit.session.Subject)
	if err != nil {
		return nil, err
	}
	visit.SignedIn = &SignedIn{Subject: user.Subject, Username: user.Username, AuthTime: visit.session.AuthTime}
	return visit, nil
}

// deviceToken is the form token of a sign-in on the device's pages.
func deviceToken(browser string, session *store.Session) string {
	if session == nil {
		return formToken(browser, "device")
	}
	return formToken(browser, "device of "+base64.RawURLEncoding.EncodeToString(session.ID[:]))
}

// act does what a form says. done tells that the answer is written.
func (s *Server) act(w http.ResponseWriter, r *http.Request, visit *DeviceVisit) (done bool, err error) {
	action := visit.Form.Get("action")
	switch {
	case visit.Page == DeviceSignIn && action == "passkey":
		return s.deviceSignInByPasskey(w, r, visit)
	case visit.Page == DeviceSignIn && action == "sign-in":
		return false, nil // only the pages know passwords
	case visit.Page == DeviceSignIn:
		return false, oauth.Errorf(oauth.InvalidRequest, "sign in first").WithStatus(http.StatusForbidden)
	case action == "sign-out":
		if err := s.store.EndSession(r.Context(), visit.session.ID); err != nil {
			return false, err
		}
		setCookie(w, sessionCookie, "", -time.Second)
		seeOther(w, s.config.Issuer+visit.below())
		return true, nil
	case visit.Page == DeviceSettings:
		return false, s.changeSettings(r.Context(), visit, action)
	case visit.Page == DeviceHome && action == "subscribe":
		return false, s.subscribe(r.Context(), visit)
	case visit.Page == DeviceRequest && (action == "approve" || action == "deny"):
		return s.decideByForm(w, r, visit, action)
	}
	return false, oauth.Errorf(oauth.InvalidRequest, "this form was sent without one of its buttons; go back and try again")
}

// deviceSignInByPasskey signs in, or has the page say why not.
func (s *Server) deviceSignInByPasskey(w http.ResponseWriter, r *http.Request, visit *DeviceVisit) (bool, error) {
	authentication, err := s.provePasskey(r.Context(), visit.signInBinding(), visit.Form.Get("passkey"))
	if errors.Is(err, ErrPasskeyRefused) {
		s.log.InfoContext(r.Context(), "passkey refused", "correlation_id", eventOf(r.Context()).correlationID, "cause", err.Error())
		visit.Form, visit.Problem = nil, "The passkey was not accepted. Try again, or sign in with your password."
		return false, s.devices.signInRefused(r, nil)
	}
	if err != nil {
		return false, err
	}
	visit.SignIn(w, r, authentication)
	return true, nil
}

// SignIn gives the browser a new session and sends it back to the page (303).
func (v *DeviceVisit) SignIn(w http.ResponseWriter, r *http.Request, a Authentication) {
	if err := v.server.beginSession(w, r, a); err != nil {
		v.server.showError(w, r, err)
		return
	}
	seeOther(w, v.server.config.Issuer+v.below())
}

// below is the visit's path below the issuer.
func (v *DeviceVisit) below() string { return v.path[len(pathOf(v.server.config.Issuer)):] }

func (v *DeviceVisit) signInBinding() passkey.Binding {
	return passkey.Binding{Purpose: purposeDevice, Browser: v.browser}
}

// fill reads what the page shows.
func (s *Server) fill(ctx context.Context, visit *DeviceVisit, id string) (err error) {
	switch visit.Page {
	case DeviceSignIn:
		visit.Passkey, err = s.passkeyOptions(visit.signInBinding(), nil)
		return err
	case DeviceHome:
		if visit.PushKey = s.pushKey(ctx); visit.PushKey != "" {
			subscriptions, err := s.store.Subscriptions(ctx, visit.session.Subject)
			if err != nil {
				return err
			}
			for _, each := range subscriptions {
				visit.PushEndpoints = append(visit.PushEndpoints, each.Endpoint)
			}
		}
		visit.Requests, err = s.pendingRequests(ctx, visit.session.Subject)
		visit.Version = versionOf(visit.Requests)
		return err
	case DeviceRequest:
		return s.fillRequest(ctx, visit, id)
	default:
		return s.fillSettings(ctx, visit)
	}
}

// versionOf names what a list shows.
func versionOf(requests []RequestView) string {
	hash := sha256.New()
	for _, request := range requests {
		hash.Write([]byte(request.Reference + " " + string(request.State) + "\n"))
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:9])
}
