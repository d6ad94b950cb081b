package rs_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/mtls"
	"countersign/rs"
)

// Covers: RS-19. A configuration that cannot work, and an issuer whose metadata do not fit, are errors at the start.
func TestRS19Start(t *testing.T) {
	t.Parallel()
	good := func() rs.Config {
		return rs.Config{Issuer: "https://login.example", Audience: "https://api.example", KeysURL: "https://login.example/jwks"}
	}
	for name, change := range map[string]func(*rs.Config){
		"what is needed":                 func(*rs.Config) {},
		"an audience that is no address": func(c *rs.Config) { c.Audience, c.BaseURL = "urn:api", "https://api.example/v1/" },
		"an audience with a path":        func(c *rs.Config) { c.Audience = "https://api.example/v1" },
		"nonces":                         func(c *rs.Config) { c.NonceSeeds = [][]byte{make([]byte, 32)} },
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			config := good()
			change(&config)
			guard, err := rs.New(t.Context(), config)
			if err != nil {
				t.Fatal(err)
			}
			if address := guard.URL("/x"); address != "https://api.example/x" && address != "https://api.example/v1/x" {
				t.Errorf("its address is %s", address)
			}
		})
	}
	key, err := rs.NewKey(fapitest.NewKey(t, "ES256").Signer(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*rs.Config){
		"Issuer":                 func(c *rs.Config) { c.Issuer = "http://login.example" },
		"Issuer ":                func(c *rs.Config) { c.Issuer = "" },
		"Issuer  ":               func(c *rs.Config) { c.Issuer = "https://login.example?a=b" },
		"Audience":               func(c *rs.Config) { c.Audience = "" },
		"BaseURL":                func(c *rs.Config) { c.Audience = "urn:api" },
		"BaseURL ":               func(c *rs.Config) { c.BaseURL = "http://api.example" },
		"KeysURL":                func(c *rs.Config) { c.KeysURL = "http://login.example/jwks" },
		"Algorithms":             func(c *rs.Config) { c.Algorithms = []string{"RS256"} },
		"Algorithms ":            func(c *rs.Config) { c.Algorithms = []string{} },
		"NonceSeeds":             func(c *rs.Config) { c.NonceSeeds = [][]byte{make([]byte, 31)} },
		"Certificates":           func(c *rs.Config) { c.Gate, c.Certificates = &mtls.Gate{}, mtls.Direct() },
		"Introspection.ClientID": func(c *rs.Config) { c.Introspection = &rs.Introspection{Key: key} },
		"Introspection.Cache": func(c *rs.Config) {
			c.Introspection = &rs.Introspection{ClientID: "api", Cache: rs.MaxIntrospectionCache + 1}
		},
		"Introspection.URL": func(c *rs.Config) { c.Introspection = &rs.Introspection{ClientID: "api", URL: "http://login.example"} },
		"Messages.Keys":     func(c *rs.Config) { c.Messages = &rs.Messages{Key: key} },
	} {
		t.Run("refuses "+field, func(t *testing.T) {
			config := good()
			change(&config)
			_, err := rs.New(t.Context(), config)
			wrong, ok := errors.AsType[*rs.ConfigError](err)
			if !ok || wrong.Field != strings.TrimSpace(field) || wrong.Problem == "" {
				t.Errorf("got %v", err)
			}
		})
	}
	w, _ := fapitest.NewFullWorld(t)
	client := w.Transport(&fapitest.Client{World: w})
	t.Run("accepts a real issuer", func(t *testing.T) {
		if _, err := rs.New(t.Context(), rs.Config{Issuer: w.Issuer, Audience: "https://api.example", HTTP: client}); err != nil {
			t.Error(err)
		}
	})
	serve := func(t *testing.T, status int, answer func(issuer string) string) string {
		server := httptest.NewUnstartedServer(nil)
		certificate, _ := fapitest.ServerCertificate(t)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer(server.URL))
		})
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	for name, one := range map[string]struct {
		status int
		answer func(string) string
	}{
		"no metadata":     {404, func(string) string { return "" }},
		"an error":        {500, func(string) string { return "" }},
		"a redirect":      {302, func(string) string { return "" }},
		"what is no JSON": {200, func(string) string { return "<html>" }},
		"another issuer": {200, func(string) string {
			return `{"issuer":"https://other.example","jwks_uri":"https://other.example/jwks"}`
		}},
		"an issuer twice":    {200, func(i string) string { return `{"issuer":"x","issuer":"` + i + `","jwks_uri":"` + i + `/jwks"}` }},
		"no keys":            {200, func(i string) string { return `{"issuer":"` + i + `"}` }},
		"keys without https": {200, func(i string) string { return `{"issuer":"` + i + `","jwks_uri":"http://127.0.0.1/jwks"}` }},
		"metadata too large": {200, func(i string) string { return `{"issuer":"` + i + `"` + strings.Repeat(" ", 300<<10) + `}` }},
		"no introspection":   {200, func(i string) string { return `{"issuer":"` + i + `","jwks_uri":"` + i + `/jwks"}` }},
		"introspection in the clear": {200, func(i string) string {
			return `{"issuer":"` + i + `","jwks_uri":"` + i + `/jwks","introspection_endpoint":"http://127.0.0.1/"}`
		}},
	} {
		t.Run("refuses an issuer with "+name, func(t *testing.T) {
			issuer := serve(t, one.status, one.answer)
			config := rs.Config{Issuer: issuer, Audience: "https://api.example", HTTP: client}
			if strings.Contains(name, "introspection") {
				config.Introspection = &rs.Introspection{ClientID: "api"}
			}
			_, err := rs.New(t.Context(), config)
			if wrong, ok := errors.AsType[*rs.IssuerError](err); !ok || wrong.Issuer != issuer {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("refuses an issuer that is not there", func(t *testing.T) {
		_, err := rs.New(t.Context(), rs.Config{Issuer: "https://127.0.0.1:1", Audience: "https://api.example"})
		if _, ok := errors.AsType[*rs.IssuerError](err); !ok {
			t.Errorf("got %v", err)
		}
	})
}

// Covers: RS-20. Keys of the issuer that cannot be read are not the sender's fault: 503, and nothing passes.
func TestRS20KeysAway(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	token := tokenOf(c)
	a := newAPI(t, w, func(config *rs.Config) { config.KeysURL = "https://127.0.0.1:1/jwks" })
	t.Run("refuses while the keys are away", func(t *testing.T) {
		r := a.get(c, token, nil)
		a.want(t, r, http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
		if strings.Contains(r.Raw, "127.0.0.1") || r.Header.Get("Retry-After") != "2" {
			t.Errorf("answered %v %s", r.Header, r.Raw)
		}
	})
	t.Run("accepts where they can be read", func(t *testing.T) {
		reachable := newAPI(t, w, nil)
		fapitest.WantOK(t, reachable.get(c, token, nil))
	})
}
