package upstream_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/fapi/upstream"
	"countersign/rp/client/providertest"
)

// logoutToken is one of the provider's; nil leaves a claim out.
func (s *site) logoutToken(claims fapitest.Claims) string {
	now := s.provider.Now()
	all := map[string]any{
		"iss": s.provider.Issuer, "aud": providertest.ClientID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(),
		"jti": fapitest.RandomString(), "sid": "session-1", "sub": s.provider.Subject,
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	for name, value := range claims {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	return s.provider.Sign("logout+jwt", all)
}

// logout posts a logout token, and returns the status.
func (s *site) logout(t *testing.T, token string) int {
	t.Helper()
	response, err := s.Browser().HTTP.PostForm(s.Issuer+upstream.LogoutPath, url.Values{"logout_token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %q", response.Header.Get("Cache-Control"))
	}
	return response.StatusCode
}

// signedIn reports whether a browser is signed in here: it is not sent to the provider again.
func (s *site) signedIn(t *testing.T, in *fapitest.Browser) bool {
	t.Helper()
	pushed := s.client.Push(nil)
	_, _, sentTo := in.Visit(s.AuthorizeURL(s.client.ID, pushed.Text("request_uri")))
	return sentTo != nil && sentTo.Query().Get("code") != ""
}

// Covers: KY-10. When a session at the provider ends, those end here that began by it.
func TestKY10BackchannelLogout(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	session := func(t *testing.T, sid, sub string) *fapitest.Browser {
		t.Helper()
		s.says(fapitest.Claims{"sid": sid, "sub": sub})
		browser := s.Browser()
		s.signIn(t, browser, nil)
		if !s.signedIn(t, browser) {
			t.Fatal("not signed in")
		}
		return browser
	}
	t.Run("accepts a session by its sid, and leaves the user's others", func(t *testing.T) {
		one, other, stranger := session(t, "sid-1", "sub-alice"), session(t, "sid-2", "sub-alice"), session(t, "sid-3", "sub-bob")
		found := false
		for _, e := range s.NewEvents(t, func() {
			if status := s.logout(t, s.logoutToken(fapitest.Claims{"sid": "sid-1", "sub": nil})); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
		}) {
			found = found || e.Detail["event"] == "signed_out" && e.Detail["by"] == "upstream"
		}
		if s.signedIn(t, one) || !s.signedIn(t, other) || !s.signedIn(t, stranger) || !found {
			t.Error("other sessions have ended than the one, or the log does not say so")
		}
	})
	t.Run("accepts all of a user by sub", func(t *testing.T) {
		one, other, stranger := session(t, "sid-4", "sub-carol"), session(t, "sid-5", "sub-carol"), session(t, "sid-6", "sub-bob")
		if status := s.logout(t, s.logoutToken(fapitest.Claims{"sid": nil, "sub": "sub-carol"})); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		if s.signedIn(t, one) || s.signedIn(t, other) || !s.signedIn(t, stranger) {
			t.Error("other sessions have ended than the user's")
		}
	})
	t.Run("accepts to tell the clients of the session", func(t *testing.T) {
		told := s.Register("told", fapitest.All(fapitest.AllScopes, fapitest.Told("https://client.example/backchannel")))
		s.says(fapitest.Claims{"sid": "sid-told"})
		browser := s.Browser()
		plain := s.client
		s.client = told
		s.signIn(t, browser, nil)
		s.client = plain
		before := backlog(t, s)
		if status := s.logout(t, s.logoutToken(fapitest.Claims{"sid": "sid-told"})); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		if after := backlog(t, s); after != before+1 {
			t.Errorf("%d notices, before %d", after, before)
		}
	})
	t.Run("refuses a session to begin that has ended meanwhile", func(t *testing.T) {
		s.says(fapitest.Claims{"sid": "sid-late"})
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		response, err := fapitest.NoRedirects(browser).Get(back)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		to, err := response.Location()
		if err != nil || s.logout(t, s.logoutToken(fapitest.Claims{"sid": "sid-late"})) != http.StatusOK {
			t.Fatal(err, response.Status)
		}
		s.nothingGranted(t, func() { wantError(t, browser, to.String(), "access_denied") })
	})
	t.Run("refuses a token that was used", func(t *testing.T) {
		token := s.logoutToken(fapitest.Claims{"sid": "sid-none"})
		if first, second := s.logout(t, token), s.logout(t, token); first != http.StatusOK || second != http.StatusBadRequest {
			t.Errorf("%d, then %d", first, second)
		}
	})
	browser := session(t, "sid-7", "sub-alice")
	for name, claims := range map[string]fapitest.Claims{
		"of another issuer":       {"iss": "https://evil.example"},
		"for another client":      {"aud": "another"},
		"that is too old":         {"iat": time.Now().Add(-48 * time.Hour).Unix(), "exp": time.Now().Add(-47 * time.Hour).Unix()},
		"with a nonce":            {"nonce": "n"},
		"without its event":       {"events": map[string]any{}},
		"without sid and sub":     {"sid": nil, "sub": nil},
		"without a name to it":    {"jti": nil},
		"without an end (exp)":    {"exp": nil},
		"that is an ID token too": {"events": nil, "nonce": "n"},
	} {
		t.Run("refuses a token "+name, func(t *testing.T) {
			all := fapitest.Claims{"sid": "sid-7"}
			for name, value := range claims {
				all[name] = value
			}
			if status := s.logout(t, s.logoutToken(all)); status != http.StatusBadRequest || !s.signedIn(t, browser) {
				t.Errorf("answered %d", status)
			}
		})
	}
	t.Run("refuses what is no token, and another method or type", func(t *testing.T) {
		for _, token := range []string{"", "a.b.c", s.logoutToken(nil) + "x", s.provider.Sign("JWT", map[string]any{"iss": s.provider.Issuer, "sid": "sid-7"})} {
			if status := s.logout(t, token); status != http.StatusBadRequest {
				t.Errorf("%.20q: answered %d", token, status)
			}
		}
		response, err := s.Browser().HTTP.Get(s.Issuer + upstream.LogoutPath)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed || !s.signedIn(t, browser) {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses with a time to try again while the provider's keys cannot be had", func(t *testing.T) {
		other := newSite(t, nil)
		other.provider.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/jwks" {
				return false
			}
			w.WriteHeader(http.StatusBadGateway)
			return true
		}})
		if status := other.logout(t, other.logoutToken(nil)); status != http.StatusServiceUnavailable {
			t.Errorf("answered %d", status)
		}
	})
}

// backlog is how many notices of logouts wait.
func backlog(t *testing.T, s *site) int {
	t.Helper()
	all, err := s.Store.Backlogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if one.Kind == "logouts" {
			return one.Waiting
		}
	}
	return 0
}

// Covers: KY-11. A user who signs out here is signed out at the provider too, and comes back.
func TestKY11Onward(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	app := s.Register("app", fapitest.All(fapitest.AllScopes, fapitest.Told("", "https://client.example/bye")))
	plain := s.client
	signOut := func(t *testing.T, in *fapitest.Browser) *url.URL {
		t.Helper()
		s.client = app
		issued := s.signIn(t, in, nil)
		s.client = plain
		query := url.Values{"id_token_hint": {issued.Text("id_token")}, "post_logout_redirect_uri": {"https://client.example/bye"}, "state": {"s-1"}}
		_, body, sentTo := in.Visit(s.Issuer + "/end-session?" + query.Encode())
		if sentTo == nil {
			t.Fatalf("sent nowhere: %s", body)
		}
		return sentTo
	}
	t.Run("accepts to go on to the provider, and back to the application", func(t *testing.T) {
		browser := s.Browser()
		sentTo := signOut(t, browser)
		query := sentTo.Query()
		if !strings.HasPrefix(sentTo.String(), s.provider.Issuer+"/logout?") || query.Get("post_logout_redirect_uri") != s.Issuer+upstream.SignedOutPath ||
			query.Get("client_id") != providertest.ClientID || strings.Count(query.Get("id_token_hint"), ".") != 2 || query.Get("state") == "" {
			t.Fatalf("sent to %s", sentTo)
		}
		if s.signedIn(t, browser) {
			t.Error("still signed in")
		}
		_, _, sentTo = browser.Visit(query.Get("post_logout_redirect_uri") + "?state=" + query.Get("state"))
		if sentTo == nil || sentTo.String() != "https://client.example/bye?state=s-1" {
			t.Errorf("sent to %v", sentTo)
		}
		wantPage(t, browser, query.Get("post_logout_redirect_uri")+"?state="+query.Get("state"), http.StatusBadRequest, "did not begin")
	})
	t.Run("refuses to come back with another state, or in another browser", func(t *testing.T) {
		browser := s.Browser()
		query := signOut(t, browser).Query()
		for _, state := range []string{"", "another"} {
			wantPage(t, browser, s.Issuer+upstream.SignedOutPath+"?state="+state, http.StatusBadRequest, "did not begin")
		}
		wantPage(t, s.Browser(), s.Issuer+upstream.SignedOutPath+"?state="+query.Get("state"), http.StatusBadRequest, "did not begin")
	})
	t.Run("accepts to stay here while the provider is away, or has no such endpoint", func(t *testing.T) {
		other := newSite(t, nil)
		other.provider.Behave(providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "end_session_endpoint") }})
		browser := other.Browser()
		app := other.Register("app", fapitest.All(fapitest.AllScopes, fapitest.Told("", "https://client.example/bye")))
		other.client = app
		issued := other.signIn(t, browser, nil)
		query := url.Values{"id_token_hint": {issued.Text("id_token")}, "post_logout_redirect_uri": {"https://client.example/bye"}}
		if _, _, sentTo := browser.Visit(other.Issuer + "/end-session?" + query.Encode()); sentTo == nil || sentTo.String() != "https://client.example/bye" {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("refuses to go on where the configuration says so", func(t *testing.T) {
		other := newSite(t, func(settings *upstream.Settings) { settings.SignOut = false })
		browser := other.Browser()
		other.client = other.Register("app", fapitest.All(fapitest.AllScopes, fapitest.Told("", "https://client.example/bye")))
		issued := other.signIn(t, browser, nil)
		query := url.Values{"id_token_hint": {issued.Text("id_token")}, "post_logout_redirect_uri": {"https://client.example/bye"}}
		if _, _, sentTo := browser.Visit(other.Issuer + "/end-session?" + query.Encode()); sentTo == nil || sentTo.Host != "client.example" {
			t.Errorf("sent to %v", sentTo)
		}
	})
}
