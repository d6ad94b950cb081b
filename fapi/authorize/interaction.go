package authorize

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"countersign/fapi/authorize/page"
	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/event"
	"countersign/fapi/managed"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/internal/passkey"
	"countersign/store"
)

// openInteraction is an interaction that is bound to the browser of the request. It implements [Actions].
type openInteraction struct {
	handler *Handler
	handle  string
	// browser is the value of the browser's cookie.
	browser string
	// form is the body of a POST; nil on GET.
	form    url.Values
	pending store.Pending
	request request.Request
	client  *client.Client
	// consent is the one that the request names, or nil.
	consent *consent.Consent
	// session is nil unless the browser holds the session's cookie.
	session *store.Session
	// language is that of the page.
	language string
	// shown is the page that the form was on; on GET, the one that is being made.
	shown page.Shown
	// showing is the digest of what a page that is made now shows.
	showing string
	// digest is that of what a login of the operator's own is asked for.
	digest string
	// changed reports that the page showed something else than what the form would grant now, and unchosen that the form leaves
	// a choice open.
	changed, unchosen bool
	// chosen is the request with what the form chose of its details.
	chosen request.Request
	// requested are the details as the client left them, and offeredTo is the user to whom offered are, the accounts with which the
	// request's lists were filled. unoffered is why they could not be, as the client is told, and lacks as the user is. untold reports
	// that the login has to be asked for them first.
	requested rar.Details
	offeredTo string
	offered   []display.Offered
	unoffered *oauth.Error
	lacks     browser.ProblemCode
	untold    bool
}

// beginInteraction redirects to the interaction of this browser with a request, and stores it if it is new: who loads the
// address again goes on with the same one, unless the sign-in that it begins with is another. secret is the value of the
// browser's cookie, or empty if it was not looked at. evidence, if not nil, is of why the interaction is needed.
func (h *Handler) beginInteraction(
	w http.ResponseWriter, r *http.Request, interaction store.Interaction, secret string,
	evidence func(interaction store.Digest) store.Evidence,
) {
	if err := h.mayOpen(r, digestText(interaction.RequestID)); err != nil {
		h.showError(w, r, err)
		return
	}
	if secret == "" {
		secret = browser.Secret(w, r)
	}
	handle := browser.FormToken(secret, "interaction\x00"+digestText(interaction.RequestID)+"\x00"+digestText(interaction.Session))
	interaction.ID = store.DigestOf(handle)
	interaction.Browser = store.DigestOf(secret)
	if evidence != nil {
		interaction.Evidence = []store.Evidence{evidence(interaction.ID)}
	}
	if err := h.store.BeginInteraction(r.Context(), interaction); err != nil && !errors.Is(err, store.ErrConflict) {
		h.showError(w, r, err)
		return
	}
	browser.SeeOther(w, h.addressOf(handle))
}

// addressOf returns the URL of an interaction.
func (h *Handler) addressOf(handle string) string {
	return h.addresses.Issuer + "/interaction/" + handle
}

// interact checks that an interaction is bound to this browser and passes it to the Interactor.
func (h *Handler) interact(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // safe: an Interactor could decide (RFC 9110 §9.3.2)
		w.Header().Set("Cache-Control", "no-store")
		return
	}
	if open, in := h.arrive(w, r, r.Method == http.MethodPost); open != nil {
		h.interactor.Interact(w, r, in, open)
	}
}

// arrive opens the interaction of a browser and checks its request again. answers says that the browser comes with the answer to
// what was shown before. Where it fails it shows why, and returns nil.
func (h *Handler) arrive(w http.ResponseWriter, r *http.Request, answers bool) (*openInteraction, Interaction) {
	open, err := h.openInteraction(w, r)
	if err != nil {
		h.showError(w, r, err)
		return nil, Interaction{}
	}
	event.Of(r.Context()).ClientID = open.client.ID
	open.consent, err = h.recheck(r.Context(), open.client, &open.request)
	if err == nil {
		err = open.bind(r.Context(), answers)
	}
	if err == nil && open.session != nil {
		if err := open.offer(r.Context(), open.session.Subject); err != nil {
			h.showError(w, r, err)
			return nil, Interaction{}
		}
	}
	if err != nil {
		open.refuse(w, r, err)
		return nil, Interaction{}
	}
	in, err := open.interaction()
	if err != nil {
		h.showError(w, r, err)
		return nil, Interaction{}
	}
	return open, in
}

// bind makes this interaction the one that decides about the consent of its request, and refuses who is signed in if the consent is for
// another. An answer binds nothing: when another interaction was shown the consent since, it is to what has changed.
func (o *openInteraction) bind(ctx context.Context, answers bool) error {
	if o.consent == nil {
		return nil
	}
	subject := ""
	if o.session != nil {
		subject = o.session.Subject
		if err := o.handler.consents.Admit(ctx, o.client, o.consent, subject); err != nil {
			return err
		}
	}
	if answers {
		return nil
	}
	return o.handler.consents.Bind(ctx, o.consent, o.pending.Interaction.ID, subject)
}

// bound reports whether this interaction may decide about the consent of its request: none has taken its place.
func (o *openInteraction) bound() bool { return consent.BoundTo(o.consent, o.pending.Interaction.ID) }

// openInteraction reads the form, if there is one, and the interaction.
func (h *Handler) openInteraction(w http.ResponseWriter, r *http.Request) (*openInteraction, error) {
	posted := r.Method == http.MethodPost
	var form oauth.Form
	if posted {
		var err error
		if form, err = h.forms.Read(w, r); err != nil {
			return nil, err
		}
	}
	secret, err := browser.Known(r)
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"this page belongs to another browser, or cookies are off; go back to the application and start again%s", h.forms.Elsewhere(r)).
			Because(err)
	}
	open := &openInteraction{handler: h, handle: r.PathValue("handle"), browser: secret}
	open.shown = page.Shown{At: h.now()}
	if posted {
		var valid bool
		if open.shown, valid = page.ReadShown(open.browser, open.handle, form.Get("form_token")); !valid {
			return nil, oauth.Errorf(oauth.InvalidRequest,
				"this form is not one that the server showed to this browser; go back and load the page again").
				WithStatus(http.StatusForbidden)
		}
		open.form = form.Values()
	}
	open.pending, err = h.store.Interaction(r.Context(), store.DigestOf(open.handle), store.DigestOf(secret))
	if err != nil {
		return nil, notOpen(err)
	}
	if err := open.load(r.Context()); err != nil {
		return nil, err
	}
	open.language = h.language(r, open.request.UILocales)
	// The session is valid only in the browser that holds its cookie.
	if session := open.pending.Session; session != nil && session.ID == browser.Session(r) {
		open.session = session
	}
	return open, nil
}

// load reads the request and its client from what is pending. Pages and decisions are about the client as it is now.
func (o *openInteraction) load(ctx context.Context) error {
	if err := json.Unmarshal(o.pending.Request.Parameters, &o.request); err != nil {
		return err
	}
	var err error
	o.client, err = o.handler.clients.Fresh(ctx, o.pending.Request.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return oauth.Errorf(oauth.InvalidClient, "the application that sent you here is no longer registered").Because(err)
	}
	return err
}

// notOpen returns the error for an interaction that cannot be opened.
func notOpen(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return oauth.Errorf(oauth.InvalidRequest,
			"this page belongs to another browser, or it is too old; go back to the application and start again").
			WithStatus(http.StatusNotFound).Because(err)
	}
	return over(err)
}

// over returns the error for an interaction that has ended.
func over(err error) error {
	switch {
	case errors.Is(err, store.ErrExpired):
		return oauth.Errorf(oauth.InvalidRequest,
			"this took too long; go back to the application and start again").Because(err)
	case errors.Is(err, store.ErrConsumed):
		return oauth.Errorf(oauth.InvalidRequest,
			"this request was answered already; go back to the application").Because(err)
	}
	return err
}

// binding binds the passkey challenge of the sign-in page to the interaction.
func (o *openInteraction) binding() passkey.Binding {
	return passkey.Binding{Purpose: browser.PurposeSignIn, Browser: o.browser, Content: o.handle}
}

// interaction returns the argument of the Interactor.
func (o *openInteraction) interaction() (Interaction, error) {
	h := o.handler
	options, err := h.passkeys.Options(o.binding(), nil)
	if err != nil {
		return Interaction{}, err
	}
	asker := viewClient(o.client, o.request.RedirectURI)
	types := h.tokens.Details.Knowing(o.offered)
	details, err := o.request.Details.View(types, o.language, asker.Asker())
	if err != nil {
		return Interaction{}, err
	}
	agreed, err := h.consents.View(o.consent, o.language, asker.Asker())
	if err != nil {
		return Interaction{}, err
	}
	life, err := h.life(&o.request, o.client, o.consent)
	if err != nil {
		return Interaction{}, err
	}
	change, err := managed.View(o.request.Managed.Change(o.request.Scopes, o.request.ExtraClaims(), o.request.Details),
		h.tokens.Scopes, types, o.language, asker.Asker())
	if err != nil {
		return Interaction{}, err
	}
	in := Interaction{
		Change: change,
		ID:     hex.EncodeToString(o.pending.Interaction.ID[:]),
		Client: asker,
		Scopes: h.tokens.Scopes.LookupAll(o.request.Scopes), Claims: o.request.ExtraClaims(),
		Details: append(details, agreed...), Language: o.language, Resources: o.request.Resources,
		ResourceNames: h.tokens.Details.Languages().Resources(o.request.Resources),
		ACRs:          append(slices.Clone(o.request.EssentialACRs), o.request.ACRs...),
		Form:          o.form, LoginHint: o.request.LoginHint, Purpose: o.request.Purpose, UILocales: o.request.UILocales,
		SignInFailures: o.pending.Interaction.SignInFailures, GrantLifetime: life.For, GrantUntil: life.Until,
		Passkey:   options,
		Unoffered: browser.Problem{Code: o.lacks}, Untold: o.untold,
		PasskeyOnly: h.passkeys != nil && slices.Equal(o.request.EssentialACRs, []string{browser.PasskeyACR}),
	}
	if o.session != nil {
		in.SignedIn = &browser.SignedIn{
			Subject: o.session.Subject, Username: o.pending.Username, AuthTime: o.session.AuthTime,
		}
	}
	if o.digest, err = page.RequestDigest(h.tokens.Scopes, o.client, &o.request, o.consent); err != nil {
		return Interaction{}, err
	}
	content, err := page.Content(o.client, o.request, o.consent, in.asked())
	if err != nil {
		return Interaction{}, err
	}
	o.showing, o.changed = content, o.form != nil && (content != o.shown.Content || !o.bound())
	if err := o.choose(); err != nil {
		return Interaction{}, err
	}
	in.Unchosen = o.unchosen
	in.Changed, in.FormToken = o.changed, page.FormToken(o.browser, o.handle, page.Shown{At: h.now(), Content: content})
	return in, nil
}

// asked is what is asked of the user on a page: who is signed in, and what was typed, does not count.
func (in Interaction) asked() Interaction {
	in.Form, in.FormToken, in.LoginHint, in.Passkey = url.Values(nil), "", "", ""
	in.SignedIn, in.SignInFailures, in.Problem, in.Changed, in.Unchosen = nil, 0, browser.Problem{}, false, false
	in.Unoffered, in.Untold, in.Details = browser.Problem{}, false, display.WithoutBalances(in.Details)
	return in
}

// choose reads from the form what the user chose of the details; on GET nothing is. Errors are of a form that chooses what the page did
// not offer.
func (o *openInteraction) choose() error {
	o.chosen = o.request
	if o.changed { // the form chose of something else
		o.unchosen = true
		return nil
	}
	details, err := o.request.Details.Chosen(o.handler.tokens.Details, o.form)
	if errors.Is(err, display.ErrNotChosen) {
		o.unchosen = true
		return nil
	}
	o.chosen.Details = details
	o.chosen.Accounts = details.Named(o.handler.offers.Types, o.request.Accounts)
	return err
}

// viewClient returns the registered metadata that pages may show.
func viewClient(c *client.Client, redirectURI string) browser.Client {
	m := c.Metadata
	view := browser.Client{
		ID: c.ID, Name: m.ClientName, URI: m.ClientURI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TermsURI: m.TermsURI,
		ByLanguage: m.ByLanguage(),
	}
	if u, err := url.Parse(redirectURI); err == nil {
		view.RedirectHost = u.Host
	}
	return view
}

// SignIn implements [Actions]. The session's cookie replaces any former one (no session fixation).
func (o *openInteraction) SignIn(w http.ResponseWriter, r *http.Request, a browser.Authentication) {
	if err := o.signIn(w, r, a); err != nil {
		o.handler.showError(w, r, err)
		return
	}
	browser.SeeOther(w, o.handler.addressOf(o.handle))
}

// signIn binds the interaction to a user and starts a new session in the browser.
func (o *openInteraction) signIn(w http.ResponseWriter, r *http.Request, a browser.Authentication) error {
	h := o.handler
	session, secret := h.sessions.New(a)
	session.Agent = browser.AgentOf(r)
	session.Evidence = []store.Evidence{o.signedIn(r.Context(), a)}
	session.Former = browser.Session(r) // its cookie is replaced
	if err := h.store.SignIn(r.Context(), o.pending.Interaction.ID, session); err != nil {
		return err
	}
	h.sessions.SetCookies(w, r, secret, a)
	o.session = &session
	return nil
}

// SignInWithPasskey implements [Actions].
func (o *openInteraction) SignInWithPasskey(w http.ResponseWriter, r *http.Request) error {
	proven, err := o.handler.passkeys.Prove(r.Context(), o.binding(), o.form.Get("passkey"))
	if err != nil {
		return err
	}
	o.SignIn(w, r, proven)
	return nil
}
