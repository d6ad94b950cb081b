package fapitest

import (
	"fmt"
	"net/http"
	"sync"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
)

// User is the user in front of every browser of a world, and the interactor that acts for them: it signs in and decides as the
// test says, without a page.
type User struct {
	mu       sync.Mutex
	subject  string
	reaches  string // the acr of the next sign-in
	decision string // "allow", "deny", or "wait" to leave the page as it is
	// signIns and pages count the sign-ins and the pages on which a signed-in user had to decide.
	signIns, pages int
	// shown is the last page.
	shown authorize.Interaction
}

// Interact implements [authorize.Interactor].
func (u *User) Interact(w http.ResponseWriter, r *http.Request, in authorize.Interaction, actions authorize.Actions) {
	u.mu.Lock()
	subject, acr, decision := u.subject, u.reaches, u.decision
	u.shown = in
	if in.SignedIn != nil {
		u.pages++
	} else if decision != "wait" {
		u.signIns++
	}
	u.mu.Unlock()
	switch {
	case decision == "deny":
		actions.Deny(w, r)
	case in.SignedIn == nil && decision != "wait":
		actions.SignIn(w, r, browser.Authentication{Subject: subject, ACR: acr, AMR: []string{"pwd", "hwk"}})
	case decision == "allow":
		actions.Allow(w, r)
	default:
		_, _ = fmt.Fprint(w, in.FormToken)
	}
}

// Fail implements [browser.ErrorPage].
func (u *User) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	w.WriteHeader(failure.Status)
	_, _ = fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

// Deciding has the user decide so from the beginning; see [User.Does].
func Deciding(decision string) Option {
	return func(c *Config) { c.Interactor.(*User).Does(decision) }
}

// Does sets what the user does from now on: "allow", "deny", or "wait" to leave the page as it is.
func (u *User) Does(decision string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.decision = decision
}

// Is sets who is in front of the browser from now on, and the authentication context class that the next sign-in reaches.
func (u *User) Is(subject, acr string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.subject, u.reaches = subject, acr
}

// Asked returns how often the user signed in and had to decide since the last call.
func (u *User) Asked() (signIns, pages int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	signIns, pages = u.signIns, u.pages
	u.signIns, u.pages = 0, 0
	return signIns, pages
}

// Sees is what the last page told the user of the request.
func (u *User) Sees() authorize.Interaction {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.shown
}
