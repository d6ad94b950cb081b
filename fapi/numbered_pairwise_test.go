package fapi_test

import (
	"strings"
	"testing"
	"time"
)

// Covers: OC-05. A client with pairwise subjects knows a person by a sub of its sector, the same everywhere and for ever.
func TestOC05Pairwise(t *testing.T) {
	w, p := wholeWorld(t)
	at := func(address string) func(*client, map[string]any) {
		return func(c *client, m map[string]any) {
			c.redirectURI = address
			m["redirect_uris"], m["subject_type"] = []string{address}, "pairwise"
		}
	}
	one, two := w.register("one", at("https://one.example/callback")), w.register("two", at("https://two.example/callback"))
	sibling := w.register("sibling", at("https://one.example/other"))
	ofSector := w.register("sector", all(at("https://three.example/callback"), member("sector_identifier_uri", "https://one.example/sector.json")))
	public := w.register("public", nil)
	self := w.resourceServer("self", w.issuer)
	sub := func(t *testing.T, c *client) string {
		t.Helper()
		issued := c.tokensFor(nil)
		token, id := issued.text("access_token"), claimsIn(t, issued.text("id_token"))
		subject, _ := id["sub"].(string)
		refreshed := c.refresh(issued.text("refresh_token"), nil).text("access_token")
		for place, got := range map[string]any{
			"access token": claimsIn(t, token)["sub"], "UserInfo": c.get("/userinfo", token, nil).body["sub"],
			"introspection": self.introspect(token, nil).body["sub"], "refreshed access token": claimsIn(t, refreshed)["sub"],
		} {
			if got != subject || subject == "" {
				t.Errorf("%s: sub %v, in the ID token %q", place, got, subject)
			}
		}
		return subject
	}
	first := sub(t, one)
	t.Run("accepts the same sub each time, in each place", func(t *testing.T) {
		w.clock.Advance(24 * time.Hour)
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
	t.Run("refuses to let two sectors find out that it is the same person", func(t *testing.T) {
		if got := sub(t, two); got == first || strings.Contains(got+first, "alice") {
			t.Errorf("sub %q and %q", got, first)
		}
	})
	t.Run("refuses one sub for two persons", func(t *testing.T) {
		p.is("sub-bob", byPassword)
		defer p.is("sub-alice", byPassword)
		if got := sub(t, one); got == first {
			t.Errorf("sub %q for both", got)
		}
	})
	t.Run("accepts an id_token_hint and the sub of the claims parameter by the pairwise sub", func(t *testing.T) {
		b := w.browser()
		hint := one.granted(b, nil).text("id_token")
		if q := one.through(b, changes(set("id_token_hint", hint), set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
		if q := one.through(b, changes(set("claims", `{"id_token":{"sub":{"value":"`+first+`"}}}`), set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
		wantSent(t, one.through(b, changes(set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`), set("prompt", "none"))), "login_required")
	})
	t.Run("refuses another server's derivation", func(t *testing.T) {
		elsewhere, _ := wholeWorld(t)
		if got := claimsIn(t, elsewhere.register("one", at("https://one.example/callback")).tokens().text("id_token"))["sub"]; got == first {
			t.Errorf("sub %v on two servers", got)
		}
	})
	registering(t, "pairwise subjects with redirect URIs on one host", func(m map[string]any) {
		m["subject_type"], m["redirect_uris"] = "pairwise", []string{"https://a.example/1", "https://A.example/2"}
	}, "")
	registering(t, "pairwise subjects with redirect URIs on two hosts", func(m map[string]any) {
		m["subject_type"], m["redirect_uris"] = "pairwise", []string{"https://a.example/1", "https://b.example/2"}
	}, "sector_identifier_uri")
	registering(t, "redirect URIs on two hosts of one sector", func(m map[string]any) {
		m["subject_type"], m["redirect_uris"] = "pairwise", []string{"https://a.example/1", "https://b.example/2"}
		m["sector_identifier_uri"] = "https://a.example/sector.json"
	}, "")
	registering(t, "a sector_identifier_uri that is not https", func(m map[string]any) {
		m["subject_type"], m["sector_identifier_uri"] = "pairwise", "http://a.example/sector.json"
	}, "sector_identifier_uri")
	registering(t, "an unknown subject_type", func(m map[string]any) { m["subject_type"] = "secret" }, "subject_type")
}
