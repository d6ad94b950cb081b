package authorize_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// Covers: OC-03, RULE-36. prompt, max_age, login_hint, id_token_hint, acr_values, and those without effect here.
func TestOC03RequestParameters(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	// in gives the answer in a browser, and what the user had to do for it.
	in := func(b *fapitest.Browser, alter fapitest.Change) (q url.Values, signIns, pages int) {
		t.Helper()
		p.Asked()
		q = c.AuthorizeIn(b, alter)
		signIns, pages = p.Asked()
		return q, signIns, pages
	}
	signedIn := func() *fapitest.Browser {
		t.Helper()
		b := w.Browser()
		if q := c.AuthorizeIn(b, nil); q.Get("code") == "" {
			t.Fatalf("the client got %v", q)
		}
		return b
	}
	want := func(t *testing.T, b *fapitest.Browser, alter fapitest.Change, wantSignIns, wantPages int) {
		t.Helper()
		q, signIns, pages := in(b, alter)
		if q.Get("code") == "" || signIns != wantSignIns || pages != wantPages {
			t.Errorf("the client got %v after %d sign-ins and %d decisions, want a code after %d and %d", q, signIns, pages, wantSignIns, wantPages)
		}
	}
	t.Run("accepts a first request with a sign-in and a decision", func(t *testing.T) { want(t, w.Browser(), nil, 1, 1) })
	t.Run("accepts the same again without a page", func(t *testing.T) { want(t, signedIn(), nil, 0, 0) })
	t.Run("accepts less than before without a page", func(t *testing.T) { want(t, signedIn(), fapitest.Set("scope", "openid"), 0, 0) })
	t.Run("accepts prompt none where nothing has to be asked", func(t *testing.T) { want(t, signedIn(), fapitest.Set("prompt", "none"), 0, 0) })
	t.Run("accepts prompt login with a new sign-in", func(t *testing.T) {
		b := signedIn()
		w.Clock.Advance(time.Second)
		want(t, b, fapitest.Set("prompt", "login"), 1, 1)
	})
	t.Run("accepts prompt select_account with a new sign-in", func(t *testing.T) {
		b := signedIn()
		w.Clock.Advance(time.Second)
		want(t, b, fapitest.Set("prompt", "select_account"), 1, 1)
	})
	t.Run("accepts prompt consent with a new decision", func(t *testing.T) { want(t, signedIn(), fapitest.Set("prompt", "consent"), 0, 1) })
	t.Run("accepts prompt login consent with both", func(t *testing.T) {
		b := signedIn()
		w.Clock.Advance(time.Second)
		want(t, b, fapitest.Set("prompt", "login consent"), 1, 1)
	})
	t.Run("refuses prompt none where nobody is signed in", func(t *testing.T) {
		q, signIns, pages := in(w.Browser(), fapitest.Set("prompt", "none"))
		if fapitest.WantRedirectError(t, q, "login_required"); signIns+pages != 0 {
			t.Errorf("a page was shown")
		}
	})
	t.Run("refuses prompt none where the user has to decide", func(t *testing.T) {
		another := w.Register("client-2", fapitest.AllScopes)
		b := signedIn()
		fapitest.WantRedirectError(t, another.AuthorizeIn(b, fapitest.Set("prompt", "none")), "consent_required")
		fapitest.WantRedirectError(t, c.AuthorizeIn(b, fapitest.Changes(fapitest.Set("prompt", "none"), fapitest.Set("authorization_details", "["+fapitest.ExampleDetail(t, "payment_initiation")+"]"))), "consent_required")
	})
	t.Run("refuses prompt none for more than was allowed", func(t *testing.T) {
		little, b := w.Register("client-3", fapitest.AllScopes), w.Browser()
		little.AuthorizeIn(b, fapitest.Set("scope", "openid accounts"))
		fapitest.WantRedirectError(t, little.AuthorizeIn(b, fapitest.Changes(fapitest.Set("scope", "openid accounts payments"), fapitest.Set("prompt", "none"))), "consent_required")
		fapitest.WantRedirectError(t, little.AuthorizeIn(b, fapitest.Changes(fapitest.Set("scope", "openid"), fapitest.Set("claims", `{"userinfo":{"email":null}}`), fapitest.Set("prompt", "none"))), "consent_required")
	})
	t.Run("refuses prompt none once the consent is too old", func(t *testing.T) {
		t.Parallel()
		short, person := fapitest.NewFullWorld(t, func(c *fapitest.Config) {
			c.GrantLifetime = time.Minute
			c.SessionLifetime = time.Hour
		})
		c, b := short.Register("client-1", nil), short.Browser()
		c.AuthorizeIn(b, nil)
		person.Asked()
		short.Clock.Advance(time.Minute)
		fapitest.WantRedirectError(t, c.AuthorizeIn(b, fapitest.Set("prompt", "none")), "consent_required")
	})
	t.Run("refuses a prompt=none request after its answer", func(t *testing.T) {
		address := w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "none")).Text("request_uri"))
		w.Browser().Visit(address)
		_, _, sentTo := signedIn().Visit(address)
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		fapitest.WantRedirectError(t, sentTo.Query(), "invalid_request_uri")
	})
	fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return c.Push(alter) },
		fapitest.Bad("prompt none beside another", fapitest.Set("prompt", "none login"), 400, "invalid_request"),
		fapitest.Bad("an unknown prompt", fapitest.Set("prompt", "create"), 400, "invalid_request"),
		fapitest.Bad("a max_age that is no number", fapitest.Set("max_age", "ten"), 400, "invalid_request"),
		fapitest.Bad("a negative max_age", fapitest.Set("max_age", "-1"), 400, "invalid_request"),
		fapitest.Bad("a fraction as max_age", fapitest.Set("max_age", "1.5"), 400, "invalid_request"),
		fapitest.Bad("a login_hint that is too long", fapitest.Set("login_hint", strings.Repeat("x", 513)), 400, "invalid_request"),
		fapitest.Bad("too many acr_values", fapitest.Set("acr_values", strings.Repeat("a ", 21)), 400, "invalid_request"),
		fapitest.Good("ui_locales, display, claims_locales, which change nothing", fapitest.Changes(fapitest.Set("ui_locales", "fr-CA fr en"), fapitest.Set("display", "popup"), fapitest.Set("claims_locales", "fr"))),
		fapitest.Good("a display that is not known", fapitest.Set("display", "hologram")),
	)
	t.Run("accepts a sign-in that is as old as max_age", func(t *testing.T) {
		b := signedIn()
		w.Clock.Advance(30 * time.Second)
		want(t, b, fapitest.Set("max_age", "30"), 0, 0)
	})
	t.Run("refuses a sign-in that is older than max_age", func(t *testing.T) {
		b := signedIn()
		w.Clock.Advance(31 * time.Second)
		q, _, _ := in(b, fapitest.Changes(fapitest.Set("max_age", "30"), fapitest.Set("prompt", "none")))
		fapitest.WantRedirectError(t, q, "login_required")
		before := float64(w.Clock.Now().Unix())
		q, signIns, _ := in(b, fapitest.Set("max_age", "30"))
		if body := fapitest.UnverifiedClaims(t, c.Redeem(q.Get("code"), nil).Text("id_token")); signIns != 1 || body["auth_time"] != before {
			t.Errorf("%d sign-ins, auth_time %v, want one at %v", signIns, body["auth_time"], before)
		}
	})
	t.Run("refuses a sign-in that is older than the client's default_max_age", func(t *testing.T) {
		strict, b := w.Register("client-4", fapitest.SetMember("default_max_age", 10)), signedIn()
		w.Clock.Advance(11 * time.Second)
		fapitest.WantRedirectError(t, strict.AuthorizeIn(b, fapitest.Set("prompt", "none")), "login_required")
		fapitest.WantRedirectError(t, strict.AuthorizeIn(b, fapitest.Changes(fapitest.Set("max_age", "60"), fapitest.Set("prompt", "none"))), "consent_required")
	})
	t.Run("accepts a user who takes longer to decide than max_age", func(t *testing.T) {
		defer p.Does("allow")
		for _, age := range []string{"0", "5"} {
			p.Does("read")
			b := w.Browser()
			page := b.Page(t, w.AuthorizeURL(c.ID, c.Push(fapitest.Set("max_age", age)).Text("request_uri")))
			w.Clock.Advance(20 * time.Second)
			p.Does("allow")
			if q := b.Sent(t, page); q.Get("code") == "" {
				t.Errorf("max_age %s: the client got %v", age, q)
			}
		}
	})
	t.Run("accepts a login_hint, which the page gets", func(t *testing.T) {
		c.AuthorizeIn(w.Browser(), fapitest.Set("login_hint", "alice@example.com"))
		if got := p.Sees().LoginHint; got != "alice@example.com" {
			t.Errorf("login_hint %q", got)
		}
	})
	t.Run("accepts acr_values, which the page gets, best first", func(t *testing.T) {
		c.AuthorizeIn(w.Browser(), fapitest.Set("acr_values", "urn:example:none "+fapitest.ACRKey))
		if diff := cmp.Diff([]string{"urn:example:none", fapitest.ACRKey}, p.Sees().ACRs); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
		preferring := w.Register("client-5", fapitest.SetMember("default_acr_values", []string{fapitest.ACRKey}))
		preferring.AuthorizeIn(w.Browser(), nil)
		if diff := cmp.Diff([]string{fapitest.ACRKey}, p.Sees().ACRs); diff != "" {
			t.Errorf("default_acr_values (-want +got): %s", diff)
		}
	})
	testIDTokenHint(t, w, p, c)
}

// testIDTokenHint is the part of OC-03 about id_token_hint.
func testIDTokenHint(t *testing.T, w *fapitest.World, p *fapitest.User, c *fapitest.Client) {
	b := w.Browser()
	hint := c.TokensIn(b, nil).Text("id_token")
	t.Run("accepts an id_token_hint for the user who is signed in", func(t *testing.T) {
		if q := c.AuthorizeIn(b, fapitest.Changes(fapitest.Set("id_token_hint", hint), fapitest.Set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
	})
	t.Run("accepts an id_token_hint that has expired", func(t *testing.T) {
		w.Clock.Advance(10 * time.Minute)
		if q := c.AuthorizeIn(b, fapitest.Changes(fapitest.Set("id_token_hint", hint), fapitest.Set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
	})
	p.Is("sub-bob", fapitest.ACRPassword)
	ofBob := w.Browser()
	bobs := c.TokensIn(ofBob, nil).Text("id_token")
	t.Run("refuses an id_token_hint for another user than the one who is signed in", func(t *testing.T) {
		fapitest.WantRedirectError(t, c.AuthorizeIn(ofBob, fapitest.Changes(fapitest.Set("id_token_hint", hint), fapitest.Set("prompt", "none"))), "login_required")
	})
	t.Run("refuses another user who signs in", func(t *testing.T) {
		fapitest.WantRedirectError(t, c.AuthorizeIn(w.Browser(), fapitest.Set("id_token_hint", hint)), "unmet_authentication_requirements")
	})
	p.Is("sub-alice", fapitest.ACRPassword)
	t.Run("accepts the right user who signs in in place of the wrong one", func(t *testing.T) {
		p.Asked()
		q := c.AuthorizeIn(ofBob, fapitest.Set("id_token_hint", hint))
		if signIns, _ := p.Asked(); signIns != 1 || q.Get("code") == "" {
			t.Fatalf("the client got %v after %d sign-ins", q, signIns)
		}
		if sub := fapitest.UnverifiedClaims(t, c.Redeem(q.Get("code"), nil).Text("id_token"))["sub"]; sub != "sub-alice" {
			t.Errorf("sub %v", sub)
		}
	})
	other := w.Register("client-9", fapitest.AllScopes)
	body := fapitest.UnverifiedClaims(t, hint)
	fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return c.Push(alter) },
		fapitest.Bad("an id_token_hint of another client", fapitest.Set("id_token_hint", other.Tokens().Text("id_token")), 400, "invalid_request"),
		fapitest.Bad("an access token as id_token_hint", fapitest.Set("id_token_hint", c.Tokens().Text("access_token")), 400, "invalid_request"),
		fapitest.Bad("an id_token_hint that somebody else signed", fapitest.Set("id_token_hint", c.Sign(c.Key, "JWT", body)), 400, "invalid_request"),
		fapitest.Bad("an id_token_hint of another issuer", fapitest.Set("id_token_hint", w.SignAsServer("PS256", "JWT", fapitest.Claims{"iss": "https://other.example", "aud": c.ID, "sub": "sub-alice"})), 400, "invalid_request"),
		fapitest.Bad("an id_token_hint that is no JWT", fapitest.Set("id_token_hint", "alice"), 400, "invalid_request"),
		fapitest.Bad("an id_token_hint and a claims parameter of two users", fapitest.Changes(fapitest.Set("id_token_hint", bobs), fapitest.Set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`)), 400, "invalid_request"),
		fapitest.Good("an id_token_hint and a claims parameter of one user", fapitest.Changes(fapitest.Set("id_token_hint", hint), fapitest.Set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`))),
	)
}
