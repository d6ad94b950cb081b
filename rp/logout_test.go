package rp_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/rp"
	"countersign/rp/client/providertest"
	"countersign/rp/session"
)

// Covers: RP-58.
func TestRP58LogoutCSRF(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, how siteOption) {
		s := newSite(t.T, world(t.T), how)
		s.mux.Handle("/path", s.app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			in, _ := rp.FromContext(r.Context())
			if _, err := w.Write([]byte(in.LogoutPath())); err != nil {
				t.Error(err)
			}
		})))
		t.Run("accepts a form of its own page, and a link with the session's id", func(t *testing.T) {
			u := s.signedIn()
			u.wants(u.get("/auth/logout"), http.StatusOK, "Sign out?")
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
			u.post("/auth/logout", nil)
			u.wants(u.get("/open"), http.StatusOK, "nobody")
			v := s.signedIn()
			v.get(v.get("/path").body)
			v.wants(v.get("/open"), http.StatusOK, "nobody")
			v.wants(v.get("/auth/logout"), http.StatusOK, "nobody at /open")
		})
		t.Run("refuses another site's form or link", func(t *testing.T) {
			u := s.signedIn()
			for _, change := range []func(*http.Request){
				func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
				func(r *http.Request) { r.Header.Set("Origin", "null") },
				func(r *http.Request) { r.Header.Del("Origin") },
				func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
				func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
				func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") },
			} {
				u.wants(u.post("/auth/logout", nil, change), http.StatusForbidden, "Not allowed")
				s.wantError(rp.ErrCrossSite)
			}
			other := s.signedIn()
			u.wants(u.get(other.get("/path").body), http.StatusOK, "Sign out?")
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		})
	})
}

// Covers: RP-59.
func TestRP59LogoutAtProvider(t *testing.T) {
	t.Parallel()
	s := newSite(t, world(t), func(_ *site, c *rp.Config) { c.AfterLogout = "/open?bye" })
	t.Run("accepts a logout that ends both sessions and comes back", func(t *testing.T) {
		u := s.signedIn()
		s.w.User.Asked()
		got := u.post("/auth/logout", nil)
		u.wants(got, http.StatusOK, "nobody at /open?bye")
		u.get("/")
		if signIns, _ := s.w.User.Asked(); signIns != 1 {
			t.Errorf("%d sign-ins, want 1: the session at the provider has not ended", signIns)
		}
		if len(s.outs) != 1 || s.outs[0].Subject != "sub-alice" || s.outs[0].Backchannel {
			t.Errorf("OnLogout was told of %+v", s.outs)
		}
	})
	t.Run("accepts a logout here only, if that is asked for", func(t *testing.T) {
		s.mux.Handle("/leave", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.app.Logout(w, r, rp.LocalOnly(), rp.WithLogoutReturn("/open?local"))
		}))
		u := s.signedIn()
		s.w.User.Asked()
		u.wants(u.get("/leave"), http.StatusOK, "nobody at /open?local")
		u.get("/")
		if signIns, _ := s.w.User.Asked(); signIns != 0 {
			t.Error("the session at the provider has ended")
		}
	})
	t.Run("refuses to come back with another state, or without a logout, by a page", func(t *testing.T) {
		u := s.signedIn()
		once := *u.http
		once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		same := *u
		same.http = &once
		sent, err := url.Parse(same.post("/auth/logout", nil).header.Get("Location"))
		if err != nil || !strings.HasPrefix(sent.String(), s.w.Issuer) || sent.Query().Get("state") == "" || sent.Query().Get("id_token_hint") == "" {
			t.Fatalf("sent to %v, %v", sent, err)
		}
		u.wants(u.get("/auth/logged-out?state=another"), http.StatusBadRequest, "cannot be answered")
		u.wants(u.get("/auth/logged-out?state="+sent.Query().Get("state")), http.StatusBadRequest, "cannot be answered") // used up
		u.wants(s.user().get("/auth/logged-out"), http.StatusBadRequest, "cannot be answered")
		s.wantError(rp.ErrMalformed)
	})
}

// logoutToken are the claims of a good logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
func logoutToken(p *providertest.Provider, change func(map[string]any)) string {
	claims := map[string]any{
		"iss": p.Issuer, "aud": providertest.ClientID, "iat": p.Now().Unix(), "exp": p.Now().Add(2 * time.Minute).Unix(), "jti": rand.Text(),
		"sid": "session-1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if change != nil {
		change(claims)
	}
	return p.Sign("logout+jwt", claims)
}

// told posts a logout token as a provider does.
func (s *site) told(mux http.Handler, token string) *http.Response {
	s.t.Helper()
	request := httptest.NewRequest(http.MethodPost, s.url+"/auth/backchannel-logout", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	mux.ServeHTTP(recorder, request.WithContext(s.t.Context()))
	result := recorder.Result()
	if result.Header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("Cache-Control: %s", result.Header.Get("Cache-Control"))
	}
	return result
}

// Covers: RP-66.
func TestRP66Backchannel(t *testing.T) {
	t.Parallel()
	t.Run("accepts what our server sends when the user signs out there", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, world(t))
		u, other := s.signedIn(), s.signedIn()
		if err := s.w.Store.EndSessions(t.Context(), "sub-alice"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.w.SendLogouts(); err != nil {
			t.Fatal(err)
		}
		for _, each := range []*user{u, other} {
			each.wants(each.get("/open"), http.StatusOK, "nobody")
		}
		if len(s.outs) != 2 || !s.outs[0].Backchannel || s.outs[0].SessionID == "" {
			t.Errorf("OnLogout was told of %+v", s.outs)
		}
	})
	for name, sealed := range map[string]bool{"stored": false, "sealed": true} {
		p := providertest.New(t)
		_, address := fapitest.NewPostgresWorld(t, nil)
		how := inPostgreSQL(t, address)
		s := newAttackedSite(t, p, how, func(_ *site, c *rp.Config) { c.Sessions.Sealed = sealed })
		how(s, &s.config)
		s.config.Sessions.Sealed = sealed
		other := http.NewServeMux()
		s.mount(other, s.start())
		t.Run("accepts a sid or a subject on any replica, "+name, func(t *testing.T) {
			u := s.signedIn()
			if got := s.told(other, logoutToken(p, func(c map[string]any) { c["sid"] = "another" })); got.StatusCode != http.StatusOK {
				t.Errorf("%d", got.StatusCode)
			}
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
			if got := s.told(other, logoutToken(p, func(c map[string]any) { delete(c, "sid"); c["sub"] = "sub-alice" })); got.StatusCode != http.StatusOK {
				t.Errorf("%d", got.StatusCode)
			}
			u.wants(u.get("/open"), http.StatusOK, "nobody")
			p.Advance(time.Second)
			u = s.signedIn()
			token := logoutToken(p, nil)
			if got := s.told(other, token); got.StatusCode != http.StatusOK {
				t.Errorf("%d", got.StatusCode)
			}
			u.wants(u.get("/open"), http.StatusOK, "nobody")
			t.Run("refuses the token again, on the other replica too, and logins of the session that has ended", func(t *testing.T) {
				for _, mux := range []http.Handler{s.mux, other} {
					if got := s.told(mux, token); got.StatusCode != http.StatusBadRequest {
						t.Errorf("%d", got.StatusCode)
					}
				}
				s.wantError(session.ErrConsumed)
				u := s.user()
				u.wants(u.get(u.login("/")), http.StatusForbidden, "You have been signed out")
				s.wantError(session.ErrEnded)
			})
		})
	}
	t.Run("refuses everything else", func(t *testing.T) {
		t.Parallel()
		p := providertest.New(t)
		s := newAttackedSite(t, p)
		u := s.signedIn()
		for name, token := range map[string]string{
			"issuer":  logoutToken(p, func(c map[string]any) { c["iss"] = "https://evil.example" }),
			"aud":     logoutToken(p, func(c map[string]any) { c["aud"] = "another" }),
			"nonce":   logoutToken(p, func(c map[string]any) { c["nonce"] = "x" }),
			"events":  logoutToken(p, func(c map[string]any) { delete(c, "events") }),
			"old":     logoutToken(p, func(c map[string]any) { c["iat"] = p.Now().Add(-time.Hour).Unix() }),
			"expired": logoutToken(p, func(c map[string]any) { c["exp"] = p.Now().Add(-time.Hour).Unix() }),
			"jti":     logoutToken(p, func(c map[string]any) { delete(c, "jti") }),
			"nobody":  logoutToken(p, func(c map[string]any) { delete(c, "sid") }),
			"typ":     p.Sign("JWT", map[string]any{"iss": p.Issuer}),
			"altered": fapitest.Altered(logoutToken(p, nil)),
			"none":    "", "text": "abc",
		} {
			if got := s.told(s.mux, token); got.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %d", name, got.StatusCode)
			}
		}
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		u.wants(u.get("/auth/backchannel-logout"), http.StatusMethodNotAllowed, "")
	})
	t.Run("refuses for now while the store is away, and accepts the same token later", func(t *testing.T) {
		t.Parallel()
		p, f := providertest.New(t), &failing{}
		s := newAttackedSite(t, p, inFailing(f))
		u := s.signedIn()
		token := logoutToken(p, nil)
		f.away.Store(true)
		if got := s.told(s.mux, token); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%d", got.StatusCode)
		}
		f.away.Store(false)
		if got := s.told(s.mux, token); got.StatusCode != http.StatusOK {
			t.Errorf("%d", got.StatusCode)
		}
		u.wants(u.get("/open"), http.StatusOK, "nobody")
	})
}

// Covers: RP-67.
func TestRP67LogoutRace(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	_, address := fapitest.NewPostgresWorld(t, nil)
	s := newAttackedSite(t, p, inPostgreSQL(t, address))
	t.Run("refuses a login whose code was redeemed before its session was ended", func(t *testing.T) {
		u := s.user()
		callback := u.login("/")
		p.Behave(providertest.Behaviour{Tokens: func(map[string]any) { // the ID token is made; its session ends before the answer comes
			if got := s.told(s.mux, logoutToken(p, nil)); got.StatusCode != http.StatusOK {
				t.Errorf("%d", got.StatusCode)
			}
		}})
		defer p.Behave(providertest.Behaviour{})
		u.wants(u.get(callback), http.StatusForbidden, "You have been signed out")
		u.wants(u.get("/open"), http.StatusOK, "nobody")
	})
	t.Run("refuses every session that a logout raced, whoever was first", func(t *testing.T) {
		for i := range 20 {
			sid := fmt.Sprint("raced-", i)
			p.Behave(providertest.Behaviour{IDToken: func(c map[string]any) { c["sid"] = sid }})
			u := s.user()
			callback := u.login("/auth/login?return_to=/open")
			token := logoutToken(p, func(c map[string]any) { c["sid"] = sid })
			var wait sync.WaitGroup
			wait.Go(func() { u.get(callback) })
			wait.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond / 2)
				if got := s.told(s.mux, token); got.StatusCode != http.StatusOK {
					t.Errorf("%d", got.StatusCode)
				}
			})
			wait.Wait()
			u.wants(u.get("/open"), http.StatusOK, "nobody")
		}
	})
	t.Run("accepts logins of other sessions", func(t *testing.T) {
		p.Behave(providertest.Behaviour{IDToken: func(c map[string]any) { c["sid"] = "free" }})
		s.signedIn()
	})
}
