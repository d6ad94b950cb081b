package fapitest

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// press sends the form of a page with a decision and gives where the browser is sent.
func (b *Browser) Press(interaction, token, decision string) (int, *url.URL, error) {
	form := url.Values{"form_token": {token}, "decision": {decision}}
	response, err := NoRedirects(b).Post(interaction, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, nil, err
	}
	to, err := response.Location()
	if err != nil {
		return response.StatusCode, nil, nil // a page
	}
	return response.StatusCode, to, nil
}

// relyingParty is an honest client application: it remembers, for each browser, what it asked for, and accepts a response
// only if it belongs to that browser and comes from the server that it asked (RFC 9700 §4.4, RFC 9207 §2.4).
type RelyingParty struct {
	*Client
	// pending are the states that were sent, with the browser and the verifier of each.
	Pending map[string]startedFlow
}

type startedFlow struct {
	browser  *Browser
	Verifier string
}

// start pushes a request for a browser, as a click on "sign in" does, and gives the address that the browser is sent to.
func (rp *RelyingParty) Start(b *Browser) (address, state string) {
	rp.W.T.Helper()
	state = Random()
	flow := startedFlow{b, Random() + Random()}
	pushed := rp.Push(Changes(Set("state", state), Set("code_challenge", Challenge(flow.Verifier))))
	if pushed.Status != http.StatusCreated {
		rp.W.T.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	rp.Pending[state] = flow
	return rp.W.AuthorizeURL(rp.ID, pushed.Text("request_uri")), state
}

// receive is the redirect URI of the application. It gives the token response, or says why it does not go on.
func (rp *RelyingParty) Receive(b *Browser, q url.Values) (Reply, error) {
	rp.W.T.Helper()
	flow, known := rp.Pending[q.Get("state")]
	switch {
	case !known || flow.browser != b:
		return Reply{}, fmt.Errorf("the state is not one of this browser")
	case q.Get("iss") != rp.W.Issuer:
		return Reply{}, fmt.Errorf("the response is from %s and not from the server that was asked", q.Get("iss"))
	case q.Get("code") == "":
		return Reply{}, fmt.Errorf("the server answered %s", q.Get("error"))
	}
	delete(rp.Pending, q.Get("state"))
	return rp.Redeem(q.Get("code"), Set("code_verifier", flow.Verifier)), nil
}

func (w *World) RelyingParty(id string, change func(*Client, map[string]any)) *RelyingParty {
	w.T.Helper()
	return &RelyingParty{w.Register(id, change), map[string]startedFlow{}}
}

// page opens an address and gives that of the page on which the browser ends up.
func (b *Browser) Page(t *testing.T, address string) string {
	t.Helper()
	response, err := b.HTTP.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("answered %d, Location %s", response.StatusCode, response.Header.Get("Location"))
	}
	return response.Request.URL.String()
}

// sent gives where an address sends a browser, which must be back to a client.
func (b *Browser) Sent(t *testing.T, address string) url.Values {
	t.Helper()
	status, body, sentTo := b.Visit(address)
	if sentTo == nil {
		t.Fatalf("the browser was not sent back: %d %s", status, body)
	}
	return sentTo.Query()
}

// begin opens a pushed request and gives the interaction's address and the form token of its page.
func (b *Browser) Begin(t *testing.T, address string) (interaction, token string) {
	t.Helper()
	response, err := b.HTTP.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("%d %s, %v", response.StatusCode, body, err)
	}
	return response.Request.URL.String(), string(body)
}

// send posts the form of an interaction's page.
func (b *Browser) Send(t *testing.T, interaction, token, site string) (int, *url.URL) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, interaction, strings.NewReader(url.Values{"form_token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if site != "" {
		request.Header.Set("Sec-Fetch-Site", site)
	}
	response, err := b.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	location, err := response.Location()
	if err != nil {
		location = nil
	}
	return response.StatusCode, location
}

// noRedirects is the browser's client, which stops at the first redirect.
func NoRedirects(b *Browser) *http.Client {
	client := *b.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
