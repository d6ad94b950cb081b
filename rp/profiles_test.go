package rp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/rp"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// Covers: RP-73.
func TestRP73Profiles(t *testing.T) {
	t.Parallel()
	w := world(t, fapitest.AllProfiles)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	decrypter, err := client.NewDecrypter(key, "")
	if err != nil {
		t.Fatal(err)
	}
	s, serve := unstarted(t)
	s.register = []fapitest.ClientOption{fapitest.OfProfile("fapi2-message-signing"), func(c *fapitest.Client, m map[string]any) {
		own, err := client.New(t.Context(), client.Config{
			Issuer: w.Issuer, ClientID: c.ID, Auth: client.PrivateKeyJWT(keyOf(t, c.Key)), Roots: w.Roots, Decrypt: []client.Decrypter{decrypter},
		})
		if err != nil {
			t.Fatal(err)
		}
		m["jwks"] = json.RawMessage(own.Keys())
		for _, name := range []string{"id_token", "authorization"} {
			m[name+"_encrypted_response_alg"], m[name+"_encrypted_response_enc"] = "ECDH-ES", "A256GCM"
		}
	}}
	s.of(w, serve, func(_ *site, c *rp.Config) {
		c.Client.Profile, c.Client.Decrypt = client.FAPI2MessageSigning, []client.Decrypter{decrypter}
	})
	u := s.user()
	first, second, third, fourth := u.toCallback("/one"), u.toCallback("/two"), u.toCallback("/three"), u.toCallback("/four")
	t.Run("accepts FAPI 2.0 Message Signing, its answers signed and encrypted, in two tabs", func(t *testing.T) {
		if strings.Count(first, ".") < 4 || strings.Contains(first, "code=") {
			t.Fatalf("the answer is not encrypted: %s", first)
		}
		u.wants(u.get(second), http.StatusOK, "sub-alice at /two")
		u.wants(u.get(first), http.StatusOK, "sub-alice at /one")
		if again := u.get(second); again.status != http.StatusOK || again.where() != "/" {
			t.Errorf("an answer for the second time: %d at %s", again.status, again.address)
		}
	})
	t.Run("refuses an encrypted answer that was altered, and uses no login up for it", func(t *testing.T) {
		u.wants(u.get(changed(t, fourth, "response", "a.b.c.d.e")), http.StatusBadRequest, "was not safe")
		if refused, ok := errors.AsType[*client.CheckError](s.lastError().Err); !ok || refused.What != "authorization response" {
			t.Errorf("%v", s.lastError())
		}
		u.wants(u.get(third), http.StatusOK, "sub-alice at /three")
		u.wants(u.get(fourth), http.StatusOK, "sub-alice at /four")
	})
	t.Run("accepts FAPI 1.0 Advanced with a certificate, its answers signed", func(t *testing.T) {
		t.Parallel()
		w := world(t, fapitest.AllProfiles)
		s, serve := unstarted(t)
		s.register = []fapitest.ClientOption{fapitest.FAPI1Advanced, fapitest.SetMember("response_types", []string{"code"})}
		s.of(w, serve, func(s *site, c *rp.Config) {
			c.Client.Profile, c.Client.Binding = client.FAPI1Advanced, client.MTLSBoundWith(*s.client.Certificate)
		})
		u := s.user()
		callback := u.toCallback("/one")
		if !strings.Contains(callback, "response=") {
			t.Fatalf("the answer is not signed: %s", callback)
		}
		u.wants(u.get(callback), http.StatusOK, "sub-alice at /one")
		response, err := s.session(u, s.app).HTTPClient(t.Context()).Get(w.MTLSIssuer + "/accounts")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("the resource answers %d", response.StatusCode)
		}
	})
}

// TestLoginOptions: what a login asks for is in the pushed request.
func TestLoginOptions(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	s := newAttackedSite(t, p, func(_ *site, c *rp.Config) {
		c.Login = []rp.LoginOption{rp.WithLocales("de", "en"), rp.WithPrompt("login")}
	})
	s.mux.HandleFunc("/all", func(w http.ResponseWriter, r *http.Request) {
		s.app.Login(w, r, rp.WithScopes("accounts"), rp.WithMoreScopes("payments"), rp.WithPrompt("consent"), rp.WithClaims(map[string]any{"userinfo": map[string]any{"email": nil}}),
			rp.WithLoginHint("alice"), rp.WithResource("https://api.example"), rp.WithGrant("create", ""), rp.WithParameter("tenant", "7"), rp.WithMaxAge(60e9),
			rp.WithAuthorizationDetails([]any{map[string]any{"type": "account"}}))
	})
	s.mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) { s.app.Login(w, r, rp.WithParameter("state", "mine")) })
	u := s.user()
	u.step("/all")
	requests := p.Requests("/par")
	form := requests[len(requests)-1].Form
	for name, want := range map[string]string{
		"scope": "accounts openid payments", "prompt": "consent", "claims": `{"userinfo":{"email":null}}`, "login_hint": "alice", "resource": "https://api.example",
		"grant_management_action": "create", "tenant": "7", "max_age": "60", "authorization_details": `[{"type":"account"}]`, "ui_locales": "de en",
		"redirect_uri": s.url + "/auth/callback",
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	u.wants(u.get("/twice"), http.StatusInternalServerError, "Something went wrong")
	if _, ok := errors.AsType[*client.ConfigError](s.lastError().Err); !ok {
		t.Errorf("%v", s.lastError())
	}
}
