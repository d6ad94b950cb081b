package client_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"countersign/fapi/client"
	"countersign/fapi/fapitest"
)

// redirectURICorpus are addresses that look like https://client.example/callback to a user or to a careless parser.
func redirectURICorpus(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/redirect-uris/refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	corpus := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(corpus) < 200 {
		t.Fatalf("the corpus has %d addresses; it had more than 200", len(corpus))
	}
	return corpus
}

// TestAttack33RedirectURIs: an address that is not the registered one to the byte is refused where it is pushed, and
// nothing is ever sent to it.
//
// Covers: ATTACK-33, ATTACK-34, SP-17, BC-01.
func TestAttack33RedirectURIs(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	t.Run("accepts the registered address", func(t *testing.T) {
		if r := c.Push(nil); r.Status != http.StatusCreated {
			t.Fatalf("answered %d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses every other at the push", func(t *testing.T) {
		for _, address := range redirectURICorpus(t) {
			r := c.Push(func(form url.Values, _ http.Header) { form.Set("redirect_uri", address) })
			if r.Status != http.StatusBadRequest || r.Text("error") != "invalid_request" {
				t.Errorf("%q: answered %d %s", address, r.Status, r.Raw)
			}
		}
	})
	t.Run("refuses every other at the authorization endpoint", func(t *testing.T) {
		b := w.Browser()
		for _, address := range redirectURICorpus(t) {
			query := url.Values{"client_id": {c.ID}, "redirect_uri": {address}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}}
			if status, _, sentTo := b.Visit(w.Issuer + "/authorize?" + query.Encode()); sentTo != nil || status < 400 {
				t.Errorf("%q: answered %d, sent to %v", address, status, sentTo)
			}
		}
	})
	t.Run("refuses every other at the token endpoint", func(t *testing.T) {
		for _, address := range redirectURICorpus(t)[:4] { // the fifth wrong try ends the code
			r := c.Redeem(c.Authorize(), func(form url.Values, _ http.Header) { form.Set("redirect_uri", address) })
			fapitest.WantError(t, r, http.StatusBadRequest, "invalid_grant")
		}
	})
}

func clientWithRedirectURI(address string) error {
	metadata, err := json.Marshal(map[string]any{
		"client_name": "Example", "redirect_uris": []string{address}, "scope": "openid", "dpop_bound_access_tokens": true,
		"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=example",
	})
	if err != nil {
		return err
	}
	_, err = client.Parse("client-1", "fapi2-security", metadata)
	return err
}

// FuzzRedirectURI: whatever can be registered is an https address, or http on a loopback address, without fragment and
// user information, in characters that no parser reads two ways.
func FuzzRedirectURI(f *testing.F) {
	for _, address := range redirectURICorpus(f) {
		f.Add(address)
	}
	f.Add("https://client.example/callback")
	f.Add("http://127.0.0.1:8080/callback")
	f.Fuzz(func(t *testing.T, address string) {
		if clientWithRedirectURI(address) != nil {
			return
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatalf("%q was registered: %v", address, err)
		}
		loopback := u.Hostname() == "::1" || strings.HasPrefix(u.Hostname(), "127.") || strings.HasPrefix(u.Hostname(), "::ffff:127.") || strings.HasPrefix(u.Hostname(), "::ffff:7f")
		switch {
		case u.Scheme != "https" && !(u.Scheme == "http" && loopback):
			t.Errorf("%q was registered with the scheme %q", address, u.Scheme)
		case u.Host == "" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(address, "#\\ "):
			t.Errorf("%q was registered", address)
		}
	})
}
