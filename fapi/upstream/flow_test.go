package upstream_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/fapi/upstream"
	"countersign/rp/client/providertest"
)

// Covers: KY-01. A user signs in at the provider, decides here, and the client gets tokens that say so.
func TestKY01WholeFlow(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.says(fapitest.Claims{"name": "Alice Example", "mail": "alice@bank.example", "amr": []string{"face", "hwk"}, "preferred_username": "alice.example"})
	t.Run("accepts a user of the provider, by a subject of issuer and sub", func(t *testing.T) {
		issued := s.signIn(t, s.Browser(), nil)
		claims := s.VerifyType(t, issued.Text("id_token"), "JWT")
		subject := upstream.SubjectOf(s.provider.Issuer, s.provider.Subject)
		if claims["sub"] != subject || claims["acr"] != acrSCA || !reflect.DeepEqual(claims["amr"], []any{"face", "hwk"}) ||
			claims["auth_time"] != float64(s.provider.Now().Unix()) {
			t.Errorf("%v", claims)
		}
		info := s.client.Get("/userinfo", issued.Text("access_token"), nil)
		if info.Text("name") != "Alice Example" || info.Text("email") != "alice@bank.example" {
			t.Errorf("%s", info.Raw)
		}
		user, err := s.Store.User(t.Context(), subject)
		if err != nil || user.Username != "alice.example" {
			t.Errorf("%+v %v", user, err)
		}
	})
	t.Run("accepts that the page to decide on is the server's own, and none to sign in on is shown", func(t *testing.T) {
		if signIns, pages := s.User.Asked(); signIns != 0 || pages == 0 {
			t.Errorf("%d sign-ins, %d pages", signIns, pages)
		}
	})
	t.Run("accepts that no password is ever asked for, and the provider is asked once in a session", func(t *testing.T) {
		browser := s.Browser()
		s.signIn(t, browser, nil)
		before := len(s.provider.Requests("/par"))
		pushed := s.client.Push(nil)
		if sent := browser.Sent(t, s.AuthorizeURL(s.client.ID, pushed.Text("request_uri"))); sent.Get("code") == "" {
			t.Errorf("sent %v", sent)
		}
		if after := len(s.provider.Requests("/par")); after != before {
			t.Error("the provider was asked again")
		}
	})
	t.Run("refuses to do anything for HEAD, and for a handle that is none", func(t *testing.T) {
		browser := s.Browser()
		response, err := browser.HTTP.Head(s.back(s.begin(t, browser, nil)))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK || len(response.Cookies()) != 0 {
			t.Errorf("%s %v", response.Status, response.Cookies())
		}
		wantPage(t, browser, s.Issuer+upstream.Path+"?handle=none", http.StatusNotFound, "no such page")
		wantPage(t, browser, s.Issuer+upstream.Path, http.StatusNotFound, "no such page")
		wantPage(t, browser, s.Issuer+upstream.Path+"?handle=a&handle=b", http.StatusBadRequest, "handle")
	})
	t.Run("refuses to log or trace what opens anything", func(t *testing.T) {
		browser := s.Browser()
		address := s.begin(t, browser, nil)
		answer := s.provider.Login(address)
		s.redeem(t, browser, s.callback(answer))
		seen := s.Logs.String()
		for _, secret := range []string{answer.Get("code"), answer.Get("state")} {
			if strings.Contains(seen, secret) {
				t.Errorf("%s is in the log", secret)
			}
		}
		if !strings.Contains(seen, upstream.CallbackPath) {
			t.Error("nothing was looked at")
		}
	})
}

// Covers: KY-02. What the application asks of the sign-in is passed on, in the provider's names, and the request is pushed, bound and signed
// for by the key in the HSM.
func TestKY02WhatIsAsked(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	asked := func(change fapitest.Change) url.Values {
		s.begin(t, s.Browser(), change)
		all := s.provider.Requests("/par")
		return all[len(all)-1].Form
	}
	t.Run("accepts acr_values, max_age, prompt, login_hint and ui_locales", func(t *testing.T) {
		form := asked(fapitest.Changes(fapitest.Set("acr_values", acrPassword+" "+acrSCA), fapitest.Set("max_age", "600"), fapitest.Set("prompt", "login consent"),
			fapitest.Set("login_hint", "alice@bank.example"), fapitest.Set("ui_locales", "pt-BR en")))
		for name, want := range map[string]string{
			"acr_values": providerLow + " " + providerHigh, "max_age": "600", "prompt": "login", "login_hint": "alice@bank.example", "ui_locales": "pt-BR en",
			"scope": "openid profile", "response_type": "code", "redirect_uri": s.Issuer + upstream.CallbackPath, "client_id": providertest.ClientID,
			"code_challenge_method": "S256",
		} {
			if form.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, form.Get(name), want)
			}
		}
		for _, name := range []string{"state", "nonce", "code_challenge", "dpop_jkt", "client_assertion"} {
			if form.Get(name) == "" {
				t.Errorf("%s is missing: %v", name, form)
			}
		}
	})
	t.Run("accepts an essential class before wishes", func(t *testing.T) {
		if form := asked(essential(acrSCA)); form.Get("acr_values") != providerHigh+" "+providerLow {
			t.Errorf("%v", form)
		}
	})
	t.Run("refuses to ask for a sign-in that may be older than a day, or for what the application did not say", func(t *testing.T) {
		form := asked(nil)
		if form.Get("max_age") != "82800" || form.Has("prompt") || form.Has("login_hint") || form.Has("acr_values") || form.Has("authorization_details") {
			t.Errorf("%v", form)
		}
		if form := asked(fapitest.Set("max_age", "99999999")); form.Get("max_age") != "82800" {
			t.Errorf("%v", form)
		}
	})
}

// Covers: KY-12. A stronger or a newer sign-in is asked of the provider, and what it answers is checked.
func TestKY12StepUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	browser := s.Browser()
	s.says(fapitest.Claims{"acr": providerLow})
	if claims := s.VerifyType(t, s.signIn(t, browser, nil).Text("id_token"), "JWT"); claims["acr"] != acrPassword {
		t.Fatalf("%v", claims)
	}
	t.Run("accepts the class that is demanded", func(t *testing.T) {
		s.honest()
		if claims := s.VerifyType(t, s.signIn(t, browser, essential(acrSCA)).Text("id_token"), "JWT"); claims["acr"] != acrSCA {
			t.Errorf("%v", claims)
		}
	})
	t.Run("accepts a class by its methods", func(t *testing.T) {
		s.says(fapitest.Claims{"acr": providerLow, "amr": []string{"pwd", "otp"}})
		claims := s.VerifyType(t, s.signIn(t, s.Browser(), essential(acrSCA)).Text("id_token"), "JWT")
		if claims["acr"] != acrSCA || !reflect.DeepEqual(claims["amr"], []any{"pwd", "otp"}) {
			t.Errorf("%v", claims)
		}
	})
	t.Run("accepts prompt=login with a new sign-in", func(t *testing.T) {
		s.honest()
		s.Clock.Advance(2 * time.Minute)
		s.sync()
		claims := s.VerifyType(t, s.signIn(t, browser, fapitest.Set("prompt", "login")).Text("id_token"), "JWT")
		if claims["auth_time"] != float64(s.provider.Now().Unix()) {
			t.Errorf("%v", claims)
		}
	})
	t.Run("refuses less than is demanded", func(t *testing.T) {
		s.says(fapitest.Claims{"acr": providerLow})
		s.nothingGranted(t, func() {
			in := s.Browser()
			wantError(t, in, s.back(s.begin(t, in, essential(acrSCA))), "unmet_authentication_requirements")
		})
	})
	t.Run("refuses the sign-in of before where a new one is demanded", func(t *testing.T) {
		s.says(fapitest.Claims{"auth_time": s.provider.Now().Add(-time.Minute).Unix()})
		s.nothingGranted(t, func() {
			in := s.Browser()
			wantError(t, in, s.back(s.begin(t, in, fapitest.Set("prompt", "login"))), "unmet_authentication_requirements")
		})
	})
}

// Covers: KY-13. Two nodes: each step may be on the other.
func TestKY13TwoNodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	n := s.Node(nil)
	t.Run("accepts an answer on the node that did not ask", func(t *testing.T) {
		browser := s.Browser()
		s.redeem(t, n.Browser(browser), s.back(s.begin(t, browser, nil)))
	})
	t.Run("refuses an answer on one node that was used on the other", func(t *testing.T) {
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		s.redeem(t, browser, back)
		wantPage(t, n.Browser(browser), back, http.StatusBadRequest, "another browser")
	})
	t.Run("refuses to grant twice for two answers at once", func(t *testing.T) {
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		other := n.Browser(browser)
		codes := 0
		try := func(in *fapitest.Browser) func() fapitest.Reply {
			return func() fapitest.Reply {
				if _, _, sentTo := in.Visit(back); sentTo != nil && sentTo.Query().Get("code") != "" {
					return fapitest.Reply{Status: http.StatusOK}
				}
				return fapitest.Reply{Status: http.StatusBadRequest}
			}
		}
		for _, r := range fapitest.Concurrently(try(browser), try(other)) {
			if r.Status == http.StatusOK {
				codes++
			}
		}
		if codes > 1 {
			t.Errorf("%d codes", codes)
		}
	})
}
