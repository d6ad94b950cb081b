package rp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"countersign/rp"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
	"countersign/rp/session"
)

// Covers: RP-68.
func TestRP68Start(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	base := rp.Config{
		Issuer: p.Issuer, BaseURL: "https://app.example", ClientID: "app", Key: generated(t), Client: client.Config{Roots: p.Roots, Now: p.Now},
	}
	start := func(change func(*rp.Config)) error {
		config := base
		change(&config)
		_, err := rp.New(t.Context(), config)
		return err
	}
	t.Run("accepts the three lines", func(t *testing.T) {
		if err := start(func(*rp.Config) {}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("refuses a provider that offers less than the profile, and lists what", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Metadata: func(m map[string]any) {
			delete(m, "pushed_authorization_request_endpoint")
			delete(m, "code_challenge_methods_supported")
			delete(m, "authorization_response_iss_parameter_supported")
		}})
		defer p.Behave(providertest.Behaviour{})
		weak, ok := errors.AsType[*client.WeakProviderError](start(func(*rp.Config) {}))
		if !ok || len(weak.Lacks) != 3 {
			t.Errorf("%v", weak)
		}
		if err := start(func(c *rp.Config) {
			c.Client.Profile, c.Client.Weak = client.Plain, client.Weak{NoPAR: true, NoIss: true, UnannouncedPKCE: true}
		}); err != nil {
			t.Errorf("with each weakness named: %v", err)
		}
	})
	t.Run("refuses a configuration that cannot work", func(t *testing.T) {
		for name, change := range map[string]func(*rp.Config){
			"BaseURL http":      func(c *rp.Config) { c.BaseURL = "http://app.example" },
			"BaseURL path":      func(c *rp.Config) { c.BaseURL = "https://app.example/x" },
			"BaseURL slash":     func(c *rp.Config) { c.BaseURL = "https://app.example/" },
			"BaseURL user":      func(c *rp.Config) { c.BaseURL = "https://a@app.example" },
			"BaseURL empty":     func(c *rp.Config) { c.BaseURL = "" },
			"Issuer":            func(c *rp.Config) { c.Issuer = "" },
			"Client.Issuer":     func(c *rp.Config) { c.Client.Issuer = p.Issuer },
			"two keys":          func(c *rp.Config) { c.Client.Auth = client.PrivateKeyJWT(c.Key) },
			"Home elsewhere":    func(c *rp.Config) { c.Home = "https://evil.example/" },
			"AfterLogout":       func(c *rp.Config) { c.AfterLogout = "//evil.example" },
			"fragment":          func(c *rp.Config) { c.Client.ResponseMode = "fragment" },
			"hybrid fragment":   func(c *rp.Config) { c.Client.Profile, c.Client.ResponseType = client.FAPI1Advanced, "code id_token" },
			"negative life":     func(c *rp.Config) { c.TransactionLife = -1 },
			"cookie name":       func(c *rp.Config) { c.Sessions.Name = "a b" },
			"rolling":           func(c *rp.Config) { c.Sessions.Rolling = 48 * 3600e9 },
			"store without key": func(c *rp.Config) { c.Sessions.Store = session.NewMemory() },
		} {
			if err := start(change); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
	})
}

// Covers: RP-69.
func TestRP69ProviderDown(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	s := newAttackedSite(t, p)
	u := s.signedIn()
	callback := u.login("/auth/login")
	v := s.user()
	p.Close()
	t.Run("accepts sessions that are there", func(t *testing.T) {
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	})
	t.Run("refuses logins, by a page or a problem document with 503 and a correlation id that is in the log", func(t *testing.T) {
		got := v.get("/")
		v.wants(got, http.StatusServiceUnavailable, "Not available right now")
		id := s.lastError().CorrelationID
		if !strings.Contains(got.body, id) || !strings.Contains(s.logs.String(), id) || got.header.Get("Retry-After") == "" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v %s", got.header, got.body)
		}
		if _, ok := errors.AsType[*client.UnavailableError](s.lastError().Err); !ok {
			t.Errorf("%v", s.lastError())
		}
		request := v.request(http.MethodGet, "/auth/login", nil)
		asScript(request)
		if document := problemOf(t, v.send(request)); document["kind"] != "temporarily_unavailable" {
			t.Errorf("%v", document)
		}
	})
	t.Run("refuses a callback, and keeps the session", func(t *testing.T) {
		u.wants(u.get(callback), http.StatusServiceUnavailable, "Not available right now")
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	})
}

// Covers: RP-70.
func TestRP70Ping(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	var pinged []*client.BackchannelRequest
	var failing error
	s := newAttackedSite(t, p, func(_ *site, c *rp.Config) {
		c.Hooks.OnPing = func(_ context.Context, request *client.BackchannelRequest) error {
			pinged = append(pinged, request)
			return failing
		}
	})
	request, err := s.app.Backchannel(t.Context(), client.BackchannelOptions{LoginHint: "alice", Ping: true, BindingMessage: "ABC"})
	if err != nil {
		t.Fatal(err)
	}
	ping := func(authorization, body string) int {
		t.Helper()
		u := s.user()
		request := u.request(http.MethodPost, "/auth/ciba-ping", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", authorization)
		return u.send(request).status
	}
	body := `{"auth_req_id":"` + request.AuthReqID + `"}`
	t.Run("accepts a ping that bears the request's token, which may be polled then", func(t *testing.T) {
		if status := ping("Bearer "+request.NotificationToken, body); status != http.StatusNoContent || len(pinged) != 1 {
			t.Fatalf("%d, %d pings", status, len(pinged))
		}
		tokens, err := s.app.Client().Poll(t.Context(), pinged[0])
		if err != nil || tokens.AccessToken == "" {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses another token, another request, none, and what is no ping", func(t *testing.T) {
		for _, bad := range []struct {
			authorization, body string
			want                int
		}{
			{"Bearer another", body, http.StatusUnauthorized}, {"", body, http.StatusUnauthorized}, {"Basic " + request.NotificationToken, body, http.StatusUnauthorized},
			{"Bearer " + request.NotificationToken, `{"auth_req_id":"another"}`, http.StatusUnauthorized}, {"Bearer " + request.NotificationToken, `{}`, http.StatusBadRequest},
			{"Bearer " + request.NotificationToken, `[]`, http.StatusBadRequest}, {"Bearer " + request.NotificationToken, strings.Repeat("x", 300<<10), http.StatusBadRequest},
		} {
			if status := ping(bad.authorization, bad.body); status != bad.want {
				t.Errorf("%s %.40s: %d, want %d", bad.authorization, bad.body, status, bad.want)
			}
		}
		if len(pinged) != 1 {
			t.Errorf("%d pings", len(pinged))
		}
	})
	t.Run("refuses for now what the application cannot take", func(t *testing.T) {
		failing = errors.New("busy")
		if status := ping("Bearer "+request.NotificationToken, body); status != http.StatusServiceUnavailable {
			t.Errorf("%d", status)
		}
		p.Advance(3 * 60e9)
		failing = nil
		if status := ping("Bearer "+request.NotificationToken, body); status != http.StatusUnauthorized {
			t.Errorf("a request that is over: %d", status)
		}
	})
}

// Covers: RP-71.
func TestRP71Handler(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	s := newAttackedSite(t, p, func(_ *site, c *rp.Config) { c.Client.ResponseMode = "form_post" })
	u := s.user()
	t.Run("accepts a request for the application's keys", func(t *testing.T) {
		got := u.get("/auth/jwks")
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal([]byte(got.body), &set); err != nil || len(set.Keys) != 1 || set.Keys[0]["d"] != nil || set.Keys[0]["kid"] != s.config.Key.ID() {
			t.Errorf("%v %s", err, got.body)
		}
	})
	t.Run("accepts a login that the provider begins", func(t *testing.T) {
		got := u.login("/auth/login?iss=" + p.Issuer + "&login_hint=alice&target_link_uri=" + s.url + "/deep")
		u.wants(u.get(got), http.StatusOK, "sub-alice at /deep")
		requests := p.Requests("/par")
		if hint := requests[len(requests)-1].Form.Get("login_hint"); hint != "alice" {
			t.Errorf("login_hint is %q", hint)
		}
	})
	t.Run("accepts a transaction in a post of the provider's page: its cookie is SameSite=None", func(t *testing.T) {
		v := s.user()
		var site http.SameSite
		v.jar.blocks = func(c *http.Cookie) bool {
			if strings.Contains(c.Name, "login") {
				site = c.SameSite
			}
			return false
		}
		form := p.Login(v.step("/"))
		if site != http.SameSiteNoneMode {
			t.Errorf("SameSite %d", site)
		}
		v.wants(v.post("/auth/callback", form, func(r *http.Request) { r.Header.Set("Origin", p.Issuer) }), http.StatusOK, "sub-alice")
	})
	t.Run("accepts a post from the provider's page that brings no cookie of SameSite=Lax", func(t *testing.T) {
		v := s.user()
		form := p.Login(v.step("/"))
		v.jar.withholds = func(c *http.Cookie) bool { return !strings.Contains(c.Name, "login-") }
		answered := v.post("/auth/callback", form, func(r *http.Request) { r.Header.Set("Origin", p.Issuer) })
		v.jar.withholds = nil
		v.wants(answered, http.StatusOK, "sub-alice")
	})
	t.Run("refuses a post from the provider's page that brings no cookie at all, and begins no session", func(t *testing.T) {
		v := s.user()
		form := p.Login(v.step("/"))
		v.jar.withholds = func(*http.Cookie) bool { return true }
		v.wants(v.post("/auth/callback", form, func(r *http.Request) { r.Header.Set("Origin", p.Issuer) }), http.StatusBadRequest, "")
		v.jar.withholds = nil
		if got := v.get("/open"); strings.Contains(got.body, "sub-alice") {
			t.Errorf("somebody is signed in: %s", got.body)
		}
	})
	t.Run("refuses other paths, methods and issuers", func(t *testing.T) {
		u.wants(u.get("/auth/other"), http.StatusNotFound, "There is nothing here")
		u.wants(u.get("/auth/login?iss=https://evil.example"), http.StatusBadRequest, "cannot be answered")
		got := u.post("/auth/jwks", nil)
		if u.wants(got, http.StatusMethodNotAllowed, ""); got.header.Get("Allow") != "GET" {
			t.Errorf("Allow: %s", got.header.Get("Allow"))
		}
	})
	t.Run("refuses a second prefix, and one that is no path", func(t *testing.T) {
		for _, bad := range []string{"/other", "auth", "//evil.example", "/a?b", "https://app.example/auth"} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%q is accepted", bad)
					}
				}()
				s.app.Handler(bad)
			}()
		}
		s.app.Handler("/auth/")
	})
}

// TestRender: the application's own pages take the place of the built-in ones.
func TestRender(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	s := newAttackedSite(t, p, func(_ *site, c *rp.Config) {
		c.Render = func(w http.ResponseWriter, _ *http.Request, page rp.Page) {
			w.WriteHeader(page.Status)
			_ = json.NewEncoder(w).Encode(map[string]any{"own": page.Kind, "id": page.CorrelationID, "action": page.Action.Path})
		}
	})
	u := s.user()
	u.wants(u.get("/auth/callback?state=x"), http.StatusBadRequest, `"own":"login_not_begun"`)
	u.wants(u.get("/auth/callback?state=x"), http.StatusBadRequest, `"action":"/auth/login"`)
}

// TestSecretsNotLogged: neither tokens nor codes nor cookies are in the log.
func TestSecretsNotLogged(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	s := newAttackedSite(t, p)
	u := s.signedIn()
	tokens, err := s.session(u, s.app).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{tokens.AccessToken, tokens.RefreshToken, tokens.IDToken}
	for _, value := range u.cookies() {
		secrets = append(secrets, strings.TrimPrefix(value, "1~"))
	}
	callback := u.login("/auth/login")
	u.get(changed(t, s.url+callback, "iss", "https://evil.example"))
	u.get(changed(t, s.url+u.login("/auth/login"), "code", "wrong-code-of-somebody"))
	secrets = append(secrets, "wrong-code-of-somebody")
	log := s.logs.String()
	if !strings.Contains(log, "request refused") {
		t.Fatalf("nothing was logged: %s", log)
	}
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}
