package registration_test

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/mtls"
)

// Covers: FD-06. TestDR03SectorIdentifier: a sector is what its host vouches for (OpenID Connect Core §8.1).
func TestDR03SectorIdentifier(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	certificate, roots := fapitest.ServerCertificate(t)
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		switch r.URL.Path {
		case "/good":
			fmt.Fprint(w, `["https://other.example/","https://client.example/callback"]`)
		case "/keys":
			fmt.Fprint(w, `["https://keys.example/jwks"]`)
		case "/other":
			fmt.Fprint(w, `["https://other.example/","https://client.example/callback/"]`)
		case "/object":
			fmt.Fprint(w, `{"redirect_uris":["https://client.example/callback"]}`)
		case "/redirect":
			http.Redirect(w, r, "/good", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	host.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	host.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	host.StartTLS()
	t.Cleanup(host.Close)
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(), fapitest.WithRegistration, func(c *fapitest.Config) {
		c.OutboundRoots = roots
	})
	token := w.InitialToken("Bank", 20)
	c := w.Applicant(nil)
	at := func(path string) map[string]any {
		return fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), func(m map[string]any) { m["sector_identifier_uri"] = host.URL + path })
	}
	t.Run("accepts a list with every redirect URI", func(t *testing.T) {
		if r := c.RegisteredSelf(token, at("/good")); r.Text("sector_identifier_uri") != host.URL+"/good" {
			t.Errorf("%s", r.Raw)
		}
	})
	for path, code := range map[string]string{
		"/other": "invalid_redirect_uri", "/object": "invalid_client_metadata", "/redirect": "invalid_client_metadata", "/absent": "invalid_client_metadata",
	} {
		t.Run("refuses "+path, func(t *testing.T) {
			fapitest.WantError(t, c.RegisterSelf(token, at(path)), http.StatusBadRequest, code)
		})
	}
	t.Run("refuses an update to a list without the redirect URI", func(t *testing.T) {
		m := manages(c, token, at("/good"))
		fapitest.WantError(t, m.replace(func(m map[string]any) { m["redirect_uris"] = []string{"https://client.example/elsewhere"} }), http.StatusBadRequest, "invalid_redirect_uri")
	})
	t.Run("refuses without fetching when nobody may register or something else is wrong", func(t *testing.T) {
		before := fetched.Load()
		fapitest.WantUnauthorized(t, c.RegisterSelf(fapitest.RandomString(), at("/good")))
		wrong := at("/good")
		delete(wrong, "client_name")
		fapitest.WantError(t, c.RegisterSelf(token, wrong), http.StatusBadRequest, "invalid_client_metadata")
		if after := fetched.Load(); after != before {
			t.Errorf("fetched %d times", after-before)
		}
	})
	byKeys := func(path, jwksURI string) fapitest.Reply {
		return c.RegisterSelf(token, fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), func(m map[string]any) {
			fapitest.CIBAPoll(c, m)
			m["subject_type"], m["sector_identifier_uri"] = "pairwise", host.URL+path
			if jwksURI != "" {
				delete(m, "jwks")
				m["jwks_uri"] = jwksURI
			}
		}))
	}
	t.Run("accepts a CIBA client whose jwks_uri is in the list", func(t *testing.T) {
		if r := byKeys("/keys", "https://keys.example/jwks"); r.Status != http.StatusCreated {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses a CIBA client whose jwks_uri is not in the list", func(t *testing.T) {
		fapitest.WantError(t, byKeys("/keys", "https://other.example/jwks"), http.StatusBadRequest, "invalid_client_metadata")
	})
	t.Run("refuses a CIBA client with keys by value", func(t *testing.T) {
		fapitest.WantError(t, byKeys("/keys", ""), http.StatusBadRequest, "invalid_client_metadata")
	})
	t.Run("refuses a host whose certificate is not trusted", func(t *testing.T) {
		t.Parallel()
		other := fapitest.NewWorld(t, fapitest.WithRegistration)
		fapitest.WantError(t, other.Applicant(nil).RegisterSelf(other.InitialToken("Bank", 1), at("/good")), http.StatusBadRequest, "invalid_client_metadata")
	})
}
