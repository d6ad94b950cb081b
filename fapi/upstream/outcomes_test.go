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
	"countersign/store"
)

// Covers: KY-06. What the provider refuses is told to the client, in the words of OAuth.
func TestKY06Errors(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for code, want := range map[string]string{
		"access_denied": "access_denied", "login_required": "login_required", "interaction_required": "interaction_required",
		"account_selection_required": "interaction_required", "consent_required": "interaction_required",
		"unmet_authentication_requirements": "unmet_authentication_requirements", "temporarily_unavailable": "temporarily_unavailable",
		"server_error": "temporarily_unavailable", "invalid_scope": "temporarily_unavailable", "of_our_own": "temporarily_unavailable",
	} {
		t.Run("accepts to tell "+code+" as "+want, func(t *testing.T) {
			browser := s.Browser()
			answer := s.provider.Login(s.begin(t, browser, nil))
			answer.Del("code")
			answer.Set("error", code)
			s.nothingGranted(t, func() { wantError(t, browser, s.callback(answer), want) })
		})
	}
	t.Run("refuses an error that is not the provider's", func(t *testing.T) {
		browser := s.Browser()
		answer := s.provider.Login(s.begin(t, browser, nil))
		wantPage(t, browser, s.callback(url.Values{"error": {"access_denied"}, "state": {"x" + answer.Get("state")}, "iss": {s.provider.Issuer}}), http.StatusBadRequest, "another browser")
		s.redeem(t, browser, s.callback(answer))
	})
}

// Covers: KY-07. While the provider is away, the user gets a page that says so, nothing is granted, and it goes on when it is back.
func TestKY07Away(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	away := func(path string) {
		s.provider.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}})
	}
	page := func(t *testing.T, in *fapitest.Browser, address string) {
		t.Helper()
		response, err := in.HTTP.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s %v", response.Status, response.Header)
		}
	}
	t.Run("refuses with a page while there are no metadata, and accepts it afterwards", func(t *testing.T) {
		browser := s.Browser()
		handed := handedTo(t, s, browser)
		away("/.well-known/openid-configuration")
		page(t, browser, handed)
		s.Clock.Advance(3 * time.Second)
		s.sync()
		s.honest()
		_, _, sentTo := browser.Visit(handed)
		s.redeem(t, browser, s.back(sentTo.String()))
	})
	t.Run("refuses with a page while requests cannot be pushed, and accepts it afterwards", func(t *testing.T) {
		browser := s.Browser()
		handed := handedTo(t, s, browser)
		away("/par")
		page(t, browser, handed)
		s.honest()
		_, _, sentTo := browser.Visit(handed)
		s.redeem(t, browser, s.back(sentTo.String()))
	})
	t.Run("refuses with a page while codes cannot be redeemed", func(t *testing.T) {
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		away("/token")
		s.nothingGranted(t, func() { page(t, browser, back) })
		s.honest()
	})
	t.Run("accepts to ask a provider that is away once in two seconds", func(t *testing.T) {
		other := newSite(t, nil)
		other.provider.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }})
		browser := other.Browser()
		handed := handedTo(t, other, browser)
		for range 5 {
			page(t, browser, handed)
		}
		if asked := len(other.provider.Requests("/.well-known/openid-configuration")); asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
	t.Run("refuses a provider that has become weaker than is named", func(t *testing.T) {
		other := newSite(t, nil)
		other.provider.Behave(providertest.Behaviour{Metadata: func(m map[string]any) { delete(m, "pushed_authorization_request_endpoint") }})
		browser := other.Browser()
		page(t, browser, handedTo(t, other, browser))
		if !strings.Contains(other.Logs.String(), "pushed_authorization_request_endpoint") {
			t.Error("the log does not say why")
		}
	})
}

// Covers: KY-08. A user is issuer and sub: neither a name nor an address makes anybody somebody else.
func TestKY08Subjects(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(settings *upstream.Settings) { settings.UserInfo = true })
	subject := func(t *testing.T) string {
		t.Helper()
		sub, _ := s.VerifyType(t, s.signIn(t, s.Browser(), nil).Text("id_token"), "JWT")["sub"].(string)
		return sub
	}
	first := subject(t)
	t.Run("accepts the same user with another name and address", func(t *testing.T) {
		s.says(fapitest.Claims{"mail": "new@bank.example", "preferred_username": "renamed", "name": "New Name"})
		if again := subject(t); again != first || first != upstream.SubjectOf(s.provider.Issuer, s.provider.Subject) {
			t.Errorf("%s, then %s", first, again)
		}
	})
	t.Run("accepts what UserInfo says", func(t *testing.T) {
		s.provider.Behave(providertest.Behaviour{UserInfo: func(claims map[string]any) { claims["mail"] = "info@bank.example" }})
		issued := s.signIn(t, s.Browser(), nil)
		if info := s.client.Get("/userinfo", issued.Text("access_token"), nil); info.Text("email") != "info@bank.example" {
			t.Errorf("%s", info.Raw)
		}
	})
	t.Run("refuses another user with the same name and address to be the same, or to have that name", func(t *testing.T) {
		s.says(fapitest.Claims{"sub": "sub-mallory", "mail": "new@bank.example", "preferred_username": "alice"}) // alice is known here
		s.provider.Behave(providertest.Behaviour{
			IDToken: func(said map[string]any) {
				said["sub"], said["mail"], said["preferred_username"] = "sub-mallory", "new@bank.example", "alice"
			},
			UserInfo: func(said map[string]any) { said["sub"] = "sub-mallory" },
		})
		mallory := subject(t)
		if mallory == first || mallory == "sub-alice" {
			t.Fatalf("is %s", mallory)
		}
		user, err := s.Store.User(t.Context(), mallory)
		if err != nil || user.Username != mallory {
			t.Errorf("%+v %v", user, err)
		}
	})
	t.Run("refuses UserInfo of another user than the ID token's", func(t *testing.T) {
		s.provider.Behave(providertest.Behaviour{UserInfo: func(claims map[string]any) { claims["sub"] = "sub-other" }})
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		s.nothingGranted(t, func() { wantPage(t, browser, back, http.StatusBadRequest, "could not be verified") })
	})
	t.Run("refuses a user who is disabled here", func(t *testing.T) {
		s.honest()
		user, err := s.Store.User(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		user.Disabled = true
		if err := s.Store.PutUser(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		s.nothingGranted(t, func() { wantError(t, browser, back, "access_denied") })
	})
	t.Run("refuses the sign-in of another user where the application demands one", func(t *testing.T) {
		s.provider.Behave(providertest.Behaviour{
			IDToken:  func(said map[string]any) { said["sub"] = "sub-carol" },
			UserInfo: func(said map[string]any) { said["sub"] = "sub-carol" },
		})
		browser := s.Browser()
		back := s.back(s.begin(t, browser, withClaims(`{"id_token":{"sub":{"value":"`+first+`"}}}`)))
		sent := browser.Sent(t, back)
		if sent.Get("error") == "" || sent.Has("code") {
			t.Errorf("%v", sent)
		}
	})
}

// Covers: KY-09. Where only users who are known here may sign in, others may not.
func TestKY09KnownUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(settings *upstream.Settings) { settings.KnownOnly = true })
	subject := upstream.SubjectOf(s.provider.Issuer, s.provider.Subject)
	t.Run("refuses a user who is not known, and keeps nothing of them", func(t *testing.T) {
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		s.nothingGranted(t, func() { wantError(t, browser, back, "access_denied") })
		if user, err := s.Store.User(t.Context(), subject); err == nil {
			t.Errorf("%+v", user)
		}
	})
	t.Run("accepts one who is", func(t *testing.T) {
		now := s.Clock.Now()
		if err := s.Store.PutUser(t.Context(), store.User{Subject: subject, Username: "linked", CreatedAt: now, UpdatedAt: now}); err != nil {
			t.Fatal(err)
		}
		if claims := s.VerifyType(t, s.signIn(t, s.Browser(), nil).Text("id_token"), "JWT"); claims["sub"] != subject {
			t.Errorf("%v", claims)
		}
	})
}
