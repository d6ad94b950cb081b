package login_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/fapi/login"
	"countersign/mtls"
)

// asClient has the login's backend be a registered client.
func asClient(c *fapitest.Config) {
	c.Login.Subject, c.Login.ClientID = mtls.Subject{}, "the-login"
}

// loginClient registers the login's backend: private_key_jwt, and tokens bound by DPoP.
func loginClient(c *fapitest.Client, m map[string]any) {
	fapitest.ClientCredentialsOnly(c, m)
	c.Scope, m["scope"] = login.Scope, login.Scope
}

// call calls the API with a token and a proof for the whole address.
func call(c *fapitest.Client, method, handle, token string, body any, change func(*http.Request)) fapitest.Reply {
	at := c.Base() + path(handle)
	return c.SendJSON(method, at, "", body, func(r *http.Request) {
		if c.DPoP {
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", c.Proof(method, at, token, nil))
		} else {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		if change != nil {
			change(r)
		}
	})
}

// Covers: KE-14. The login can be a registered client: private_key_jwt, and a token bound by DPoP or to its certificate.
func TestKE14AsClient(t *testing.T) {
	t.Parallel()
	w, _ := newBank(t, true, true, asClient)
	c := everybody(w, "client-1")
	b := w.Register("the-login", loginClient)
	token := b.ClientCredentials(nil).Text("access_token")
	begin := func(t *testing.T) (*fapitest.Browser, string, fapitest.Claims) {
		t.Helper()
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		asked := call(b, http.MethodGet, handle, token, nil, nil)
		if asked.Status != http.StatusOK {
			t.Fatalf("%d %s", asked.Status, asked.Raw)
		}
		return browser, handle, fapitest.Claims{
			"request_digest": asked.Body["request_digest"], "subject": "sub-alice", "acr": acrSCA, "amr": []string{"pwd"},
			"auth_time": w.Clock.Now().Unix(), "allowed": allOf(asked.Body),
		}
	}
	t.Run("accepts private_key_jwt and DPoP", func(t *testing.T) {
		browser, handle, message := begin(t)
		answered := call(b, http.MethodPost, handle, token, message, nil)
		wantCode(t, browser, answered.Text("return_to"))
	})
	t.Run("refuses a token alone, a proof for something else, one that was used, and one of another key", func(t *testing.T) {
		browser, handle, message := begin(t)
		proofs := map[string]func(*http.Request){
			"no proof":    func(r *http.Request) { r.Header.Del("DPoP") },
			"as a bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) },
			"for reading": func(r *http.Request) {
				r.Header.Set("DPoP", b.Proof(http.MethodGet, b.Base()+path(handle), token, nil))
			},
			"of the route":     func(r *http.Request) { r.Header.Set("DPoP", b.Proof(http.MethodPost, b.Base()+login.Path, token, nil)) },
			"another handle's": func(r *http.Request) { r.Header.Set("DPoP", b.Proof(http.MethodPost, b.Base()+path("x"), token, nil)) },
			"of another key": func(r *http.Request) {
				r.Header.Set("DPoP", c.Proof(http.MethodPost, b.Base()+path(handle), token, nil))
			},
			"no token":      func(r *http.Request) { r.Header.Del("Authorization") },
			"another token": func(r *http.Request) { r.Header.Set("Authorization", "DPoP x"+token) },
		}
		for name, change := range proofs {
			if r := call(b, http.MethodPost, handle, token, message, change); r.Status != http.StatusUnauthorized || r.Body["return_to"] != nil {
				t.Errorf("%s: %d %s", name, r.Status, r.Raw)
			}
		}
		used := ""
		call(b, http.MethodGet, handle, token, nil, func(r *http.Request) { used = r.Header.Get("DPoP") })
		again := call(b, http.MethodGet, handle, token, nil, func(r *http.Request) { r.Header.Set("DPoP", used) })
		if again.Status != http.StatusUnauthorized {
			t.Errorf("the same proof again: %d %s", again.Status, again.Raw)
		}
		wantCode(t, browser, call(b, http.MethodPost, handle, token, message, nil).Text("return_to"))
	})
	t.Run("refuses another client with the scope, and users' tokens", func(t *testing.T) {
		_, handle, _ := begin(t)
		other := w.Register("other", loginClient)
		refused(t, call(other, http.MethodGet, handle, other.ClientCredentials(nil).Text("access_token"), nil, nil), http.StatusForbidden, "not the login")
	})
	t.Run("refuses a token without the scope, and one that has expired", func(t *testing.T) {
		_, handle, _ := begin(t)
		plain := w.Register("plain", fapitest.ClientCredentialsOnly)
		refused(t, call(plain, http.MethodGet, handle, plain.ClientCredentials(nil).Text("access_token"), nil, nil), http.StatusForbidden, "scope login")
		w.Clock.Advance(6 * time.Minute)
		refused(t, call(b, http.MethodGet, handle, token, nil, nil), http.StatusUnauthorized, "expired")
		token = b.ClientCredentials(nil).Text("access_token")
	})
	t.Run("refuses the certificate that would do otherwise", func(t *testing.T) {
		_, handle, _ := begin(t)
		r := withCertificate(t, w, "the-login").SendJSON(http.MethodGet, w.MTLSIssuer+path(handle), "", nil, nil)
		refused(t, r, http.StatusUnauthorized, "access token")
	})
	t.Run("accepts a certificate-bound token on the other listener", func(t *testing.T) {
		w, _ := newBank(t, true, true, asClient)
		c := everybody(w, "client-1")
		b := w.Register("the-login", fapitest.All(loginClient, fapitest.TLSClientAuth))
		token := b.ClientCredentials(nil).Text("access_token")
		handle := arrive(t, c, w.Browser(), nil)
		if asked := call(b, http.MethodGet, handle, token, nil, nil); asked.Status != http.StatusOK {
			t.Errorf("%d %s", asked.Status, asked.Raw)
		}
		refused(t, call(b.WithCertificate(nil), http.MethodGet, handle, token, nil, nil), http.StatusUnauthorized, "certificate")
	})
}

// Covers: KE-15. A certificate can be pinned, whoever has issued it; two can be while it changes.
func TestKE15PinnedCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old, renewed := fapitest.Authority{}.Issue(t, "own", now), fapitest.Authority{}.Issue(t, "own", now)
	other := fapitest.Authority{}.Issue(t, "own", now)
	pinned := login.NewThumbprints(mtls.Thumbprint(old.Leaf), mtls.Thumbprint(renewed.Leaf))
	w, _ := newBank(t, true, true, func(c *fapitest.Config) {
		c.Login.Subject, c.Login.Thumbprints = mtls.Subject{}, pinned
	})
	c := everybody(w, "client-1")
	as := func(certificate *fapitest.Client) *bank {
		certificate.World = w
		certificate.HTTP = w.Transport(certificate)
		return &bank{w, certificate}
	}
	handle := arrive(t, c, w.Browser(), nil)
	t.Run("accepts both", func(t *testing.T) {
		as(&fapitest.Client{Certificate: &old}).asked(t, handle)
		as(&fapitest.Client{Certificate: &renewed}).asked(t, handle)
	})
	t.Run("refuses another of the same name, and one of the authority for clients", func(t *testing.T) {
		refused(t, as(&fapitest.Client{Certificate: &other}).read(handle), http.StatusUnauthorized, "not the login's")
		refused(t, (&bank{w, withCertificate(t, w, "the-login")}).read(handle), http.StatusUnauthorized, "not the login's")
	})
	t.Run("refuses the old one from the moment on that it is taken out", func(t *testing.T) {
		pinned.Set([]string{mtls.Thumbprint(renewed.Leaf)})
		refused(t, as(&fapitest.Client{Certificate: &old}).read(handle), http.StatusUnauthorized, "not the login's")
		as(&fapitest.Client{Certificate: &renewed}).asked(t, handle)
	})
	t.Run("refuses one that has expired", func(t *testing.T) {
		w.Clock.Advance(2 * time.Hour)
		refused(t, as(&fapitest.Client{Certificate: &renewed}).read(handle), http.StatusUnauthorized, "not valid at this time")
	})
}

// Covers: KE-16. Settings that cannot work are refused, each by its name.
func TestKE16Settings(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*login.Settings){
		"Address":                   func(s *login.Settings) { s.HandOff.Address = "http://login.bank.example" },
		"must be an https address":  func(s *login.Settings) { s.HandOff.Address = "https://login.bank.example/#top" },
		"without the parameter":     func(s *login.Settings) { s.HandOff.Address = "https://login.bank.example/?handle=1" },
		"neither Login nor Consent": func(s *login.Settings) { s.HandOff.Login, s.HandOff.Consent, s.HandOff.ACRValues = false, false, nil },
		"ACRValues":                 func(s *login.Settings) { s.HandOff.ACRValues = nil },
		"and no other":              func(s *login.Settings) { s.HandOff.Login = false },
		"Lifetime":                  func(s *login.Settings) { s.HandOff.Lifetime = time.Second },
		"exactly one":               func(s *login.Settings) { s.Subject = mtls.Subject{} },
		"exactly one of":            func(s *login.Settings) { s.ClientID = "x" },
		"subject":                   func(s *login.Settings) { s.Subject.SANDNS = "x" },
	} {
		t.Run("refuses "+says, func(t *testing.T) {
			settings := handOff(true, true)
			change(settings)
			if err := settings.Check(true); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refuses a certificate without a listener that asks for one", func(t *testing.T) {
		if err := handOff(true, true).Check(false); err == nil || !strings.Contains(err.Error(), "MTLSIssuer") {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts a client without such a listener", func(t *testing.T) {
		settings := handOff(false, true)
		settings.Subject, settings.ClientID = mtls.Subject{}, "the-login"
		if err := settings.Check(false); err != nil {
			t.Error(err)
		}
	})
}
