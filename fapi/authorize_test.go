package fapi_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAuthorize lists what the authorization endpoint does with requests that cannot go on: it tells the client where
// an address of the client is proven, and the person elsewhere.
func TestAuthorize(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	other := w.register("client-2", nil)
	fresh := func() string { return c.push(nil).text("request_uri") }
	done := fresh()
	w.browser().visit(w.authorizeURL(c.id, done))
	expired := fresh()
	w.clock.Advance(time.Minute)
	back := "&redirect_uri=" + url.QueryEscape(c.redirectURI) + "&state=outside"
	tests := map[string]struct {
		query  string
		sent   string // the error that the client gets, or ""
		state  string
		status int // of the page otherwise
	}{
		"no client":                          {"request_uri=" + fresh(), "", "", 401},
		"an unknown client":                  {"client_id=nobody&request_uri=" + fresh(), "", "", 401},
		"no request_uri":                     {"client_id=client-1", "", "", 400},
		"not pushed":                         {"client_id=client-1&response_type=code&scope=openid" + back, "invalid_request", "outside", 0},
		"not pushed, address not registered": {"client_id=client-1&redirect_uri=https://evil.example/", "", "", 400},
		"an address of the client's":         {"client_id=client-1&request_uri=https://client.example/object", "", "", 400},
		"invented":                           {"client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:x", "", "", 400},
		"invented, with an address":          {"client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:x" + back, "invalid_request_uri", "outside", 0},
		"another client's":                   {"client_id=client-2&request_uri=" + fresh(), "", "", 400},
		"used before":                        {"client_id=client-1&request_uri=" + done, "invalid_request_uri", "state-1", 0},
		"expired":                            {"client_id=client-1&request_uri=" + expired, "invalid_request_uri", "state-1", 0},
		"client_id twice":                    {"client_id=client-1&client_id=client-2", "", "", 400},
		"prompt none":                        {"client_id=client-1&request_uri=" + c.push(func(f url.Values, _ http.Header) { f.Set("prompt", "none") }).text("request_uri"), "login_required", "state-1", 0},
	}
	_ = other
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, body, sentTo := w.browser().visit(w.issuer + "/authorize?" + test.query)
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
			if !strings.HasPrefix(sentTo.String(), c.redirectURI+"?") || q.Get("error") != test.sent || q.Get("iss") != w.issuer || q.Get("state") != test.state {
				t.Errorf("sent to %s", sentTo)
			}
		})
	}
}

// TestParametersOutside: what the browser brings beside the pushed request changes nothing.
func TestParametersOutside(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", func(c *client, m map[string]any) {
		c.redirectURI += "?dummy1=lorem&dummy2=ipsum"
		m["redirect_uris"] = []string{c.redirectURI}
	})
	pushed := c.push(nil).text("request_uri")
	_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed) + "&state=other&nonce=other&scope=payments&redirect_uri=https%3A%2F%2Fevil.example%2F")
	if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.redirectURI+"&") || sentTo.Query().Get("state") != "state-1" || sentTo.Query().Get("code") == "" {
		t.Fatalf("sent to %v", sentTo)
	}
	r := c.redeem(sentTo.Query().Get("code"), nil)
	if _, id := w.decode(r.text("id_token")); id["nonce"] != "nonce-1" {
		t.Errorf("nonce %v", id["nonce"])
	}
}

func TestAuthorizeByPost(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	form := url.Values{"client_id": {c.id}, "request_uri": {c.push(nil).text("request_uri")}}
	response, err := w.browser().http.PostForm(w.issuer+"/authorize", form)
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
	var decide func(string)
	w := newWorld(t, deciding("wait"), func(_ *fapiConfig, a *autoInteractor) {
		decide = func(decision string) { a.mu.Lock(); a.decision = decision; a.mu.Unlock() }
	})
	c := w.register("client-1", nil)
	address := w.authorizeURL(c.id, c.push(nil).text("request_uri"))
	b := w.browser()
	for range 2 {
		if status, _, sentTo := b.visit(address); status != http.StatusOK || sentTo != nil {
			t.Fatalf("%d %v", status, sentTo)
		}
	}
	decide("allow")
	if _, _, sentTo := b.visit(address); sentTo == nil || !sentTo.Query().Has("code") {
		t.Fatalf("sent to %v", sentTo)
	}
	if _, _, sentTo := b.visit(address); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
		t.Fatalf("used again: sent to %v", sentTo)
	}
}

// TestManyAnswers gives many answers to one request at once: one code comes out.
func TestManyAnswers(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	address := w.authorizeURL(c.id, c.push(nil).text("request_uri"))
	var wait sync.WaitGroup
	codes := make([]string, 12)
	for i := range codes {
		b := w.browser()
		wait.Go(func() {
			if _, _, sentTo := b.visit(address); sentTo != nil {
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
	w := newWorld(t, deciding("wait"))
	c := w.register("client-1", nil)
	b := w.browser()
	response, err := b.http.Get(w.authorizeURL(c.id, c.push(nil).text("request_uri")))
	if err != nil {
		t.Fatal(err)
	}
	token, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	address := response.Request.URL.String()
	if status, _, _ := w.browser().visit(address); status != http.StatusBadRequest {
		t.Errorf("another browser: %d", status)
	}
	stranger := w.browser()
	stranger.visit(w.authorizeURL(c.id, c.push(nil).text("request_uri")))
	if status, _, _ := stranger.visit(address); status != http.StatusNotFound {
		t.Errorf("another browser with a cookie of its own: %d", status)
	}
	post := func(token, site string) int {
		request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(url.Values{"form_token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", site)
		response, err := b.http.Do(request)
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
	w.clock.Advance(10 * time.Minute)
	if status := post(string(token), "same-origin"); status != http.StatusBadRequest {
		t.Errorf("after its time: %d", status)
	}
}

// TestSession: a session signs in silently until it is too old for the request.
func TestSession(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	b := w.browser()
	authTime := func(change func(url.Values, http.Header)) any {
		t.Helper()
		_, _, sentTo := b.visit(w.authorizeURL(c.id, c.push(change).text("request_uri")))
		r := c.redeem(sentTo.Query().Get("code"), nil)
		_, id := w.decode(r.text("id_token"))
		return id["auth_time"]
	}
	first := authTime(nil)
	w.clock.Advance(10 * time.Second)
	if again := authTime(nil); again != first {
		t.Errorf("signed in anew without need: %v, %v", first, again)
	}
	if again := authTime(func(f url.Values, _ http.Header) { f.Set("max_age", "60") }); again != first {
		t.Errorf("max_age 60: signed in anew")
	}
	if again := authTime(func(f url.Values, _ http.Header) { f.Set("max_age", "5") }); again == first {
		t.Error("max_age 5: an older sign-in was good enough")
	}
	w.clock.Advance(10 * time.Second)
	before := w.clock.Now().Unix()
	if again := authTime(func(f url.Values, _ http.Header) { f.Set("prompt", "login") }); again != float64(before) {
		t.Errorf("prompt login: auth_time %v, want %d", again, before)
	}
	w.clock.Advance(2 * time.Hour)
	if again := authTime(nil); again != float64(w.clock.Now().Unix()) {
		t.Errorf("after the session's life: auth_time %v", again)
	}
}
