package token_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: ATTACK-10, RULE-30. Many refreshes at once all succeed, each with a token of its own, until the grant ends.
func TestAttack10RefreshRace(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	race := func() []fapitest.Reply {
		replies := make([]fapitest.Reply, 12)
		var wait sync.WaitGroup
		for i := range replies {
			wait.Go(func() { replies[i] = c.Refresh(issued.Text("refresh_token"), nil) })
		}
		wait.Wait()
		return replies
	}
	t.Run("accepts all, and doubles none", func(t *testing.T) {
		seen := map[string]bool{}
		for _, r := range race() {
			if r.Status != http.StatusOK || seen[r.Text("access_token")] {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			seen[r.Text("access_token")] = true
		}
	})
	w.RevokeGrantOf(t, issued.Text("access_token"))
	t.Run("refuses all when the grant has ended", func(t *testing.T) {
		for _, r := range race() {
			fapitest.WantError(t, r, 400, "invalid_grant")
		}
	})
}

// Covers: OC-08, SP-19, ATTACK-11, FD-89. A refresh keeps what the user allowed and when; it makes no new ID token (Core §12.2
// leaves that open), so that none can differ from the first.
func TestOC08Refresh(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	issued := c.Tokens()
	first := fapitest.UnverifiedClaims(t, issued.Text("access_token"))
	p.Is("sub-bob", fapitest.ACRKey) // whoever sits before a browser now changes nothing
	w.Clock.Advance(24 * time.Hour)
	t.Run("accepts a refresh with the same user, client and sign-in", func(t *testing.T) {
		r := c.Refresh(issued.Text("refresh_token"), nil)
		fapitest.WantOK(t, r)
		second := fapitest.UnverifiedClaims(t, r.Text("access_token"))
		for _, same := range []string{"iss", "sub", "aud", "client_id", "auth_time", "acr", "amr", "scope", "cnf"} {
			if diff := cmp.Diff(first[same], second[same]); diff != "" || first[same] == nil {
				t.Errorf("%s (-first +second): %s", same, diff)
			}
		}
		if r.Body["id_token"] != nil || r.Body["refresh_token"] != nil || second["jti"] == first["jti"] {
			t.Errorf("answered %s", r.Raw)
		}
		if info := c.Get("/userinfo", r.Text("access_token"), nil); info.Body["sub"] != "sub-alice" {
			t.Errorf("UserInfo %s", info.Raw)
		}
	})
	t.Run("accepts a scope named twice, and answers it once", func(t *testing.T) {
		if r := c.Refresh(issued.Text("refresh_token"), fapitest.Set("scope", "openid openid accounts openid")); r.Text("scope") != "openid accounts" {
			t.Errorf("answered %s", r.Raw)
		}
	})
	t.Run("accepts a smaller scope, and all of it the next time", func(t *testing.T) {
		if r := c.Refresh(issued.Text("refresh_token"), fapitest.Set("scope", "openid accounts")); r.Text("scope") != "openid accounts" {
			t.Errorf("answered %s", r.Raw)
		}
		if r := c.Refresh(issued.Text("refresh_token"), nil); !slices.Equal(strings.Fields(r.Text("scope")), strings.Fields(c.Scope)) {
			t.Errorf("answered %s", r.Raw)
		}
	})
	t.Run("accepts it without a browser, when the session is over", func(t *testing.T) {
		w.Clock.Advance(48 * time.Hour)
		fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
	})
	little := c.TokensFor(fapitest.Set("scope", "openid accounts"))
	fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return c.Refresh(little.Text("refresh_token"), alter) },
		fapitest.Bad("more scope than was granted", fapitest.Set("scope", "openid accounts payments"), 400, "invalid_scope"),
		fapitest.Bad("an unknown scope", fapitest.Set("scope", "colour"), 400, "invalid_scope"),
		fapitest.Bad("an unknown refresh token", fapitest.Set("refresh_token", fapitest.RandomString()), 400, "invalid_grant"),
		fapitest.Bad("no refresh token", fapitest.Set("refresh_token", ""), 400, "invalid_request"),
		fapitest.Good("what was granted", fapitest.Set("scope", "accounts openid")),
	)
	t.Run("refuses another client", func(t *testing.T) {
		fapitest.WantError(t, w.Register("client-2", fapitest.AllScopes).Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a client that is not registered for it", func(t *testing.T) {
		short := w.Register("client-3", func(_ *fapitest.Client, m map[string]any) { m["grant_types"] = []string{"authorization_code"} })
		r := short.Tokens()
		if r.Body["refresh_token"] != nil {
			t.Errorf("answered %s", r.Raw)
		}
		fapitest.WantError(t, short.Refresh(issued.Text("refresh_token"), nil), 400, "unauthorized_client")
	})
	t.Run("refuses a user who is disabled", func(t *testing.T) {
		w.Disable("sub-alice", true)
		defer w.Disable("sub-alice", false)
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a refresh token at the end of its grant", func(t *testing.T) {
		w.Clock.Advance(90*24*time.Hour - 72*time.Hour - time.Second)
		fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
		w.Clock.Advance(time.Second)
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
	})
}

// Covers: SP-19, RULE-30, BC-06, ATTACK-11. A refresh token stays the same, and serves its own client only.
func TestSP19RefreshTokens(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("refresh_token")
	t.Run("accepts the same token again and again", func(t *testing.T) {
		seen := map[string]bool{}
		for range 5 {
			r := c.Refresh(token, nil)
			if r.Status != http.StatusOK || r.Body["refresh_token"] != nil || seen[r.Text("access_token")] {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			seen[r.Text("access_token")] = true
		}
	})
	send := func(change fapitest.Change) fapitest.Reply { return c.Refresh(token, change) }
	fapitest.TryAll(t, send, fapitest.Good("less scope", fapitest.Set("scope", "openid")), fapitest.Good("the same scope", fapitest.Set("scope", c.Scope)),
		fapitest.Bad("more scope", fapitest.Set("scope", c.Scope+" payments"), 400, "invalid_scope"),
		fapitest.Bad("other scope", fapitest.Set("scope", "payments"), 400, "invalid_scope"),
		fapitest.Bad("an invented token", fapitest.Set("refresh_token", fapitest.RandomString()), 400, "invalid_grant"),
		fapitest.Bad("a token that is changed at the end", fapitest.Set("refresh_token", fapitest.Altered(token)), 400, "invalid_grant"),
		fapitest.Bad("no token", fapitest.Set("refresh_token", ""), 400, "invalid_request"),
		fapitest.Bad("the token without its client", fapitest.Unset("client_assertion"), 401, "invalid_client"))
	stranger := w.Register("client-2", nil)
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return stranger.Refresh(token, change) }, fapitest.Bad("another client", nil, 400, "invalid_grant"))
	t.Run("accepts it still from its own client", func(t *testing.T) { fapitest.Good("", nil).Check(t, c.Refresh(token, nil)) })
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("refresh_token")
	fapitest.WantError(t, w.Register("client-2", nil).Refresh(token, nil), 400, "invalid_grant")
	fapitest.WantError(t, c.Refresh(token, func(f url.Values, _ http.Header) { f.Del("client_assertion") }), 401, "invalid_client")
	fapitest.WantError(t, c.Refresh(token, func(_ url.Values, h http.Header) { h.Del("DPoP") }), 400, "invalid_request")
	fapitest.WantError(t, c.Refresh(token, func(f url.Values, _ http.Header) { f.Set("scope", "openid payments") }), 400, "invalid_scope")
	fapitest.WantError(t, c.Refresh(fapitest.RandomString(), nil), 400, "invalid_grant")
	narrowed := c.Refresh(token, func(f url.Values, _ http.Header) { f.Set("scope", "openid") })
	if narrowed.Status != http.StatusOK || narrowed.Text("scope") != "openid" {
		t.Fatalf("restricted: %d %s", narrowed.Status, narrowed.Raw)
	}
	fapitest.WantError(t, c.Get("/accounts", narrowed.Text("access_token"), nil), 403, "insufficient_scope")

	// A confidential client may change its DPoP key (RFC 9449 §5); the new token is bound to the new one.
	rotated := *c
	rotated.ProofKey = fapitest.NewKey(t, jose.ES256)
	fresh := rotated.Refresh(token, nil)
	if r := rotated.Get("/accounts", fresh.Text("access_token"), nil); r.Status != http.StatusOK {
		t.Errorf("after the key changed: %d %s", r.Status, r.Raw)
	}
	fapitest.WantError(t, c.Get("/accounts", fresh.Text("access_token"), nil), 401, "invalid_token")

	user, err := w.Store.User(t.Context(), "sub-alice")
	if err != nil {
		t.Fatal(err)
	}
	user.Disabled = true
	if err := w.Store.PutUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	fapitest.WantError(t, c.Refresh(token, nil), 400, "invalid_grant")
}

func TestRefreshTokenEndsWithItsGrant(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("refresh_token")
	w.Clock.Advance(90 * 24 * time.Hour)
	fapitest.WantError(t, c.Refresh(token, nil), 400, "invalid_grant")
}

// TestNoRefreshTokenWithoutItsGrantType: least privilege (FAPI 2.0 Security Profile §5.3.2.1-14).
func TestNoRefreshTokenWithoutItsGrantType(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", func(_ *fapitest.Client, m map[string]any) { m["grant_types"] = []string{"authorization_code"} })
	issued := c.Tokens()
	if issued.Body["refresh_token"] != nil {
		t.Error("a refresh token for a client that registered none")
	}
	fapitest.WantError(t, c.Refresh(fapitest.RandomString(), nil), 400, "unauthorized_client")
}
