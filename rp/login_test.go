package rp_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/rp"
	"countersign/rp/client"
	"countersign/rp/session"
)

// form is a test of one way to keep sessions. Its subtests begin with what they accept or refuse, and end with the way.
type form struct {
	*testing.T
	name string
}

func (f form) Run(name string, run func(t *testing.T)) bool {
	f.Helper()
	return f.T.Run(name+" ("+f.name+")", run)
}

// forms runs a test with sessions in a store and in cookies.
func forms(t *testing.T, run func(t form, how siteOption)) {
	t.Helper()
	for name, how := range map[string]siteOption{"stored": func(*site, *rp.Config) {}, "sealed": sealedSessions} {
		run(form{t, name}, how)
	}
}

// Covers: RP-46.
func TestRP46Transactions(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, how siteOption) {
		s := newSite(t.T, world(t.T), how)
		t.Run("accepts two tabs that sign in at once, each back at its own page", func(t *testing.T) {
			u := s.user()
			first, second := u.toCallback("/one?a=1"), u.toCallback("/two?b=2")
			u.wants(u.get(second), http.StatusOK, "sub-alice at /two?b=2")
			u.wants(u.get(first), http.StatusOK, "sub-alice at /one?a=1")
			for name := range u.cookies() {
				if strings.Contains(name, "login") {
					t.Errorf("%s is left", name)
				}
			}
		})
		t.Run("accepts an old callback of a user who is signed in: it leads home", func(t *testing.T) {
			u := s.user()
			callback := u.toCallback("/one")
			u.wants(u.get(callback), http.StatusOK, "at /one")
			got := u.get(callback)
			u.wants(got, http.StatusOK, "sub-alice at /")
			if got.where() != "/" {
				t.Errorf("at %s", got.address)
			}
		})
		t.Run("refuses a callback in another browser, or without cookies, by a page", func(t *testing.T) {
			callback := s.user().toCallback("/one")
			other := s.user()
			other.wants(other.get(callback), http.StatusBadRequest, "This sign-in cannot go on")
			s.wantError(rp.ErrNoTransaction)
			other.wants(other.get("/open"), http.StatusOK, "nobody")
		})
		t.Run("refuses a callback whose transaction was altered, or is another state's", func(t *testing.T) {
			u := s.user()
			callback := u.toCallback("/one")
			for name, value := range u.cookies() {
				if strings.Contains(name, "login") {
					u.setCookie(name, fapitest.Altered(value))
				}
			}
			u.wants(u.get(callback), http.StatusBadRequest, "This sign-in cannot go on")
			v := s.user()
			first := v.toCallback("/one")
			var moved string
			for name, value := range v.cookies() {
				if strings.Contains(name, "login") {
					moved = value
				}
			}
			v.toCallback("/two")
			for name := range v.cookies() {
				v.setCookie(name, moved)
			}
			v.wants(v.get(changed(t, first, "state", "another")), http.StatusBadRequest, "This sign-in cannot go on")
		})
		t.Run("refuses the oldest of too many, and one that took too long", func(t *testing.T) {
			u := s.user()
			var callbacks []string
			for range 8 {
				s.w.Clock.Advance(time.Second)
				callbacks = append(callbacks, u.toCallback("/one"))
			}
			if number := len(u.cookies()); number > 6 {
				t.Errorf("%d cookies", number)
			}
			u.wants(u.get(callbacks[0]), http.StatusBadRequest, "This sign-in cannot go on")
			s.w.Clock.Advance(30 * time.Minute)
			u.wants(u.get(callbacks[7]), http.StatusBadRequest, "took too long")
			s.wantError(rp.ErrTransactionExpired)
		})
	})
}

// changed is an address with another parameter; an empty value removes it.
func changed(t *testing.T, address, name, value string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := parsed.Query()
	query.Set(name, value)
	if value == "" {
		query.Del(name)
	}
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// Covers: RP-47.
func TestRP47ReturnTo(t *testing.T) {
	t.Parallel()
	s := newSite(t, world(t))
	for _, good := range []string{"/", "/a?b=c&d=%2F", s.url + "/x?y", s.url, s.url + "?q=1"} {
		t.Run("accepts "+strings.ReplaceAll(good, s.url, "SELF"), func(t *testing.T) {
			u := s.user()
			got := u.get("/auth/login?return_to=" + url.QueryEscape(good))
			want := strings.TrimPrefix(good, s.url)
			if !strings.HasPrefix(want, "/") {
				want = "/" + want
			}
			u.wants(got, http.StatusOK, "sub-alice at "+want)
		})
	}
	for _, bad := range []string{
		"https://evil.example/", "//evil.example", "/\\evil.example", "\\/evil.example", "https:evil.example", "javascript:alert(1)", "evil", "/\tx", "/ x", "/a\nb",
		s.url + ".evil.example/", s.url + "@evil.example/", "/auth/login", "/auth/logout?id=x", "/" + strings.Repeat("a", 1024), "/%zz", "http" + s.url[5:] + "/", "///evil.example",
	} {
		t.Run("refuses "+strings.ReplaceAll(bad[:min(len(bad), 30)], s.url, "SELF"), func(t *testing.T) {
			u := s.user()
			got := u.get("/auth/login?return_to=" + url.QueryEscape(bad))
			u.wants(got, http.StatusBadRequest, "cannot be answered")
			s.wantError(rp.ErrReturnTo)
		})
	}
}

// Covers: RP-48.
func TestRP48Fixation(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, how siteOption) {
		s := newSite(t.T, world(t.T), how, func(_ *site, c *rp.Config) {
			c.Hooks.AfterCallback = func(_ context.Context, login *rp.Login) error {
				if len(login.Data) == 0 {
					return login.Keep("basket of " + login.Tokens.Identity.Subject)
				}
				return nil
			}
		})
		s.mux.Handle("/basket", s.app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			in, _ := rp.FromContext(r.Context())
			var basket string
			if err := in.Data(&basket); err != nil {
				t.Error(err)
			}
			if _, err := w.Write([]byte(basket)); err != nil {
				t.Error(err)
			}
		})))
		u := s.signedIn()
		before := u.cookies()
		t.Run("accepts a new session at each login, which keeps what the same user had", func(t *testing.T) {
			u.wants(u.get("/auth/login?return_to=/basket"), http.StatusOK, "basket of sub-alice")
			if after := u.cookies(); after["__Host-session"] == before["__Host-session"] {
				t.Error("the cookie stayed")
			}
		})
		t.Run("refuses the session from before the login", func(*testing.T) {
			thief := s.user()
			for name, value := range before {
				thief.setCookie(name, value)
			}
			thief.wants(thief.get("/open"), http.StatusOK, "nobody")
		})
		t.Run("refuses to pass what one user had to another", func(*testing.T) {
			s.w.User.Is("sub-bob", fapitest.ACRPassword)
			defer s.w.User.Is("sub-alice", fapitest.ACRPassword)
			u.wants(u.get("/auth/login?return_to=/basket"), http.StatusOK, "basket of sub-alice") // still alice's session at the provider
			fresh := s.signedInAs("sub-bob")
			for name, value := range fresh.cookies() {
				u.setCookie(name, value)
			}
			u.wants(u.get("/basket"), http.StatusOK, "basket of sub-bob")
		})
		t.Run("refuses an id that somebody else chose", func(t *testing.T) {
			u := s.user()
			u.setCookie("__Host-session", "1~"+strings.Repeat("A", 43))
			u.wants(u.get("/open"), http.StatusOK, "nobody")
			u.wants(u.get("/"), http.StatusOK, "sub-alice")
			if u.cookies()["__Host-session"] == "1~"+strings.Repeat("A", 43) {
				t.Error("the id stayed")
			}
		})
	})
}

// signedInAs is somebody else who has signed in.
func (s *site) signedInAs(subject string) *user {
	s.t.Helper()
	u := s.user()
	u.wants(u.get("/"), http.StatusOK, subject+" at /")
	return u
}

// Covers: RP-49.
func TestRP49Loops(t *testing.T) {
	t.Parallel()
	s := newSite(t, world(t))
	t.Run("accepts a browser that keeps cookies, however often it signs in", func(t *testing.T) {
		u := s.user()
		for range 5 {
			u.wants(u.get("/"), http.StatusOK, "sub-alice at /")
			s.w.Clock.Advance(time.Hour) // the session ends without use
		}
	})
	t.Run("refuses a browser that keeps no cookies, by a page", func(t *testing.T) {
		u := s.user()
		u.jar.blocks = func(c *http.Cookie) bool { return strings.HasPrefix(c.Name, "__Host-session") }
		u.wants(u.get("/"), http.StatusBadRequest, "keeps no cookies")
	})
	t.Run("refuses a browser that keeps all cookies but the session's, by a page", func(t *testing.T) {
		u := s.user()
		u.jar.blocks = func(c *http.Cookie) bool { return c.Name == "__Host-session" }
		u.wants(u.get("/"), http.StatusBadRequest, "does not keep you signed in")
		s.wantError(rp.ErrLoop)
		u.jar.blocks = nil
		u.wants(u.get("/auth/login?return_to=/x"), http.StatusOK, "sub-alice at /x")
		u.wants(u.get("/"), http.StatusOK, "sub-alice at /")
		if len(u.cookies()) != 1 {
			t.Errorf("cookies are left: %v", u.cookies())
		}
	})
}

// Covers: RP-50.
func TestRP50BadAnswers(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, how siteOption) {
		s := newSite(t.T, world(t.T), how)
		u := s.signedIn()
		t.Run("accepts the answer as it is", func(t *testing.T) {
			u.wants(u.get(u.toCallback("/auth/login?return_to=/a")), http.StatusOK, "sub-alice at /a")
		})
		t.Run("refuses an answer with a JWT that was not asked for, and keeps the session", func(t *testing.T) {
			if got := u.get(changed(t, u.toCallback("/auth/login?return_to=/a"), "response", "a.b.c")); got.where() != "/" {
				t.Errorf("the login went on: at %s", got.address)
			}
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
			fresh := s.user()
			fresh.wants(fresh.get(changed(t, fresh.toCallback("/a"), "response", "a.b.c")), http.StatusBadRequest, "This sign-in cannot go on")
			fresh.wants(fresh.get("/open"), http.StatusOK, "nobody")
		})
		for _, bad := range []struct{ what, name, value, check string }{
			{"another issuer (mix-up)", "iss", "https://evil.example", "iss"}, {"no issuer", "iss", "", "iss"},
			{"no code", "code", "", "code"},
		} {
			t.Run("refuses an answer with "+bad.what+", and keeps the session", func(t *testing.T) {
				u.wants(u.get(changed(t, u.toCallback("/auth/login?return_to=/a"), bad.name, bad.value)), http.StatusBadRequest, "")
				if refused, ok := errors.AsType[*client.CheckError](s.lastError().Err); !ok || refused.Check != bad.check {
					t.Errorf("%v", s.lastError())
				}
				u.wants(u.get("/open"), http.StatusOK, "sub-alice")
			})
		}
		t.Run("refuses a code that was replaced or used, and keeps the session", func(t *testing.T) {
			callback := u.toCallback("/auth/login?return_to=/a")
			u.wants(u.get(changed(t, callback, "code", "another")), http.StatusBadGateway, "did not accept")
			if refused, ok := errors.AsType[*client.ProviderError](s.lastError().Err); !ok || refused.Code != "invalid_grant" {
				t.Errorf("%v", s.lastError())
			}
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		})
		t.Run("refuses a login that the user declined, and keeps the session", func(t *testing.T) {
			s.w.User.Does("deny")
			defer s.w.User.Does("allow")
			got := u.get("/auth/login?return_to=/a")
			if got.status == http.StatusOK { // the consent was remembered
				got = s.user().get("/")
			}
			u.wants(got, http.StatusForbidden, "You did not allow it")
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		})
		t.Run("refuses by a problem document who does not want a page", func(t *testing.T) {
			request := u.request(http.MethodGet, "/auth/callback?state=x&code=y&iss="+url.QueryEscape(s.w.Issuer), nil)
			request.Header.Set("Accept", "application/json")
			fresh := s.user()
			got := fresh.send(request)
			document := problemOf(t, got)
			if got.status != http.StatusBadRequest || document["kind"] != "login_not_begun" || document["correlation_id"] != s.lastError().CorrelationID {
				t.Errorf("%d %v", got.status, document)
			}
		})
	})
}

// Covers: RP-51.
func TestRP51FormPost(t *testing.T) {
	t.Parallel()
	s := newSite(t, world(t))
	answer := func(t *testing.T, u *user) url.Values {
		t.Helper()
		parsed, err := url.Parse(u.toCallback("/page"))
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Query()
	}
	fromProvider := func(r *http.Request) { r.Header.Set("Origin", s.w.Issuer) }
	t.Run("accepts an answer that the provider's page posts", func(t *testing.T) {
		u := s.user()
		u.wants(u.post("/auth/callback", answer(t, u), fromProvider), http.StatusOK, "sub-alice at /page")
	})
	t.Run("refuses one without the browser's transaction, of another type, or too large", func(t *testing.T) {
		u := s.user()
		form := answer(t, u)
		other := s.user()
		other.wants(other.post("/auth/callback", form, fromProvider), http.StatusBadRequest, "cannot go on")
		u.wants(u.post("/auth/callback", form, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), http.StatusBadRequest, "cannot be answered")
		large := url.Values{"state": form["state"], "x": {strings.Repeat("x", 300<<10)}}
		u.wants(u.post("/auth/callback", large, fromProvider), http.StatusBadRequest, "cannot be answered")
		s.wantError(rp.ErrMalformed)
	})
}

// Covers: RP-52.
func TestRP52Hooks(t *testing.T) {
	t.Parallel()
	type plan struct{ Colour string }
	refuse := errors.New("not one of ours")
	var refusing bool
	s := newSite(t, world(t), func(_ *site, c *rp.Config) {
		c.Hooks.AfterCallback = func(_ context.Context, login *rp.Login) error {
			var p plan
			if err := login.State(&p); err != nil {
				return err
			}
			if refusing {
				return refuse
			}
			if p.Colour == "away" {
				login.ReturnTo = "https://evil.example/"
				return nil
			}
			if p.Colour != "" {
				login.ReturnTo = "/colour/" + p.Colour
			}
			return nil
		}
	})
	s.mux.Handle("/begin/{colour}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.app.Login(w, r, rp.WithState(plan{r.PathValue("colour")}), rp.WithReturnTo("/plain"))
	}))
	t.Run("accepts what state was kept for the login, which the provider does not see", func(t *testing.T) {
		u := s.user()
		if first := u.step("/begin/blue"); strings.Contains(first, "blue") {
			t.Errorf("the state is in %s", first)
		}
		u.wants(u.get("/begin/blue"), http.StatusOK, "sub-alice at /colour/blue")
		if len(s.logins) != 1 {
			t.Errorf("OnLogin was told of %v", s.logins)
		}
	})
	t.Run("refuses a login that the hook refuses, and keeps the session", func(t *testing.T) {
		u := s.signedIn()
		refusing = true
		defer func() { refusing = false }()
		u.wants(u.get("/begin/red"), http.StatusForbidden, "Not allowed")
		s.wantError(refuse)
		s.wantError(rp.ErrRefused)
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	})
	t.Run("refuses to return elsewhere, and state that no cookie holds", func(t *testing.T) {
		u := s.user()
		u.wants(u.get("/begin/away"), http.StatusBadRequest, "cannot be answered")
		s.wantError(rp.ErrReturnTo)
		u.wants(u.get("/begin/"+strings.Repeat("x", 4000)), http.StatusInternalServerError, "Something went wrong")
		if _, ok := errors.AsType[*session.TooLargeError](s.lastError().Err); !ok {
			t.Errorf("%v", s.lastError())
		}
	})
}
