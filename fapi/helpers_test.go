package fapi_test

import (
	"countersign/fapi/fapitest"
	"fmt"
	"net/http"
	"net/url"
)

// relyingParty is an honest client application: it remembers, for each browser, what it asked for, and accepts a response
// only if it belongs to that browser and comes from the server that it asked (RFC 9700 §4.4, RFC 9207 §2.4).
type relyingParty struct {
	*fapitest.Client
	// pending are the states that were sent, with the browser and the verifier of each.
	pending map[string]startedFlow
}

type startedFlow struct {
	browser  *fapitest.Browser
	verifier string
}

// start pushes a request for a browser, as a click on "sign in" does, and gives the address that the browser is sent to.
func (rp *relyingParty) start(b *fapitest.Browser) (address, state string) {
	rp.World.T.Helper()
	state = fapitest.RandomString()
	flow := startedFlow{b, fapitest.RandomString() + fapitest.RandomString()}
	pushed := rp.Push(fapitest.Changes(fapitest.Set("state", state), fapitest.Set("code_challenge", fapitest.CodeChallenge(flow.verifier))))
	if pushed.Status != http.StatusCreated {
		rp.World.T.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	rp.pending[state] = flow
	return rp.World.AuthorizeURL(rp.ID, pushed.Text("request_uri")), state
}

// receive is the redirect URI of the application. It gives the token response, or says why it does not go on.
func (rp *relyingParty) receive(b *fapitest.Browser, q url.Values) (fapitest.Reply, error) {
	rp.World.T.Helper()
	flow, known := rp.pending[q.Get("state")]
	switch {
	case !known || flow.browser != b:
		return fapitest.Reply{}, fmt.Errorf("the state is not one of this browser")
	case q.Get("iss") != rp.World.Issuer:
		return fapitest.Reply{}, fmt.Errorf("the response is from %s and not from the server that was asked", q.Get("iss"))
	case q.Get("code") == "":
		return fapitest.Reply{}, fmt.Errorf("the server answered %s", q.Get("error"))
	}
	delete(rp.pending, q.Get("state"))
	return rp.Redeem(q.Get("code"), fapitest.Set("code_verifier", flow.verifier)), nil
}

func newRelyingParty(w *fapitest.World, id string, change func(*fapitest.Client, map[string]any)) *relyingParty {
	w.T.Helper()
	return &relyingParty{w.Register(id, change), map[string]startedFlow{}}
}
