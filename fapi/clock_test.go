package fapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: FD-110, FD-111. One of two nodes is five minutes fast: it says that it is not ready, serves nothing that depends on time, and
// does not make the other take an assertion, a proof or a request object twice. When its clock is right it serves again.
func TestFD111FastNode(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewPostgresWorld(t, nil)
	n := w.Node(nil)
	c := w.Register("client-1", nil)
	there := n.Client(c)
	b := n.Browser(w.Browser())
	ready := func() (int, map[string]string) {
		t.Helper()
		w.Clock.Advance(2 * time.Second) // what readiness found is good for a second
		n.Clock.Advance(2 * time.Second)
		status, body, _ := b.Visit(w.Issuer + "/health/ready")
		var report struct {
			Parts map[string]string `json:"parts"`
		}
		if err := json.Unmarshal([]byte(body), &report); err != nil {
			t.Fatal(body)
		}
		return status, report.Parts
	}
	t.Run("accepts while the clocks agree", func(t *testing.T) {
		if status, parts := ready(); status != http.StatusOK || parts["clock"] != "" {
			t.Errorf("%d %v", status, parts)
		}
		fapitest.Good("", nil).Check(t, there.Push(nil))
	})
	assertion := fapitest.Set("client_assertion", c.ClientAssertion(nil))
	proof := fapitest.SetHeader("DPoP", c.Proof("POST", w.Issuer+"/par", "", nil))
	fapitest.Good("", nil).Check(t, c.Push(assertion))
	fapitest.Good("", nil).Check(t, c.Push(proof))
	tokens := c.Tokens()
	n.Clock.Advance(5 * time.Minute)
	t.Run("refuses what depends on time at the fast node", func(t *testing.T) {
		for name, r := range map[string]fapitest.Reply{
			"/par": there.Push(nil), "/token": there.Refresh(tokens.Text("refresh_token"), nil), "/revoke": there.Revoke("unknown", nil),
			"a resource": there.Get("/accounts", tokens.Text("access_token"), nil),
		} {
			fapitest.WantError(t, r, 503, "temporarily_unavailable")
			if r.Header.Get("Retry-After") != "10" || !strings.Contains(r.Raw, "the clock of this server is wrong") {
				t.Errorf("%s: Retry-After %q, %s", name, r.Header.Get("Retry-After"), r.Raw)
			}
		}
		if status, body, _ := b.Visit(w.AuthorizeURL(c.ID, "urn:ietf:params:oauth:request_uri:unknown")); status != http.StatusServiceUnavailable {
			t.Errorf("a browser: %d %s", status, body)
		}
		if status, parts := ready(); status != http.StatusServiceUnavailable || parts["clock"] != "unavailable" || parts["store"] != "ok" {
			t.Errorf("ready: %d %v", status, parts)
		}
	})
	t.Run("accepts there what does not depend on it", func(t *testing.T) {
		for _, path := range []string{"/jwks", "/.well-known/openid-configuration", "/health/live"} {
			if status, body, _ := b.Visit(w.Issuer + path); status != http.StatusOK {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
	})
	t.Run("refuses replays at the other node all the while", func(t *testing.T) {
		for range 240 {
			if _, err := n.Store.Purge(t.Context(), 1000); err == nil {
				t.Fatal("the fast node purged")
			}
			if _, err := w.Store.Purge(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
			for _, again := range []fapitest.Change{assertion, proof} {
				for _, at := range []*fapitest.Client{c, there} {
					if r := at.Push(again); r.Status == http.StatusCreated {
						t.Fatalf("taken twice, at %s", w.Clock.Now())
					}
				}
			}
			w.Clock.Advance(5 * time.Second)
			n.Clock.Advance(5 * time.Second)
		}
	})
	t.Run("accepts when its clock is right again", func(t *testing.T) {
		n.SetTime(w.Clock.Now())
		if status, parts := ready(); status != http.StatusOK || parts["clock"] != "" {
			t.Errorf("ready: %d %v", status, parts)
		}
		fapitest.Good("", nil).Check(t, there.Push(nil))
	})
}
