package backchannel_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
	"countersign/internal/directory"
)

// Covers: FC-06, FC-08, CI-02. Hints name a user: an ID token of this server for this client, or a token of an issuer that
// is believed, once.
func TestFC08Hints(t *testing.T) {
	t.Parallel()
	h, stranger := fapitest.NewHintSigner(t), fapitest.NewHintSigner(t)
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.HintIssuers = []backchannel.HintIssuer{h.Trusted} }))
	c, other := w.Register("client-1", fapitest.CIBAPoll), w.Register("client-2", fapitest.CIBAPoll)
	pairwise := w.Register("client-3", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("subject_type", "pairwise"), fapitest.SetMember("sector_identifier_uri", "https://client.example/sector")))
	idTokenOf := func(c *fapitest.Client) string {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		return c.Poll(id, nil).Text("id_token")
	}
	asks := func(kind, value string) fapitest.Change {
		return fapitest.Changes(fapitest.Unset("login_hint"), fapitest.Set(kind, value))
	}
	host := strings.Split(strings.TrimPrefix(w.Issuer, "https://"), ":")[0]
	account := func(uri string) func(fapitest.Claims) {
		return fapitest.SetClaim("sub_id", map[string]string{"format": "account", "uri": uri})
	}
	once := h.Token(w, nil)
	hinted := func(name string, alter func(fapitest.Claims), code string) fapitest.Attempt {
		change := asks("login_hint_token", h.Token(w, alter))
		if code == "" {
			return fapitest.Good(name, change)
		}
		return fapitest.Bad(name, change, 400, code)
	}
	at := func(name string, after time.Duration) func(fapitest.Claims) {
		return fapitest.SetClaim(name, w.Clock.Now().Add(after).Unix())
	}
	fapitest.TryAll(t, c.Backchannel,
		fapitest.Good("an ID token of this client", asks("id_token_hint", idTokenOf(c))),
		fapitest.Bad("an ID token of another client", asks("id_token_hint", idTokenOf(other)), 400, "invalid_request"),
		fapitest.Bad("an access token", asks("id_token_hint", func() string { id := c.AuthReqID(nil); w.Decide(id, true); return c.Poll(id, nil).Text("access_token") }()), 400, "invalid_request"),
		fapitest.Bad("text", asks("id_token_hint", "colour"), 400, "invalid_request"),
		fapitest.Good("a token of who is believed", asks("login_hint_token", once)),
		fapitest.Bad("it again", asks("login_hint_token", once), 400, "invalid_request"),
		hinted("an account of this server", account("acct:alice@"+host), ""),
		hinted("an account of another server", account("acct:alice@other.example"), "invalid_request"),
		hinted("an unknown format", fapitest.SetClaim("sub_id", map[string]string{"format": "email", "email": "a@b.example"}), "invalid_request"),
		hinted("no person", fapitest.SetClaim("sub_id", nil), "invalid_request"),
		hinted("another's aud", fapitest.SetClaim("aud", "https://other.example"), "invalid_request"),
		hinted("no jti", fapitest.SetClaim("jti", nil), "invalid_request"),
		hinted("no exp", fapitest.SetClaim("exp", nil), "invalid_request"),
		hinted("no iat", fapitest.SetClaim("iat", nil), "invalid_request"),
		hinted("an expired one", at("exp", 0), "expired_login_hint_token"),
		hinted("one that lives for an hour", at("exp", time.Hour), "invalid_request"),
		hinted("one from the future", at("iat", time.Hour), "invalid_request"),
		hinted("another issuer", fapitest.SetClaim("iss", "https://other.example"), "invalid_request"),
		fapitest.Bad("another's signature", asks("login_hint_token", stranger.Token(w, nil)), 400, "invalid_request"),
	)
	t.Run("refuses a pairwise subject", func(t *testing.T) {
		fapitest.WantError(t, pairwise.Backchannel(asks("id_token_hint", idTokenOf(pairwise))), 400, "invalid_request")
	})
	t.Run("accepts the formats that are advertised", func(t *testing.T) {
		formats, _ := w.Document()["backchannel_endpoint_login_hint_token_types_supported"].([]any)
		if len(formats) != 2 || formats[0] != "account" || formats[1] != "opaque" {
			t.Errorf("advertised %v", formats)
		}
	})
	t.Run("refuses a token where nobody is believed", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
		fapitest.WantError(t, w.Register("client-1", asksPlain).Backchannel(asks("login_hint_token", h.Token(w, nil))), 400, "invalid_request")
	})
	for _, view := range pendingOf(w, "sub-alice") {
		if view.Client.ID != "client-1" && view.Client.ID != "client-2" && view.Client.ID != "client-3" {
			t.Errorf("asked by %s", view.Client.ID)
		}
	}
}

// asksPlain is asks under a name that no variable of a test has.
func asksPlain(c *fapitest.Client, m map[string]any) { fapitest.CIBAPoll(c, m) }

// Covers: CI-05, RULE-43. A client that registered user codes has to send the right one, guesses are few, and without it
// nobody is asked who has one.
func TestCI05UserCodes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	w.AddUser("sub-bob", "bob", `{}`)
	setCode(w, "correct horse")
	c, without := w.Register("client-1", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("backchannel_user_code_parameter", true))), w.Register("client-2", fapitest.CIBAPoll)
	fapitest.TryAll(t, c.Backchannel,
		fapitest.Good("the right code", fapitest.Set("user_code", "correct horse")),
		fapitest.Bad("no code", fapitest.Unset("user_code"), 400, "missing_user_code"),
		fapitest.Bad("a wrong code", fapitest.Set("user_code", "wrong horse"), 400, "invalid_user_code"),
		fapitest.Bad("a code for somebody without one", fapitest.Changes(fapitest.Set("login_hint", "bob"), fapitest.Set("user_code", "correct horse")), 400, "invalid_user_code"),
		fapitest.Bad("a code for nobody", fapitest.Changes(fapitest.Set("login_hint", "nobody"), fapitest.Set("user_code", "correct horse")), 400, "invalid_user_code"),
	)
	if waiting := pendingOf(w, "sub-alice"); len(waiting) != 1 {
		t.Errorf("%d wait", len(waiting))
	}
	t.Run("refuses to ask without a code, without saying so", func(t *testing.T) {
		id := without.AuthReqID(nil)
		fapitest.WantError(t, without.Poll(id, nil), 400, "authorization_pending")
		if waiting := pendingOf(w, "sub-alice"); len(waiting) != 1 {
			t.Errorf("%d wait", len(waiting))
		}
	})
	t.Run("refuses more than a few guesses, even the right one", func(t *testing.T) {
		for range 4 {
			fapitest.WantError(t, c.Backchannel(fapitest.Set("user_code", "guess 123")), 400, "invalid_user_code")
		}
		r := c.Backchannel(fapitest.Set("user_code", "correct horse"))
		fapitest.WantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.Clock.Advance(time.Hour)
		if r := c.Backchannel(fapitest.Set("user_code", "correct horse")); r.Status != http.StatusOK {
			t.Errorf("an hour later: %d %s", r.Status, r.Raw)
		}
	})
}

// Covers: CI-13, ATTACK-38. Who is disabled is not asked, cannot decide, and gets no tokens for what was decided before.
func TestCI13DisabledPeople(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	pending, allowed := c.AuthReqID(nil), c.AuthReqID(nil)
	w.Decide(allowed, true)
	w.Disable("sub-alice", true)
	t.Run("refuses to ask them, without saying so", func(t *testing.T) {
		id := c.AuthReqID(nil)
		fapitest.WantError(t, c.Poll(id, nil), 400, "authorization_pending")
		w.Disable("sub-alice", false)
		for _, view := range pendingOf(w, "sub-alice") {
			if view.Reference == fapitest.Reference(id) {
				t.Error("it is shown when they are back")
			}
		}
		w.Disable("sub-alice", true)
	})
	t.Run("refuses their decision", func(t *testing.T) {
		if len(pendingOf(w, "sub-alice")) != 0 {
			t.Error("something is shown to them")
		}
		if err := w.Server.Backchannel().Decide(t.Context(), w.ByAlice(pending, true)); !errors.Is(err, backchannel.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses tokens for what they allowed", func(t *testing.T) {
		fapitest.WantError(t, c.Poll(allowed, nil), 400, "invalid_grant")
	})
	t.Run("accepts them when they are back", func(t *testing.T) {
		w.Disable("sub-alice", false)
		fapitest.WantOK(t, c.Poll(allowed, nil))
		w.Decide(pending, true)
		fapitest.WantOK(t, c.Poll(pending, nil))
	})
}

// setCode gives alice a user code.
func setCode(w *fapitest.World, code string) {
	w.T.Helper()
	user, err := w.Store.User(context.Background(), "sub-alice")
	if err != nil {
		w.T.Fatal(err)
	}
	if user.UserCode, err = directory.HashUserCode(code); err != nil {
		w.T.Fatal(err)
	}
	if err := w.Store.PutUser(context.Background(), user); err != nil {
		w.T.Fatal(err)
	}
}
