package upstream_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/fapi/upstream"
	"countersign/internal/outbound"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
	"countersign/signer"
)

// Covers: KY-15. This server authenticates to the provider by the key in its HSM or by a certificate, as they are at the moment.
func TestKY15Credentials(t *testing.T) {
	t.Parallel()
	t.Run("accepts a key of the HSM, which signs the assertion and the proof, and is in jwks_uri", func(t *testing.T) {
		s := newSite(t, nil)
		s.signIn(t, s.Browser(), nil)
		active, err := s.Config.Signer.Active(t.Context(), signer.UseLogin, signer.PS256)
		if err != nil {
			t.Fatal(err)
		}
		all := s.provider.Requests("/token")
		last := all[len(all)-1]
		if !strings.Contains(header(t, last.Form.Get("client_assertion")), `"kid":"`+active.ID+`"`) || last.Header.Get("DPoP") == "" || last.Form.Has("client_secret") {
			t.Errorf("%v", last)
		}
		if keys := s.client.Get("/jwks", "", nil); !strings.Contains(keys.Raw, active.ID) {
			t.Errorf("%s", keys.Raw)
		}
	})
	t.Run("accepts a certificate, and another one when it has changed", func(t *testing.T) {
		var shown tls.Certificate
		id := "one"
		s := newSite(t, func(settings *upstream.Settings) {
			settings.Credential = func(context.Context) (upstream.Credential, error) {
				return upstream.Credential{ID: id, Auth: client.MTLS(shown), Binding: client.MTLSBound()}, nil
			}
		})
		for _, next := range []string{"one", "two"} {
			shown, id = s.provider.Certificate(), next
			s.signIn(t, s.Browser(), nil)
			all := s.provider.Requests("/token")
			last := all[len(all)-1]
			if last.Certificate == nil || string(last.Certificate.Raw) != string(shown.Certificate[0]) || last.Form.Has("client_assertion") {
				t.Errorf("%s: %+v", next, last)
			}
		}
	})
	t.Run("accepts a provider that binds nothing, by its name", func(t *testing.T) {
		s := newSite(t, func(settings *upstream.Settings) { settings.Weak = client.Weak{Bearer: true, NoIss: true} })
		s.signIn(t, s.Browser(), nil)
		all := s.provider.Requests("/token")
		if last := all[len(all)-1]; last.Header.Get("DPoP") != "" {
			t.Errorf("%v", last.Header)
		}
	})
	t.Run("refuses with a page while there is no key", func(t *testing.T) {
		s := newSite(t, func(settings *upstream.Settings) {
			settings.Credential = func(context.Context) (upstream.Credential, error) { return upstream.Credential{}, signer.ErrNoKey }
		})
		browser := s.Browser()
		response, err := browser.HTTP.Get(handedTo(t, s, browser))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable && response.StatusCode != http.StatusInternalServerError {
			t.Errorf("answered %s", response.Status)
		}
	})
}

// header is that of a compact JWS, as JSON.
func header(t *testing.T, compact string) string {
	t.Helper()
	encoded, _, _ := strings.Cut(compact, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Covers: KY-19. The provider is reached as all that the server itself fetches is: no addresses but those that the operator lets it, and no
// redirect is followed.
func TestKY19Reach(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, s *site) {
		t.Helper()
		browser := s.Browser()
		response, err := browser.HTTP.Get(handedTo(t, s, browser))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("answered %s", response.Status)
		}
	}
	t.Run("accepts an address that is let", func(t *testing.T) {
		s := newSite(t, nil)
		s.signIn(t, s.Browser(), nil)
	})
	t.Run("refuses an address of this machine, or of a private network, that is not", func(t *testing.T) {
		s := newSite(t, func(settings *upstream.Settings) {
			settings.Transport = outbound.New(outbound.Policy{}).Transport()
		})
		if refused(t, s); len(s.provider.Requests("/.well-known/openid-configuration")) != 0 || !strings.Contains(s.Logs.String(), "this machine") {
			t.Errorf("reached, or the log does not say why: %s", s.Logs.String())
		}
	})
	t.Run("refuses a redirect", func(t *testing.T) {
		s := newSite(t, nil)
		s.provider.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/elsewhere" {
				return false
			}
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return true
		}})
		if refused(t, s); len(s.provider.Requests("/elsewhere")) != 0 {
			t.Error("followed")
		}
	})
}

// Covers: KY-18. What comes with many parameters, or is large, is refused before anything is done with it.
func TestKY18Bounds(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	t.Run("accepts claims within their bounds, and leaves larger ones out", func(t *testing.T) {
		s.says(fapitest.Claims{"name": strings.Repeat("n", 5000), "mail": "alice@bank.example", "preferred_username": "a\nb"})
		issued := s.signIn(t, s.Browser(), nil)
		info := s.client.Get("/userinfo", issued.Text("access_token"), nil)
		if info.Text("email") != "alice@bank.example" || info.Body["name"] != nil {
			t.Errorf("%s", info.Raw)
		}
		user, err := s.Store.User(t.Context(), upstream.SubjectOf(s.provider.Issuer, s.provider.Subject))
		if err != nil || user.Username != user.Subject {
			t.Errorf("%+v %v", user, err)
		}
	})
	t.Run("accepts an ID token that is too large for a cookie: the logout at the provider then asks", func(t *testing.T) {
		s.says(fapitest.Claims{"filler": strings.Repeat("x", 6000)})
		browser := s.Browser()
		s.signIn(t, browser, nil)
		found := false
		for _, cookie := range browser.HTTP.Jar.Cookies(fapitest.MustURL(t, s.Issuer)) {
			found = found || cookie.Name == "__Host-upstreamed" && len(cookie.Value) < 500
		}
		if !found {
			t.Error("there is no such cookie")
		}
	})
	t.Run("refuses an answer that is too large", func(t *testing.T) {
		s.honest()
		browser := s.Browser()
		answer := s.provider.Login(s.begin(t, browser, nil))
		for i := range 40 {
			answer.Set(strings.Repeat("p", i+1), "x")
		}
		s.nothingGranted(t, func() { wantPage(t, browser, s.callback(answer), http.StatusBadRequest, "could not be verified") })
	})
}
