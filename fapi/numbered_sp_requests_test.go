package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// Covers: SP-17, ATTACK-34. The browser is sent to registered addresses of the client and to no other.
func TestSP17NoOpenRedirector(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	visit := func(query string) (int, string, *url.URL) { return w.browser().visit(w.issuer + "/authorize?" + query) }
	t.Run("accepts an error for a registered address", func(t *testing.T) {
		_, _, sentTo := visit("client_id=client-1&redirect_uri=" + url.QueryEscape(c.redirectURI))
		if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.redirectURI+"?error=invalid_request&") {
			t.Errorf("sent to %v", sentTo)
		}
	})
	for name, query := range map[string]string{
		"an address that is not registered":     "client_id=client-1&redirect_uri=https://attacker.example/",
		"an address of an unknown client":       "client_id=nobody&redirect_uri=https://attacker.example/",
		"an address without a client":           "redirect_uri=" + url.QueryEscape(c.redirectURI),
		"a longer address":                      "client_id=client-1&redirect_uri=" + url.QueryEscape(c.redirectURI+"/../x"),
		"an address with a suffix of the host":  "client_id=client-1&redirect_uri=" + url.QueryEscape("https://client.example.attacker.example/callback"),
		"an address with user information":      "client_id=client-1&redirect_uri=" + url.QueryEscape("https://client.example@attacker.example/callback"),
		"an address without a scheme":           "client_id=client-1&redirect_uri=//attacker.example/",
		"script":                                "client_id=client-1&redirect_uri=javascript:alert(1)",
		"an address beside an unknown request":  "client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:x&redirect_uri=https://attacker.example/",
		"two addresses, one of them registered": "client_id=client-1&redirect_uri=" + url.QueryEscape(c.redirectURI) + "&redirect_uri=https://attacker.example/",
		"iss as an address":                     "client_id=client-1&iss=https://attacker.example/",
		"another client's pushed request":       "client_id=client-1&request_uri=" + w.register("client-2", nil).push(nil).text("request_uri"),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			status, body, sentTo := visit(query)
			if sentTo != nil || status < 400 {
				t.Errorf("%d %s, sent to %v", status, body, sentTo)
			}
		})
	}
}

// Covers: SP-22, DP-07, DP-08, RULE-27. A code belongs to the key that the push named, whichever way it did.
func TestSP22CodeBoundToKey(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	stranger := *c
	stranger.proofKey = newKey(t, jose.ES256)
	jkt := c.proofKey.Key().Thumbprint()
	noProof := func(_ url.Values, h http.Header) { h.Del("DPoP") }
	for name, push := range map[string]change{
		"a proof": nil, "dpop_jkt": both(noProof, set("dpop_jkt", jkt)), "both": set("dpop_jkt", jkt),
	} {
		t.Run("accepts the key that was pushed as "+name, func(t *testing.T) {
			good("", nil).check(t, c.redeem(c.opened(t, push).Query().Get("code"), nil))
		})
		t.Run("refuses another key than was pushed as "+name, func(t *testing.T) {
			code := c.opened(t, push).Query().Get("code")
			wantError(t, stranger.redeem(code, nil), 400, "invalid_grant")
			good("", nil).check(t, c.redeem(code, nil)) // and its owner still has it
		})
		t.Run("refuses no proof where a key was pushed as "+name, func(t *testing.T) {
			wantError(t, c.redeem(c.opened(t, push).Query().Get("code"), noProof), 400, "invalid_request")
		})
	}
	t.Run("accepts any key where none was pushed", func(t *testing.T) {
		good("", nil).check(t, stranger.redeem(c.opened(t, noProof).Query().Get("code"), nil))
	})
	tryAll(t, c.push,
		bad("a proof and dpop_jkt that differ", set("dpop_jkt", challenge("another key")), 400, "invalid_dpop_proof"),
		bad("a dpop_jkt that is no thumbprint", both(noProof, set("dpop_jkt", "abc")), 400, "invalid_request"),
		bad("a dpop_jkt with padding", both(noProof, set("dpop_jkt", jkt+"=")), 400, "invalid_request"),
		bad("two proofs", func(_ url.Values, h http.Header) { h.Add("DPoP", c.proof("POST", w.issuer+"/par", "", nil)) }, 400, "invalid_dpop_proof"))
}

// Covers: SP-25, RULE-19. Codes only, in the query only.
func TestSP25ResponseType(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	tryAll(t, c.push, good("response_type code", nil), good("response_mode query", set("response_mode", "query")),
		bad("no response_type", unset("response_type"), 400, "invalid_request"))
	for _, kind := range []string{"token", "id_token", "code token", "code id_token", "code id_token token", "id_token token", "none", "CODE", "code "} {
		tryAll(t, c.push, bad("response_type "+kind, set("response_type", kind), 400, "unsupported_response_type"))
	}
	for _, kind := range []string{"token", "code id_token"} {
		registering(t, "a registration for "+kind, claim("response_types", []string{kind}), "response_types")
	}
}

// Covers: SP-26, SP-28, RULE-15. A pushed request of an authenticated client is answered with a request_uri.
func TestSP26AuthenticatedPush(t *testing.T) {
	w := newWorld(t)
	for name, alter := range map[string]func(*client, map[string]any){"a key": nil, "a certificate": withCertificate, "a self-signed certificate": selfSigned} {
		c := w.register("client by "+name, alter)
		t.Run("accepts a client that proves itself by "+name, func(t *testing.T) {
			r := c.push(nil)
			if r.status != http.StatusCreated || !strings.HasPrefix(r.text("request_uri"), "urn:ietf:params:oauth:request_uri:") || r.body["expires_in"] == nil {
				t.Errorf("%d %s", r.status, r.raw)
			}
		})
	}
	c := w.register("client-1", nil)
	stranger := w.register("client-2", nil)
	expired := w.clock.Now().Add(-time.Minute).Unix()
	tryAll(t, c.push,
		bad("no assertion", unset("client_assertion"), 401, "invalid_client"),
		bad("no assertion type", unset("client_assertion_type"), 401, "invalid_client"),
		bad("another assertion type", set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), 401, "invalid_client"),
		bad("another client's assertion", set("client_assertion", stranger.clientAssertion(nil)), 401, "invalid_client"),
		bad("an assertion signed by another client", set("client_assertion", c.signed(stranger.key, "", claims{
			"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": w.clock.Now().Add(time.Minute).Unix()})), 401, "invalid_client"),
		bad("an expired assertion", c.asserting(claim("exp", expired)), 401, "invalid_client"),
		bad("an unknown client", c.asserting(func(body claims) { body["iss"], body["sub"] = "nobody", "nobody" }), 401, "invalid_client"))
	withoutCertificate := *w.register("client-3", withCertificate)
	withoutCertificate.certificate, withoutCertificate.atMTLS = nil, true
	withoutCertificate.http = w.transport(&withoutCertificate)
	tryAll(t, withoutCertificate.push, bad("no certificate", nil, 401, "invalid_client"))
}

// Covers: SP-27, SP-52, PA-09, RULE-16. Only what was pushed counts.
func TestSP27OnlyPushedRequests(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	visit := func(query url.Values) (int, *url.URL) {
		status, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + query.Encode())
		return status, sentTo
	}
	pushed := func() url.Values {
		return url.Values{"client_id": {c.id}, "request_uri": {c.push(nil).text("request_uri")}}
	}
	t.Run("accepts client_id and request_uri", func(t *testing.T) {
		if _, sentTo := visit(pushed()); sentTo == nil || sentTo.Query().Get("code") == "" {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("accepts and ignores everything else", func(t *testing.T) {
		query := pushed()
		for name, value := range map[string]string{
			"redirect_uri": "https://attacker.example/", "state": "other", "nonce": "other", "scope": "payments", "response_type": "token",
			"code_challenge": challenge("other"), "code_challenge_method": "plain", "prompt": "none", "response_mode": "fragment", "request": "eyJ",
		} {
			query.Set(name, value)
		}
		_, sentTo := visit(query)
		if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.redirectURI+"?") || sentTo.Query().Get("state") != "state-1" || sentTo.Fragment != "" {
			t.Fatalf("sent to %v", sentTo)
		}
		issued := c.redeem(sentTo.Query().Get("code"), nil)
		if _, id := w.decode(issued.text("id_token")); id["nonce"] != "nonce-1" || issued.text("scope") != c.scope {
			t.Errorf("nonce %v, scope %s", id["nonce"], issued.text("scope"))
		}
	})
	t.Run("refuses a request that was not pushed", func(t *testing.T) {
		_, sentTo := visit(c.request())
		if sentTo == nil || sentTo.Query().Get("error") != "invalid_request" || sentTo.Query().Has("code") {
			t.Errorf("sent to %v", sentTo)
		}
	})
	for name, alter := range map[string]func(url.Values){
		"a request object":        func(q url.Values) { q.Del("request_uri"); q.Set("request", "eyJhbGciOiJub25lIn0.e30.") },
		"an address to fetch":     func(q url.Values) { q.Set("request_uri", "https://client.example/request.jwt") },
		"an invented request_uri": func(q url.Values) { q.Set("request_uri", "urn:ietf:params:oauth:request_uri:invented") },
		"no client_id":            func(q url.Values) { q.Del("client_id") },
		"client_id twice":         func(q url.Values) { q.Add("client_id", c.id) },
		"request_uri twice":       func(q url.Values) { q.Add("request_uri", q.Get("request_uri")) },
		"another client_id":       func(q url.Values) { q.Set("client_id", w.register("client-2", nil).id) },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			query := pushed()
			alter(query)
			if status, sentTo := visit(query); sentTo != nil || status < 400 {
				t.Errorf("%d, sent to %v", status, sentTo)
			}
		})
	}
}

// Covers: SP-29, RULE-17, ATTACK-47, BC-03. PKCE with S256, always, and with verifiers that have the entropy.
func TestSP29PKCE(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	tryAll(t, c.push, good("S256", nil),
		bad("no code_challenge", unset("code_challenge"), 400, "invalid_request"),
		bad("neither challenge nor method", both(unset("code_challenge"), unset("code_challenge_method")), 400, "invalid_request"),
		bad("no code_challenge_method, which would mean plain", unset("code_challenge_method"), 400, "invalid_request"),
		bad("plain", both(set("code_challenge", verifier), set("code_challenge_method", "plain")), 400, "invalid_request"),
		bad("another method", set("code_challenge_method", "S512"), 400, "invalid_request"),
		bad("s256 in small letters", set("code_challenge_method", "s256"), 400, "invalid_request"),
		bad("a challenge that is no digest", set("code_challenge", strings.Repeat("a", 42)), 400, "invalid_request"),
		bad("a challenge with padding", set("code_challenge", challenge(verifier)+"="), 400, "invalid_request"))
	for name, one := range map[string]struct {
		verifier, asked string
		good            bool
	}{
		"a verifier of 43 characters":   {strings.Repeat("a", 43), "", true},
		"a verifier of 128 characters":  {strings.Repeat("~", 128), "", true},
		"no verifier":                   {"", verifier, false},
		"another verifier":              {strings.Repeat("b", 43), verifier, false},
		"the challenge as the verifier": {challenge(verifier), verifier, false},
		"a verifier of 42 characters":   {strings.Repeat("a", 42), "", false},
		"a verifier of 129 characters":  {strings.Repeat("a", 129), "", false},
		"a verifier with a blank":       {strings.Repeat("a", 42) + " ", "", false},
		"a verifier with an umlaut":     {strings.Repeat("a", 42) + "ä", "", false},
		"a verifier and a line break":   {verifier + "\n", verifier, false},
		"a verifier in other letters":   {strings.ToUpper(verifier), verifier, false},
	} {
		if one.asked == "" {
			one.asked = one.verifier
		}
		redeem := func(change) reply {
			code := c.opened(t, set("code_challenge", challenge(one.asked))).Query().Get("code")
			return c.redeem(code, set("code_verifier", one.verifier))
		}
		if one.good {
			tryAll(t, redeem, good(name, nil))
		} else {
			tryAll(t, redeem, bad(name, nil, 400, "invalid_grant"))
		}
	}
}

// Covers: SP-30, BC-01, PA-07, RULE-18, ATTACK-33. The address is in the push, and is registered to the byte.
func TestSP30RedirectURI(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	two := w.register("client-2", member("redirect_uris", []string{"https://client.example/callback", "https://client.example/other?a=b"}))
	tryAll(t, c.push, good("the registered address", nil), bad("no address, even where only one is registered", unset("redirect_uri"), 400, "invalid_request"))
	tryAll(t, two.push, good("the second registered address", set("redirect_uri", "https://client.example/other?a=b")),
		bad("no address where two are registered", unset("redirect_uri"), 400, "invalid_request"))
	for _, address := range lookalikes() {
		tryAll(t, c.push, bad(address, set("redirect_uri", address), 400, "invalid_request"))
	}
}

// lookalikes are addresses that somebody may take for https://client.example/callback.
func lookalikes() []string {
	return []string{
		"https://client.example/callback/", "https://client.example/callback?", "https://client.example/callback#", "https://client.example/callback?a=b",
		"https://client.example/callback/../callback", "https://client.example//callback", "https://client.example/Callback",
		"https://client.example/%63allback", "https://client.example/callback%2f", "https://client.example/callback%00", "https://client.example/callback\x00",
		"https://client.example/callback ", " https://client.example/callback", "https://client.example/callback\n", "https://client.example/callback\t",
		"https://CLIENT.example/callback", "HTTPS://client.example/callback", "https://client.example:443/callback", "https://client.example:444/callback",
		"http://client.example/callback", "//client.example/callback", "/callback", "callback", "client.example/callback",
		"https://client.example.attacker.example/callback", "https://attacker.example/client.example/callback", "https://www.client.example/callback",
		"https://attacker.example?https://client.example/callback", "https://attacker.example#https://client.example/callback",
		"https://client.example@attacker.example/callback", "https://a@client.example/callback", "https://client.example:a@attacker.example/callback",
		`https://client.example\@attacker.example/callback`, `https:\\client.example\callback`, "https:client.example/callback", "https:///client.example/callback",
		"https://client.example./callback", "https://client%2eexample/callback", "https://clıent.example/callback", "https://client。example/callback",
		"https://*.example/callback", "https://client.example/*", "https://[::1]/callback", "https://127.0.0.1/callback",
		"javascript:alert(1)//https://client.example/callback", "data:text/html,client.example/callback", "com.example.app:/callback", "urn:ietf:wg:oauth:2.0:oob",
		"https://client.example/callback;a", "https://client.example/callback&state=x", "https://client.example/callback?code=x",
	}
}

// Covers: SP-32, ATTACK-33. http is for a native app on its own machine, by number; nothing strange is registered.
func TestSP32RedirectSchemes(t *testing.T) {
	addresses := func(list ...string) func(map[string]any) { return claim("redirect_uris", list) }
	for _, address := range []string{
		"https://client.example/callback", "https://client.example:8443/callback?a=b", "http://127.0.0.1/callback", "http://127.0.0.1:49152/callback", "http://[::1]:49152/callback",
	} {
		registering(t, address, addresses(address), "")
	}
	for _, address := range []string{
		"http://client.example/callback", "http://localhost/callback", "http://127.0.0.1.attacker.example/", "http://192.0.2.1/", "http://[::ffff:192.0.2.1]/",
		"javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "com.example.app:/callback", "https://client.example/#fragment", "https://client.example/#",
		"https://user@client.example/", "https://:password@client.example/", "https:/client.example", "https:///callback", "//client.example/", "/callback", "",
		"https://client.example/call back", "https://client.example/\n", "https://clıent.example/", "ftp://client.example/",
	} {
		registering(t, address, addresses(address), "redirect_uris")
		registering(t, "beside a good one "+address, addresses("https://client.example/callback", address), "redirect_uris")
	}
	registering(t, "no address at all", addresses(), "redirect_uris")
}

// Covers: SP-35, RULE-15. A request_uri ends in time, whatever was configured.
func TestSP35RequestURILifetime(t *testing.T) {
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.RequestURILifetime = time.Hour })
	c := w.register("client-1", nil)
	early, late := c.push(nil), c.push(nil)
	visit := func(r reply) *url.URL {
		_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, r.text("request_uri")))
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		return sentTo
	}
	t.Run("accepts less than 600 seconds", func(t *testing.T) {
		if life, ok := early.body["expires_in"].(float64); !ok || life <= 0 || life >= 600 {
			t.Errorf("expires_in %v", early.body["expires_in"])
		}
		w.clock.Advance(598 * time.Second)
		if sentTo := visit(early); !sentTo.Query().Has("code") {
			t.Errorf("sent to %s", sentTo)
		}
	})
	t.Run("refuses it after that", func(t *testing.T) {
		w.clock.Advance(time.Second)
		if sentTo := visit(late); sentTo.Query().Get("error") != "invalid_request_uri" {
			t.Errorf("sent to %s", sentTo)
		}
	})
}

// Covers: SP-36, PA-09. A request can be opened until it is answered, and is answered once.
func TestSP36RequestURIOnce(t *testing.T) {
	var decide func(string)
	w := newWorld(t, deciding("wait"), func(_ *fapiConfig, a *autoInteractor) {
		decide = func(decision string) { a.mu.Lock(); a.decision = decision; a.mu.Unlock() }
	})
	c := w.register("client-1", nil)
	b := w.browser()
	open := func(address string) (int, *url.URL) {
		status, _, sentTo := b.visit(address)
		return status, sentTo
	}
	for _, decision := range []string{"allow", "deny"} {
		decide("wait")
		asked := c.push(func(form url.Values, _ http.Header) { form.Set("prompt", "consent") }) // whatever was allowed before
		address := w.authorizeURL(c.id, asked.text("request_uri"))
		t.Run("accepts a second visit before the person decides to "+decision, func(t *testing.T) {
			for range 3 {
				if status, sentTo := open(address); status != http.StatusOK || sentTo != nil {
					t.Errorf("%d, sent to %v", status, sentTo)
				}
			}
			if status, _, sentTo := w.browser().visit(address); status != http.StatusOK || sentTo != nil {
				t.Errorf("in another browser: %d, sent to %v", status, sentTo)
			}
			decide(decision)
			if _, sentTo := open(address); sentTo == nil || sentTo.Query().Has("code") != (decision == "allow") {
				t.Errorf("sent to %v", sentTo)
			}
		})
		t.Run("refuses another visit after the decision to "+decision, func(t *testing.T) {
			if _, sentTo := open(address); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
				t.Errorf("sent to %v", sentTo)
			}
		})
	}
}

// Covers: SP-38, SP-39, RULE-21. nonce and state come back whole, or the request is refused.
func TestSP38NonceAndState(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	for name, length := range map[string]int{"1 character": 1, "64 characters": 64, "384 characters": 384, "1000 characters": 1000, "2048 characters": 2048} {
		t.Run("accepts "+name+" and gives them back", func(t *testing.T) {
			nonce, state := strings.Repeat("n", length), strings.Repeat("s", length)
			sentTo := c.opened(t, both(set("nonce", nonce), set("state", state)))
			if sentTo.Query().Get("state") != state {
				t.Error("the state is another")
			}
			if _, id := w.decode(c.redeem(sentTo.Query().Get("code"), nil).text("id_token")); id["nonce"] != nonce {
				t.Error("the nonce is another")
			}
		})
	}
	t.Run("accepts every character that a state may have", func(t *testing.T) {
		state := ""
		for r := rune(0x20); r <= 0x7e; r++ {
			state += string(r)
		}
		if got := c.opened(t, set("state", state)).Query().Get("state"); got != state {
			t.Errorf("got %q", got)
		}
	})
	t.Run("accepts none of them", func(t *testing.T) {
		sentTo := c.opened(t, both(unset("nonce"), unset("state")))
		_, id := w.decode(c.redeem(sentTo.Query().Get("code"), nil).text("id_token"))
		if sentTo.Query().Has("state") || id["nonce"] != nil {
			t.Errorf("sent to %s, nonce %v", sentTo, id["nonce"])
		}
	})
	tryAll(t, c.push,
		bad("a nonce that is too long to keep", set("nonce", strings.Repeat("n", 2049)), 400, "invalid_request"),
		bad("a state that is too long to keep", set("state", strings.Repeat("s", 4097)), 400, "invalid_request"),
		bad("a state with a line break", set("state", "a\r\nSet-Cookie: a=b"), 400, "invalid_request"),
		bad("a state beyond ASCII", set("state", "stäte"), 400, "invalid_request"),
		bad("a state given twice", func(form url.Values, _ http.Header) { form.Add("state", "other") }, 400, "invalid_request"),
		bad("a nonce given twice", func(form url.Values, _ http.Header) { form.Add("nonce", "nonce-1") }, 400, "invalid_request"))
}
