package rp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/rp"
)

// Covers: RP-58.
func TestRP58LogoutCSRF(t *testing.T) {
	t.Parallel()
	forms(t, func(t *testing.T, how siteOption) {
		s := newSite(t, world(t), how)
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
