package fapi_test

import (
	"fmt"
	"net/http"
	"sync"

	"countersign/fapi"
)

// person is an Interactor that a test directs: who sits before the browser, how that one signs in, and what it decides.
type person struct {
	mu       sync.Mutex
	subject  string
	reaches  string // the acr of the next sign-in
	decision string // "allow", "deny", or "wait" to leave the page as it is
	// signIns and pages count the sign-ins and the pages on which a signed-in person had to decide.
	signIns, pages int
	// shown is the last page.
	shown shownPage
}

// shownPage is what a page lets a person see of a request.
type shownPage struct {
	client, loginHint         string
	scopes, claims, resources []string
	acrs                      []string
	details                   []fapi.DetailView
	signedIn                  bool
}

func (p *person) Interact(w http.ResponseWriter, r *http.Request, turn *fapi.Turn) {
	p.mu.Lock()
	subject, acr, decision := p.subject, p.reaches, p.decision
	p.shown = shownPage{
		client: turn.Client.Name, loginHint: turn.LoginHint, claims: turn.Claims, resources: turn.Resources, acrs: turn.ACRs,
		details: turn.Details, signedIn: turn.SignedIn != nil,
	}
	for _, scope := range turn.Scopes {
		p.shown.scopes = append(p.shown.scopes, scope.Name)
	}
	if turn.SignedIn != nil {
		p.pages++
	} else if decision != "wait" {
		p.signIns++
	}
	p.mu.Unlock()
	switch {
	case decision == "deny":
		turn.Deny(w, r)
	case turn.SignedIn == nil && decision != "wait":
		turn.SignIn(w, r, fapi.Authentication{Subject: subject, ACR: acr, AMR: []string{"pwd", "hwk"}})
	case decision == "allow":
		turn.Allow(w, r)
	default:
		_, _ = fmt.Fprint(w, turn.FormToken)
	}
}

func (p *person) Fail(w http.ResponseWriter, _ *http.Request, failure fapi.Failure) {
	w.WriteHeader(failure.Status)
	_, _ = fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

// does says what the person does from now on.
func (p *person) does(decision string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decision = decision
}

// is says who sits before the browser from now on, and what the next sign-in reaches.
func (p *person) is(subject, acr string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subject, p.reaches = subject, acr
}

// asked gives how often somebody signed in, and had to decide, since the last call.
func (p *person) asked() (signIns, pages int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	signIns, pages = p.signIns, p.pages
	p.signIns, p.pages = 0, 0
	return signIns, pages
}

func (p *person) sees() shownPage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown
}
