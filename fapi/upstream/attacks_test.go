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

// Covers: KY-03. A sign-in belongs to the browser that began, and is used once.
func TestKY03OneBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	t.Run("accepts two tabs, each with its own answer", func(t *testing.T) {
		browser := s.Browser()
		first, second := s.begin(t, browser, nil), s.begin(t, browser, nil)
		s.redeem(t, browser, s.back(second))
		s.redeem(t, browser, s.back(first))
	})
	t.Run("accepts that the oldest of many tabs are over", func(t *testing.T) {
		browser := s.Browser()
		var all []string
		for range 6 {
			all = append(all, s.back(s.begin(t, browser, nil)))
			s.Clock.Advance(time.Second)
			s.sync()
		}
		s.redeem(t, browser, all[5])
		s.redeem(t, browser, all[2])
		wantPage(t, browser, all[0], http.StatusBadRequest, "over")
	})
	t.Run("refuses the answer in another browser, and it is still good in its own", func(t *testing.T) {
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		s.nothingGranted(t, func() { wantPage(t, s.Browser(), back, http.StatusBadRequest, "another browser") })
		s.redeem(t, browser, back)
	})
	t.Run("refuses the answer in another browser with a sign-in of its own under way", func(t *testing.T) {
		victim, attacker := s.Browser(), s.Browser()
		s.begin(t, victim, nil)
		back := s.back(s.begin(t, attacker, nil))
		s.nothingGranted(t, func() { wantPage(t, victim, back, http.StatusBadRequest, "another browser") })
	})
	t.Run("refuses to begin for the interaction of another browser", func(t *testing.T) {
		attacker := s.Browser()
		handed := handedTo(t, s, attacker)
		before := len(s.provider.Requests("/par"))
		wantPage(t, s.Browser(), handed, http.StatusBadRequest, "another browser")
		other := s.Browser()
		s.begin(t, other, nil) // has a cookie of its own
		if wantPage(t, other, handed, http.StatusBadRequest, "another browser"); len(s.provider.Requests("/par")) != before+1 {
			t.Error("the provider was asked")
		}
	})
	t.Run("refuses an answer that was used, and its state without its code", func(t *testing.T) {
		browser := s.Browser()
		answer := s.provider.Login(s.begin(t, browser, nil))
		s.redeem(t, browser, s.callback(answer))
		s.nothingGranted(t, func() { wantPage(t, browser, s.callback(answer), http.StatusBadRequest, "over") })
	})
	t.Run("refuses a cookie that was kept, with another code", func(t *testing.T) {
		browser := s.Browser()
		address := s.begin(t, browser, nil)
		kept := browser.HTTP.Jar.Cookies(fapitest.MustURL(t, s.Issuer))
		s.redeem(t, browser, s.back(address))
		browser.HTTP.Jar.SetCookies(fapitest.MustURL(t, s.Issuer), kept)
		s.nothingGranted(t, func() {
			if _, _, sentTo := browser.Visit(s.back(address)); sentTo != nil {
				t.Errorf("sent to %v", sentTo)
			}
		})
	})
	t.Run("refuses a cookie that was made or changed by somebody", func(t *testing.T) {
		browser := s.Browser()
		answer := s.provider.Login(s.begin(t, browser, nil))
		jar, issuer := browser.HTTP.Jar, fapitest.MustURL(t, s.Issuer)
		for _, cookie := range jar.Cookies(issuer) {
			if strings.HasPrefix(cookie.Name, "__Host-upstream-") {
				cookie.Value, cookie.Path, cookie.Secure = strings.ToLower(cookie.Value), "/", true
				jar.SetCookies(issuer, []*http.Cookie{cookie})
			}
		}
		s.nothingGranted(t, func() { wantPage(t, browser, s.callback(answer), http.StatusBadRequest, "another browser") })
	})
	t.Run("refuses an answer that comes too late", func(t *testing.T) {
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		s.Clock.Advance(16 * time.Minute)
		s.sync()
		s.nothingGranted(t, func() { wantPage(t, browser, back, http.StatusBadRequest, "too long") })
	})
}

// handedTo is where the interaction of a browser is handed to.
func handedTo(t *testing.T, s *site, in *fapitest.Browser) string {
	t.Helper()
	pushed := s.client.Push(nil)
	alone := fapitest.NoRedirects(in)
	address := s.AuthorizeURL(s.client.ID, pushed.Text("request_uri"))
	for range 3 {
		response, err := alone.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		to, err := response.Location()
		if err != nil {
			t.Fatalf("%s: %v", response.Status, err)
		}
		if address = to.String(); strings.HasPrefix(address, s.Issuer+upstream.Path+"?handle=") {
			return address
		}
	}
	t.Fatalf("led to %s", address)
	return ""
}

// Covers: KY-04. What the provider answers is checked before anything of it counts: a page says that it could not be verified, nothing is
// granted, and the user can go on with a good answer.
func TestKY04ForgedAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	honest := func(t *testing.T, in *fapitest.Browser) {
		t.Helper()
		s.honest()
		s.redeem(t, in, s.back(s.begin(t, in, nil)))
	}
	t.Run("accepts a good answer", func(t *testing.T) { honest(t, s.Browser()) })
	for name, change := range map[string]func(url.Values){
		"of another issuer (mix-up)":  func(answer url.Values) { answer.Set("iss", "https://evil.example") },
		"without the issuer (mix-up)": func(answer url.Values) { answer.Del("iss") },
		"without a code":              func(answer url.Values) { answer.Del("code") },
		"with a code that is none":    func(answer url.Values) { answer.Set("code", "none") },
		"with a parameter twice":      func(answer url.Values) { answer.Add("code", "again") },
		"with a JWT":                  func(answer url.Values) { answer.Set("response", "a.b.c") },
	} {
		t.Run("refuses an answer "+name, func(t *testing.T) {
			browser := s.Browser()
			answer := s.provider.Login(s.begin(t, browser, nil))
			change(answer)
			s.nothingGranted(t, func() { wantPage(t, browser, s.callback(answer), http.StatusBadRequest, "could not be verified") })
			honest(t, browser)
		})
	}
	t.Run("refuses the code of another sign-in", func(t *testing.T) {
		victim, attacker := s.Browser(), s.Browser()
		stolen := s.provider.Login(s.begin(t, victim, nil))
		own := s.provider.Login(s.begin(t, attacker, nil))
		own.Set("code", stolen.Get("code"))
		s.nothingGranted(t, func() { wantPage(t, attacker, s.callback(own), http.StatusBadRequest, "could not be verified") })
	})
	for name, claims := range map[string]fapitest.Claims{
		"another nonce":       {"nonce": "another"},
		"no nonce":            {"nonce": nil},
		"another issuer":      {"iss": "https://evil.example"},
		"another audience":    {"aud": "another"},
		"another party":       {"aud": []string{providertest.ClientID, "another"}},
		"an end in the past":  {"exp": time.Now().Add(-24 * time.Hour).Unix()},
		"no subject":          {"sub": nil},
		"an empty subject":    {"sub": ""},
		"a subject of bytes":  {"sub": strings.Repeat("x", 256)},
		"a hash of another's": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
	} {
		t.Run("refuses an ID token with "+name, func(t *testing.T) {
			s.says(claims)
			browser := s.Browser()
			back := s.back(s.begin(t, browser, nil))
			s.nothingGranted(t, func() { wantPage(t, browser, back, http.StatusBadRequest, "could not be verified") })
			honest(t, browser)
		})
	}
	for name, signed := range map[string]func(string) string{
		"changed":       func(token string) string { return token[:len(token)-6] + "AAAAAA" },
		"without a key": func(token string) string { return strings.Join(append(strings.Split(token, ".")[:2], ""), ".") },
	} {
		t.Run("refuses an ID token that is "+name, func(t *testing.T) {
			s.provider.Behave(providertest.Behaviour{Signed: func(_, token string) string { return signed(token) }})
			browser := s.Browser()
			back := s.back(s.begin(t, browser, nil))
			s.nothingGranted(t, func() { wantPage(t, browser, back, http.StatusBadRequest, "could not be verified") })
			honest(t, browser)
		})
	}
	t.Run("refuses it with its reason in the audit log", func(t *testing.T) {
		s.says(fapitest.Claims{"nonce": "another"})
		browser := s.Browser()
		back := s.back(s.begin(t, browser, nil))
		found := false
		for _, e := range s.NewEvents(t, func() { browser.Visit(back) }) {
			found = found || e.Detail["event"] == "sign_in_failed" && strings.Contains(e.Detail["reason"], "nonce") && e.Detail["interaction"] != ""
		}
		if !found {
			t.Error("it is not there")
		}
	})
}

// Covers: KY-05. What the provider says of a sign-in counts as far as the configuration lets it, and no further.
func TestKY05Classes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for name, claims := range map[string]fapitest.Claims{
		"a class that it may not claim":     {"acr": "urn:example:highest"},
		"the class of this server":          {"acr": acrSCA},
		"no class, where none says nothing": {"acr": nil},
		"no time":                           {"auth_time": nil},
		"a time longer ago than a day":      {"auth_time": time.Now().Add(-72 * time.Hour).Unix()},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			s.says(claims)
			browser := s.Browser()
			back := s.back(s.begin(t, browser, nil))
			s.nothingGranted(t, func() { wantError(t, browser, back, "unmet_authentication_requirements") })
		})
	}
	t.Run("refuses a time longer ago than max_age", func(t *testing.T) {
		s.says(fapitest.Claims{"auth_time": s.provider.Now().Add(-2 * time.Minute).Unix()})
		browser := s.Browser()
		back := s.back(s.begin(t, browser, fapitest.Set("max_age", "60")))
		s.nothingGranted(t, func() { wantError(t, browser, back, "unmet_authentication_requirements") })
	})
	t.Run("accepts methods that can be told, and those of the class where there are none", func(t *testing.T) {
		for _, test := range []struct {
			said any
			want string
		}{{[]string{"pwd", "", "a b", "ü", strings.Repeat("x", 33), "pwd"}, "pwd"}, {[]string{}, "mfa"}, {nil, "mfa"}} {
			s.says(fapitest.Claims{"amr": test.said})
			claims := s.VerifyType(t, s.signIn(t, s.Browser(), nil).Text("id_token"), "JWT")
			if amr, _ := claims["amr"].([]any); len(amr) != 1 || amr[0] != test.want {
				t.Errorf("%v: %v", test.said, claims["amr"])
			}
		}
	})
}
