package upstream

import (
	"errors"
	"net/http"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/rp/client"
	"countersign/rp/session"
	"countersign/store"
)

// tokenKind is the kind of the one-time value that the jti of a logout token is.
const tokenKind = "upstream_logout"

// backchannelLogout is told by the provider that a session there has ended (OpenID Connect Back-Channel Logout 1.0 §2.5): the sessions here
// end that began by it or, where none is named, all of the user.
func (h *Handler) backchannelLogout(w http.ResponseWriter, r *http.Request, _ endpoint.At) error {
	w.Header().Set("Cache-Control", "no-store")
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		return err
	}
	provider, err := h.provider.client(r.Context())
	if err != nil {
		return err
	}
	told, err := provider.VerifyLogoutToken(r.Context(), form.Get("logout_token"))
	if client.Temporary(err) {
		return unavailable(err)
	}
	if err != nil {
		h.Log.WarnContext(r.Context(), "upstream logout token refused", "issuer", h.Settings.Issuer, "error", err.Error())
		refusal := oauth.Errorf(oauth.InvalidToken, "the logout token is not accepted").WithStatus(http.StatusBadRequest).Because(err)
		if limited := h.Limits.AuthenticationFailed(r, refusal); limited != error(refusal) {
			return limited
		}
		return oauth.Errorf(oauth.InvalidRequest, "the logout token is not accepted").Because(err)
	}
	err = h.Store.ConsumeOneTime(r.Context(), store.OneTime{
		Kind: tokenKind, Key: store.DigestOf(told.Issuer + "\x00" + told.JTI), Until: told.Until.Add(endpoint.ClockDifference),
	})
	if errors.Is(err, store.ErrReplayed) {
		return oauth.Errorf(oauth.InvalidRequest, "the logout token was used before").Because(err)
	}
	if err != nil {
		return err
	}
	subject := ""
	if told.Subject != "" {
		subject = SubjectOf(told.Issuer, told.Subject)
	}
	kept := h.Evidence.Event(r.Context(), "", event.SignedOut, "subject", subject, "by", "upstream")
	if told.SessionID == "" {
		err = h.Store.EndSessions(r.Context(), subject, kept)
	} else {
		_, err = h.Store.EndUpstream(r.Context(), linkOf(told.Issuer, told.SessionID), kept)
	}
	if err == nil {
		h.Wake()
	}
	return err
}

// hint is what a logout at the provider needs.
type hint struct {
	IDToken string `json:"t,omitempty"`
}

// keepHint keeps the ID token in the browser, sealed, for a logout at the provider. One that is too large for a cookie is left out: the
// provider then asks the user.
func (h *Handler) keepHint(w http.ResponseWriter, idToken string) {
	if !h.Settings.SignOut {
		return
	}
	if h.seal(w, hintCookie, hint{idToken}, 0) != nil {
		_ = h.seal(w, hintCookie, hint{}, 0) // of nothing it is not too large
	}
}

// out is a logout under way.
type out struct {
	State string `json:"s"`
	// Back is where the browser is to go then, or empty.
	Back string `json:"b,omitempty"`
}

// Onward is where a browser goes whose session here has just ended, before it goes on to back: to the provider's end session endpoint. It
// is empty where the session was none of the provider's, or nothing is to be ended there.
func (h *Handler) Onward(w http.ResponseWriter, r *http.Request, back string) string {
	cookie, err := r.Cookie(hintCookie)
	var kept hint
	if !h.Settings.SignOut || err != nil || !h.open(cookie, &kept) {
		return ""
	}
	session.RemoveCookie(w, hintCookie)
	provider, err := h.provider.client(r.Context())
	leaving := out{random.Secret(), back}
	address := ""
	if err == nil {
		address, err = provider.LogoutURL(client.LogoutOptions{
			IDTokenHint: kept.IDToken, PostLogoutRedirectURI: h.Addresses.Issuer + SignedOutPath, State: leaving.State,
		})
	}
	if err == nil {
		err = h.seal(w, outCookie, leaving, life)
	}
	if err != nil { // the session here is over all the same
		h.Log.WarnContext(r.Context(), "upstream logout not begun", "issuer", h.Settings.Issuer, "error", err.Error())
		return ""
	}
	return address
}

// endSessionPath is that of package logout, whose page says that nobody is signed in.
const endSessionPath = "/end-session"

// signedOut is where the provider sends the browser after a logout.
func (h *Handler) signedOut(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(outCookie)
	var leaving out
	if err != nil || !h.open(cookie, &leaving) || leaving.State == "" || !browser.SameToken(leaving.State, r.URL.Query().Get("state")) {
		h.showError(w, r, oauth.Errorf(oauth.InvalidRequest, "this sign-out did not begin in this browser, or is over").Because(http.ErrNoCookie))
		return
	}
	session.RemoveCookie(w, outCookie)
	if leaving.Back == "" {
		leaving.Back = h.Addresses.Issuer + endSessionPath
	}
	browser.SeeOther(w, leaving.Back)
}
