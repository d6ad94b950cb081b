package authorize_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
)

// undecided is a world whose user has not decided yet, and a way to decide.
func undecided(t *testing.T) (*fapitest.World, func(string)) {
	w := fapitest.NewWorld(t, fapitest.Deciding("wait"))
	decide := w.User.Does
	return w, decide
}

// Covers: ATTACK-36, RULE-24. A decision is made by the form that this server showed to this browser, and once.
func TestAttack36ForgedDecisions(t *testing.T) {
	t.Parallel()
	w, decide := undecided(t)
	c := w.Register("client-1", nil)
	b := w.Browser()
	interaction, token := begin(t, b, w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
	t.Run("accepts the form of the page", func(t *testing.T) {
		if status, _ := send(t, b, interaction, token, "same-origin"); status != 200 {
			t.Errorf("%d", status)
		}
	})
	for name, one := range map[string]struct{ token, site string }{
		"a form without a token": {"", "same-origin"}, "a form with an invented token": {fapitest.RandomString(), "same-origin"}, "the form from another site": {token, "cross-site"},
		"the form from a sibling site": {token, "same-site"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if status, _ := send(t, b, interaction, one.token, one.site); status != http.StatusForbidden {
				t.Errorf("%d", status)
			}
		})
	}
	t.Run("refuses the token of another interaction", func(t *testing.T) {
		other, _ := begin(t, b, w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
		if status, _ := send(t, b, other, token, "same-origin"); status != http.StatusForbidden {
			t.Errorf("%d", status)
		}
	})
	decide("allow")
	b.Visit(interaction) // signs in
	t.Run("refuses a second answer", func(t *testing.T) {
		if status, sentTo := send(t, b, interaction, token, "same-origin"); sentTo != nil || status != 400 {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	t.Run("accepts cookies that are this host's alone", func(t *testing.T) {
		response, err := fapitest.NoRedirects(w.Browser()).Get(w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
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
		victim := w.Browser()
		victim.HTTP.Jar.SetCookies(fapitest.MustURL(t, w.Issuer), []*http.Cookie{{Name: "__Host-countersign-session", Value: planted, Path: "/", Secure: true}})
		if _, _, sentTo := victim.Visit(w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))); sentTo == nil || !sentTo.Query().Has("code") {
			t.Fatalf("sent to %v", sentTo)
		}
		for _, cookie := range victim.HTTP.Jar.Cookies(fapitest.MustURL(t, w.Issuer)) {
			if cookie.Value == planted {
				t.Errorf("%s stayed", cookie.Name)
			}
		}
	})
}

// Covers: ATTACK-37, ATTACK-06. An interaction belongs to the browser that began it, and its code to the request that
// it answers.
func TestAttack37ForeignInteractions(t *testing.T) {
	t.Parallel()
	w, decide := undecided(t)
	c := w.Register("client-1", nil)
	attacker := w.Browser()
	interaction, token := begin(t, attacker, w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
	t.Run("refuses a browser without a cookie", func(t *testing.T) {
		if status, _, sentTo := w.Browser().Visit(interaction); status != 400 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	victim := w.Browser()
	own, ownToken := begin(t, victim, w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
	t.Run("refuses a browser with a cookie of its own", func(t *testing.T) {
		if status, _, sentTo := victim.Visit(interaction); status != 404 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
		if status, _ := send(t, victim, interaction, token, "same-origin"); status < 400 {
			t.Errorf("%d", status)
		}
		if status, _ := send(t, victim, interaction, ownToken, "same-origin"); status < 400 {
			t.Errorf("%d", status)
		}
	})
	t.Run("refuses an invented interaction", func(t *testing.T) {
		if status, _, sentTo := victim.Visit(w.Issuer + "/interaction/" + fapitest.RandomString()); status != 404 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	decide("allow")
	t.Run("accepts each in its own browser", func(t *testing.T) {
		for b, address := range map[*fapitest.Browser]string{attacker: interaction, victim: own} {
			if _, _, sentTo := b.Visit(address); sentTo == nil || !sentTo.Query().Has("code") {
				t.Errorf("sent to %v", sentTo)
			}
		}
	})
	t.Run("refuses to mix the attacker's request into the victim's session", func(t *testing.T) {
		// The victim was lured to a request that the attacker pushed through its own session at the same client.
		pushed := c.Push(fapitest.Set("code_challenge", fapitest.CodeChallenge(strings.Repeat("a", 43)))).Text("request_uri")
		_, _, sentTo := victim.Visit(w.AuthorizeURL(c.ID, pushed))
		if sentTo == nil || sentTo.Query().Get("code") == "" {
			t.Fatalf("sent to %v", sentTo)
		}
		fapitest.WantError(t, c.Redeem(sentTo.Query().Get("code"), nil), 400, "invalid_grant")
	})
	t.Run("refuses it after its time", func(t *testing.T) {
		decide("wait")
		late, _ := begin(t, attacker, w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "consent")).Text("request_uri")))
		w.Clock.Advance(10 * time.Minute)
		if status, _, sentTo := attacker.Visit(late); status != 400 || sentTo != nil {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
}

// Covers: ATTACK-07. What was pushed stays at the server: no cookie, address or log line has it.
func TestAttack07PushedValues(t *testing.T) {
	t.Parallel()
	w, _ := undecided(t)
	c := w.Register("client-1", nil)
	values := map[string]string{"state": "state-" + fapitest.RandomString(), "nonce": "nonce-" + fapitest.RandomString(), "login_hint": "hint-" + fapitest.RandomString()}
	change := func(form url.Values, _ http.Header) {
		for name, value := range values {
			form.Set(name, value)
		}
	}
	request := c.Push(change).Text("request_uri")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := w.Browser()
	b.HTTP.Jar = jar
	var seen []string
	b.HTTP.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		seen = append(seen, r.URL.String())
		return nil
	}
	interaction, _ := begin(t, b, w.AuthorizeURL(c.ID, request))
	for _, cookie := range jar.Cookies(fapitest.MustURL(t, w.Issuer)) {
		seen = append(seen, cookie.Value)
	}
	t.Run("accepts a handle and nothing more", func(t *testing.T) {
		if handle := strings.TrimPrefix(interaction, w.Issuer+"/interaction/"); len(handle) != 43 || len(seen) < 2 {
			t.Errorf("%s, %v", interaction, seen)
		}
	})
	for name, value := range values {
		t.Run("refuses to show "+name, func(t *testing.T) {
			if slices.ContainsFunc(seen, func(text string) bool { return strings.Contains(text, value) }) {
				t.Errorf("%v", seen)
			}
			if strings.Contains(w.Logs.String(), value) {
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

// seer is an Interactor that signs a user in once, and then only looks who is before the browser.
type seer struct {
	fapitest.User
	signedIn []bool
}

func (s *seer) Interact(w http.ResponseWriter, r *http.Request, in authorize.Interaction, actions authorize.Actions) {
	s.signedIn = append(s.signedIn, in.SignedIn != nil)
	if len(s.signedIn) == 1 {
		actions.SignIn(w, r, browser.Authentication{Subject: "sub-alice"})
	}
}

// Covers: ATTACK-37. A sign-in counts in the browser that holds its cookie, even within the interaction that it was
// made in.
func TestAttack37SessionCookie(t *testing.T) {
	t.Parallel()
	who := &seer{}
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.Interactor = who })
	c := w.Register("client-1", nil)
	b := w.Browser()
	interaction, _ := begin(t, b, w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
	seen := func() bool {
		b.Visit(interaction)
		return who.signedIn[len(who.signedIn)-1]
	}
	t.Run("accepts the sign-in with its cookie", func(t *testing.T) {
		if !seen() {
			t.Error("the user is not signed in")
		}
	})
	at := fapitest.MustURL(t, w.Issuer)
	for name, value := range map[string]string{"without its cookie": "", "with another": strings.Repeat("A", 43)} {
		t.Run("refuses the sign-in "+name, func(t *testing.T) {
			age := 0
			if value == "" {
				age = -1
			}
			b.HTTP.Jar.SetCookies(at, []*http.Cookie{{Name: "__Host-countersign-session", Value: value, MaxAge: age, Path: "/", Secure: true}})
			if seen() {
				t.Error("the user is signed in")
			}
		})
	}
}

// send posts the form of an interaction's page.
func send(t *testing.T, b *fapitest.Browser, interaction, token, site string) (int, *url.URL) {
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
