package rp_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/rp"
)

// page adds a page below requirements.
func (s *site) page(path string, conditions ...rp.Condition) {
	s.mux.Handle(path, s.app.Require(conditions...)(http.HandlerFunc(s.greet)))
}

// Covers: RP-53.
func TestRP53Claims(t *testing.T) {
	t.Parallel()
	s := newSite(t, world(t))
	for name, condition := range map[string]rp.Condition{
		"good/authenticated": rp.Authenticated(),
		"good/equals":        rp.ClaimEquals("sub", "sub-alice"),
		"good/includes":      rp.ClaimIncludes("amr", "pwd"),
		"good/includes-all":  rp.ClaimIncludes("amr", "hwk", "pwd"),
		"good/words":         rp.ClaimIncludes("sub", "sub-alice"),
		"good/func":          rp.ClaimFunc(func(_ *http.Request, c rp.Claims) error { return nil }),
		"good/array":         rp.ClaimEquals("amr", []string{"pwd", "hwk"}),
		"bad/equals":         rp.ClaimEquals("sub", "sub-bob"),
		"bad/missing":        rp.ClaimEquals("admin", nil),
		"bad/type":           rp.ClaimEquals("sub", 1),
		"bad/includes":       rp.ClaimIncludes("amr", "pwd", "face"),
		"bad/includes-none":  rp.ClaimIncludes("groups", "staff"),
		"bad/part":           rp.ClaimIncludes("sub", "sub"),
		"bad/func":           rp.ClaimFunc(func(_ *http.Request, c rp.Claims) error { return errors.New("no") }),
	} {
		s.page("/"+name, condition)
		want := strings.HasPrefix(name, "good/")
		verb := map[bool]string{true: "accepts ", false: "refuses "}[want]
		t.Run(verb+name, func(t *testing.T) {
			u := s.signedIn()
			got := u.get("/" + name)
			if want {
				u.wants(got, http.StatusOK, "sub-alice at /"+name)
				return
			}
			u.wants(got, http.StatusForbidden, "Not allowed")
			s.wantError(rp.ErrForbidden)
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		})
	}
}

// Covers: RP-54.
func TestRP54StepUp(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, how siteOption) {
		w := world(t.T)
		s := newSite(t.T, w, how)
		s.page("/pay", rp.ACR(fapitest.ACRKey))
		s.page("/recent", rp.MaxAuthAge(5*time.Minute))
		s.page("/payments", rp.Scope("payments", "accounts"))
		t.Run("accepts a user who signs in more strongly, and comes back", func(t *testing.T) {
			u := s.signedIn()
			w.User.Is("sub-alice", fapitest.ACRKey)
			defer w.User.Is("sub-alice", fapitest.ACRPassword)
			before := u.cookies()
			u.wants(u.get("/pay?to=bob"), http.StatusOK, "sub-alice at /pay?to=bob")
			if u.cookies()["__Host-session"] == before["__Host-session"] {
				t.Error("the session stayed")
			}
			u.wants(u.get("/pay"), http.StatusOK, "at /pay")
		})
		t.Run("accepts a recent authentication, and asks for another when it is old", func(t *testing.T) {
			u := s.signedIn()
			w.User.Asked()
			u.wants(u.get("/recent"), http.StatusOK, "at /recent")
			w.Clock.Advance(6 * time.Minute)
			u.wants(u.get("/recent"), http.StatusOK, "at /recent")
			if signIns, _ := w.User.Asked(); signIns != 1 {
				t.Errorf("%d sign-ins, want 1", signIns)
			}
		})
		t.Run("accepts scopes that are asked for when they are needed, beside those from before", func(t *testing.T) {
			u := s.signedIn()
			u.wants(u.get("/payments"), http.StatusOK, "at /payments")
			w.User.Asked()
			u.wants(u.get("/payments"), http.StatusOK, "at /payments")
			if signIns, pages := w.User.Asked(); signIns+pages != 0 {
				t.Errorf("asked again")
			}
		})
		t.Run("refuses a user who did not sign in more strongly, and keeps the session", func(t *testing.T) {
			u := s.signedIn()
			u.wants(u.get("/pay"), http.StatusForbidden, "A stronger sign-in is needed")
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		})
	})
}

// TestStepUpLoop: a requirement that no login satisfies is asked for once.
func TestStepUpLoop(t *testing.T) {
	t.Parallel()
	s := newSite(t, world(t))
	insufficient := &rp.InsufficientError{Reason: "never enough", Scopes: []string{"payments"}}
	s.page("/never", rp.Requirement(func(*http.Request, *rp.Session) error { return insufficient }))
	u := s.signedIn()
	u.wants(u.get("/never"), http.StatusForbidden, "A stronger sign-in is needed")
	s.wantError(insufficient)
	u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	s.w.Clock.Advance(time.Minute)
	if first := u.step("/never"); !strings.HasPrefix(first, s.w.Issuer) {
		t.Errorf("later, the browser is sent to %s", first)
	}
}

// Covers: RP-55.
func TestRP55Challenge(t *testing.T) {
	t.Parallel()
	w := world(t)
	s := newSite(t, w)
	// The API is another server, which wants a key.
	api := func(challenge string) *http.Response {
		return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {challenge}}, Body: io.NopCloser(strings.NewReader(""))}
	}
	challenges := map[string]string{
		"/acr":   `DPoP algs="ES256", Bearer error="insufficient_user_authentication", error_description="a \"key\", please", acr_values="x ` + fapitest.ACRKey + `"`,
		"/age":   `Bearer realm="x", error=insufficient_user_authentication, max_age=0`,
		"/scope": `DPoP error="insufficient_scope", scope="payments"`,
		"/plain": `Bearer error="invalid_token"`,
	}
	for path, challenge := range challenges {
		s.mux.Handle(path, s.app.Require()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			in, _ := rp.FromContext(r.Context())
			satisfied := map[string]bool{
				"/acr": in.Identity().ACR == fapitest.ACRKey, "/age": w.Clock.Now().Sub(in.Identity().AuthTime) == 0,
				"/scope": strings.Contains(strings.Join(in.Scopes(), " "), "payments"),
			}[path]
			if satisfied || !s.app.StepUp(rw, r, api(challenge)) {
				s.greet(rw, r)
			}
		})))
	}
	t.Run("accepts what an API asks for: the user signs in so, and comes back", func(t *testing.T) {
		u := s.signedIn()
		w.User.Is("sub-alice", fapitest.ACRKey)
		defer w.User.Is("sub-alice", fapitest.ACRPassword)
		w.Clock.Advance(time.Minute)
		for path := range challenges {
			u.wants(u.get(path), http.StatusOK, "sub-alice at "+path)
		}
	})
	t.Run("refuses to go round in circles where that does not help", func(t *testing.T) {
		s.mux.Handle("/always", s.app.Require()(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !s.app.StepUp(rw, r, api(challenges["/scope"])) {
				t.Error("the challenge was not seen")
			}
		})))
		u := s.signedIn()
		u.wants(u.get("/always"), http.StatusForbidden, "A stronger sign-in is needed")
	})
	t.Run("refuses malformed challenges, and those of other schemes", func(t *testing.T) {
		for _, bad := range []string{
			"", "Bearer", `Basic error="insufficient_scope", scope="x"`, `Bearer error="insufficient_scope"`, `Bearer error="insufficient_scope", scope=""`,
			`Bearer error="insufficient_user_authentication"`, `Bearer error="insufficient_user_authentication", max_age="-1"`,
			`Bearer error="insufficient_user_authentication", max_age="x", acr_values="a"`, `error="insufficient_scope", scope="x"`,
			`Bearer error="insufficient_scope", scope="x`, `Bearer error="insufficient_scope", error="x", scope="y"`, `Bearer abc==, error="insufficient_scope", "scope"="x"`,
			strings.Repeat("x", 9000) + `, Bearer error="insufficient_scope", scope="x"`,
		} {
			if e, ok := rp.ParseChallenge(http.Header{"Www-Authenticate": {bad}}); ok {
				t.Errorf("%s: %+v", bad, e)
			}
		}
		for _, good := range []string{
			`Bearer error="insufficient_scope", scope="x"`, `Negotiate YWJj==, bearer ERROR=insufficient_scope , scope = "x"`, `,, Basic realm="a, b=c", DPoP error="insufficient_scope", scope="x",`,
		} {
			if e, ok := rp.ParseChallenge(http.Header{"Www-Authenticate": {"Other", good}}); !ok || len(e.Scopes) != 1 || e.Scopes[0] != "x" {
				t.Errorf("%s: %+v", good, e)
			}
		}
	})
}

// FuzzParseChallenge: whatever an API answers, what is asked for is within what it said.
func FuzzParseChallenge(f *testing.F) {
	f.Add(`DPoP algs="ES256", Bearer error="insufficient_user_authentication", acr_values="a b", max_age=5`)
	f.Add(`Negotiate abc==, Bearer error="insufficient_scope", scope="x\"y"`)
	f.Fuzz(func(t *testing.T, line string) {
		e, ok := rp.ParseChallenge(http.Header{"Www-Authenticate": {line}})
		if !ok {
			return
		}
		if e.MaxAge != nil && (*e.MaxAge < 0 || e.MaxAge.Seconds() > 1<<31) || len(strings.Join(e.ACRValues, " ")) > len(line) || len(strings.Join(e.Scopes, " ")) > len(line) {
			t.Fatalf("%q: %+v", line, e)
		}
		if len(e.ACRValues) == 0 && e.MaxAge == nil && len(e.Scopes) == 0 {
			t.Fatalf("%q asks for nothing", line)
		}
	})
}

// Covers: RP-56.
func TestRP56Unauthorized(t *testing.T) {
	t.Parallel()
	s := newSite(t, world(t))
	s.page("/redirect", rp.WithUnauthorized(rp.Redirect))
	s.page("/problem", rp.WithUnauthorized(rp.Problem))
	s.page("/pay", rp.ACR(fapitest.ACRKey))
	ask := func(u *user, method, path string, change func(*http.Request)) reply {
		u.t.Helper()
		request := u.request(method, path, nil)
		if change != nil {
			change(request)
		}
		once := *u.http
		once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		same := *u
		same.http = &once
		return same.send(request)
	}
	t.Run("accepts navigations: they are sent to a login", func(t *testing.T) {
		for _, path := range []string{"/page", "/redirect"} {
			if got := ask(s.user(), http.MethodGet, path, nil); got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), s.w.Issuer) ||
				got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v", path, got.status, got.header)
			}
		}
	})
	t.Run("refuses scripts by a problem document, whose login works", func(t *testing.T) {
		u := s.user()
		got := ask(u, http.MethodGet, "/page?x=1", asScript)
		document := problemOf(t, got)
		login, _ := document["login"].(string)
		if got.status != http.StatusUnauthorized || document["kind"] != "login_required" || got.header.Get("WWW-Authenticate") == "" {
			t.Fatalf("%d %v", got.status, document)
		}
		u.wants(u.get(login), http.StatusOK, "sub-alice at /page?x=1")
		got = ask(u, http.MethodGet, "/pay", asScript)
		document = problemOf(t, got)
		if got.status != http.StatusForbidden || document["kind"] != "insufficient_user_authentication" || document["acr_values"] == nil {
			t.Fatalf("%d %v", got.status, document)
		}
		s.w.User.Is("sub-alice", fapitest.ACRKey)
		defer s.w.User.Is("sub-alice", fapitest.ACRPassword)
		login, _ = document["login"].(string)
		u.wants(u.get(login), http.StatusOK, "sub-alice at /pay")
		u.wants(u.get(changed(t, login, "step", "x")), http.StatusBadRequest, "cannot be answered")
	})
	t.Run("refuses by a problem document where that is set, and what is only prefetched", func(t *testing.T) {
		if got := ask(s.user(), http.MethodGet, "/problem", nil); got.status != http.StatusUnauthorized {
			t.Errorf("%d", got.status)
		} else {
			problemOf(t, got)
		}
		if got := ask(s.user(), http.MethodGet, "/page", func(r *http.Request) { r.Header.Set("Sec-Purpose", "prefetch;prerender") }); got.status != http.StatusUnauthorized {
			t.Errorf("prefetched: %d", got.status)
		}
		if got := ask(s.user(), http.MethodGet, "/page", func(r *http.Request) { r.Header.Set("Accept", "text/html;q=0, application/json") }); got.status != http.StatusUnauthorized {
			t.Errorf("HTML refused: %d", got.status)
		}
		if got := ask(s.user(), http.MethodHead, "/page", nil); got.status != http.StatusUnauthorized {
			t.Errorf("HEAD: %d", got.status)
		}
	})
	t.Run("refuses a form of somebody who is not signed in, by a page from which they can", func(t *testing.T) {
		u := s.user()
		got := u.post("/page", url.Values{"a": {"b"}}, func(r *http.Request) { r.Header.Set("Referer", s.url+"/form?x=1") })
		u.wants(got, http.StatusUnauthorized, "/auth/login?return_to=%2Fform%3Fx%3D1")
		got = u.post("/page", url.Values{"a": {"b"}}, func(r *http.Request) { r.Header.Set("Referer", "https://evil.example/") })
		u.wants(got, http.StatusUnauthorized, `/auth/login?return_to=%2F"`)
	})
}

// Covers: RP-57.
func TestRP57Silent(t *testing.T) {
	t.Parallel()
	w := world(t)
	s := newSite(t, w)
	s.mux.Handle("/front", s.app.Silent()(http.HandlerFunc(s.greet)))
	navigate := func(u *user) reply {
		u.t.Helper()
		request := u.request(http.MethodGet, "/front", nil)
		request.Header.Set("Sec-Fetch-Mode", "navigate")
		request.Header.Set("Sec-Fetch-Dest", "document")
		return u.send(request)
	}
	t.Run("accepts who is signed in at the provider, without asking", func(t *testing.T) {
		u := s.signedIn()
		for name := range u.cookies() {
			u.setCookie(name, "gone")
		}
		w.User.Asked()
		u.wants(navigate(u), http.StatusOK, "sub-alice at /front")
		if signIns, pages := w.User.Asked(); signIns+pages != 0 {
			t.Error("the user was asked")
		}
	})
	t.Run("accepts who is not, without a session, and does not try again", func(t *testing.T) {
		u := s.user()
		u.wants(navigate(u), http.StatusOK, "nobody at /front")
		s.mu.Lock()
		before := len(s.errors)
		s.mu.Unlock()
		u.wants(navigate(u), http.StatusOK, "nobody at /front")
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.errors) != before {
			t.Error("it was tried again")
		}
	})
	t.Run("refuses to try for what is no navigation, and after a logout", func(t *testing.T) {
		u := s.user()
		u.wants(u.get("/front"), http.StatusOK, "nobody at /front")
		if len(u.cookies()) != 0 {
			t.Errorf("%v", u.cookies())
		}
		v := s.signedIn()
		v.post("/auth/logout", nil)
		v.wants(navigate(v), http.StatusOK, "nobody at /front")
	})
}
