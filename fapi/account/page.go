package account

import (
	"context"
	"errors"
	"net/http"
	"time"

	"countersign/fapi/browser"
	"countersign/internal/oauth"
	"countersign/store"
)

// Pages render the pages. Each method writes one.
type Pages interface {
	// Overview shows everything.
	Overview(w http.ResponseWriter, r *http.Request, page Page)
	// Ended lists what has ended.
	Ended(w http.ResponseWriter, r *http.Request, page Page)
	// Access shows what the user gave one client.
	Access(w http.ResponseWriter, r *http.Request, page Page)
	browser.ErrorPage
}

// Page is the content of a page.
type Page struct {
	// FormToken is the CSRF token; each form sends it back as the hidden input "form_token". It is valid for this session.
	FormToken string
	// Confirms reports whether there is a page of requests.
	Confirms bool
	SignedIn browser.SignedIn
	// Language is that of the details (BCP 47).
	Language string
	// Problem is why the last form was refused, and Notice what it did, or empty.
	Problem browser.Problem
	Notice  NoticeCode

	// Access are what the user gave, or what has ended of it; MoreAccess continues the list, as the parameter "after", or is empty.
	Access     []Access
	MoreAccess string
	// One is what the user gave one client, of which MoreGrants continues the grants.
	One        *Access
	MoreGrants string

	Passkeys     []Passkey
	Applications []Application
	Sessions     []Session
	// MoreSessions reports that there are more.
	MoreSessions bool
	Notified     []Notified
	// Known are the browsers that know the user.
	Known []Known
	// ForgottenAt is when the browsers that were known were forgotten, or zero.
	ForgottenAt time.Time
	// Fresh reports whether the sign-in is recent and strong enough to remove a passkey.
	Fresh bool
}

// NoticeCode is the result of a form; pages put it into words.
type NoticeCode string

// The codes.
const (
	AccessIsOver       NoticeCode = "access ended"
	GrantIsOver        NoticeCode = "grant ended"
	SessionIsOver      NoticeCode = "session ended"
	SessionsAreOver    NoticeCode = "sessions ended"
	PasskeyRemoved     NoticeCode = "passkey removed"
	ApplicationRemoved NoticeCode = "application removed"
	NotificationsOff   NoticeCode = "notifications off"
	BrowsersForgotten  NoticeCode = "browsers forgotten"
	BrowserForgotten   NoticeCode = "browser forgotten"
)

// pageName names a page.
type pageName string

// The pages.
const (
	overviewPage pageName = "overview"
	endedPage    pageName = "ended"
	accessPage   pageName = "access"
)

// visit is one request of a browser of a user who is signed in.
type visit struct {
	name    pageName
	page    Page
	session store.Session
	form    oauth.Form
	// after is the place in the list, and client the one of an accessPage.
	after, client string
}

func (v *visit) actor() actor {
	return actor{subject: v.session.Subject, acr: v.session.ACR, authTime: v.session.AuthTime, through: "page"}
}

// page serves a page, or the sign-in page in its place.
func (h *Handler) page(name pageName) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h.visited(w, r, name); err != nil {
			browser.ShowError(h.pages, w, r, err)
		}
	}
}

func (h *Handler) visited(w http.ResponseWriter, r *http.Request, name pageName) error {
	session, err := h.session(r)
	if err != nil {
		return err
	}
	if session == nil {
		h.signIn(w, r)
		return nil
	}
	v, err := h.open(w, r, name, *session)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		answered, err := h.act(w, r, v)
		if answered {
			return err
		}
		if err := h.told(v, err); err != nil {
			return err
		}
	}
	return h.show(w, r, v)
}

// session reads the session of a browser; nil when there is none.
func (h *Handler) session(r *http.Request) (*store.Session, error) {
	id := browser.Session(r)
	if id.Zero() {
		return nil, nil
	}
	session, err := h.content.store.Session(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return &session, err
}

// open checks the cookies and the form of a browser.
func (h *Handler) open(w http.ResponseWriter, r *http.Request, name pageName, session store.Session) (*visit, error) {
	v := &visit{name: name, session: session, after: r.URL.Query().Get("after")}
	v.page.Confirms, v.page.Language = h.confirms, h.language(r, "")
	secret := ""
	if r.Method == http.MethodPost {
		var err error
		if v.form, err = h.forms.Read(w, r); err != nil {
			return nil, err
		}
		if secret, err = browser.Known(r); err != nil {
			return nil, oauth.Errorf(oauth.InvalidRequest, "cookies are off in this browser; without them nothing can be changed%s", h.forms.Elsewhere(r)).
				Because(err)
		}
	} else {
		secret = browser.Secret(w, r)
	}
	// The token is bound to the session: a form that was shown to another user, in another tab, is refused.
	v.page.FormToken = browser.FormToken(secret, "account of "+digestText(session.ID))
	if r.Method == http.MethodPost && !browser.SameToken(v.form.Get("form_token"), v.page.FormToken) {
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"nothing was done: since this page was loaded, the sign-in in this browser has ended or changed; load the page again").
			WithStatus(http.StatusForbidden)
	}
	user, err := h.content.store.User(r.Context(), session.Subject)
	if err != nil {
		return nil, err
	}
	v.page.SignedIn = browser.SignedIn{Subject: user.Subject, Username: user.Username, AuthTime: session.AuthTime}
	v.page.ForgottenAt = user.BrowsersFrom
	v.page.Fresh = h.now().Sub(session.AuthTime) < freshTime && session.ACR == browser.PasskeyACR
	if name == accessPage {
		if v.client, err = clientOf(r.PathValue("id")); err != nil {
			v.client = "" // is nobody's: the browser is sent to the overview
		}
	}
	return v, nil
}

// act does what a button asks. answered reports whether the response is written.
func (h *Handler) act(w http.ResponseWriter, r *http.Request, v *visit) (answered bool, err error) {
	ctx, by, id := r.Context(), v.actor(), v.form.Get("id")
	notice := map[string]NoticeCode{
		"end": AccessIsOver, "end-grant": GrantIsOver, "end-session": SessionIsOver, "end-sessions": SessionsAreOver,
		"remove-passkey": PasskeyRemoved, "remove-application": ApplicationRemoved, "stop-notifying": NotificationsOff, "forget-browsers": BrowsersForgotten,
		"forget-browser": BrowserForgotten,
	}
	action := v.form.Get("action")
	switch {
	case action == "sign-out", action == "end-session" && id == digestText(v.session.ID):
		return true, h.signOut(w, r, v)
	case v.name == accessPage && action == "end":
		_, err = h.ender.access(ctx, by, v.client, "")
	case v.name == accessPage && action == "end-grant" && id != "":
		_, err = h.ender.access(ctx, by, v.client, id)
	case action == "end-session":
		err = h.ender.session(ctx, by, id)
	case action == "end-sessions":
		_, err = h.ender.sessions(ctx, by, v.session.ID)
	case action == "remove-passkey":
		err = h.ender.passkey(ctx, by, id)
	case action == "remove-application":
		err = h.ender.application(ctx, by, id)
	case action == "stop-notifying":
		err = h.ender.notifications(ctx, by, id)
	case action == "forget-browser":
		err = h.ender.forgetOne(ctx, by, id)
	case action == "forget-browsers":
		if err = h.ender.forget(ctx, by); err == nil {
			v.page.ForgottenAt = h.now()
		}
	default:
		return true, oauth.Errorf(oauth.InvalidRequest, "this form was sent without one of its buttons; go back and try again")
	}
	if errors.Is(err, errLastPasskey) {
		browser.SeeOther(w, h.addresses.Issuer+"/device/settings")
		return true, nil
	}
	v.page.Notice = notice[action]
	return false, err
}

// told has the page say what a user can do something about. What was ended before, elsewhere, is ended: the page shows it.
func (h *Handler) told(v *visit, err error) error {
	switch {
	case errors.Is(err, errNotFresh):
		v.page.Notice, v.page.Problem.Code = "", browser.SignInAgain
		return nil
	case errors.Is(err, errMissing):
		return nil
	}
	return err
}

func (h *Handler) signOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := h.sessions.End(w, r, v.session.ID); err != nil {
		return err
	}
	browser.SeeOther(w, h.addresses.Issuer+path)
	return nil
}

// show reads the content of a page and renders it.
func (h *Handler) show(w http.ResponseWriter, r *http.Request, v *visit) error {
	ctx, subject := r.Context(), v.session.Subject
	page, err := pageAfter(v.after, pageSize)
	if err != nil {
		return err
	}
	switch v.name {
	case accessPage:
		one, more, err := h.content.access(ctx, subject, v.client, v.page.Language, page)
		if errors.Is(err, errMissing) {
			browser.SeeOther(w, h.addresses.Issuer+path)
			return nil
		}
		if err != nil {
			return err
		}
		v.page.One, v.page.MoreGrants = &one, more
		h.pages.Access(w, r, v.page)
	case endedPage:
		if v.page.Access, v.page.MoreAccess, err = h.content.list(ctx, subject, true, page); err != nil {
			return err
		}
		h.pages.Ended(w, r, v.page)
	default:
		if err := h.fillOverview(ctx, v, page); err != nil {
			return err
		}
		h.pages.Overview(w, r, v.page)
	}
	return nil
}

func (h *Handler) fillOverview(ctx context.Context, v *visit, page store.Page) (err error) {
	subject := v.session.Subject
	if v.page.Access, v.page.MoreAccess, err = h.content.list(ctx, subject, false, page); err != nil {
		return err
	}
	if err := h.content.summarise(ctx, subject, v.page.Language, v.page.Access); err != nil {
		return err
	}
	if v.page.Passkeys, err = h.content.passkeys(ctx, subject); err != nil {
		return err
	}
	if v.page.Applications, err = h.content.applications(ctx, subject); err != nil {
		return err
	}
	if v.page.Notified, err = h.content.notified(ctx, subject); err != nil {
		return err
	}
	if v.page.Known, err = h.content.knowing(ctx, subject); err != nil {
		return err
	}
	var more string
	v.page.Sessions, more, err = h.content.signIns(ctx, subject, v.session.ID, store.Page{Limit: pageSize})
	v.page.MoreSessions = more != ""
	return err
}
