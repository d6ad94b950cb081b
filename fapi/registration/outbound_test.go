package registration_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/mtls"
)

// Covers: FD-78, FD-79. Hosts that one organisation registered and that never answer hold up neither what others register
// nor the keys of others; the organisation itself is told 503 with Retry-After, and never that it is not the client.
func TestFD78SlowHosts(t *testing.T) {
	t.Parallel()
	honest := fapitest.NewKey(t, jose.ES256)
	release := make(chan struct{})
	certificate, roots := fapitest.ServerCertificate(t)
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/sector":
			fmt.Fprint(w, `["https://client.example/callback"]`)
		case "/jwks":
			_, _ = w.Write(fapitest.KeySet(honest.PublicJWK()))
		default:
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	host.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	host.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	host.StartTLS()
	t.Cleanup(host.Close)
	t.Cleanup(func() { close(release) })
	w := fapitest.NewWorld(t, fapitest.WithRegistration, func(c *fapitest.Config) { c.OutboundRoots = roots })
	mallory, bank := w.InitialToken("Mallory", 1000), w.InitialToken("Bank", 1000)
	applicant := w.Applicant(nil)
	registered := func(token string, key jose.PrivateKey, path string) *fapitest.Client {
		r := applicant.RegisteredSelf(token, fapitest.RegistrationRequest(key, func(m map[string]any) {
			delete(m, "jwks")
			m["jwks_uri"] = host.URL + path
		}))
		c := &fapitest.Client{World: w, ID: r.Text("client_id"), Key: key, ProofKey: key, DPoP: true, Assertion: true}
		c.HTTP = w.Transport(c)
		return c
	}
	var slow []*fapitest.Client
	for i := range 20 {
		slow = append(slow, registered(mallory, honest, fmt.Sprint("/slow/", i)))
	}
	request := func(path string) json.RawMessage {
		body, err := json.Marshal(fapitest.RegistrationRequest(honest, func(m map[string]any) { m["sector_identifier_uri"] = host.URL + path }))
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	var ours atomic.Int64
	busy := func(r fapitest.Reply) {
		switch {
		case r.Status == http.StatusServiceUnavailable && r.Text("error") == "temporarily_unavailable" && r.Header.Get("Retry-After") != "":
			ours.Add(1)
		case r.Status == http.StatusBadRequest && r.Text("error") == "invalid_client_metadata":
		case r.Status == http.StatusUnauthorized && r.Text("error") == "invalid_client": // its own host, after 5 s
		default:
			t.Errorf("answered %d %s", r.Status, r.Raw)
		}
	}
	t.Run("accepts others beside", func(t *testing.T) {
		var fetched *fapitest.Client
		fapitest.Beside(t, 60, func(n int) {
			time.Sleep(200 * time.Millisecond) // the processors are not what is flooded
			if n < 40 {
				busy(applicant.RegisterSelf(mallory, request("/slow")))
				return
			}
			busy(slow[n-40].Post("/par", url.Values{}, nil))
		}, 45, func(i int) {
			switch i % 3 {
			case 0:
				fetched = registered(bank, honest, "/jwks?"+fmt.Sprint(i))
			case 1:
				if r := fetched.Post("/par", url.Values{}, nil); r.Text("error") != "invalid_request" {
					t.Errorf("a client whose keys can be read: %d %s", r.Status, r.Raw)
				}
			case 2:
				if r := applicant.RegisterSelf(bank, request("/sector")); r.Status != http.StatusCreated {
					t.Errorf("a registration whose sector can be read: %d %s", r.Status, r.Raw)
				}
			}
		})
		if ours.Load() == 0 {
			t.Error("nobody was told that the fault is the server's")
		}
	})
}
