package device

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
	"countersign/internal/passkey"
	"countersign/store"
)

// pageName names a page.
type pageName string

// The pages.
const (
	signInPage   pageName = "sign-in" // any page for a user who is not signed in
	homePage     pageName = "home"
	requestPage  pageName = "request"
	settingsPage pageName = "settings"
)

// interaction is one request of a browser for a page.
type interaction struct {
	name pageName
	page Page
	// form is the body of a POST.
	form oauth.Form
	// reference names the request of a requestPage.
	reference string
	// session is nil on the signInPage.
	session *store.Session
	// browser is the value of the browser's cookie.
	browser string
	// shown is the digest of the request that the page of the form showed, or empty.
	shown string
	// digest is that of the waiting request as it is now.
	digest string
	// picks are what the form chose of the request.
	picks url.Values
	// address is the URL of the page, to which an accepted form redirects.
	address string
}

// SignIn serves the sign-in page in place of a page of the user's account, at its address, for whoever is not signed in.
func (h *Handler) SignIn(w http.ResponseWriter, r *http.Request) { h.page(signInPage)(w, r) }

// page serves a page: it checks the browser's cookies, handles the form and renders the page.
func (h *Handler) page(name pageName) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h.interact(w, r, name); err != nil {
			browser.ShowError(h.pages, w, r, err)
		}
	}
}

func (h *Handler) interact(w http.ResponseWriter, r *http.Request, name pageName) error {
	in, err := h.open(w, r, name)
	if err != nil {
		return err
	}
	if name == signInPage {
		if in.page.ForAccount = true; in.session != nil { // in another tab, since the caller looked
			browser.SeeOther(w, in.address)
			return nil
		}
	}
	if r.Method == http.MethodPost {
		answered, err := h.act(w, r, in)
		if err != nil || answered {
			return err
		}
	}
	if err := h.fill(r.Context(), in); err != nil {
		return err
	}
	h.render(w, r, in)
	return nil
}

// open checks the cookies and the form of a browser.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, name pageName) (*interaction, error) {
	in := &interaction{
		name: name, reference: r.PathValue("id"),
		address: h.addresses.Issuer + strings.TrimPrefix(r.URL.Path, h.addresses.Path()),
	}
	in.page.Confirms = h.requests != nil
	in.page.Language = h.language(r, "")
	if err := h.readBrowser(w, r, in); err != nil {
		return nil, err
	}
	var err error
	if in.session, err = h.session(r); err != nil {
		return nil, err
	}
	// The token is bound to the session: a form that was shown to another user, in another tab, is refused.
	in.page.FormToken = formToken(in.browser, in.session)
	var token string
	token, in.shown, _ = strings.Cut(in.form.Get("form_token"), ".")
	if r.Method == http.MethodPost && !browser.SameToken(token, in.page.FormToken) {
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"nothing was done: since this page was loaded, the sign-in in this browser has ended or changed; load the page again").
			WithStatus(http.StatusForbidden)
	}
	if in.session == nil {
		in.name = signInPage
		return in, nil
	}
	user, err := h.store.User(r.Context(), in.session.Subject)
	if err != nil {
		return nil, err
	}
	in.page.SignedIn = &browser.SignedIn{Subject: user.Subject, Username: user.Username, AuthTime: in.session.AuthTime}
	if r.Method == http.MethodGet && browser.TakePasskeyChange(w, r, user.Subject) {
		in.page.Notice = PasskeyChanged
	}
	return in, nil
}

// readBrowser reads the browser's cookie and, of a POST, the form. The cookie is set on GET only.
func (h *Handler) readBrowser(w http.ResponseWriter, r *http.Request, in *interaction) (err error) {
	if r.Method != http.MethodPost {
		in.browser = browser.Secret(w, r)
		return nil
	}
	if in.form, err = h.forms.Read(w, r); err != nil {
		return err
	}
	in.picks = display.Inputs(in.form.Values())
	if in.browser, err = browser.Known(r); err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "cookies are off in this browser; without them nothing can be confirmed%s", h.forms.Elsewhere(r)).
			Because(err)
	}
	return nil
}

// session reads the session of a browser; nil when there is none.
func (h *Handler) session(r *http.Request) (*store.Session, error) {
	id := browser.Session(r)
	if id.Zero() {
		return nil, nil
	}
	session, err := h.store.Session(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &session, nil
}

// formToken returns the form token of a session, or of the sign-in page.
func formToken(secret string, session *store.Session) string {
	if session == nil {
		return browser.FormToken(secret, "device")
	}
	return browser.FormToken(secret, "device of "+sessionID(session))
}

func sessionID(session *store.Session) string {
	return base64.RawURLEncoding.EncodeToString(session.ID[:])
}

// signInBinding binds the passkey challenge of the sign-in page to the browser.
func (in *interaction) signInBinding() passkey.Binding {
	return passkey.Binding{Purpose: browser.PurposeDevice, Browser: in.browser}
}

// fill reads the content of the page.
func (h *Handler) fill(ctx context.Context, in *interaction) (err error) {
	switch in.name {
	case signInPage:
		in.page.Passkey, err = h.passkeys.Options(in.signInBinding(), nil)
		return err
	case homePage:
		return h.fillHome(ctx, in)
	case requestPage:
		return h.fillRequest(ctx, in)
	default:
		return h.settings.fill(ctx, in)
	}
}

func (h *Handler) fillHome(ctx context.Context, in *interaction) (err error) {
	if in.page.WebPushKey = h.webPush.Key(ctx); in.page.WebPushKey != "" {
		if in.page.WebPushEndpoints, err = h.webPush.Endpoints(ctx, in.session.Subject); err != nil {
			return err
		}
	}
	if in.page.Asked, err = h.settings.asks(ctx, in.session.Subject); err != nil {
		return err
	}
	pending, err := h.requests.Pending(ctx, in.session.Subject)
	if err != nil {
		return err
	}
	for _, view := range pending {
		if view, err = view.In(in.page.Language); err != nil {
			return err
		}
		in.page.Requests = append(in.page.Requests, view)
	}
	in.page.Version = versionOf(pending...)
	return nil
}

func (h *Handler) render(w http.ResponseWriter, r *http.Request, in *interaction) {
	switch in.name {
	case signInPage:
		h.pages.SignIn(w, r, in.page)
	case homePage:
		h.pages.Home(w, r, in.page)
	case requestPage:
		h.pages.Request(w, r, in.page)
	default:
		h.pages.Settings(w, r, in.page)
	}
}
