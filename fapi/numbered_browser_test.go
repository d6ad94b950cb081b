package fapi_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
)

// waiting is a world whose person has not decided yet, and a way to decide.
func waiting(t *testing.T) (*world, func(string)) {
	var decide func(string)
	w := newWorld(t, deciding("wait"), func(_ *fapiConfig, a *autoInteractor) {
		decide = func(decision string) { a.mu.Lock(); a.decision = decision; a.mu.Unlock() }
	})
	return w, decide
}

// begin opens a pushed request and gives the interaction's address and the form token of its page.
func (b *browser) begin(t *testing.T, address string) (interaction, token string) {
	t.Helper()
	response, err := b.http.Get(address)
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
func (b *browser) send(t *testing.T, interaction, token, site string) (int, *url.URL) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, interaction, strings.NewReader(url.Values{"form_token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if site != "" {
		request.Header.Set("Sec-Fetch-Site", site)
	}
	response, err := b.http.Do(request)
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

// Covers: ATTACK-36, RULE-24. A decision is made by the form that this server showed to this browser, and once.
func TestAttack36ForgedDecisions(t *testing.T) {
	w, decide := waiting(t)
	c := w.register("client-1", nil)
	b := w.browser()
	interaction, token := b.begin(t, w.authorizeURL(c.id, c.push(nil).text("request_uri")))
	t.Run("accepts the form of the page", func(t *testing.T) {
		if status, _ := b.send(t, interaction, token, "same-origin"); status != 200 {
			t.Errorf("%d", status)
		}
	})
	for name, one := range map[string]struct{ token, site string }{
		"a form without a token": {"", "same-origin"}, "a form with an invented token": {random(), "same-origin"}, "the form from another site": {token, "cross-site"},
		"the form from a sibling site": {token, "same-site"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if status, _ := b.send(t, interaction, one.token, one.site); status != http.StatusForbidden {
				t.Errorf("%d", status)
			}
		})
	}
	t.Run("refuses the token of another interaction", func(t *testing.T) {
		other, _ := b.begin(t, w.authorizeURL(c.id, c.push(nil).text("request_uri")))
		if status, _ := b.send(t, other, token, "same-origin"); status != http.StatusForbidden {
			t.Errorf("%d", status)
		}
	})
	decide("allow")
	b.visit(interaction) // signs in
	t.Run("refuses a second answer", func(t *testing.T) {
		if status, sentTo := b.send(t, interaction, token, "same-origin"); sentTo != nil || status != 400 {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	t.Run("accepts cookies that are this host's alone", func(t *testing.T) {
		response, err := noRedirects(w.browser()).Get(w.authorizeURL(c.id, c.push(nil).text("request_uri")))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if len(response.Cookies()) == 0 {
			t.Error("no cookie")
		}
		for _, cookie := range response.Cookies() {
			if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Domain != "" || cookie.Path != "/" {
				t.Errorf("%s", cookie.Raw)
			}
		}
	})
	t.Run("refuses a session that an attacker planted", func(t *testing.T) {
		planted := strings.Repeat("A", 43)
		victim := w.browser()
		victim.http.Jar.SetCookies(mustURL(t, w.issuer), []*http.Cookie{{Name: "__Host-countersign-session", Value: planted, Path: "/", Secure: true}})
		if _, _, sentTo := victim.visit(w.authorizeURL(c.id, c.push(nil).text("request_uri"))); sentTo == nil || !sentTo.Query().Has("code") {
			t.Fatalf("sent to %v", sentTo)
		}
		for _, cookie := range victim.http.Jar.Cookies(mustURL(t, w.issuer)) {
			if cookie.Value == planted {
				t.Errorf("%s stayed", cookie.Name)
			}
		}
	})
}

// noRedirects is the browser's client, which stops at the first redirect.
func noRedirects(b *browser) *http.Client {
	client := *b.http
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// Covers: ATTACK-37, ATTACK-06. An interaction belongs to the browser that began it, and its code to the request that
// it answers.
func TestAttack37ForeignInteractions(t *testing.T) {
	w, decide := waiting(t)
	c := w.register("client-1", nil)
	attacker := w.browser()
	interaction, token := attacker.begin(t, w.authorizeURL(c.id, c.push(nil).text("request_uri")))
	t.Run("refuses a browser without a cookie", func(t *testing.T) {
		if status, _, sentTo := w.browser().visit(interaction); status != 400 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	victim := w.browser()
	own, ownToken := victim.begin(t, w.authorizeURL(c.id, c.push(nil).text("request_uri")))
	t.Run("refuses a browser with a cookie of its own", func(t *testing.T) {
		if status, _, sentTo := victim.visit(interaction); status != 404 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
		if status, _ := victim.send(t, interaction, token, "same-origin"); status < 400 {
			t.Errorf("%d", status)
		}
		if status, _ := victim.send(t, interaction, ownToken, "same-origin"); status < 400 {
			t.Errorf("%d", status)
		}
	})
	t.Run("refuses an invented interaction", func(t *testing.T) {
		if status, _, sentTo := victim.visit(w.issuer + "/interaction/" + random()); status != 404 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	decide("allow")
	t.Run("accepts each in its own browser", func(t *testing.T) {
		for b, address := range map[*browser]string{attacker: interaction, victim: own} {
			if _, _, sentTo := b.visit(address); sentTo == nil || !sentTo.Query().Has("code") {
				t.Errorf("sent to %v", sentTo)
			}
		}
	})
	t.Run("refuses to mix the attacker's request into the victim's session", func(t *testing.T) {
		// The victim was lured to a request that the attacker pushed through its own session at the same client.
		pushed := c.push(set("code_challenge", challenge(strings.Repeat("a", 43)))).text("request_uri")
		_, _, sentTo := victim.visit(w.authorizeURL(c.id, pushed))
		if sentTo == nil || sentTo.Query().Get("code") == "" {
			t.Fatalf("sent to %v", sentTo)
		}
		wantError(t, c.redeem(sentTo.Query().Get("code"), nil), 400, "invalid_grant")
	})
	t.Run("refuses it after its time", func(t *testing.T) {
		decide("wait")
		late, _ := attacker.begin(t, w.authorizeURL(c.id, c.push(set("prompt", "consent")).text("request_uri")))
		w.clock.Advance(10 * time.Minute)
		if status, _, sentTo := attacker.visit(late); status != 400 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
}

// Covers: ATTACK-07. What was pushed stays at the server: no cookie, address or log line has it.
func TestAttack07PushedValues(t *testing.T) {
	w, _ := waiting(t)
	c := w.register("client-1", nil)
	values := map[string]string{"state": "state-" + random(), "nonce": "nonce-" + random(), "login_hint": "hint-" + random()}
	change := func(form url.Values, _ http.Header) {
		for name, value := range values {
			form.Set(name, value)
		}
	}
	request := c.push(change).text("request_uri")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := w.browser()
	b.http.Jar = jar
	var seen []string
	b.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		seen = append(seen, r.URL.String())
		return nil
	}
	interaction, _ := b.begin(t, w.authorizeURL(c.id, request))
	for _, cookie := range jar.Cookies(mustURL(t, w.issuer)) {
		seen = append(seen, cookie.Value)
	}
	t.Run("accepts a handle and nothing more", func(t *testing.T) {
		if handle := strings.TrimPrefix(interaction, w.issuer+"/interaction/"); len(handle) != 43 || len(seen) < 2 {
			t.Errorf("%s, %v", interaction, seen)
		}
	})
	for name, value := range values {
		t.Run("refuses to show "+name, func(t *testing.T) {
			if slices.ContainsFunc(seen, func(text string) bool { return strings.Contains(text, value) }) {
				t.Errorf("%v", seen)
			}
			if strings.Contains(w.logs.String(), value) {
				t.Error("it is in the log")
			}
		})
	}
	t.Run("refuses to have the request_uri outlive its address", func(t *testing.T) {
		if strings.Contains(interaction, strings.TrimPrefix(request, "urn:ietf:params:oauth:request_uri:")) {
			t.Error(interaction)
		}
	})
}

// seer is an Interactor that signs a person in once, and then only looks who is before the browser.
type seer struct {
	autoInteractor
	signedIn []bool
}

func (s *seer) Interact(w http.ResponseWriter, r *http.Request, turn *fapi.Turn) {
	s.signedIn = append(s.signedIn, turn.SignedIn != nil)
	if len(s.signedIn) == 1 {
		turn.SignIn(w, r, fapi.Authentication{Subject: "sub-alice"})
	}
}

// Covers: ATTACK-37. A sign-in counts in the browser that holds its cookie, even within the interaction that it was
// made in.
func TestAttack37SessionCookie(t *testing.T) {
	who := &seer{}
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.Interactor = who })
	c := w.register("client-1", nil)
	b := w.browser()
	interaction, _ := b.begin(t, w.authorizeURL(c.id, c.push(nil).text("request_uri")))
	seen := func() bool {
		b.visit(interaction)
		return who.signedIn[len(who.signedIn)-1]
	}
	t.Run("accepts the sign-in with its cookie", func(t *testing.T) {
		if !seen() {
			t.Error("the person is not signed in")
		}
	})
	at := mustURL(t, w.issuer)
	for name, value := range map[string]string{"without its cookie": "", "with another": strings.Repeat("A", 43)} {
		t.Run("refuses the sign-in "+name, func(t *testing.T) {
			age := 0
			if value == "" {
				age = -1
			}
			b.http.Jar.SetCookies(at, []*http.Cookie{{Name: "__Host-countersign-session", Value: value, MaxAge: age, Path: "/", Secure: true}})
			if seen() {
				t.Error("the person is signed in")
			}
		})
	}
}
