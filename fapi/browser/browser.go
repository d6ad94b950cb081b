// Package browser has what the server's pages share: cookies and sessions, form tokens, passwords and passkeys, and
// the error page.
//
// A browser has three cookies: one binds interactions to the browser that began them, one is its session, and one, which is
// kept longer, says which users have signed in with it, so that strangers' wrong passwords do not lock it out. Every
// form has a CSRF token that is bound to the browser, and cross-origin posts are refused.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// The cookies. The __Host- prefix binds them to this host and to TLS: a sibling host cannot set them.
const (
	// cookie binds interactions to the browser that began them.
	cookie = "__Host-countersign-browser"
	// sessionCookie is the session.
	sessionCookie = "__Host-countersign-session"
	// noticeCookie says that the backup flag of a passkey changed, until the user was told on the device page.
	noticeCookie = "__Host-countersign-passkey-changed"
	// knownCookie is what the directory of passwords knows the browser by.
	knownCookie = "__Host-countersign-known"
)

// maxKnownCookie bounds what is read of that cookie, in bytes.
const maxKnownCookie = 2048

// knownBefore returns what the directory knows the browser by, or "".
func knownBefore(r *http.Request) string {
	found, err := r.Cookie(knownCookie)
	if err != nil || len(found.Value) > maxKnownCookie {
		return ""
	}
	return found.Value
}

// knownLifetime is how long the cookie is kept after a sign-in; the directory says how long it is of use.
const knownLifetime = 400 * 24 * time.Hour

// noticeLifetime is how long the notice is kept for the user's next visit of the device page.
const noticeLifetime = 30 * 24 * time.Hour

// NotePasskeyChange has the user told on the device page, the next time in this browser, when the passkey of an
// authentication is not what it was. No other user is told.
func NotePasskeyChange(w http.ResponseWriter, a Authentication) {
	if a.PasskeyChanged {
		setCookie(w, noticeCookie, FormToken("passkey changed", a.Subject), noticeLifetime)
	}
}

// TakePasskeyChange reports whether a user is to be told, and forgets it.
func TakePasskeyChange(w http.ResponseWriter, r *http.Request, subject string) bool {
	found, err := r.Cookie(noticeCookie)
	if err != nil || !SameToken(found.Value, FormToken("passkey changed", subject)) {
		return false
	}
	setCookie(w, noticeCookie, "", -time.Second)
	return true
}

// Session returns the digest of the browser's session cookie, or zero.
func Session(r *http.Request) store.Digest {
	found, err := r.Cookie(sessionCookie)
	if err != nil || len(found.Value) != random.SecretLength {
		return store.Digest{}
	}
	return store.DigestOf(found.Value)
}

// Secret returns the value of the browser's cookie, and sets one if it is missing.
func Secret(w http.ResponseWriter, r *http.Request) string {
	if found, err := r.Cookie(cookie); err == nil && len(found.Value) == random.SecretLength {
		return found.Value
	}
	secret := random.Secret()
	setCookie(w, cookie, secret, 0)
	return secret
}

// Known returns the value of the browser's cookie, or [http.ErrNoCookie].
func Known(r *http.Request) (string, error) {
	found, err := r.Cookie(cookie)
	if err != nil {
		return "", err
	}
	return found.Value, nil
}

// setCookie sets a cookie that expires after life; 0 is a cookie of the browser session.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// FormToken returns the CSRF token of a form: a digest of the browser's cookie and of what names the page or session.
func FormToken(browser, what string) string {
	digest := sha256.Sum256([]byte("countersign form\x00" + browser + "\x00" + what))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// SameToken compares in constant time.
func SameToken(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Forms reads forms that the server's own pages post.
type Forms struct {
	origins *http.CrossOriginProtection
	issuer  *url.URL
}

// NewForms makes a reader of forms of the pages of an issuer. A form that names the issuer as its origin is the server's own
// also where an ingress has put another Host into the request.
func NewForms(issuer string) (*Forms, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, err
	}
	f := &Forms{origins: http.NewCrossOriginProtection(), issuer: u}
	return f, f.origins.AddTrustedOrigin(u.Scheme + "://" + u.Host)
}

// Read reads a form of the same origin. Errors are *[oauth.Error].
func (f *Forms) Read(w http.ResponseWriter, r *http.Request) (oauth.Form, error) {
	err := f.origins.Check(r)
	if err == nil && strings.HasPrefix(r.Header.Get("Origin"), "http:") {
		err = errors.New("the origin has no TLS") // Check compares hosts alone
	}
	if err != nil {
		return oauth.Form{}, oauth.Errorf(oauth.AccessDenied, "this form was sent from another site%s", f.Elsewhere(r)).
			WithStatus(http.StatusForbidden).Because(err)
	}
	return oauth.ReadForm(w, r)
}

// Elsewhere is for the end of a description: it says that a request is not for the issuer's host, or has another origin, and
// what would be right; otherwise it is empty. A browser keeps cookies for the host that it sees.
func (f *Forms) Elsewhere(r *http.Request) string {
	right := f.issuer.Scheme + "://" + f.issuer.Host
	switch origin := r.Header.Get("Origin"); {
	case origin != "" && origin != right:
		return fmt.Sprintf(": its origin is %s, and the address of this server is %s", origin, right)
	case !strings.EqualFold(r.Host, f.issuer.Host) && !strings.EqualFold(strings.TrimSuffix(r.Host, ":443"), f.issuer.Host):
		return fmt.Sprintf(": the request names the host %s, and the address of this server is %s", r.Host, right)
	}
	return ""
}

// SeeOther redirects with 303, the only redirect status of the server: browsers do not repost a form with a password
// (FAPI 2.0 Security Profile §5.3.2.2-10).
func SeeOther(w http.ResponseWriter, address string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// Sessions manages the sessions of browsers.
type Sessions struct {
	Store interface {
		StartSession(ctx context.Context, session store.Session, replaced store.Digest) error
		EndSession(ctx context.Context, session store.Digest, evidence ...store.Evidence) error
	}
	// Evidence records sign-ins outside of an interaction; nil records none.
	Evidence *event.Recorder
	// Remember makes a browser known to the directory of passwords; see [Passwords]. It may be nil.
	Remember func(ctx context.Context, subject, known, agent string) (string, error)
	Lifetime time.Duration
	Now      func() time.Time
}

// New makes a session of a user who has just authenticated, and the value of its cookie.
func (s *Sessions) New(a Authentication) (session store.Session, secret string) {
	secret, now := random.Secret(), s.Now()
	if a.At.IsZero() {
		a.At = now
	}
	return store.Session{
		ID: store.DigestOf(secret), SID: random.UUID(), Subject: a.Subject, AuthTime: a.At, ACR: a.ACR, AMR: a.AMR,
		ExpiresAt: now.Add(s.Lifetime), Epoch: a.Epoch, Upstream: a.Upstream,
	}, secret
}

// SetCookies sets the cookie of a new session, which replaces any former one (no session fixation), and the cookies of what
// the browser is to be told and known by.
func (s *Sessions) SetCookies(w http.ResponseWriter, r *http.Request, secret string, a Authentication) {
	setCookie(w, sessionCookie, secret, s.Lifetime)
	NotePasskeyChange(w, a)
	if a.Known == "" && s.Remember != nil {
		var err error
		if a.Known, err = s.Remember(r.Context(), a.Subject, knownBefore(r), AgentOf(r)); err != nil {
			return // signed in all the same; a later sign-in makes it known
		}
	}
	if a.Known != "" {
		setCookie(w, knownCookie, a.Known, knownLifetime)
	}
}

// Begin stores a session outside of an interaction and sets its cookie.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, a Authentication) error {
	session, secret := s.New(a)
	session.Agent = AgentOf(r)
	if s.Evidence != nil {
		session.Evidence = []store.Evidence{s.Evidence.Event(r.Context(), "", event.SignedIn,
			"subject", a.Subject, "acr", a.ACR, "amr", strings.Join(a.AMR, " "), "page", "device")}
	}
	if err := s.Store.StartSession(r.Context(), session, Session(r)); err != nil {
		return err
	}
	s.SetCookies(w, r, secret, a)
	return nil
}

// End ends a session, which clients are told of (see [store.Logouts]), with the evidence of it, and deletes its cookie.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request, session store.Digest, evidence ...store.Evidence) error {
	if err := s.Store.EndSession(r.Context(), session, evidence...); err != nil {
		return err
	}
	setCookie(w, sessionCookie, "", -time.Second)
	return nil
}
