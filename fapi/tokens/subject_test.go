package tokens_test

import (
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: OC-05. A client with pairwise subjects knows a user by a sub of its sector, the same everywhere and for ever.
func TestOC05Pairwise(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	at := func(address string) func(*fapitest.Client, map[string]any) {
		return func(c *fapitest.Client, m map[string]any) {
			c.RedirectURI = address
			m["redirect_uris"], m["subject_type"] = []string{address}, "pairwise"
		}
	}
	one, two := w.Register("one", at("https://one.example/callback")), w.Register("two", at("https://two.example/callback"))
	sibling := w.Register("sibling", at("https://one.example/other"))
	ofSector := w.Register("sector", fapitest.All(at("https://three.example/callback"), fapitest.SetMember("sector_identifier_uri", "https://one.example/sector.json")))
	public := w.Register("public", nil)
	self := w.ResourceServer("self", w.Issuer)
	sub := func(t *testing.T, c *fapitest.Client) string {
		t.Helper()
		issued := c.TokensFor(nil)
		token, id := issued.Text("access_token"), fapitest.UnverifiedClaims(t, issued.Text("id_token"))
		subject, _ := id["sub"].(string)
		refreshed := c.Refresh(issued.Text("refresh_token"), nil).Text("access_token")
		for place, got := range map[string]any{
			"access token": fapitest.UnverifiedClaims(t, token)["sub"], "UserInfo": c.Get("/userinfo", token, nil).Body["sub"],
			"introspection": self.Introspect(token, nil).Body["sub"], "refreshed access token": fapitest.UnverifiedClaims(t, refreshed)["sub"],
		} {
			if got != subject || subject == "" {
				t.Errorf("%s: sub %v, in the ID token %q", place, got, subject)
			}
		}
		return subject
	}
	first := sub(t, one)
	t.Run("accepts the same sub each time, in each place", func(t *testing.T) {
		w.Clock.Advance(24 * time.Hour)
		if again := sub(t, one); again != first || len(again) > 255 {
			t.Errorf("sub %q, before %q", again, first)
		}
	})
	t.Run("accepts the same sub for the clients of one sector", func(t *testing.T) {
		if got := sub(t, sibling); got != first {
			t.Errorf("redirect URIs on the same host: %q, %q", got, first)
		}
		if got := sub(t, ofSector); got != first {
			t.Errorf("the same sector_identifier_uri: %q, %q", got, first)
		}
	})
	t.Run("accepts public subjects beside", func(t *testing.T) {
		if got := sub(t, public); got != "sub-alice" {
			t.Errorf("sub %q", got)
		}
	})
	t.Run("refuses to let two sectors find out that it is the same user", func(t *testing.T) {
		if got := sub(t, two); got == first || strings.Contains(got+first, "alice") {
			t.Errorf("sub %q and %q", got, first)
		}
	})
	t.Run("refuses one sub for two users", func(t *testing.T) {
		p.Is("sub-bob", fapitest.ACRPassword)
		defer p.Is("sub-alice", fapitest.ACRPassword)
		if got := sub(t, one); got == first {
			t.Errorf("sub %q for both", got)
		}
	})
	t.Run("accepts an id_token_hint and the sub of the claims parameter by the pairwise sub", func(t *testing.T) {
		b := w.Browser()
		hint := one.TokensIn(b, nil).Text("id_token")
		if q := one.AuthorizeIn(b, fapitest.Changes(fapitest.Set("id_token_hint", hint), fapitest.Set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
		if q := one.AuthorizeIn(b, fapitest.Changes(fapitest.Set("claims", `{"id_token":{"sub":{"value":"`+first+`"}}}`), fapitest.Set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
		fapitest.WantRedirectError(t, one.AuthorizeIn(b, fapitest.Changes(fapitest.Set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`), fapitest.Set("prompt", "none"))), "login_required")
	})
	t.Run("refuses another server's derivation", func(t *testing.T) {
		t.Parallel()
		elsewhere, _ := fapitest.NewFullWorld(t)
		if got := fapitest.UnverifiedClaims(t, elsewhere.Register("one", at("https://one.example/callback")).Tokens().Text("id_token"))["sub"]; got == first {
			t.Errorf("sub %v on two servers", got)
		}
	})
	fapitest.TryRegistration(t, "pairwise subjects with redirect URIs on one host", func(m map[string]any) {
		m["subject_type"], m["redirect_uris"] = "pairwise", []string{"https://a.example/1", "https://A.example/2"}
	}, "")
	fapitest.TryRegistration(t, "pairwise subjects with redirect URIs on two hosts", func(m map[string]any) {
		m["subject_type"], m["redirect_uris"] = "pairwise", []string{"https://a.example/1", "https://b.example/2"}
	}, "sector_identifier_uri")
	fapitest.TryRegistration(t, "redirect URIs on two hosts of one sector", func(m map[string]any) {
		m["subject_type"], m["redirect_uris"] = "pairwise", []string{"https://a.example/1", "https://b.example/2"}
		m["sector_identifier_uri"] = "https://a.example/sector.json"
	}, "")
	fapitest.TryRegistration(t, "a sector_identifier_uri that is not https", func(m map[string]any) {
		m["subject_type"], m["sector_identifier_uri"] = "pairwise", "http://a.example/sector.json"
	}, "sector_identifier_uri")
	fapitest.TryRegistration(t, "an unknown subject_type", func(m map[string]any) { m["subject_type"] = "secret" }, "subject_type")
}
