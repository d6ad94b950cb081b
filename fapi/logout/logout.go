// Package logout serves the end of sessions: the end session endpoint, to which an application sends the browser when its user
// signs out (OpenID Connect RP-Initiated Logout 1.0), with the page that asks; and the notices to the clients that got an ID token
// in the session (OpenID Connect Back-Channel Logout 1.0), see [Notifier].
//
// A logout request comes from another site, by GET or POST, and anybody can make one. So it ends nothing: the browser is sent on
// to a page of ours, by a handle that holds what was checked and authenticates it, and only there its cookies count. The page
// asks, unless an ID token of this very session, which nobody but the client has, came with the request.
package logout

import (
	"context"
	"errors"
	"net/http"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

// Path is the path of the end session endpoint.
const Path = "/end-session"

// Pages render what the endpoint shows. They read no form and change no state.
type Pages interface {
	// SignOut asks whether to sign out. The form's "action" is "sign-out" or "stay".
	SignOut(w http.ResponseWriter, r *http.Request, view View)
	// SignedOut says that the user is signed out, or was not signed in.
	SignedOut(w http.ResponseWriter, r *http.Request, view View)
	// Stayed says that nothing was ended, or that this was answered before and nothing is ended by a second answer.
	Stayed(w http.ResponseWriter, r *http.Request, view View)
	browser.ErrorPage
}

// View is what a page shows.
type View struct {
	// Client is who asks, or nil when that is not known.
	Client *browser.Client
	// Username is the name of the user who is signed in, or empty.
	Username string
	// Others are the other clients that are told when the session ends.
	Others []browser.Client
	// Answered reports that the page was answered before, and that the user is still signed in.
	Answered bool
	// Changed reports that somebody else has signed in since the page was shown.
	Changed bool
	// UILocales are the languages that the client asks for.
	UILocales string
	// FormToken goes back with the form.
	FormToken string
	// Back is a registered post_logout_redirect_uri with the state, or empty.
	Back string
}

// Config is the configuration of a [Handler]. All fields but Onward are required.
type Config struct {
	Addresses endpoint.Addresses
	Store     Store
	Clients   *client.Cache
	Tokens    *tokens.Issuer
	Seeds     *tokens.Seeds
	Sessions  *browser.Sessions
	Forms     *browser.Forms
	Pages     Pages
	Evidence  *event.Recorder
	// Notifier tells clients of sessions that have ended; a session that ends here wakes it.
	Notifier *Notifier
	// Onward is where a browser goes whose session has just ended, before back, or empty; nil sends none anywhere.
	Onward func(w http.ResponseWriter, r *http.Request, back string) string
	Now    func() time.Time
}

// Store are the verbs that the endpoint uses.
type Store interface {
	Session(ctx context.Context, session store.Digest) (store.Session, error)
	User(ctx context.Context, subject string) (store.User, error)
	SessionClients(ctx context.Context, sid string) ([]string, error)
	ConsumeOneTime(ctx context.Context, oneTimes ...store.OneTime) error
}

// Handler serves the endpoint and its page. Make one with [New].
type Handler struct {
	Config
	seal seal
}

// New makes a handler. The error is one of the store.
func New(ctx context.Context, c Config) (*Handler, error) {
	key, err := c.Seeds.Get(ctx, "logout handles")
	if err != nil {
		return nil, err
	}
	return &Handler{Config: c, seal: key}, nil
}

// Routes are the rows of the route table.
func (h *Handler) Routes() []endpoint.Route {
	return []endpoint.Route{
		{Methods: endpoint.GetAndPost(), Path: Path, Metadata: "end_session_endpoint", Serve: endpoint.Browser(h.begin)},
		{Methods: endpoint.GetAndPost(), Path: Path + "/{handle}", Serve: endpoint.Browser(h.page)},
	}
}

// begin checks a logout request and sends the browser to the page. It reads no cookie: a form of another site brings none.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		w.Header().Set("Cache-Control", "no-store")
		return
	}
	form, err := readRequest(w, r)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	asked, err := h.check(r.Context(), form)
	if refusal, ok := errors.AsType[*oauth.Error](err); ok { // the client's doing: the user can sign out without it
		err = refusal.Because(errors.Join(browser.ErrNotSignedOut, errors.Unwrap(refusal)))
	}
	if err != nil {
		h.showError(w, r, err)
		return
	}
	browser.SeeOther(w, h.Addresses.Issuer+Path+"/"+h.seal.close(asked))
}

// visit is one request for the page.
type visit struct {
	asked  asked
	client *client.Client
	// session is nil for a browser that is not signed in.
	session *store.Session
	// proven reports that the request came with an ID token of this session.
	proven bool
	view   View
}

// page asks, does what was answered, or ends the session at once.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // safe (RFC 9110 §9.3.2)
		w.Header().Set("Cache-Control", "no-store")
		return
	}
	var form oauth.Form
	if r.Method == http.MethodPost {
		var err error
		if form, err = h.Forms.Read(w, r); err != nil {
			h.showError(w, r, err)
			return
		}
	}
	v, err := h.visit(r)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	switch {
	case v.session == nil && (r.Method == http.MethodPost || v.asked.Proof != ""):
		h.leave(w, r, v)
	case v.session == nil: // nothing shows that the address comes from its client: a link, and no redirect
		h.Pages.SignedOut(w, r, v.view)
	case r.Method == http.MethodPost:
		h.answer(w, r, v, form)
	case v.proven:
		if h.first(w, r, v) {
			h.end(w, r, v, "id_token_hint")
		}
	default:
		h.ask(w, r, v, browser.Secret(w, r))
	}
}

// ask shows the page that asks.
func (h *Handler) ask(w http.ResponseWriter, r *http.Request, v visit, secret string) {
	told, err := h.Store.SessionClients(r.Context(), v.session.SID)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	for _, id := range told {
		other, err := h.Clients.Get(r.Context(), id)
		if id == v.asked.ClientID || errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			h.showError(w, r, err)
			return
		}
		v.view.Others = append(v.view.Others, *viewClient(other, ""))
	}
	v.view.FormToken = formToken(secret, r.PathValue("handle"), v.session)
	h.Pages.SignOut(w, r, v.view)
}

// visit finds what a request for the page is about.
func (h *Handler) visit(r *http.Request) (visit, error) {
	ctx := r.Context()
	read, err := h.seal.open(r.PathValue("handle"), h.Now())
	if err != nil {
		return visit{}, err
	}
	v := visit{asked: read, view: View{UILocales: read.UILocales}}
	if read.ClientID != "" {
		v.client, err = h.Clients.Fresh(ctx, read.ClientID) // decisions are about the client as it is now
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return visit{}, err
		}
	}
	if v.client != nil {
		event.Of(ctx).ClientID = v.client.ID
		if read.Redirect != "" && v.client.HasPostLogoutRedirectURI(read.Redirect) {
			v.view.Back = read.back()
		}
		v.view.Client = viewClient(v.client, read.Redirect)
	}
	session, err := h.Store.Session(ctx, browser.Session(r))
	if errors.Is(err, store.ErrNotFound) {
		return v, nil
	}
	if err != nil {
		return visit{}, err
	}
	v.session = &session
	user, err := h.Store.User(ctx, session.Subject)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return visit{}, err
	}
	v.view.Username = user.Username
	if v.client != nil && session.SID != "" && read.Proof != "" {
		v.proven, err = h.proves(ctx, v)
	}
	return v, err
}

// proves reports whether the request came with an ID token that the client got in this session: its sub and sid are those that
// the client was told. Only the client has it, so that no other site can have the session ended.
func (h *Handler) proves(ctx context.Context, v visit) (bool, error) {
	subject, err := h.Tokens.Subjects.For(ctx, v.client, v.session.Subject)
	if err != nil {
		return false, err
	}
	sid, err := h.Tokens.Subjects.SID(ctx, v.client.ID, v.session.SID)
	if err != nil {
		return false, err
	}
	return browser.SameToken(v.asked.Proof, proofOf(tokens.LogoutHint{ClientID: v.client.ID, Subject: subject, SID: sid})), nil
}

// answer does what the user answered on the page.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, v visit, form oauth.Form) {
	secret, err := browser.Known(r)
	if err != nil {
		h.showError(w, r, oauth.Errorf(oauth.InvalidRequest,
			"this page belongs to another browser, or cookies are off; nothing was ended%s", h.Forms.Elsewhere(r)).Because(err))
		return
	}
	if !browser.SameToken(form.Get("form_token"), formToken(secret, r.PathValue("handle"), v.session)) {
		v.view.Changed = true // or the form is none of ours; it is asked again in both cases
		h.ask(w, r, v, secret)
		return
	}
	switch form.Get("action") {
	case "sign-out":
		if h.first(w, r, v) {
			h.end(w, r, v, "user")
		}
	case "stay":
		if h.first(w, r, v) {
			h.Pages.Stayed(w, r, v.view)
		}
	default:
		h.showError(w, r, oauth.Errorf(oauth.InvalidRequest,
			"this form was sent without one of its buttons; go back and try again"))
	}
}

// first consumes the handle, which ends a session or leaves it once: not again by the back button, nor by what kept the address. Of a
// double click the second answer finds what the first one did. It reports whether this is the first, and otherwise shows a page.
func (h *Handler) first(w http.ResponseWriter, r *http.Request, v visit) bool {
	err := h.Store.ConsumeOneTime(r.Context(), store.OneTime{
		Kind: handleKind, Key: store.DigestOf(r.PathValue("handle")), Until: time.Unix(v.asked.Expires, 0).Add(endpoint.ClockDifference),
	})
	if err == nil {
		return true
	}
	if !errors.Is(err, store.ErrReplayed) {
		h.showError(w, r, err)
		return false
	}
	switch _, err := h.Store.Session(r.Context(), v.session.ID); {
	case errors.Is(err, store.ErrNotFound): // the first click has just ended it
		v.view.Username = ""
		h.leave(w, r, v)
	case err != nil:
		h.showError(w, r, err)
	default:
		v.view.Answered = true
		h.Pages.Stayed(w, r, v.view)
	}
	return false
}

// end ends the session; by says who decided it, for the audit log.
func (h *Handler) end(w http.ResponseWriter, r *http.Request, v visit, by string) {
	kept := h.Evidence.Event(r.Context(), v.asked.ClientID, event.SignedOut, "subject", v.session.Subject, "by", by)
	if err := h.Sessions.End(w, r, v.session.ID, kept); err != nil {
		h.showError(w, r, err)
		return
	}
	h.Notifier.Wake()
	if h.Onward != nil {
		if address := h.Onward(w, r, v.view.Back); address != "" {
			browser.SeeOther(w, address)
			return
		}
	}
	v.view.Username = ""
	h.leave(w, r, v)
}

// leave sends the browser to where the client wants it, or says that the user is signed out.
func (h *Handler) leave(w http.ResponseWriter, r *http.Request, v visit) {
	if v.view.Back != "" {
		browser.SeeOther(w, v.view.Back)
		return
	}
	h.Pages.SignedOut(w, r, v.view)
}

// showError shows an error to the user.
func (h *Handler) showError(w http.ResponseWriter, r *http.Request, err error) {
	browser.ShowError(h.Pages, w, r, err)
}
