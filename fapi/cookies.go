package fapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"time"

	"countersign/store"
)

// The two cookies. The __Host- prefix keeps them to this host, to TLS and from being planted by a sibling host.
const (
	// browserCookie ties interactions to the browser that began them.
	browserCookie = "__Host-countersign-browser"
	// sessionCookie is the sign-in.
	sessionCookie = "__Host-countersign-session"
)

// secretLength is the length of what newSecret makes.
const secretLength = 43

// sessionOf gives the digest of the browser's session cookie, or zero.
func sessionOf(r *http.Request) store.Digest { return cookieDigest(r, sessionCookie) }

func cookieDigest(r *http.Request, name string) store.Digest {
	cookie, err := r.Cookie(name)
	if err != nil || len(cookie.Value) != secretLength {
		return store.Digest{}
	}
	return store.DigestOf(cookie.Value)
}

// browserSecret gives the browser's cookie, or sets a new one.
func browserSecret(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(browserCookie); err == nil && len(cookie.Value) == secretLength {
		return cookie.Value
	}
	secret := newSecret()
	setCookie(w, browserCookie, secret, 0)
	return secret
}

// setCookie sets a cookie that ends with the browser, or after life.
func setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// formToken is what each form of an interaction has to send back. Only a page of this server, shown to this browser,
// can know it.
func formToken(browser, handle string) string {
	digest := sha256.Sum256([]byte("countersign form\x00" + browser + "\x00" + handle))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

func sameToken(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
