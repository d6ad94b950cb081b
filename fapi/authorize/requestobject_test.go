package authorize_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: MS-01, MS-02, MS-03, MS-04, MS-05, JR-01, JR-02, JR-03, JR-07, F1-04, F1-05, F1-07, F1-13, RULE-20. What a pushed request object may
// be, for a client of either generation.
func TestMS01PushedRequestObjects(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	other := w.Register("other", fapitest.OfProfile("fapi2-message-signing"))
	for profile, kind := range map[string]func(*fapitest.Client, map[string]any){"message signing": fapitest.OfProfile("fapi2-message-signing"), "advanced": fapitest.FAPI1Advanced} {
		// The cases of both are side by side, under the names of the one and of the other.
		named := func(attempts ...fapitest.Attempt) []fapitest.Attempt {
			for i := range attempts {
				attempts[i].Name += ", " + profile
			}
			return attempts
		}
		c := w.Register(strings.ReplaceAll(profile, " ", "-"), kind)
		at := func(name string, after time.Duration) func(fapitest.Claims) {
			return fapitest.SetClaim(name, w.Clock.Now().Add(after).Unix())
		}
		push := func(alter fapitest.Change) fapitest.Reply {
			return c.Push(fapitest.Changes(answering(c, profile), alter))
		}
		signedBy := func(typ string, key *fapitest.Client) fapitest.Change {
			return func(form url.Values, _ http.Header) {
				c.Signing(nil)(form, nil)
				form.Set("request", key.Sign(key.Key, typ, fapitest.UnverifiedClaims(t, form.Get("request"))))
			}
		}
		raw := func(token string) fapitest.Change { return fapitest.Set("request", token) }
		refused := func(name string, alter func(fapitest.Claims)) fapitest.Attempt {
			return fapitest.Bad(name, c.Signing(alter), 400, "invalid_request_object")
		}
		fapitest.TryAll(t, push, named(
			fapitest.Good("one", c.Signing(nil)),
			fapitest.Good("an array with the issuer as aud", c.Signing(fapitest.SetClaim("aud", []string{"https://other.example", w.Issuer}))),
			fapitest.Good("the client_id inside", c.Signing(fapitest.SetClaim("client_id", c.ID))),
			fapitest.Good("no typ", signedBy("", c)),
			fapitest.Good("the typ with application/", signedBy("application/oauth-authz-req+jwt", c)),
			fapitest.Good("nbf nearly an hour ago", c.Signing(fapitest.ChangeClaims(at("nbf", -59*time.Minute), at("exp", time.Second)))),
			fapitest.Good("nbf eight seconds ahead", c.Signing(at("nbf", 8*time.Second))),
			fapitest.Good("exp an hour after nbf", c.Signing(at("exp", time.Hour))),
			fapitest.Good("a jti and an iat", c.Signing(fapitest.ChangeClaims(fapitest.SetClaim("jti", "1"), at("iat", 0)))),
			refused("no aud", fapitest.SetClaim("aud", nil)),
			refused("another's aud", fapitest.SetClaim("aud", "https://other.example")),
			refused("the endpoint as aud", fapitest.SetClaim("aud", w.Issuer+"/par")),
			refused("no nbf", fapitest.SetClaim("nbf", nil)),
			refused("no exp", fapitest.SetClaim("exp", nil)),
			refused("exp now", at("exp", 0)),
			refused("exp more than an hour after nbf", at("exp", time.Hour+time.Second)),
			refused("nbf more than an hour ago", fapitest.ChangeClaims(at("nbf", -time.Hour-time.Second), at("exp", -time.Hour+2*time.Hour))),
			refused("nbf a minute ahead", at("nbf", time.Minute)),
			refused("iat a minute ahead", at("iat", time.Minute)),
			refused("exp as text", fapitest.SetClaim("exp", "2000000000")),
			refused("no iss", fapitest.SetClaim("iss", nil)),
			refused("another's iss", fapitest.SetClaim("iss", other.ID)),
			refused("sub as in a client assertion", fapitest.SetClaim("sub", c.ID)),
			refused("another's client_id inside", fapitest.SetClaim("client_id", other.ID)),
			refused("a request inside", fapitest.SetClaim("request", "e30.e30.e30")),
			refused("a request_uri inside", fapitest.SetClaim("request_uri", "https://client.example/object")),
			refused("no scope", fapitest.SetClaim("scope", nil)),
			fapitest.Bad("another's key", signedBy("", other), 400, "invalid_request_object"),
			fapitest.Bad("the typ of another kind", signedBy("dpop+jwt", c), 400, "invalid_request_object"),
			fapitest.Bad("no signature", raw("eyJhbGciOiJub25lIn0.e30."), 400, "invalid_request_object"),
			fapitest.Bad("no JWT", raw("colour"), 400, "invalid_request_object"),
			fapitest.Bad("a request_uri beside", fapitest.Changes(c.Signing(nil), fapitest.Set("request_uri", "https://client.example/object")), 400, "invalid_request"),
			fapitest.Bad("no request object", fapitest.Nothing, 400, "invalid_request"),
		)...)
	}
}

// Covers: JR-04, JR-03, F1-04, PA-06. Only what is inside counts.
func TestJR04OnlyInsideCounts(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	c := w.Register("client-1", fapitest.OfProfile("fapi2-message-signing"))
	beside := func(form url.Values, _ http.Header) {
		form.Set("state", "outside")
		form.Set("nonce", "outside")
		form.Set("scope", "payments")
		form.Set("redirect_uri", "https://attacker.example/")
	}
	t.Run("accepts and ignores what is beside", func(t *testing.T) {
		q := c.AuthorizeIn(w.Browser(), fapitest.Changes(c.Signing(nil), beside))
		issued := c.Redeem(q.Get("code"), nil)
		if _, id := w.Verify(issued.Text("id_token")); id["nonce"] != "nonce-1" || q.Get("state") != "state-1" || issued.Text("scope") != c.Scope {
			t.Errorf("state %s, nonce %v, scope %s", q.Get("state"), id["nonce"], issued.Text("scope"))
		}
	})
	t.Run("accepts no state from outside", func(t *testing.T) {
		q := c.AuthorizeIn(w.Browser(), fapitest.Changes(c.Signing(fapitest.SetClaim("state", nil)), fapitest.Set("state", "outside")))
		if q.Has("state") || !q.Has("code") {
			t.Errorf("answered %v", q)
		}
	})
	fapitest.TryAll(t, c.Push,
		fapitest.Bad("an address that is only beside", fapitest.Changes(c.Signing(fapitest.SetClaim("redirect_uri", nil)), fapitest.Set("redirect_uri", c.RedirectURI)), 400, "invalid_request"),
		fapitest.Bad("a challenge that is only beside", fapitest.Changes(c.Signing(fapitest.SetClaim("code_challenge", nil)), fapitest.Set("code_challenge", fapitest.CodeChallenge(fapitest.CodeVerifier))), 400, "invalid_request"),
		fapitest.Bad("another client beside", fapitest.Changes(c.Signing(nil), fapitest.Set("client_id", "other")), 401, "invalid_client"),
	)
}

// Covers: MS-01, JR-06, JR-07. A registration chooses within its profile.
func TestJR06Registered(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	unsigned := w.Register("unsigned", fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.SetMember("require_signed_request_object", false)))
	fapitest.TryAll(t, unsigned.Push, fapitest.Good("plain", fapitest.Nothing), fapitest.Good("signed", unsigned.Signing(nil)))
	plain := w.Register("plain", nil)
	fapitest.TryAll(t, plain.Push, fapitest.Good("plain", fapitest.Nothing), fapitest.Bad("signed, which its profile has not", plain.Signing(nil), 400, "request_not_supported"))
	es256 := w.Register("es256", fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.SetMember("request_object_signing_alg", "PS256")))
	fapitest.TryAll(t, es256.Push, fapitest.Bad("another algorithm than registered", es256.Signing(nil), 400, "invalid_request_object"))
	for name, metadata := range map[string]map[string]any{
		"fapi2-security":        {"require_signed_request_object": true},
		"fapi1-advanced":        {"require_signed_request_object": false},
		"fapi2-message-signing": {"request_object_signing_alg": "RS256"},
	} {
		t.Run("refuses at registration, "+name, func(t *testing.T) {
			fapitest.WantRegistrationRefused(t, name, metadata)
		})
	}
}

// Covers: JR-05, F1-01, F1-08, F1-15. A request object in the browser: for clients of FAPI 1.0 only, and nothing is fetched.
func TestF101ByValue(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	c := w.Register("client-1", fapitest.FAPI1Advanced)
	whole := fapitest.SetClaim("response_type", "code id_token")
	t.Run("accepts one", func(t *testing.T) {
		_, _, sentTo := w.Browser().Visit(c.ByValue(whole))
		if q := fapitest.Fragment(t, sentTo); q.Get("code") == "" || q.Get("state") != "state-1" || q.Get("iss") != w.Issuer {
			t.Errorf("answered %v", q)
		}
	})
	t.Run("accepts one without PKCE, and then no verifier", func(t *testing.T) {
		_, _, sentTo := w.Browser().Visit(c.ByValue(fapitest.ChangeClaims(whole, fapitest.SetClaim("code_challenge", nil), fapitest.SetClaim("code_challenge_method", nil))))
		code := fapitest.Fragment(t, sentTo).Get("code")
		fapitest.WantError(t, c.Redeem(code, nil), 400, "invalid_grant")
		fapitest.WantOK(t, c.Redeem(code, fapitest.Unset("code_verifier")))
	})
	for name, test := range map[string]struct {
		alter func(fapitest.Claims)
		code  string
	}{
		"expired":        {fapitest.SetClaim("exp", w.Clock.Now().Unix()), "invalid_request_object"},
		"another's aud":  {fapitest.SetClaim("aud", "https://other.example"), "invalid_request_object"},
		"no scope":       {fapitest.SetClaim("scope", nil), "invalid_request_object"},
		"no nonce":       {fapitest.SetClaim("nonce", nil), "invalid_request"},
		"code alone":     {fapitest.SetClaim("response_type", "code"), "unsupported_response_type"},
		"in the query":   {fapitest.SetClaim("response_mode", "query"), "invalid_request"},
		"PKCE in plain":  {fapitest.SetClaim("code_challenge_method", "plain"), "invalid_request"},
		"no state, none": {fapitest.ChangeClaims(fapitest.SetClaim("state", nil), fapitest.SetClaim("nonce", nil)), "invalid_request"},
	} {
		t.Run("refuses by redirect, "+name, func(t *testing.T) {
			_, _, sentTo := w.Browser().Visit(c.ByValue(fapitest.ChangeClaims(whole, test.alter)))
			if q := refusal(t, sentTo); q.Get("error") != test.code || q.Has("code") {
				t.Errorf("answered %v, want %s", q, test.code)
			}
		})
	}
	shown := func(name, address string) {
		t.Run("refuses on a page, "+name, func(t *testing.T) {
			status, body, sentTo := w.Browser().Visit(address)
			if sentTo != nil || status < 400 {
				t.Errorf("answered %d %s, sent to %v", status, body, sentTo)
			}
		})
	}
	shown("no redirect_uri inside", c.ByValue(fapitest.ChangeClaims(whole, fapitest.SetClaim("redirect_uri", nil)))+"&redirect_uri="+url.QueryEscape(c.RedirectURI))
	shown("an address that is not registered", c.ByValue(fapitest.ChangeClaims(whole, fapitest.SetClaim("redirect_uri", "https://attacker.example/"))))
	shown("an address of an object", w.Issuer+"/authorize?client_id=client-1&request_uri=https://client.example/object")
	pushing := w.Register("client-2", fapitest.OfProfile("fapi2-message-signing"))
	shown("of a client that has to push", pushing.ByValue(nil))
	shown("a plain request", w.Issuer+"/authorize?"+c.AuthorizationForm().Encode())
}

// refusal reads the parameters of an error from wherever the request wanted it.
func refusal(t *testing.T, sentTo *url.URL) url.Values {
	t.Helper()
	if sentTo != nil && sentTo.Query().Has("error") && sentTo.Fragment == "" {
		return sentTo.Query()
	}
	return fapitest.Fragment(t, sentTo)
}

// answering sets the response_type that a profile wants.
func answering(c *fapitest.Client, profile string) fapitest.Change {
	if profile == "advanced" {
		return fapitest.Set("response_type", "code id_token")
	}
	return fapitest.Nothing
}
