package fapi_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Covers: OC-03, RULE-36. prompt, max_age, login_hint, id_token_hint, acr_values, and those without effect here.
func TestOC03RequestParameters(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", wide)
	// in gives the answer in a browser, and what the person had to do for it.
	in := func(b *browser, alter change) (q url.Values, signIns, pages int) {
		t.Helper()
		p.asked()
		q = c.through(b, alter)
		signIns, pages = p.asked()
		return q, signIns, pages
	}
	signedIn := func() *browser {
		t.Helper()
		b := w.browser()
		if q := c.through(b, nil); q.Get("code") == "" {
			t.Fatalf("the client got %v", q)
		}
		return b
	}
	want := func(t *testing.T, b *browser, alter change, wantSignIns, wantPages int) {
		t.Helper()
		q, signIns, pages := in(b, alter)
		if q.Get("code") == "" || signIns != wantSignIns || pages != wantPages {
			t.Errorf("the client got %v after %d sign-ins and %d decisions, want a code after %d and %d", q, signIns, pages, wantSignIns, wantPages)
		}
	}
	t.Run("accepts a first request with a sign-in and a decision", func(t *testing.T) { want(t, w.browser(), nil, 1, 1) })
	t.Run("accepts the same again without a page", func(t *testing.T) { want(t, signedIn(), nil, 0, 0) })
	t.Run("accepts less than before without a page", func(t *testing.T) { want(t, signedIn(), set("scope", "openid"), 0, 0) })
	t.Run("accepts prompt none where nothing has to be asked", func(t *testing.T) { want(t, signedIn(), set("prompt", "none"), 0, 0) })
	t.Run("accepts prompt login with a new sign-in", func(t *testing.T) {
		b := signedIn()
		w.clock.Advance(time.Second)
		want(t, b, set("prompt", "login"), 1, 1)
	})
	t.Run("accepts prompt select_account with a new sign-in", func(t *testing.T) {
		b := signedIn()
		w.clock.Advance(time.Second)
		want(t, b, set("prompt", "select_account"), 1, 1)
	})
	t.Run("accepts prompt consent with a new decision", func(t *testing.T) { want(t, signedIn(), set("prompt", "consent"), 0, 1) })
	t.Run("accepts prompt login consent with both", func(t *testing.T) {
		b := signedIn()
		w.clock.Advance(time.Second)
		want(t, b, set("prompt", "login consent"), 1, 1)
	})
	t.Run("refuses prompt none where nobody is signed in", func(t *testing.T) {
		q, signIns, pages := in(w.browser(), set("prompt", "none"))
		if wantSent(t, q, "login_required"); signIns+pages != 0 {
			t.Errorf("a page was shown")
		}
	})
	t.Run("refuses prompt none where the person has to decide", func(t *testing.T) {
		another := w.register("client-2", wide)
		b := signedIn()
		wantSent(t, another.through(b, set("prompt", "none")), "consent_required")
		wantSent(t, c.through(b, changes(set("prompt", "none"), set("authorization_details", "["+exampleDetail(t, "payment_initiation")+"]"))), "consent_required")
	})
	t.Run("refuses prompt none for more than was allowed", func(t *testing.T) {
		little, b := w.register("client-3", wide), w.browser()
		little.through(b, set("scope", "openid accounts"))
		wantSent(t, little.through(b, changes(set("scope", "openid accounts payments"), set("prompt", "none"))), "consent_required")
		wantSent(t, little.through(b, changes(set("scope", "openid"), set("claims", `{"userinfo":{"email":null}}`), set("prompt", "none"))), "consent_required")
	})
	t.Run("refuses prompt none once the consent is too old", func(t *testing.T) {
		short, person := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.GrantLifetime = time.Minute; c.SessionLifetime = time.Hour })
		c, b := short.register("client-1", nil), short.browser()
		c.through(b, nil)
		person.asked()
		short.clock.Advance(time.Minute)
		wantSent(t, c.through(b, set("prompt", "none")), "consent_required")
	})
	t.Run("refuses a prompt=none request after its answer", func(t *testing.T) {
		address := w.authorizeURL(c.id, c.push(set("prompt", "none")).text("request_uri"))
		w.browser().visit(address)
		_, _, sentTo := signedIn().visit(address)
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		wantSent(t, sentTo.Query(), "invalid_request_uri")
	})
	tryAll(t, func(alter change) reply { return c.push(alter) },
		bad("prompt none beside another", set("prompt", "none login"), 400, "invalid_request"),
		bad("an unknown prompt", set("prompt", "create"), 400, "invalid_request"),
		bad("a max_age that is no number", set("max_age", "ten"), 400, "invalid_request"),
		bad("a negative max_age", set("max_age", "-1"), 400, "invalid_request"),
		bad("a fraction as max_age", set("max_age", "1.5"), 400, "invalid_request"),
		bad("a login_hint that is too long", set("login_hint", strings.Repeat("x", 513)), 400, "invalid_request"),
		bad("too many acr_values", set("acr_values", strings.Repeat("a ", 21)), 400, "invalid_request"),
		good("ui_locales, display, claims_locales, which change nothing", changes(set("ui_locales", "fr-CA fr en"), set("display", "popup"), set("claims_locales", "fr"))),
		good("a display that is not known", set("display", "hologram")),
	)
	t.Run("accepts a sign-in that is as old as max_age", func(t *testing.T) {
		b := signedIn()
		w.clock.Advance(30 * time.Second)
		want(t, b, set("max_age", "30"), 0, 0)
	})
	t.Run("refuses a sign-in that is older than max_age", func(t *testing.T) {
		b := signedIn()
		w.clock.Advance(31 * time.Second)
		q, _, _ := in(b, changes(set("max_age", "30"), set("prompt", "none")))
		wantSent(t, q, "login_required")
		before := float64(w.clock.Now().Unix())
		q, signIns, _ := in(b, set("max_age", "30"))
		if body := claimsIn(t, c.redeem(q.Get("code"), nil).text("id_token")); signIns != 1 || body["auth_time"] != before {
			t.Errorf("%d sign-ins, auth_time %v, want one at %v", signIns, body["auth_time"], before)
		}
	})
	t.Run("refuses a sign-in that is older than the client's default_max_age", func(t *testing.T) {
		strict, b := w.register("client-4", member("default_max_age", 10)), signedIn()
		w.clock.Advance(11 * time.Second)
		wantSent(t, strict.through(b, set("prompt", "none")), "login_required")
		wantSent(t, strict.through(b, changes(set("max_age", "60"), set("prompt", "none"))), "consent_required")
	})
	t.Run("accepts a person who takes longer to decide than max_age", func(t *testing.T) {
		defer p.does("allow")
		for _, age := range []string{"0", "5"} {
			p.does("read")
			b := w.browser()
			page := b.page(t, w.authorizeURL(c.id, c.push(set("max_age", age)).text("request_uri")))
			w.clock.Advance(20 * time.Second)
			p.does("allow")
			if q := b.sent(t, page); q.Get("code") == "" {
				t.Errorf("max_age %s: the client got %v", age, q)
			}
		}
	})
	t.Run("accepts a login_hint, which the page gets", func(t *testing.T) {
		c.through(w.browser(), set("login_hint", "alice@example.com"))
		if got := p.sees().loginHint; got != "alice@example.com" {
			t.Errorf("login_hint %q", got)
		}
	})
	t.Run("accepts acr_values, which the page gets, best first", func(t *testing.T) {
		c.through(w.browser(), set("acr_values", "urn:example:none "+byKey))
		if diff := cmp.Diff([]string{"urn:example:none", byKey}, p.sees().acrs); diff != "" {
			t.Errorf("(-want +got): %s", diff)
		}
		preferring := w.register("client-5", member("default_acr_values", []string{byKey}))
		preferring.through(w.browser(), nil)
		if diff := cmp.Diff([]string{byKey}, p.sees().acrs); diff != "" {
			t.Errorf("default_acr_values (-want +got): %s", diff)
		}
	})
	testIDTokenHint(t, w, p, c)
}

// testIDTokenHint is the part of OC-03 about id_token_hint.
func testIDTokenHint(t *testing.T, w *world, p *person, c *client) {
	b := w.browser()
	hint := c.granted(b, nil).text("id_token")
	t.Run("accepts an id_token_hint for the person who is signed in", func(t *testing.T) {
		if q := c.through(b, changes(set("id_token_hint", hint), set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
	})
	t.Run("accepts an id_token_hint that has expired", func(t *testing.T) {
		w.clock.Advance(10 * time.Minute)
		if q := c.through(b, changes(set("id_token_hint", hint), set("prompt", "none"))); q.Get("code") == "" {
			t.Errorf("the client got %v", q)
		}
	})
	p.is("sub-bob", byPassword)
	ofBob := w.browser()
	bobs := c.granted(ofBob, nil).text("id_token")
	t.Run("refuses an id_token_hint for another person than the one who is signed in", func(t *testing.T) {
		wantSent(t, c.through(ofBob, changes(set("id_token_hint", hint), set("prompt", "none"))), "login_required")
	})
	t.Run("refuses another person who signs in", func(t *testing.T) {
		wantSent(t, c.through(w.browser(), set("id_token_hint", hint)), "unmet_authentication_requirements")
	})
	p.is("sub-alice", byPassword)
	t.Run("accepts the right person who signs in in place of the wrong one", func(t *testing.T) {
		p.asked()
		q := c.through(ofBob, set("id_token_hint", hint))
		if signIns, _ := p.asked(); signIns != 1 || q.Get("code") == "" {
			t.Fatalf("the client got %v after %d sign-ins", q, signIns)
		}
		if sub := claimsIn(t, c.redeem(q.Get("code"), nil).text("id_token"))["sub"]; sub != "sub-alice" {
			t.Errorf("sub %v", sub)
		}
	})
	other := w.register("client-9", wide)
	body := claimsIn(t, hint)
	tryAll(t, func(alter change) reply { return c.push(alter) },
		bad("an id_token_hint of another client", set("id_token_hint", other.tokens().text("id_token")), 400, "invalid_request"),
		bad("an access token as id_token_hint", set("id_token_hint", c.tokens().text("access_token")), 400, "invalid_request"),
		bad("an id_token_hint that somebody else signed", set("id_token_hint", c.signed(c.key, "JWT", body)), 400, "invalid_request"),
		bad("an id_token_hint of another issuer", set("id_token_hint", w.ownSignature("PS256", "JWT", claims{"iss": "https://other.example", "aud": c.id, "sub": "sub-alice"})), 400, "invalid_request"),
		bad("an id_token_hint that is no JWT", set("id_token_hint", "alice"), 400, "invalid_request"),
		bad("an id_token_hint and a claims parameter of two persons", changes(set("id_token_hint", bobs), set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`)), 400, "invalid_request"),
		good("an id_token_hint and a claims parameter of one person", changes(set("id_token_hint", hint), set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`))),
	)
}
