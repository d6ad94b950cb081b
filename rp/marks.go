package rp

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/rp/internal/web"
	"countersign/rp/session"
)

// marks are cookies by which the application remembers of a browser what is no secret: logins that left no session, and that it was tried silently.
type marks struct{ *site }

const (
	// loopTime is within which logins are counted after which the browser brings no session, and loopMost how many there may be.
	loopTime = 2 * time.Minute
	loopMost = 2
)

// countLogin counts a login until the browser brings its session.
func (m *marks) countLogin(w http.ResponseWriter, r *http.Request) {
	count := strconv.Itoa(m.loops(r)+1) + "." + strconv.FormatInt(m.now().Unix(), 10)
	session.SetCookie(w, session.NewCookie(m.cookieName("loop"), count, loopTime))
}

// loops is how many logins in a row have not given the browser a session.
func (m *marks) loops(r *http.Request) int {
	cookie, err := r.Cookie(m.cookieName("loop"))
	if err != nil {
		return 0
	}
	number, at, _ := strings.Cut(cookie.Value, ".")
	count, badCount := strconv.Atoi(number)
	last, badTime := strconv.ParseInt(at, 10, 64)
	if badCount != nil || badTime != nil || count < 0 || count > loopMost || m.now().Sub(time.Unix(last, 0)) >= loopTime {
		return 0
	}
	return count
}

// keptCookies forgets the count of a browser that has brought a session.
func (m *marks) keptCookies(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie(m.cookieName("loop")); err == nil {
		session.RemoveCookie(w, m.cookieName("loop"))
	}
}

// mayTry reports whether a request is a navigation of a browser that has not tried. Browsers say so by fetch metadata; programs do not.
func (m *marks) mayTry(r *http.Request) bool {
	_, err := r.Cookie(m.cookieName("silent"))
	return err != nil && r.Method == http.MethodGet && web.WantsPage(r) && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document" && !strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch")
}

// tried keeps [App.Silent] from signing in again who has signed out.
func (m *marks) tried(w http.ResponseWriter) {
	session.SetCookie(w, session.NewCookie(m.cookieName("silent"), "1", 0))
}
