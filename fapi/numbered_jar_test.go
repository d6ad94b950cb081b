package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Covers: MS-01, MS-02, MS-03, MS-04, MS-05, JR-01, JR-02, JR-03, JR-07, F1-04, F1-05, F1-07, F1-13, RULE-20. What a pushed request object may
// be, for a client of either generation.
func TestMS01PushedRequestObjects(t *testing.T) {
	w := newWorld(t, offering)
	other := w.register("other", ofProfile("fapi2-message-signing"))
	for profile, kind := range map[string]func(*client, map[string]any){"message signing": ofProfile("fapi2-message-signing"), "advanced": advanced} {
		// The cases of both stand side by side, under the names of the one and of the other.
		named := func(attempts ...attempt) []attempt {
			for i := range attempts {
				attempts[i].name += ", " + profile
			}
			return attempts
		}
		c := w.register(strings.ReplaceAll(profile, " ", "-"), kind)
		at := func(name string, after time.Duration) func(claims) {
			return claim(name, w.clock.Now().Add(after).Unix())
		}
		push := func(alter change) reply { return c.push(both(c.answering(profile), alter)) }
		signedBy := func(typ string, key *client) change {
			return func(form url.Values, _ http.Header) {
				c.signing(nil)(form, nil)
				form.Set("request", key.signed(key.key, typ, claimsIn(t, form.Get("request"))))
			}
		}
		raw := func(token string) change { return set("request", token) }
		refused := func(name string, alter func(claims)) attempt {
			return bad(name, c.signing(alter), 400, "invalid_request_object")
		}
		tryAll(t, push, named(
			good("one", c.signing(nil)),
			good("an array with the issuer as aud", c.signing(claim("aud", []string{"https://other.example", w.issuer}))),
			good("the client_id inside", c.signing(claim("client_id", c.id))),
			good("no typ", signedBy("", c)),
			good("the typ with application/", signedBy("application/oauth-authz-req+jwt", c)),
			good("nbf nearly an hour ago", c.signing(claimed(at("nbf", -59*time.Minute), at("exp", time.Second)))),
			good("nbf eight seconds ahead", c.signing(at("nbf", 8*time.Second))),
			good("exp an hour after nbf", c.signing(at("exp", time.Hour))),
			good("a jti and an iat", c.signing(claimed(claim("jti", "1"), at("iat", 0)))),
			refused("no aud", claim("aud", nil)),
			refused("another's aud", claim("aud", "https://other.example")),
			refused("the endpoint as aud", claim("aud", w.issuer+"/par")),
			refused("no nbf", claim("nbf", nil)),
			refused("no exp", claim("exp", nil)),
			refused("exp now", at("exp", 0)),
			refused("exp more than an hour after nbf", at("exp", time.Hour+time.Second)),
			refused("nbf more than an hour ago", claimed(at("nbf", -time.Hour-time.Second), at("exp", -time.Hour+2*time.Hour))),
			refused("nbf a minute ahead", at("nbf", time.Minute)),
			refused("iat a minute ahead", at("iat", time.Minute)),
			refused("exp as text", claim("exp", "2000000000")),
			refused("no iss", claim("iss", nil)),
			refused("another's iss", claim("iss", other.id)),
			refused("sub as in a client assertion", claim("sub", c.id)),
			refused("another's client_id inside", claim("client_id", other.id)),
			refused("a request inside", claim("request", "e30.e30.e30")),
			refused("a request_uri inside", claim("request_uri", "https://client.example/object")),
			refused("no scope", claim("scope", nil)),
			bad("another's key", signedBy("", other), 400, "invalid_request_object"),
			bad("the typ of another kind", signedBy("dpop+jwt", c), 400, "invalid_request_object"),
			bad("no signature", raw("eyJhbGciOiJub25lIn0.e30."), 400, "invalid_request_object"),
			bad("no JWT", raw("colour"), 400, "invalid_request_object"),
			bad("a request_uri beside", both(c.signing(nil), set("request_uri", "https://client.example/object")), 400, "invalid_request"),
			bad("no request object", nothing, 400, "invalid_request"),
		)...)
	}
}

// nothing changes nothing.
func nothing(url.Values, http.Header) {}

// answering sets the response_type that a profile wants.
func (c *client) answering(profile string) change {
	if profile == "advanced" {
		return set("response_type", "code id_token")
	}
	return nothing
}

// Covers: JR-04, JR-03, F1-04, PA-06. Only what is inside counts.
func TestJR04OnlyInsideCounts(t *testing.T) {
	w := newWorld(t, offering)
	c := w.register("client-1", ofProfile("fapi2-message-signing"))
	beside := func(form url.Values, _ http.Header) {
		form.Set("state", "outside")
		form.Set("nonce", "outside")
		form.Set("scope", "payments")
		form.Set("redirect_uri", "https://attacker.example/")
	}
	t.Run("accepts and ignores what stands beside", func(t *testing.T) {
		q := c.through(w.browser(), both(c.signing(nil), beside))
		issued := c.redeem(q.Get("code"), nil)
		if _, id := w.decode(issued.text("id_token")); id["nonce"] != "nonce-1" || q.Get("state") != "state-1" || issued.text("scope") != c.scope {
			t.Errorf("state %s, nonce %v, scope %s", q.Get("state"), id["nonce"], issued.text("scope"))
		}
	})
	t.Run("accepts no state from outside", func(t *testing.T) {
		q := c.through(w.browser(), both(c.signing(claim("state", nil)), set("state", "outside")))
		if q.Has("state") || !q.Has("code") {
			t.Errorf("answered %v", q)
		}
	})
	tryAll(t, c.push,
		bad("an address that stands only beside", both(c.signing(claim("redirect_uri", nil)), set("redirect_uri", c.redirectURI)), 400, "invalid_request"),
		bad("a challenge that stands only beside", both(c.signing(claim("code_challenge", nil)), set("code_challenge", challenge(verifier))), 400, "invalid_request"),
		bad("another client beside", both(c.signing(nil), set("client_id", "other")), 401, "invalid_client"),
	)
}

// Covers: MS-01, JR-06, JR-07. A registration chooses within its profile.
func TestJR06Registered(t *testing.T) {
	w := newWorld(t, offering)
	unsigned := w.register("unsigned", all(ofProfile("fapi2-message-signing"), member("require_signed_request_object", false)))
	tryAll(t, unsigned.push, good("plain", nothing), good("signed", unsigned.signing(nil)))
	plain := w.register("plain", nil)
	tryAll(t, plain.push, good("plain", nothing), bad("signed, which its profile has not", plain.signing(nil), 400, "request_not_supported"))
	es256 := w.register("es256", all(ofProfile("fapi2-message-signing"), member("request_object_signing_alg", "PS256")))
	tryAll(t, es256.push, bad("another algorithm than registered", es256.signing(nil), 400, "invalid_request_object"))
	for name, metadata := range map[string]map[string]any{
		"fapi2-security":        {"require_signed_request_object": true},
		"fapi1-advanced":        {"require_signed_request_object": false},
		"fapi2-message-signing": {"request_object_signing_alg": "RS256"},
	} {
		t.Run("refuses at registration, "+name, func(t *testing.T) {
			refusedRegistration(t, name, metadata)
		})
	}
}

// Covers: JR-05, F1-01, F1-08, F1-15. A request object in the browser: for clients of FAPI 1.0 only, and nothing is fetched.
func TestF101ByValue(t *testing.T) {
	w := newWorld(t, offering)
	c := w.register("client-1", advanced)
	whole := claim("response_type", "code id_token")
	t.Run("accepts one", func(t *testing.T) {
		_, _, sentTo := w.browser().visit(c.byValue(whole))
		if q := fragment(t, sentTo); q.Get("code") == "" || q.Get("state") != "state-1" || q.Get("iss") != w.issuer {
			t.Errorf("answered %v", q)
		}
	})
	t.Run("accepts one without PKCE, and then no verifier", func(t *testing.T) {
		_, _, sentTo := w.browser().visit(c.byValue(claimed(whole, claim("code_challenge", nil), claim("code_challenge_method", nil))))
		code := fragment(t, sentTo).Get("code")
		wantError(t, c.redeem(code, nil), 400, "invalid_grant")
		wantActive(t, c.redeem(code, unset("code_verifier")))
	})
	for name, test := range map[string]struct {
		alter func(claims)
		code  string
	}{
		"expired":        {claim("exp", w.clock.Now().Unix()), "invalid_request_object"},
		"another's aud":  {claim("aud", "https://other.example"), "invalid_request_object"},
		"no scope":       {claim("scope", nil), "invalid_request_object"},
		"no nonce":       {claim("nonce", nil), "invalid_request"},
		"code alone":     {claim("response_type", "code"), "unsupported_response_type"},
		"in the query":   {claim("response_mode", "query"), "invalid_request"},
		"PKCE in plain":  {claim("code_challenge_method", "plain"), "invalid_request"},
		"no state, none": {claimed(claim("state", nil), claim("nonce", nil)), "invalid_request"},
	} {
		t.Run("refuses by redirect, "+name, func(t *testing.T) {
			_, _, sentTo := w.browser().visit(c.byValue(claimed(whole, test.alter)))
			if q := refusal(t, sentTo); q.Get("error") != test.code || q.Has("code") {
				t.Errorf("answered %v, want %s", q, test.code)
			}
		})
	}
	shown := func(name, address string) {
		t.Run("refuses on a page, "+name, func(t *testing.T) {
			status, body, sentTo := w.browser().visit(address)
			if sentTo != nil || status < 400 {
				t.Errorf("answered %d %s, sent to %v", status, body, sentTo)
			}
		})
	}
	shown("no redirect_uri inside", c.byValue(claimed(whole, claim("redirect_uri", nil)))+"&redirect_uri="+url.QueryEscape(c.redirectURI))
	shown("an address that is not registered", c.byValue(claimed(whole, claim("redirect_uri", "https://attacker.example/"))))
	shown("an address of an object", w.issuer+"/authorize?client_id=client-1&request_uri=https://client.example/object")
	pushing := w.register("client-2", ofProfile("fapi2-message-signing"))
	shown("of a client that has to push", pushing.byValue(nil))
	t.Run("refuses a plain request", func(t *testing.T) {
		_, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + c.request().Encode())
		if q := refusal(t, sentTo); q.Get("error") != "invalid_request" {
			t.Errorf("answered %v", q)
		}
	})
}
