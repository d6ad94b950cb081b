package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/fapi/authorize/handoff"
	"countersign/fapi/authorize/page"
	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/store"
)

// HandOff is a login of the operator's own, to which interactions are handed.
type HandOff = handoff.Settings

const (
	// maxHandOffs is how often an interaction can be handed off: a browser that was answered and did not come back may begin
	// again.
	maxHandOffs = 8
	// returnLifetime is how long a browser may take to come back.
	returnLifetime = time.Minute
)

// elsewhere hands to a login of the operator's own what that does. The Interactor does the rest, as if there were no such login.
type elsewhere struct {
	HandOff
	Interactor
}

// Interact implements [Interactor].
func (e elsewhere) Interact(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions) {
	if e.theirs(in) {
		actions.HandOff(w, r)
		return
	}
	e.Interactor.Interact(w, r, in, actions)
}

// theirs reports whether the login does the next step. No form of ours signs anybody in where it is the login that does
// that, nor allows anything where the login asks for consent.
func (e elsewhere) theirs(in Interaction) bool {
	action := in.Form.Get("action")
	switch {
	case e.Login && e.Consent:
		return true
	case e.Login:
		return in.SignedIn == nil || in.Untold || in.Form != nil && !slices.Contains([]string{"allow", "deny", "cancel", "leave"}, action)
	}
	return in.SignedIn != nil && (in.Form == nil || action == "allow")
}

// HandOff implements [Actions]. Who loads the page again goes to the login with the same handle, as long as that is not
// answered.
func (o *openInteraction) HandOff(w http.ResponseWriter, r *http.Request) {
	h, now := o.handler, o.handler.now()
	for n := range maxHandOffs {
		handle := o.loginHandle(n)
		err := h.store.BeginHandOff(r.Context(), store.HandOff{
			ID: store.DigestOf(handle), Interaction: o.pending.Interaction.ID, CreatedAt: now,
			ExpiresAt: earlier(now.Add(h.handOff.Lifetime), o.pending.Interaction.ExpiresAt),
		})
		switch {
		case errors.Is(err, store.ErrConsumed):
			continue
		case errors.Is(err, store.ErrExpired):
			o.refuse(w, r, oauth.Errorf(oauth.AccessDenied, "nobody signed in and decided in time"))
		case err != nil:
			h.showError(w, r, err)
		default:
			separator := "?"
			if strings.Contains(h.handOff.Address, "?") {
				separator = "&"
			}
			browser.SeeOther(w, h.handOff.Address+separator+url.Values{"handle": {handle}}.Encode())
		}
		return
	}
	o.refuse(w, r, oauth.Errorf(oauth.AccessDenied, "nobody decided: the request was handed to the login %d times", maxHandOffs))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// HandedOff is what a login reads about an interaction: what the built-in pages would show, and what the request demands of a
// sign-in.
type HandedOff struct {
	Interaction
	// Login and Consent are what is to be answered.
	Login, Consent bool
	// Profile is the name of the client's.
	Profile string
	// Redirects are the registered redirect URIs, and RedirectURI is that of the request.
	Redirects   []string
	RedirectURI string
	// Values are the authorization_details themselves, in the order of Details.
	Values []json.RawMessage
	// ConsentValues are those of the consent that the request names; what is shown of them is at the end of Details.
	ConsentValues []json.RawMessage
	// EssentialACRs are those of which one must be reached, and ClaimableACRs those that the login may claim.
	EssentialACRs, ClaimableACRs []string
	// MaxAge is in seconds; nil when not given.
	MaxAge *int64
	Prompt []string
	// RequiredSubject is who has to sign in, or empty for anybody.
	RequiredSubject string
	// Organisation is whose client it is.
	Organisation string
	// ConsentID names the interaction in the audit log.
	ConsentID string
	// Digest is that of all that is asked for; see [Answer].
	Digest string
	// Left is the time for the answer.
	Left time.Duration
}

// HandedOff returns what a handle was given for, in the language of ui_locales or of the call. Errors are *[oauth.Error]: 404 for an unknown handle, 409 for one that is
// answered, 410 when its time is over.
func (h *Handler) HandedOff(r *http.Request, handle string) (HandedOff, error) {
	open, in, handOff, err := h.handedOff(r, handle)
	if err != nil {
		return HandedOff{}, err
	}
	in.FormToken, in.Passkey = "", ""
	asked := HandedOff{
		Interaction: in, Login: h.handOff.Login, Consent: h.handOff.Consent, Profile: open.client.Profile.Name,
		Redirects: open.client.Metadata.RedirectURIs, RedirectURI: open.request.RedirectURI, Values: open.request.Details,
		EssentialACRs: open.request.EssentialACRs, ClaimableACRs: h.handOff.ACRValues, MaxAge: open.request.MaxAge,
		Prompt: open.request.Prompt, Organisation: open.client.Organisation, Digest: open.digest,
		ConsentID: digestText(open.pending.Interaction.ID),
		Left:      earlier(handOff.ExpiresAt, open.pending.Interaction.ExpiresAt).Sub(h.now()),
	}
	if open.consent != nil {
		asked.ConsentValues = []json.RawMessage{open.consent.Shown}
	}
	if open.client.Sector == "" { // else it is a pairwise identifier, which the login does not know
		asked.RequiredSubject = open.request.Subject
	}
	return asked, nil
}

// handedOff opens an interaction by the login's handle, without a browser.
func (h *Handler) handedOff(r *http.Request, handle string) (*openInteraction, Interaction, store.HandOff, error) {
	ctx := r.Context()
	of, _, _ := strings.Cut(handle, ".")
	open := &openInteraction{handler: h, handle: of}
	refuse := func(err error) (*openInteraction, Interaction, store.HandOff, error) {
		return nil, Interaction{}, store.HandOff{}, handOffError(err)
	}
	handOff, err := h.store.HandOff(ctx, store.DigestOf(handle))
	if err != nil {
		return refuse(err)
	}
	if open.pending, err = h.store.Interaction(ctx, handOff.Interaction, handOff.Browser); err != nil {
		return refuse(err)
	}
	open.session = open.pending.Session
	err = open.load(ctx)
	if err == nil {
		event.Of(ctx).ClientID = open.client.ID
		open.consent, err = h.recheck(ctx, open.client, &open.request)
	}
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		return refuse(oauth.Errorf(oauth.InvalidRequest, "the application may not ask for this any more: %s", refused.Description).
			WithStatus(http.StatusConflict).Because(err))
	}
	if err != nil {
		return refuse(err)
	}
	open.language = h.language(r, open.request.UILocales)
	if open.session != nil {
		if err := open.offer(ctx, open.session.Subject); err != nil {
			return refuse(err)
		}
		if open.lacks == browser.AccountsAway {
			return refuse(open.unoffered)
		}
	}
	in, err := open.interaction()
	if err != nil {
		return refuse(err)
	}
	return open, in, handOff, nil
}

// handOffError translates errors of the store about a handle.
func handOffError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return oauth.Errorf(oauth.InvalidRequest, "no interaction has this handle").WithStatus(http.StatusNotFound).Because(err)
	case errors.Is(err, store.ErrConsumed):
		return oauth.Errorf(oauth.InvalidRequest, "this interaction is answered already; no other answer counts").
			WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, store.ErrExpired):
		return oauth.Errorf(oauth.InvalidRequest, "the time for this interaction is over; the user has to start again in the application").
			WithStatus(http.StatusGone).Because(err)
	case errors.Is(err, store.ErrRevoked):
		return oauth.Errorf(oauth.InvalidRequest, "this user is disabled or erased here; answer with error access_denied").Because(err)
	case errors.Is(err, store.ErrConflict):
		return oauth.Errorf(oauth.InvalidRequest, "the username belongs to another subject").Because(err)
	}
	return err
}

// comeBack is where a browser returns from the login: it applies the answer, once, in the browser that began.
func (h *Handler) comeBack(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // safe (RFC 9110 §9.3.2): it must not consume the return
		w.Header().Set("Cache-Control", "no-store")
		return
	}
	open, _ := h.arrive(w, r, true)
	if open == nil {
		return
	}
	handOff, err := h.store.ReturnHandOff(r.Context(), open.pending.Interaction.ID, store.DigestOf(r.PathValue("secret")))
	switch {
	case errors.Is(err, store.ErrConsumed): // the page was loaded again: goes on, or says that all is decided
		browser.SeeOther(w, h.addressOf(open.handle))
		return
	case errors.Is(err, store.ErrExpired):
		open.refuse(w, r, oauth.Errorf(oauth.AccessDenied, "the user came back too late from the login"))
		return
	case err != nil:
		h.showError(w, r, notOpen(err))
		return
	}
	var decided decision
	if err := json.Unmarshal(handOff.Answer, &decided); err != nil {
		h.showError(w, r, err)
		return
	}
	open.shown, open.changed = page.Shown{At: handOff.AnsweredAt, Content: decided.Digest}, open.digest != decided.Digest || !open.bound()
	open.apply(w, r, decided, handOff.Epoch)
}

// apply does what the login answered, by the same steps as the built-in pages. epoch is that of the user at the answer: a session
// that was to end with all others since does not begin.
func (o *openInteraction) apply(w http.ResponseWriter, r *http.Request, decided decision, epoch int64) {
	h := o.handler
	switch {
	case decided.Error == oauth.AccessDenied:
		o.deny(w, r, handoff.Refusals()[decided.Error])
		return
	case decided.Error != "":
		o.refuse(w, r, oauth.Errorf(decided.Error, "%s", handoff.Refusals()[decided.Error]))
		return
	}
	if decided.Login {
		if err := o.signIn(w, r, decided.Authentication(epoch)); err != nil {
			h.showError(w, r, over(err))
			return
		}
		admitted, err := h.store.Interaction(r.Context(), o.pending.Interaction.ID, store.DigestOf(o.browser))
		if err != nil {
			h.showError(w, r, over(err))
			return
		}
		if admitted.Session == nil {
			o.refuse(w, r, oauth.Errorf(oauth.AccessDenied, "the sign-in was over before the user came back: all sign-ins of the user were ended"))
			return
		}
	}
	if !decided.Consent || o.session == nil || o.session.Subject != decided.Subject { // or another user has signed in since
		browser.SeeOther(w, h.addressOf(o.handle))
		return
	}
	if err := o.offer(r.Context(), decided.Subject); err != nil {
		h.showError(w, r, err)
		return
	}
	if o.unoffered != nil {
		o.refuse(w, r, o.unoffered)
		return
	}
	allowed, err := decided.Of(&o.request, o.handler.tokens.Details)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	allowed.Accounts = allowed.Details.Named(h.offers.Types, append(slices.Clone(o.request.Accounts), decided.Accounts...))
	o.allow(w, r, allowed)
}

// satisfies reports whether the sign-in of an answer, or the one before it, satisfies the request: by the same check as later.
func (o *openInteraction) satisfies(ctx context.Context, decided decision) (bool, error) {
	allowed, err := decided.Of(&o.request, o.handler.tokens.Details)
	if err != nil {
		return false, err
	}
	session := o.session
	if decided.Login {
		a := decided.Authentication(0)
		session = &store.Session{Subject: a.Subject, AuthTime: a.At, ACR: a.ACR, AMR: a.AMR}
	}
	_, satisfied, err := o.handler.satisfied(ctx, o.client, allowed, session, o.pending.Interaction.CreatedAt, true)
	if errors.Is(err, claims.ErrOtherUser) { // the client is told when the browser is back
		return true, nil
	}
	return satisfied, err
}
