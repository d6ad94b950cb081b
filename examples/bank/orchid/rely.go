package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"countersign/rp"
	"countersign/rp/client"
)

// authPrefix is where package rp serves the login, the callback, the logout and what the bank calls.
const authPrefix = "/auth"

// Where the browser goes when a session has ended.
const (
	afterSignOut = "/?signed-out"
	endedHere    = "/ended?here"
	endedThere   = "/ended"
)

// visitor is whose browser it is: who signed in at the bank and is connected by it.
type visitor struct {
	session *rp.Session
	subject string
	// http calls the bank as this user: it proves whose token it is, and refreshes it.
	http *http.Client
}

// visitorOf finds who a request comes from; [rp.App.Session] is in front of all pages.
func visitorOf(r *http.Request) (visitor, bool) {
	s, connected := rp.FromContext(r.Context())
	if !connected {
		return visitor{}, false
	}
	return visitor{s, s.Subject(), s.HTTPClient(r.Context())}, true
}

// connectTo sends the browser to the bank, to sign in and to choose accounts: which there are, the bank says. The details (RFC 9396) go
// there directly, and the browser carries a reference to them (RFC 9126).
func (o *orchid) connectTo(w http.ResponseWriter, r *http.Request) {
	details := []any{map[string]any{
		"type": "account_information", "actions": []string{"list_accounts", "read_balances", "read_transactions"}, "accounts": []any{},
	}}
	o.app.Login(w, r, rp.WithAuthorizationDetails(details), rp.WithReturnTo("/accounts"))
}

// askFor is how long the bank may wait for the user's decision; it may be less.
const askFor = 5 * time.Minute

// ask has the bank ask the user on the telephone whether to pay a bill (CIBA). What is returned waits for the decision: an HTTP client
// for this one payment, or the reason why there is none.
func (o *orchid) ask(r *http.Request, v visitor, b bill, word string) (func(ctx context.Context) (*http.Client, string, error), error) {
	tokens, err := v.session.Token(r.Context())
	if err != nil {
		return nil, err
	}
	protocol := o.app.Client()
	request, err := protocol.Backchannel(r.Context(), client.BackchannelOptions{
		IDTokenHint: tokens.IDToken, Scopes: []string{"openid"}, AuthorizationDetails: []any{b.details()}, BindingMessage: word,
		Resource: []string{o.bank.base}, RequestedExpiry: askFor,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (*http.Client, string, error) {
		allowed, err := protocol.Await(ctx, request)
		if refused, ok := errors.AsType[*client.ProviderError](err); ok {
			switch refused.Code {
			case "access_denied":
				return nil, "You declined it on your telephone.", nil
			case "expired_token":
				return nil, "You did not decide in time.", nil
			}
		}
		if err != nil {
			return nil, "", err
		}
		return protocol.HTTP(allowed), "", nil
	}, nil
}

// show writes a page of package rp, which says what became of a login or a logout, as one of ours.
func (o *orchid) show(w http.ResponseWriter, r *http.Request, p rp.Page) {
	data := problemData{Heading: p.Title, Text: p.Text, On: p.Action.Path, OnLabel: p.Action.Label, Post: p.Action.Post}
	if p.Kind == rp.KindDenied {
		data = problemData{Heading: "Nothing is shared", Text: "You declined it at " + bankName + ". We see none of your accounts.", On: "/connect", OnLabel: "Connect after all"}
	}
	if data.On == "" {
		data.On, data.OnLabel = "/", "To the start"
	}
	if p.CorrelationID != "" && p.Kind != rp.KindDenied {
		data.Number = p.CorrelationID
	}
	o.render(w, r, p.Status, "problem", page{Title: data.Heading, Narrow: true, Data: data})
}
