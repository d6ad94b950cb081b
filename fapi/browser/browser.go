// Package browser has what the pages of the server share: cookies and sessions, form tokens, passwords and passkeys, and the
// error page.
//
// A browser has two cookies. One ties interactions to the browser that began them, the other is its sign-in. Every form of
// the server carries a token that only a page shown to this browser can know, and is refused from any other site.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"time"

	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// The two cookies. The __Host- prefix keeps them to this host, to TLS and from being planted by a sibling host.
const (
	// cookie ties interactions to the browser that began them.
	cookie = "__Host-countersign-browser"
	// sessionCookie is the sign-in.
	sessionCookie = "__Host-countersign-session"
)

// Session returns the digest of the browser's session cookie, or zero.
func Session(r *http.Request) store.Digest {
	found, err := r.Cookie(sessionCookie)
	if err != nil || len(found.Value) != random.SecretLength {
		return store.Digest{}
	}
	return store.DigestOf(found.Value)
}

// Secret returns the browser's cookie, which it sets where there is none.
func Secret(w http.ResponseWriter, r *http.Request) string {
	if found, err := r.Cookie(cookie); err == nil && len(found.Value) == random.SecretLength {
		return found.Value
	}
	secret := random.Secret()
	setCookie(w, cookie, secret, 0)
	return secret
}

// Known returns the browser's cookie, or an error when it has none.
func Known(r *http.Request) (string, error) {
	found, err := r.Cookie(cookie)
	if err != nil {
		return "", err
	}
	return found.Value, nil
}

// setCookie sets a cookie that ends with the browser, or after life.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// FormToken is what each form of a page has to send back. Only a page of this server, shown to this browser, can know it.
// What names the page or the sign-in that the form is for.
func FormToken(browser, what string) string {
	digest := sha256.Sum256([]byte("countersign form\x00" + browser + "\x00" + what))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// SameToken compares in constant time.
func SameToken(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Forms reads the forms of the server's own pages.
type Forms struct{ origins *http.CrossOriginProtection }

// NewForms makes a reader of forms.
func NewForms() *Forms { return &Forms{origins: http.NewCrossOriginProtection()} }

// Read reads a form that was sent from a page of this server, and from no other site.
func (f *Forms) Read(w http.ResponseWriter, r *http.Request) (oauth.Form, error) {
	if err := f.origins.Check(r); err != nil {
		return oauth.Form{}, oauth.Errorf(oauth.AccessDenied, "this form was sent from another site").WithStatus(http.StatusForbidden).Because(err)
	}
	return oauth.ReadForm(w, r)
}

// SeeOther is the only redirect that the server sends: 303, so that no browser repeats a form with a password
// (FAPI 2.0 Security Profile §5.3.2.2-10).
func SeeOther(w http.ResponseWriter, address string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// Sessions keeps the sign-ins of browsers.
type Sessions struct {
	Store interface {
		StartSession(ctx context.Context, session store.Session, replaced store.Digest) error
		EndSession(ctx context.Context, session store.Digest) error
	}
	Lifetime time.Duration
	Now      func() time.Time
}

// New makes a session of a user who has authenticated just now, with the secret for the browser's cookie.
func (s *Sessions) New(a Authentication) (session store.Session, secret string) {
	secret, now := random.Secret(), s.Now()
	return store.Session{
		ID: store.DigestOf(secret), Subject: a.Subject, AuthTime: now, ACR: a.ACR, AMR: a.AMR, ExpiresAt: now.Add(s.Lifetime),
	}, secret
}

// SetCookie gives the browser a session, in place of whatever it had before (no fixation).
func (s *Sessions) SetCookie(w http.ResponseWriter, secret string) {
	setCookie(w, sessionCookie, secret, s.Lifetime)
}

// Begin stores a sign-in that no interaction asked for and gives the browser its cookie.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, a Authentication) error {
	session, secret := s.New(a)
	if err := s.Store.StartSession(r.Context(), session, Session(r)); err != nil {
		return err
	}
	s.SetCookie(w, secret)
	return nil
}

// End ends a session and takes the browser's cookie.
func (s *Sessions) End(w http.ResponseWriter, r *http.Request, session store.Digest) error {
	if err := s.Store.EndSession(r.Context(), session); err != nil {
		return err
	}
	setCookie(w, sessionCookie, "", -time.Second)
	return nil
}
