package fapitest

import (
	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/rar"
	"fmt"
	"net/http"
	"sync"
)

// person is an Interactor that a test directs: who sits before the browser, how that one signs in, and what it decides.
type User struct {
	mu       sync.Mutex
	subject  string
	reaches  string // the acr of the next sign-in
	decision string // "allow", "deny", or "wait" to leave the page as it is
	// signIns and pages count the sign-ins and the pages on which a signed-in person had to decide.
	signIns, pages int
	// shown is the last page.
	shown ShownPage
}

// shownPage is what a page lets a person see of a request.
type ShownPage struct {
	client, LoginHint         string
	scopes, Claims, Resources []string
	Acrs                      []string
	Details                   []rar.View
	signedIn                  bool
}

func (p *User) Interact(w http.ResponseWriter, r *http.Request, in authorize.Interaction, actions authorize.Actions) {
	p.mu.Lock()
	subject, acr, decision := p.subject, p.reaches, p.decision
	p.shown = ShownPage{
		client: in.Client.Name, LoginHint: in.LoginHint, Claims: in.Claims, Resources: in.Resources, Acrs: in.ACRs,
		Details: in.Details, signedIn: in.SignedIn != nil,
	}
	for _, scope := range in.Scopes {
		p.shown.scopes = append(p.shown.scopes, scope.Name)
	}
	if in.SignedIn != nil {
		p.pages++
	} else if decision != "wait" {
		p.signIns++
	}
	p.mu.Unlock()
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

func (p *User) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	w.WriteHeader(failure.Status)
	_, _ = fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

// does says what the person does from now on.
func (p *User) Does(decision string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decision = decision
}

// is says who sits before the browser from now on, and what the next sign-in reaches.
func (p *User) Is(subject, acr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subject, p.reaches = subject, acr
}

// asked gives how often somebody signed in, and had to decide, since the last call.
func (p *User) Asked() (signIns, pages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	signIns, pages = p.signIns, p.pages
	p.signIns, p.pages = 0, 0
	return signIns, pages
}

func (p *User) Sees() ShownPage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown
}
