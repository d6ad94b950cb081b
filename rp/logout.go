package rp

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"countersign/internal/random"
	"countersign/rp/client"
	"countersign/rp/internal/web"
	"countersign/rp/session"
)

// LogoutOption changes a logout.
type LogoutOption func(*logoutOptions)

type logoutOptions struct {
	local    bool
	returnTo string
}

// LocalOnly ends the session here and leaves that of the provider.
func LocalOnly() LogoutOption { return func(o *logoutOptions) { o.local = true } }

// WithLogoutReturn is the path to which the user returns; another than the application's is its AfterLogout.
func WithLogoutReturn(path string) LogoutOption {
	return func(o *logoutOptions) { o.returnTo = path }
}

// loggingOut is what a browser keeps while it is at the provider.
type loggingOut struct {
	State    string `json:"s"`
	ReturnTo string `json:"r"`
}

// outLife is how long a logout at the provider may take.
const outLife = 15 * time.Minute

// LogoutPath is the path of a link or form that ends this session: it has an id that only pages for this session know, so that no other site can end it.
func (s *Session) LogoutPath() string {
	return s.app.path("/logout") + "?" + url.Values{"id": {s.logoutID()}}.Encode()
}

func (s *Session) logoutID() string { return session.KeyOf("logout\x00" + s.record.Key)[:22] }

// Logout ends the session here, revokes its refresh token, and sends the browser to the provider to end the session there (OpenID Connect RP-Initiated Logout 1.0). Who calls
// it makes sure that the user wants it: the handler's own endpoint takes a POST of this site, or [Session.LogoutPath].
func (a *App) Logout(w http.ResponseWriter, r *http.Request, options ...LogoutOption) {
	o := logoutOptions{returnTo: a.config.AfterLogout}
	for _, option := range options {
		option(&o)
	}
	returnTo, ok := web.LocalPath(a.config.BaseURL, o.returnTo)
	if !ok {
		returnTo = a.config.AfterLogout
	}
	v, _, err := a.visit(w, r)
	if err != nil {
		a.fail(w, r, unavailable(err))
		return
	}
	a.tried(w)
	if v.session == nil {
		redirect(w, r, returnTo)
		return
	}
	ended, tokens := v.session.ended()
	if err := a.sessions.End(w, r, &v.session.record); err != nil {
		a.fail(w, r, unavailable(err))
		return
	}
	if fresh := a.refresher.takeUnsaved(v.session.record.Key); fresh != nil { // those that are stored are older
		tokens = *fresh
	}
	v.session, v.absent = nil, session.ErrEnded
	revoke(r.Context(), a.client, a.log, &tokens)
	if a.config.Hooks.OnLogout != nil {
		a.config.Hooks.OnLogout(r.Context(), ended)
	}
	if o.local || a.client.Metadata().EndSessionEndpoint == "" {
		redirect(w, r, returnTo)
		return
	}
	address, err := a.atProvider(w, &tokens, returnTo)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	redirect(w, r, address)
}

// ended is what a logout ends.
func (s *Session) ended() (Logout, client.Tokens) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Logout{Issuer: s.record.Issuer, Subject: s.record.Subject, SessionID: s.record.SID}, s.content.Tokens
}

// atProvider is the address of the logout at the provider.
func (a *App) atProvider(w http.ResponseWriter, tokens *client.Tokens, returnTo string) (string, error) {
	out := loggingOut{State: random.Secret(), ReturnTo: returnTo}
	plain, err := json.Marshal(out)
	if err != nil {
		return "", err
	}
	address, err := a.client.LogoutURL(client.LogoutOptions{
		IDTokenHint: tokens.IDToken, PostLogoutRedirectURI: a.config.BaseURL + a.path("/logged-out"), State: out.State,
	})
	if err != nil {
		return "", err
	}
	name := a.cookieName("out")
	session.SetCookie(w, session.NewCookie(name, a.sessions.Keys().SealText(outPurpose, plain), outLife))
	return address, nil
}

const outPurpose = "logging out"

// logout serves a logout: a POST of this site, or a link with the session's id. A GET without that asks.
func (a *App) logout(w http.ResponseWriter, r *http.Request) {
	v, _, err := a.visit(w, r)
	if err != nil {
		a.fail(w, r, unavailable(err))
		return
	}
	id := r.URL.Query().Get("id")
	switch {
	case v.session != nil && id != "" && subtle.ConstantTimeCompare([]byte(id), []byte(v.session.logoutID())) == 1:
		a.Logout(w, r)
	case r.Method == http.MethodPost && a.sameOrigin(r):
		a.Logout(w, r)
	case r.Method == http.MethodPost:
		a.fail(w, r, ErrCrossSite)
	case v.session == nil:
		redirect(w, r, a.config.AfterLogout)
	default:
		a.show(w, r, Page{
			Status: http.StatusOK, Title: "Sign out?", Text: "You are signed in to " + a.config.Name + ".",
			Action: Action{Label: "Sign out", Path: a.path("/logout"), Post: true}, FormAction: originOf(a.client.Metadata().EndSessionEndpoint),
		})
	}
}

// sameOrigin reports whether a request comes from a page of this application: by fetch metadata or, of older browsers, by Origin.
func (a *App) sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return r.Header.Get("Origin") == a.config.BaseURL
}

// loggedOut is where the provider sends the browser after a logout.
func (a *App) loggedOut(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie(a.cookieName("out"))
	if err != nil {
		a.fail(w, r, fmt.Errorf("%w: no logout was begun here", ErrMalformed))
		return
	}
	session.RemoveCookie(w, cookie.Name)
	plain, _, err := a.sessions.Keys().OpenText(outPurpose, cookie.Value)
	if err != nil {
		a.fail(w, r, errors.Join(ErrMalformed, err))
		return
	}
	var out loggingOut
	if err := json.Unmarshal(plain, &out); err != nil {
		a.fail(w, r, errors.Join(ErrMalformed, err))
		return
	}
	if state := r.URL.Query().Get("state"); subtle.ConstantTimeCompare([]byte(state), []byte(out.State)) != 1 {
		a.fail(w, r, fmt.Errorf("%w: state is not that of the logout", ErrMalformed))
		return
	}
	redirect(w, r, out.ReturnTo)
}

// backchannelLogout serves a logout token of the provider (OpenID Connect Back-Channel Logout 1.0 §2.5). The end is written down before the token is used up: where
// that fails the provider may send it again.
func (a *App) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	form, err := formOf(r)
	if err != nil {
		a.refuseToken(w, r, http.StatusBadRequest, err)
		return
	}
	tokens := form["logout_token"]
	if len(tokens) != 1 || tokens[0] == "" {
		a.refuseToken(w, r, http.StatusBadRequest, fmt.Errorf("%w: one logout_token is needed", ErrMalformed))
		return
	}
	token, err := a.client.VerifyLogoutToken(r.Context(), tokens[0])
	if err != nil {
		status := http.StatusBadRequest
		if _, away := errors.AsType[*client.UnavailableError](err); away {
			status = http.StatusServiceUnavailable
		}
		a.refuseToken(w, r, status, err)
		return
	}
	if err := a.endAll(r, token); err != nil {
		status := http.StatusServiceUnavailable
		if errors.Is(err, session.ErrConsumed) {
			status = http.StatusBadRequest
		}
		a.refuseToken(w, r, status, err)
		return
	}
	if a.config.Hooks.OnLogout != nil {
		a.config.Hooks.OnLogout(r.Context(), Logout{
			Issuer: token.Issuer, Subject: token.Subject, SessionID: token.SessionID, Backchannel: true,
		})
	}
	uncached(w)
	w.WriteHeader(http.StatusOK)
}

// endAll ends what a logout token names: a session of the provider's, or else all of a user.
func (a *App) endAll(r *http.Request, token *client.LogoutToken) error {
	ctx := r.Context()
	if token.SessionID != "" {
		if err := a.sessions.EndBySID(ctx, token.Issuer, token.SessionID); err != nil {
			return err
		}
	} else if err := a.sessions.EndBySubject(ctx, token.Issuer, token.Subject, token.IssuedAt); err != nil {
		return err
	}
	return a.sessions.Store().Consume(ctx, "logout token\x00"+token.Issuer+"\x00"+token.JTI, token.Until)
}

// refuseToken answers the provider (§2.8).
func (a *App) refuseToken(w http.ResponseWriter, r *http.Request, status int, cause error) {
	e := newError(r.Context(), cause)
	e.Status = status
	a.report(r, e)
	description := "the request is not accepted; the log says why"
	if status == http.StatusServiceUnavailable {
		description = "the sessions could not be ended; send the token again"
		w.Header().Set("Retry-After", "5")
	}
	body, err := json.Marshal(map[string]string{"error": "invalid_request", "error_description": description + " (" + e.CorrelationID + ")"})
	if err != nil {
		body = nil // strings only: it does not happen
	}
	uncached(w)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
