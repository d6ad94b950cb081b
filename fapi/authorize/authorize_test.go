package authorize_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// TestAuthorize lists what the authorization endpoint does with requests that cannot go on: it tells the client where
// an address of the client is proven, and the user elsewhere.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	other := w.Register("client-2", nil)
	fresh := func() string { return c.Push(nil).Text("request_uri") }
	done := fresh()
	w.Browser().Visit(w.AuthorizeURL(c.ID, done))
	expired := fresh()
	w.Clock.Advance(time.Minute)
	back := "&redirect_uri=" + url.QueryEscape(c.RedirectURI) + "&state=outside"
	tests := map[string]struct {
		query  string
		sent   string // the error that the client gets, or ""
		state  string
		status int // of the page otherwise
	}{
		"no client":                          {"request_uri=" + fresh(), "", "", 401},
		"an unknown client":                  {"client_id=nobody&request_uri=" + fresh(), "", "", 401},
		"no request_uri":                     {"client_id=client-1", "", "", 400},
		"not pushed":                         {"client_id=client-1&response_type=code&scope=openid" + back, "", "", 400},
		"not pushed, address not registered": {"client_id=client-1&redirect_uri=https://evil.example/", "", "", 400},
		"an address of the client's":         {"client_id=client-1&request_uri=https://client.example/object", "", "", 400},
		"invented":                           {"client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:x", "", "", 400},
		"invented, with an address":          {"client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:x" + back, "", "", 400},
		"another client's":                   {"client_id=client-2&request_uri=" + fresh(), "", "", 400},
		"used before":                        {"client_id=client-1&request_uri=" + done, "invalid_request_uri", "state-1", 0},
		"expired":                            {"client_id=client-1&request_uri=" + expired, "invalid_request_uri", "state-1", 0},
		"client_id twice":                    {"client_id=client-1&client_id=client-2", "", "", 400},
		"prompt none":                        {"client_id=client-1&request_uri=" + c.Push(func(f url.Values, _ http.Header) { f.Set("prompt", "none") }).Text("request_uri"), "login_required", "state-1", 0},
	}
	_ = other
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, body, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + test.query)
			if test.sent == "" {
				if sentTo != nil || status != test.status {
					t.Fatalf("answered %d %s, sent to %v", status, body, sentTo)
				}
				return
			}
			if sentTo == nil || status != http.StatusSeeOther {
				t.Fatalf("answered %d %s", status, body)
			}
			q := sentTo.Query()
			if !strings.HasPrefix(sentTo.String(), c.RedirectURI+"?") || q.Get("error") != test.sent || q.Get("iss") != w.Issuer || q.Get("state") != test.state {
				t.Errorf("sent to %s", sentTo)
			}
		})
	}
}

// TestParametersOutside: what the browser brings beside the pushed request changes nothing.
func TestParametersOutside(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		c.RedirectURI += "?dummy1=lorem&dummy2=ipsum"
		m["redirect_uris"] = []string{c.RedirectURI}
	})
	pushed := c.Push(nil).Text("request_uri")
	_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed) + "&state=other&nonce=other&scope=payments&redirect_uri=https%3A%2F%2Fevil.example%2F")
	if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.RedirectURI+"&") || sentTo.Query().Get("state") != "state-1" || sentTo.Query().Get("code") == "" {
		t.Fatalf("sent to %v", sentTo)
	}
	r := c.Redeem(sentTo.Query().Get("code"), nil)
	if _, id := w.Verify(r.Text("id_token")); id["nonce"] != "nonce-1" {
		t.Errorf("nonce %v", id["nonce"])
	}
}

func TestAuthorizeByPost(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	form := url.Values{"client_id": {c.ID}, "request_uri": {c.Push(nil).Text("request_uri")}}
	response, err := w.Browser().HTTP.PostForm(w.Issuer+"/authorize", form)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if location, err := response.Location(); err != nil || location.Query().Get("code") == "" {
		t.Errorf("sent to %v, %v", location, err)
	}
}

// TestRequestURIBeforeItsEnd: a request may be opened again until it is answered (FAPI 2.0 §5.3.2.2 note 3), in
// several windows, and is answered once.
func TestRequestURIBeforeItsEnd(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Deciding("wait"))
	decide := w.User.Does
	c := w.Register("client-1", nil)
	address := w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))
	b := w.Browser()
	for range 2 {
		if status, _, sentTo := b.Visit(address); status != http.StatusOK || sentTo != nil {
			t.Fatalf("%d %v", status, sentTo)
		}
	}
	decide("allow")
	if _, _, sentTo := b.Visit(address); sentTo == nil || !sentTo.Query().Has("code") {
		t.Fatalf("sent to %v", sentTo)
	}
	if _, _, sentTo := b.Visit(address); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
		t.Fatalf("used again: sent to %v", sentTo)
	}
}

// TestManyAnswers gives many answers to one request at once: one code comes out.
func TestManyAnswers(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	address := w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))
	var wait sync.WaitGroup
	codes := make([]string, 12)
	for i := range codes {
		b := w.Browser()
		wait.Go(func() {
			if _, _, sentTo := b.Visit(address); sentTo != nil {
				codes[i] = sentTo.Query().Get("code")
			}
		})
	}
	wait.Wait()
	count := 0
	for _, code := range codes {
		if code != "" {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d codes for one request", count)
	}
}

// TestInteractionBelongsToItsBrowser tries to finish another browser's interaction, and to forge its forms.
func TestInteractionBelongsToItsBrowser(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Deciding("wait"))
	c := w.Register("client-1", nil)
	b := w.Browser()
	response, err := b.HTTP.Get(w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
	if err != nil {
		t.Fatal(err)
	}
	token, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	address := response.Request.URL.String()
	if status, _, _ := w.Browser().Visit(address); status != http.StatusBadRequest {
		t.Errorf("another browser: %d", status)
	}
	stranger := w.Browser()
	stranger.Visit(w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
	if status, _, _ := stranger.Visit(address); status != http.StatusNotFound {
		t.Errorf("another browser with a cookie of its own: %d", status)
	}
	post := func(token, site string) int {
		request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(url.Values{"form_token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", site)
		response, err := b.HTTP.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := post(string(token), "same-origin"); status != http.StatusOK {
		t.Errorf("the right form: %d", status)
	}
	if status := post("wrong", "same-origin"); status != http.StatusForbidden {
		t.Errorf("a wrong form token: %d", status)
	}
	if status := post(string(token), "cross-site"); status != http.StatusForbidden {
		t.Errorf("from another site: %d", status)
	}
	w.Clock.Advance(10 * time.Minute)
	if status := post(string(token), "same-origin"); status != http.StatusBadRequest {
		t.Errorf("after its time: %d", status)
	}
}

// TestSession: a session signs in silently until it is too old for the request.
func TestSession(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	b := w.Browser()
	authTime := func(change func(url.Values, http.Header)) any {
		t.Helper()
		_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, c.Push(change).Text("request_uri")))
		r := c.Redeem(sentTo.Query().Get("code"), nil)
		_, id := w.Verify(r.Text("id_token"))
		return id["auth_time"]
	}
	first := authTime(nil)
	w.Clock.Advance(10 * time.Second)
	if again := authTime(nil); again != first {
		t.Errorf("signed in again without need: %v, %v", first, again)
	}
	if again := authTime(func(f url.Values, _ http.Header) { f.Set("max_age", "60") }); again != first {
		t.Errorf("max_age 60: signed in again")
	}
	if again := authTime(func(f url.Values, _ http.Header) { f.Set("max_age", "5") }); again == first {
		t.Error("max_age 5: an older sign-in was good enough")
	}
	w.Clock.Advance(10 * time.Second)
	before := w.Clock.Now().Unix()
	if again := authTime(func(f url.Values, _ http.Header) { f.Set("prompt", "login") }); again != float64(before) {
		t.Errorf("prompt login: auth_time %v, want %d", again, before)
	}
	w.Clock.Advance(2 * time.Hour)
	if again := authTime(nil); again != float64(w.Clock.Now().Unix()) {
		t.Errorf("after the session's life: auth_time %v", again)
	}
}

func TestPersonRefuses(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Deciding("deny"))
	c := w.Register("client-1", nil)
	pushed := c.Push(nil)
	_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
	if sentTo == nil {
		t.Fatal("the browser was not sent back")
	}
	q := sentTo.Query()
	if q.Get("error") != "access_denied" || q.Get("state") != "state-1" || q.Get("iss") != w.Issuer || q.Has("code") {
		t.Errorf("sent to %s", sentTo)
	}
}
