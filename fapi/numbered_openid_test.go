package fapi_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// changes makes several changes to a request.
func changes(list ...change) change {
	return func(form url.Values, header http.Header) {
		for _, one := range list {
			one(form, header)
		}
	}
}

// Covers: OC-01, RULE-35. The claims of an ID token, for each algorithm.
func TestOC01IDToken(t *testing.T) {
	w, p := wholeWorld(t)
	p.is("sub-alice", byKey)
	leftHalf := map[string]func(string) []byte{
		"PS256": func(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:16] },
		"ES256": func(s string) []byte { d := sha256.Sum256([]byte(s)); return d[:16] },
		"EdDSA": func(s string) []byte { d := sha512.Sum512([]byte(s)); return d[:32] },
	}
	for alg, half := range inOrder(leftHalf) {
		t.Run("accepts every claim with "+alg, func(t *testing.T) {
			c := w.register("client-"+alg, member("id_token_signed_response_alg", alg))
			now := float64(w.clock.Now().Unix())
			issued := c.tokensFor(set("max_age", "600"))
			header, body := w.decode(issued.text("id_token"))
			want := map[string]any{
				"iss": w.issuer, "sub": "sub-alice", "aud": c.id, "iat": now, "exp": now + 300, "auth_time": now, "nonce": "nonce-1",
				"acr": byKey, "amr": []any{"pwd", "hwk"},
				"at_hash": base64.RawURLEncoding.EncodeToString(half(issued.text("access_token"))),
			}
			if diff := cmp.Diff(want, body); diff != "" || header.Algorithm != alg {
				t.Errorf("signed with %s (-want +got):\n%s", header.Algorithm, diff)
			}
		})
	}
	c := w.register("client-1", wide)
	t.Run("accepts a request without a nonce, which then is not in it", func(t *testing.T) {
		if body := claimsIn(t, c.tokensFor(unset("nonce")).text("id_token")); body["nonce"] != nil {
			t.Errorf("nonce %v", body["nonce"])
		}
	})
	t.Run("accepts the time of the sign-in, not of the request", func(t *testing.T) {
		b, before := w.browser(), float64(w.clock.Now().Unix())
		c.through(b, nil)
		w.clock.Advance(time.Minute)
		if body := claimsIn(t, c.granted(b, nil).text("id_token")); body["auth_time"] != before || body["iat"] != before+60 {
			t.Errorf("auth_time %v, iat %v, signed in at %v", body["auth_time"], body["iat"], before)
		}
	})
	t.Run("refuses an ID token where openid was not asked for", func(t *testing.T) {
		if r := c.tokensFor(set("scope", "accounts")); r.body["id_token"] != nil {
			t.Errorf("answered %s", r.raw)
		}
	})
	t.Run("refuses an ID token as an access token", func(t *testing.T) {
		wantError(t, c.get("/userinfo", c.tokens().text("id_token"), nil), 401, "invalid_token")
	})
}

// Covers: OC-02, RULE-36. Single claims are asked for by name, wished for or essential, with values; an essential acr that
// is not reached is an error.
func TestOC02ClaimsParameter(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", plainOpenID)
	asking := func(text string) change { return set("claims", text) }
	for name, test := range inOrder(map[string]struct {
		claims           string
		idToken, allowed map[string]any // what the ID token and UserInfo hold beside the usual
	}{
		"a claim from UserInfo":            {`{"userinfo":{"email":null}}`, nil, map[string]any{"email": "alice@example.com"}},
		"an essential claim":               {`{"userinfo":{"email":{"essential":true}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"a claim in the ID token":          {`{"id_token":{"name":null}}`, map[string]any{"name": "Alice Example"}, map[string]any{}},
		"one here and one there":           {`{"id_token":{"name":null},"userinfo":{"email_verified":null}}`, map[string]any{"name": "Alice Example"}, map[string]any{"email_verified": true}},
		"a value that is the person's":     {`{"userinfo":{"email":{"value":"alice@example.com"}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"a value that is not":              {`{"userinfo":{"email":{"value":"bob@example.com"}}}`, nil, map[string]any{}},
		"one of several values":            {`{"userinfo":{"email":{"values":["bob@example.com","alice@example.com"]}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"none of several values":           {`{"userinfo":{"email":{"values":["bob@example.com"]}}}`, nil, map[string]any{}},
		"a claim that nobody knows":        {`{"userinfo":{"shoe_size":null},"id_token":{"http://example.com/x":{"essential":true}}}`, nil, map[string]any{}},
		"a claim that this person has not": {`{"userinfo":{"phone_number":{"essential":true}}}`, nil, map[string]any{}},
		"members that nobody knows":        {`{"verified_claims":{},"userinfo":{"email":{"purpose":"post"}}}`, nil, map[string]any{"email": "alice@example.com"}},
		"nothing":                          {`{}`, nil, map[string]any{}},
		"the claims of the protocol":       {`{"id_token":{"auth_time":{"essential":true},"sub":null,"iss":null,"nonce":null,"acr":null}}`, nil, map[string]any{}},
		"the right person":                 {`{"id_token":{"sub":{"value":"sub-alice"}}}`, nil, map[string]any{}},
	}) {
		t.Run("accepts "+name, func(t *testing.T) {
			issued := c.tokensFor(asking(test.claims))
			want := map[string]any{"sub": "sub-alice"}
			for claim, value := range test.allowed {
				want[claim] = value
			}
			if diff := cmp.Diff(want, c.get("/userinfo", issued.text("access_token"), nil).body); diff != "" {
				t.Errorf("UserInfo (-want +got):\n%s", diff)
			}
			id := claimsIn(t, issued.text("id_token"))
			for _, claim := range []string{"name", "email", "email_verified", "http://example.com/x"} {
				if diff := cmp.Diff(test.idToken[claim], id[claim]); diff != "" {
					t.Errorf("ID token, %s (-want +got): %s", claim, diff)
				}
			}
			if id["sub"] != "sub-alice" || id["nonce"] != "nonce-1" || id["auth_time"] == nil {
				t.Errorf("ID token %v", id)
			}
		})
	}
	t.Run("accepts to show the person what is asked for beside the scopes", func(t *testing.T) {
		c.tokensFor(asking(`{"userinfo":{"email":null},"id_token":{"name":null}}`))
		if diff := cmp.Diff([]string{"email", "name"}, p.sees().claims); diff != "" {
			t.Errorf("shown (-want +got): %s", diff)
		}
	})
	t.Run("accepts the parameter without openid, and does nothing with it", func(t *testing.T) {
		plain := w.register("client-2", nil)
		r := plain.tokensFor(changes(set("scope", "accounts"), asking(`{"userinfo":{"email":null}}`)))
		if claims := p.sees().claims; len(claims) > 0 {
			t.Errorf("the person was asked for %v", claims)
		}
		wantError(t, plain.get("/userinfo", r.text("access_token"), nil), 403, "insufficient_scope")
	})
	many := strings.TrimSuffix(strings.Repeat(`"a",`, 21), ",")
	tryAll(t, func(alter change) reply { return c.push(alter) },
		bad("text that is no JSON", asking("email"), 400, "invalid_request"),
		bad("an array", asking(`["email"]`), 400, "invalid_request"),
		bad("a claim that is a text", asking(`{"userinfo":{"email":"yes"}}`), 400, "invalid_request"),
		bad("essential that is a text", asking(`{"userinfo":{"email":{"essential":"yes"}}}`), 400, "invalid_request"),
		bad("values that are no list", asking(`{"userinfo":{"email":{"values":"a"}}}`), 400, "invalid_request"),
		bad("the same member twice", asking(`{"userinfo":{"email":null,"email":null}}`), 400, "invalid_request"),
		bad("deep nesting", asking(`{"userinfo":{"email":`+strings.Repeat(`{"a":`, 200)+"1"+strings.Repeat("}", 200)+"}}"), 400, "invalid_request"),
		bad("too many values", asking(`{"userinfo":{"email":{"values":[`+many+`]}}}`), 400, "invalid_request"),
		bad("too much", asking(`{"x":"`+strings.Repeat("x", 17<<10)+`"}`), 400, "invalid_request"),
		bad("the parameter twice", func(f url.Values, _ http.Header) { f["claims"] = []string{"{}", "{}"} }, 400, "invalid_request"),
		bad("an essential acr that nobody can reach", asking(`{"id_token":{"acr":{"essential":true,"value":"urn:example:none"}}}`), 400, "unmet_authentication_requirements"),
		good("an acr that nobody can reach, if it is only wished for", asking(`{"id_token":{"acr":{"value":"urn:example:none"}}}`)),
		good("an essential acr of which one can be reached", asking(`{"id_token":{"acr":{"essential":true,"values":["urn:example:none","`+byKey+`"]}}}`)),
	)
	essential := asking(`{"id_token":{"acr":{"essential":true,"values":["` + byKey + `"]}}}`)
	t.Run("accepts a sign-in that reaches an essential acr", func(t *testing.T) {
		p.is("sub-alice", byKey)
		if body := claimsIn(t, c.tokensFor(essential).text("id_token")); body["acr"] != byKey {
			t.Errorf("acr %v", body["acr"])
		}
	})
	p.is("sub-alice", byPassword)
	t.Run("refuses a sign-in that does not reach an essential acr", func(t *testing.T) {
		wantSent(t, c.through(w.browser(), essential), "unmet_authentication_requirements")
	})
	t.Run("refuses to take an older, weaker sign-in for an essential acr", func(t *testing.T) {
		b := w.browser()
		c.through(b, nil)
		p.asked()
		p.is("sub-alice", byKey)
		if body := claimsIn(t, c.granted(b, essential).text("id_token")); body["acr"] != byKey {
			t.Errorf("acr %v", body["acr"])
		}
		if signIns, _ := p.asked(); signIns != 1 {
			t.Errorf("%d sign-ins, want one more", signIns)
		}
		wantSent(t, c.through(w.browser(), changes(essential, set("prompt", "none"))), "login_required")
		p.is("sub-alice", byPassword)
	})
	t.Run("refuses another person than the one whose sub was asked for", func(t *testing.T) {
		p.is("sub-bob", byPassword)
		defer p.is("sub-alice", byPassword)
		wantSent(t, c.through(w.browser(), asking(`{"id_token":{"sub":{"value":"sub-alice"}}}`)), "unmet_authentication_requirements")
	})
}

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

// Covers: OC-04, SP-40, SP-41, ATTACK-15. UserInfo answers GET and POST for a token that has openid and is presented with
// its key, in the header; signed if the client registered so.
func TestOC04UserInfo(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", wide)
	token := c.tokens().text("access_token")
	all := map[string]any{"sub": "sub-alice", "name": "Alice Example", "email": "alice@example.com", "email_verified": true}
	posting := func(token string, body string, alter func(http.Header)) reply {
		header := http.Header{"Authorization": {"DPoP " + token}, "DPoP": {c.proof("POST", w.issuer+"/userinfo", token, nil)}, "Content-Type": {"application/x-www-form-urlencoded"}}
		if alter != nil {
			alter(header)
		}
		request, err := http.NewRequest(http.MethodPost, w.issuer+"/userinfo", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		return c.do(request)
	}
	t.Run("accepts GET and POST", func(t *testing.T) {
		for method, r := range map[string]reply{"GET": c.get("/userinfo", token, nil), "POST": posting(token, "", nil)} {
			if diff := cmp.Diff(all, r.body); diff != "" || !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v (-want +got):\n%s", method, r.header, diff)
			}
		}
	})
	t.Run("accepts the same sub as in the ID token", func(t *testing.T) {
		issued := c.tokens()
		if r := c.get("/userinfo", issued.text("access_token"), nil); r.body["sub"] != claimsIn(t, issued.text("id_token"))["sub"] {
			t.Errorf("sub %v", r.body["sub"])
		}
	})
	t.Run("accepts only the claims of the scopes that were granted", func(t *testing.T) {
		for scope, want := range map[string]map[string]any{
			"openid": {"sub": "sub-alice"}, "openid profile": {"sub": "sub-alice", "name": "Alice Example"},
			"openid email": {"sub": "sub-alice", "email": "alice@example.com", "email_verified": true},
		} {
			if diff := cmp.Diff(want, c.get("/userinfo", c.tokensFor(set("scope", scope)).text("access_token"), nil).body); diff != "" {
				t.Errorf("%s (-want +got):\n%s", scope, diff)
			}
		}
	})
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		t.Run("accepts a client that wants it signed with "+alg, func(t *testing.T) {
			signed := w.register("client-"+alg, member("userinfo_signed_response_alg", alg))
			r := signed.get("/userinfo", signed.tokens().text("access_token"), nil)
			if r.header.Get("Content-Type") != "application/jwt" {
				t.Fatalf("answered %v %s", r.header, r.raw)
			}
			header, body := w.decode(r.raw)
			want := map[string]any{"iss": w.issuer, "aud": signed.id, "sub": "sub-alice", "name": "Alice Example", "email": "alice@example.com", "email_verified": true}
			if diff := cmp.Diff(want, body); diff != "" || header.Algorithm != alg || header.HasType("JWT") || header.HasType("at+jwt") {
				t.Errorf("header %+v (-want +got):\n%s", header, diff)
			}
			// It is no ID token.
			wantError(t, signed.push(set("id_token_hint", r.raw)), 400, "invalid_request")
			wantError(t, signed.get("/userinfo", r.raw, nil), 401, "invalid_token")
		})
	}
	t.Run("accepts a token that is bound to a certificate, with it", func(t *testing.T) {
		byCert := w.register("client-2", byCertificate)
		bound := byCert.tokens().text("access_token")
		wantActive(t, byCert.get("/userinfo", bound, nil))
		wantError(t, byCert.showing(nil).get("/userinfo", bound, nil), 401, "invalid_token")
		wantError(t, byCert.showing(ptr(w.clientCA.issue(t, byCert.id, w.clock.Now()))).get("/userinfo", bound, nil), 401, "invalid_token")
	})
	t.Run("refuses a token without openid", func(t *testing.T) {
		r := c.get("/userinfo", c.tokensFor(set("scope", "accounts profile")).text("access_token"), nil)
		wantError(t, r, 403, "insufficient_scope")
		if !strings.Contains(r.header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			t.Errorf("WWW-Authenticate %q", r.header.Get("WWW-Authenticate"))
		}
	})
	t.Run("refuses a token of a client for itself", func(t *testing.T) {
		alone := w.register("machine", machine)
		wantError(t, alone.get("/userinfo", alone.clientCredentials(nil).text("access_token"), nil), 403, "insufficient_scope")
	})
	t.Run("refuses the token in the body or in the address", func(t *testing.T) {
		wantError(t, posting(token, "access_token="+token, func(h http.Header) { h.Del("Authorization") }), 401, "invalid_token")
		wantError(t, c.get("/userinfo?access_token="+token, token, nil), 400, "invalid_request")
	})
	t.Run("refuses a bound token as a bearer token", func(t *testing.T) {
		wantError(t, c.get("/userinfo", token, func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }), 401, "invalid_token")
	})
	t.Run("refuses another method", func(t *testing.T) {
		if response, _ := w.ask(t, http.MethodPut, w.issuer+"/userinfo", nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses a person who is disabled", func(t *testing.T) {
		w.disable("sub-alice", true)
		defer w.disable("sub-alice", false)
		wantError(t, c.get("/userinfo", token, nil), 401, "invalid_token")
	})
}

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

// Covers: OC-06, ATTACK-34. An error goes to the client only where an address of it is proven, and to a page otherwise.
func TestOC06WhereErrorsGo(t *testing.T) {
	w, p := wholeWorld(t)
	c, other := w.register("client-1", nil), w.register("client-2", func(c *client, m map[string]any) {
		c.redirectURI = "https://other.example/callback"
		m["redirect_uris"] = []string{c.redirectURI}
	})
	visit := func(query url.Values) (int, string, *url.URL) {
		return w.browser().visit(w.issuer + "/authorize?" + query.Encode())
	}
	spent := c.push(nil).text("request_uri")
	w.browser().visit(w.authorizeURL(c.id, spent))
	p.does("deny")
	t.Run("accepts the address of the pushed request", func(t *testing.T) {
		for code, requestURI := range map[string]string{"invalid_request_uri": spent, "access_denied": c.push(nil).text("request_uri")} {
			_, _, sentTo := visit(url.Values{"client_id": {c.id}, "request_uri": {requestURI}, "redirect_uri": {"https://evil.example/"}, "state": {"evil"}})
			if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.redirectURI+"?") || sentTo.Query().Get("state") != "state-1" {
				t.Fatalf("%s: sent to %v", code, sentTo)
			}
			wantSent(t, sentTo.Query(), code)
		}
	})
	t.Run("accepts a registered address in the query, for an error", func(t *testing.T) {
		_, _, sentTo := visit(url.Values{"client_id": {c.id}, "redirect_uri": {c.redirectURI}, "response_type": {"code"}})
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		wantSent(t, sentTo.Query(), "invalid_request")
	})
	live := func() []string { return []string{c.push(nil).text("request_uri")} }
	for name, query := range inOrder(map[string]url.Values{
		"an address that is not registered":    {"client_id": {c.id}, "redirect_uri": {"https://evil.example/"}},
		"an address that only begins so":       {"client_id": {c.id}, "redirect_uri": {c.redirectURI + "/x"}},
		"an address of another client":         {"client_id": {c.id}, "redirect_uri": {other.redirectURI}},
		"no address at all":                    {"client_id": {c.id}},
		"an unknown client with an address":    {"client_id": {"nobody"}, "redirect_uri": {c.redirectURI}},
		"no client":                            {"redirect_uri": {c.redirectURI}, "request_uri": live()},
		"a parameter twice":                    {"client_id": {c.id}, "redirect_uri": {c.redirectURI, c.redirectURI}},
		"another client's request":             {"client_id": {other.id}, "request_uri": live()},
		"another client's spent request":       {"client_id": {other.id}, "request_uri": {spent}},
		"an unknown request and a bad address": {"client_id": {c.id}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}, "redirect_uri": {"https://evil.example/"}},
	}) {
		t.Run("refuses to send the browser anywhere for "+name, func(t *testing.T) {
			status, body, sentTo := visit(query)
			if sentTo != nil || status < 400 || !strings.Contains(body, "invalid_") {
				t.Fatalf("answered %d %s, sent to %v", status, body, sentTo)
			}
			if strings.Contains(body, "evil.example") || strings.Contains(body, "state-1") {
				t.Errorf("the page repeats what it was given: %s", body)
			}
		})
	}
	t.Run("refuses a push in JSON, to the client itself", func(t *testing.T) {
		r := c.push(set("redirect_uri", "https://evil.example/"))
		if wantError(t, r, 400, "invalid_request"); r.header.Get("Location") != "" {
			t.Errorf("Location %q", r.header.Get("Location"))
		}
	})
}

// Covers: OC-07. What nobody knows is ignored, at every endpoint.
func TestOC07UnknownParameters(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", nil)
	unknown := changes(set("extra", "foobar"), set("vtr", "x"), set("purpose", "<script>"), set("id", "1"))
	tryAll(t, c.push, good("them at the PAR endpoint", unknown))
	t.Run("accepts them from the push to the resource", func(t *testing.T) {
		pushed := c.push(unknown).text("request_uri")
		_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed) + "&extra=foobar&dummy=1")
		if sentTo == nil || sentTo.Query().Get("code") == "" || sentTo.Query().Has("extra") {
			t.Fatalf("sent to %v", sentTo)
		}
		issued := c.redeem(sentTo.Query().Get("code"), unknown)
		wantActive(t, issued)
		wantActive(t, c.refresh(issued.text("refresh_token"), unknown))
		wantActive(t, c.get("/userinfo?extra=1", issued.text("access_token"), nil))
		wantActive(t, c.revoke(issued.text("access_token"), unknown))
	})
}

// Covers: OC-08, SP-19, ATTACK-11. A refresh keeps what the person allowed and when; it makes no new ID token (Core §12.2
// leaves that open), so that none can differ from the first.
func TestOC08Refresh(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", wide)
	issued := c.tokens()
	first := claimsIn(t, issued.text("access_token"))
	p.is("sub-bob", byKey) // whoever sits before a browser now changes nothing
	w.clock.Advance(24 * time.Hour)
	t.Run("accepts a refresh with the same person, client and sign-in", func(t *testing.T) {
		r := c.refresh(issued.text("refresh_token"), nil)
		wantActive(t, r)
		second := claimsIn(t, r.text("access_token"))
		for _, same := range []string{"iss", "sub", "aud", "client_id", "auth_time", "acr", "amr", "scope", "cnf"} {
			if diff := cmp.Diff(first[same], second[same]); diff != "" || first[same] == nil {
				t.Errorf("%s (-first +second): %s", same, diff)
			}
		}
		if r.body["id_token"] != nil || r.body["refresh_token"] != nil || second["jti"] == first["jti"] {
			t.Errorf("answered %s", r.raw)
		}
		if info := c.get("/userinfo", r.text("access_token"), nil); info.body["sub"] != "sub-alice" {
			t.Errorf("UserInfo %s", info.raw)
		}
	})
	t.Run("accepts a narrower scope, and all of it the next time", func(t *testing.T) {
		if r := c.refresh(issued.text("refresh_token"), set("scope", "openid accounts")); r.text("scope") != "openid accounts" {
			t.Errorf("answered %s", r.raw)
		}
		if r := c.refresh(issued.text("refresh_token"), nil); !slices.Equal(strings.Fields(r.text("scope")), strings.Fields(c.scope)) {
			t.Errorf("answered %s", r.raw)
		}
	})
	t.Run("accepts it without a browser, when the session is over", func(t *testing.T) {
		w.clock.Advance(48 * time.Hour)
		wantActive(t, c.refresh(issued.text("refresh_token"), nil))
	})
	little := c.tokensFor(set("scope", "openid accounts"))
	tryAll(t, func(alter change) reply { return c.refresh(little.text("refresh_token"), alter) },
		bad("more scope than was granted", set("scope", "openid accounts payments"), 400, "invalid_scope"),
		bad("an unknown scope", set("scope", "colour"), 400, "invalid_scope"),
		bad("an unknown refresh token", set("refresh_token", random()), 400, "invalid_grant"),
		bad("no refresh token", set("refresh_token", ""), 400, "invalid_request"),
		good("what was granted", set("scope", "accounts openid")),
	)
	t.Run("refuses another client", func(t *testing.T) {
		wantError(t, w.register("client-2", wide).refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a client that is not registered for it", func(t *testing.T) {
		short := w.register("client-3", func(_ *client, m map[string]any) { m["grant_types"] = []string{"authorization_code"} })
		r := short.tokens()
		if r.body["refresh_token"] != nil {
			t.Errorf("answered %s", r.raw)
		}
		wantError(t, short.refresh(issued.text("refresh_token"), nil), 400, "unauthorized_client")
	})
	t.Run("refuses a person who is disabled", func(t *testing.T) {
		w.disable("sub-alice", true)
		defer w.disable("sub-alice", false)
		wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a refresh token at the end of its grant", func(t *testing.T) {
		w.clock.Advance(90*24*time.Hour - 72*time.Hour - time.Second)
		wantActive(t, c.refresh(issued.text("refresh_token"), nil))
		w.clock.Advance(time.Second)
		wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
}
