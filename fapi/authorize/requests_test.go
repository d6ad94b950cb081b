package authorize_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: SP-17, ATTACK-34, FD-07. The browser is sent to registered addresses of the client and to no other, and only
// by a request of the client (RFC 9700 §4.11.2).
func TestSP17NoOpenRedirector(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	visit := func(query string) (int, string, *url.URL) { return w.Browser().Visit(w.Issuer + "/authorize?" + query) }
	t.Run("accepts an error of a request that the client pushed", func(t *testing.T) {
		expired := c.Push(nil).Text("request_uri")
		w.Clock.Advance(time.Hour)
		_, _, sentTo := visit("client_id=client-1&request_uri=" + url.QueryEscape(expired))
		if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.RedirectURI+"?error=invalid_request_uri&") {
			t.Errorf("sent to %v", sentTo)
		}
	})
	for name, query := range map[string]string{
		"a registered address":                  "client_id=client-1&redirect_uri=" + url.QueryEscape(c.RedirectURI),
		"a registered address, unknown request": "client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:x&redirect_uri=" + url.QueryEscape(c.RedirectURI),
		"a registered address, foreign request": "client_id=client-1&request_uri=https://x.example/&redirect_uri=" + url.QueryEscape(c.RedirectURI),
		"an address that is not registered":     "client_id=client-1&redirect_uri=https://attacker.example/",
		"an address of an unknown client":       "client_id=nobody&redirect_uri=https://attacker.example/",
		"an address without a client":           "redirect_uri=" + url.QueryEscape(c.RedirectURI),
		"a longer address":                      "client_id=client-1&redirect_uri=" + url.QueryEscape(c.RedirectURI+"/../x"),
		"an address with a suffix of the host":  "client_id=client-1&redirect_uri=" + url.QueryEscape("https://client.example.attacker.example/callback"),
		"an address with user information":      "client_id=client-1&redirect_uri=" + url.QueryEscape("https://client.example@attacker.example/callback"),
		"an address without a scheme":           "client_id=client-1&redirect_uri=//attacker.example/",
		"script":                                "client_id=client-1&redirect_uri=javascript:alert(1)",
		"an address beside an unknown request":  "client_id=client-1&request_uri=urn:ietf:params:oauth:request_uri:x&redirect_uri=https://attacker.example/",
		"two addresses, one of them registered": "client_id=client-1&redirect_uri=" + url.QueryEscape(c.RedirectURI) + "&redirect_uri=https://attacker.example/",
		"iss as an address":                     "client_id=client-1&iss=https://attacker.example/",
		"another client's pushed request":       "client_id=client-1&request_uri=" + w.Register("client-2", nil).Push(nil).Text("request_uri"),
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	stranger := *c
	stranger.ProofKey = fapitest.NewKey(t, jose.ES256)
	jkt := c.ProofKey.Key().Thumbprint()
	noProof := func(_ url.Values, h http.Header) { h.Del("DPoP") }
	for name, push := range map[string]fapitest.Change{
		"a proof": nil, "dpop_jkt": fapitest.Changes(noProof, fapitest.Set("dpop_jkt", jkt)), "both": fapitest.Set("dpop_jkt", jkt),
	} {
		t.Run("accepts the key that was pushed as "+name, func(t *testing.T) {
			fapitest.Good("", nil).Check(t, c.Redeem(c.Redirected(t, push).Query().Get("code"), nil))
		})
		t.Run("refuses another key than was pushed as "+name, func(t *testing.T) {
			code := c.Redirected(t, push).Query().Get("code")
			fapitest.WantError(t, stranger.Redeem(code, nil), 400, "invalid_grant")
			fapitest.Good("", nil).Check(t, c.Redeem(code, nil)) // and its owner still has it
		})
		t.Run("refuses no proof where a key was pushed as "+name, func(t *testing.T) {
			fapitest.WantError(t, c.Redeem(c.Redirected(t, push).Query().Get("code"), noProof), 400, "invalid_request")
		})
	}
	t.Run("accepts any key where none was pushed", func(t *testing.T) {
		fapitest.Good("", nil).Check(t, stranger.Redeem(c.Redirected(t, noProof).Query().Get("code"), nil))
	})
	fapitest.TryAll(t, c.Push,
		fapitest.Bad("a proof and dpop_jkt that differ", fapitest.Set("dpop_jkt", fapitest.CodeChallenge("another key")), 400, "invalid_dpop_proof"),
		fapitest.Bad("a dpop_jkt that is no thumbprint", fapitest.Changes(noProof, fapitest.Set("dpop_jkt", "abc")), 400, "invalid_request"),
		fapitest.Bad("a dpop_jkt with padding", fapitest.Changes(noProof, fapitest.Set("dpop_jkt", jkt+"=")), 400, "invalid_request"),
		fapitest.Bad("two proofs", func(_ url.Values, h http.Header) { h.Add("DPoP", c.Proof("POST", w.Issuer+"/par", "", nil)) }, 400, "invalid_dpop_proof"))
}

// Covers: SP-25, RULE-19. Codes only, in the query only.
func TestSP25ResponseType(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	fapitest.TryAll(t, c.Push, fapitest.Good("response_type code", nil), fapitest.Good("response_mode query", fapitest.Set("response_mode", "query")),
		fapitest.Bad("no response_type", fapitest.Unset("response_type"), 400, "invalid_request"))
	for _, kind := range []string{"token", "id_token", "code token", "code id_token", "code id_token token", "id_token token", "none", "CODE", "code "} {
		fapitest.TryAll(t, c.Push, fapitest.Bad("response_type "+kind, fapitest.Set("response_type", kind), 400, "unsupported_response_type"))
	}
	for _, kind := range []string{"token", "code id_token"} {
		fapitest.TryRegistration(t, "a registration for "+kind, fapitest.SetClaim("response_types", []string{kind}), "response_types")
	}
}

// Covers: SP-26, SP-28, RULE-15. A pushed request of an authenticated client is answered with a request_uri.
func TestSP26AuthenticatedPush(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for name, alter := range map[string]func(*fapitest.Client, map[string]any){"a key": nil, "a certificate": fapitest.TLSClientAuth, "a self-signed certificate": fapitest.SelfSignedTLSClientAuth} {
		c := w.Register("client by "+name, alter)
		t.Run("accepts a client that proves itself by "+name, func(t *testing.T) {
			r := c.Push(nil)
			if r.Status != http.StatusCreated || !strings.HasPrefix(r.Text("request_uri"), "urn:ietf:params:oauth:request_uri:") || r.Body["expires_in"] == nil {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
	c := w.Register("client-1", nil)
	stranger := w.Register("client-2", nil)
	expired := w.Clock.Now().Add(-time.Minute).Unix()
	fapitest.TryAll(t, c.Push,
		fapitest.Bad("no assertion", fapitest.Unset("client_assertion"), 401, "invalid_client"),
		fapitest.Bad("no assertion type", fapitest.Unset("client_assertion_type"), 401, "invalid_client"),
		fapitest.Bad("another assertion type", fapitest.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), 401, "invalid_client"),
		fapitest.Bad("another client's assertion", fapitest.Set("client_assertion", stranger.ClientAssertion(nil)), 401, "invalid_client"),
		fapitest.Bad("an assertion signed by another client", fapitest.Set("client_assertion", c.Sign(stranger.Key, "", fapitest.Claims{
			"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()})), 401, "invalid_client"),
		fapitest.Bad("an expired assertion", c.ReplaceAssertion(fapitest.SetClaim("exp", expired)), 401, "invalid_client"),
		fapitest.Bad("an unknown client", c.ReplaceAssertion(func(body fapitest.Claims) { body["iss"], body["sub"] = "nobody", "nobody" }), 401, "invalid_client"))
	withoutCertificate := *w.Register("client-3", fapitest.TLSClientAuth)
	withoutCertificate.Certificate, withoutCertificate.AtMTLS = nil, true
	withoutCertificate.HTTP = w.Transport(&withoutCertificate)
	fapitest.TryAll(t, withoutCertificate.Push, fapitest.Bad("no certificate", nil, 401, "invalid_client"))
}

// Covers: SP-27, SP-52, PA-09, RULE-16. Only what was pushed counts.
func TestSP27OnlyPushedRequests(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	visit := func(query url.Values) (int, *url.URL) {
		status, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + query.Encode())
		return status, sentTo
	}
	pushed := func() url.Values {
		return url.Values{"client_id": {c.ID}, "request_uri": {c.Push(nil).Text("request_uri")}}
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
			"code_challenge": fapitest.CodeChallenge("other"), "code_challenge_method": "plain", "prompt": "none", "response_mode": "fragment", "request": "eyJ",
		} {
			query.Set(name, value)
		}
		_, sentTo := visit(query)
		if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.RedirectURI+"?") || sentTo.Query().Get("state") != "state-1" || sentTo.Fragment != "" {
			t.Fatalf("sent to %v", sentTo)
		}
		issued := c.Redeem(sentTo.Query().Get("code"), nil)
		if _, id := w.Verify(issued.Text("id_token")); id["nonce"] != "nonce-1" || issued.Text("scope") != c.Scope {
			t.Errorf("nonce %v, scope %s", id["nonce"], issued.Text("scope"))
		}
	})
	t.Run("refuses a request that was not pushed", func(t *testing.T) {
		if status, sentTo := visit(c.AuthorizationForm()); sentTo != nil || status != http.StatusBadRequest {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
	})
	for name, alter := range map[string]func(url.Values){
		"a request object":        func(q url.Values) { q.Del("request_uri"); q.Set("request", "eyJhbGciOiJub25lIn0.e30.") },
		"an address to fetch":     func(q url.Values) { q.Set("request_uri", "https://client.example/request.jwt") },
		"an invented request_uri": func(q url.Values) { q.Set("request_uri", "urn:ietf:params:oauth:request_uri:invented") },
		"no client_id":            func(q url.Values) { q.Del("client_id") },
		"client_id twice":         func(q url.Values) { q.Add("client_id", c.ID) },
		"request_uri twice":       func(q url.Values) { q.Add("request_uri", q.Get("request_uri")) },
		"another client_id":       func(q url.Values) { q.Set("client_id", w.Register("client-2", nil).ID) },
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	fapitest.TryAll(t, c.Push, fapitest.Good("S256", nil),
		fapitest.Bad("no code_challenge", fapitest.Unset("code_challenge"), 400, "invalid_request"),
		fapitest.Bad("neither challenge nor method", fapitest.Changes(fapitest.Unset("code_challenge"), fapitest.Unset("code_challenge_method")), 400, "invalid_request"),
		fapitest.Bad("no code_challenge_method, which would mean plain", fapitest.Unset("code_challenge_method"), 400, "invalid_request"),
		fapitest.Bad("plain", fapitest.Changes(fapitest.Set("code_challenge", fapitest.CodeVerifier), fapitest.Set("code_challenge_method", "plain")), 400, "invalid_request"),
		fapitest.Bad("another method", fapitest.Set("code_challenge_method", "S512"), 400, "invalid_request"),
		fapitest.Bad("s256 in small letters", fapitest.Set("code_challenge_method", "s256"), 400, "invalid_request"),
		fapitest.Bad("a challenge that is no digest", fapitest.Set("code_challenge", strings.Repeat("a", 42)), 400, "invalid_request"),
		fapitest.Bad("a challenge with padding", fapitest.Set("code_challenge", fapitest.CodeChallenge(fapitest.CodeVerifier)+"="), 400, "invalid_request"))
	for name, one := range map[string]struct {
		verifier, asked string
		good            bool
	}{
		"a verifier of 43 characters":   {strings.Repeat("a", 43), "", true},
		"a verifier of 128 characters":  {strings.Repeat("~", 128), "", true},
		"no verifier":                   {"", fapitest.CodeVerifier, false},
		"another verifier":              {strings.Repeat("b", 43), fapitest.CodeVerifier, false},
		"the challenge as the verifier": {fapitest.CodeChallenge(fapitest.CodeVerifier), fapitest.CodeVerifier, false},
		"a verifier of 42 characters":   {strings.Repeat("a", 42), "", false},
		"a verifier of 129 characters":  {strings.Repeat("a", 129), "", false},
		"a verifier with a blank":       {strings.Repeat("a", 42) + " ", "", false},
		"a verifier with an umlaut":     {strings.Repeat("a", 42) + "ä", "", false},
		"a verifier and a line break":   {fapitest.CodeVerifier + "\n", fapitest.CodeVerifier, false},
		"a verifier in other letters":   {strings.ToUpper(fapitest.CodeVerifier), fapitest.CodeVerifier, false},
	} {
		if one.asked == "" {
			one.asked = one.verifier
		}
		redeem := func(fapitest.Change) fapitest.Reply {
			code := c.Redirected(t, fapitest.Set("code_challenge", fapitest.CodeChallenge(one.asked))).Query().Get("code")
			return c.Redeem(code, fapitest.Set("code_verifier", one.verifier))
		}
		if one.good {
			fapitest.TryAll(t, redeem, fapitest.Good(name, nil))
		} else {
			fapitest.TryAll(t, redeem, fapitest.Bad(name, nil, 400, "invalid_grant"))
		}
	}
}

// Covers: SP-30, BC-01, PA-07, RULE-18, ATTACK-33. The address is in the push, and is registered to the byte.
func TestSP30RedirectURI(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	two := w.Register("client-2", fapitest.SetMember("redirect_uris", []string{"https://client.example/callback", "https://client.example/other?a=b"}))
	fapitest.TryAll(t, c.Push, fapitest.Good("the registered address", nil), fapitest.Bad("no address, even where only one is registered", fapitest.Unset("redirect_uri"), 400, "invalid_request"))
	fapitest.TryAll(t, two.Push, fapitest.Good("the second registered address", fapitest.Set("redirect_uri", "https://client.example/other?a=b")),
		fapitest.Bad("no address where two are registered", fapitest.Unset("redirect_uri"), 400, "invalid_request"))
	for _, address := range lookalikes() {
		fapitest.TryAll(t, c.Push, fapitest.Bad(address, fapitest.Set("redirect_uri", address), 400, "invalid_request"))
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
	t.Parallel()
	addresses := func(list ...string) func(map[string]any) { return fapitest.SetClaim("redirect_uris", list) }
	for _, address := range []string{
		"https://client.example/callback", "https://client.example:8443/callback?a=b", "http://127.0.0.1/callback", "http://127.0.0.1:49152/callback", "http://[::1]:49152/callback",
	} {
		fapitest.TryRegistration(t, address, addresses(address), "")
	}
	for _, address := range []string{
		"http://client.example/callback", "http://localhost/callback", "http://127.0.0.1.attacker.example/", "http://192.0.2.1/", "http://[::ffff:192.0.2.1]/",
		"javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "com.example.app:/callback", "https://client.example/#fragment", "https://client.example/#",
		"https://user@client.example/", "https://:password@client.example/", "https:/client.example", "https:///callback", "//client.example/", "/callback", "",
		"https://client.example/call back", "https://client.example/\n", "https://clıent.example/", "ftp://client.example/",
	} {
		fapitest.TryRegistration(t, address, addresses(address), "redirect_uris")
		fapitest.TryRegistration(t, "beside a good one "+address, addresses("https://client.example/callback", address), "redirect_uris")
	}
	fapitest.TryRegistration(t, "no address at all", addresses(), "redirect_uris")
}

// Covers: SP-35, RULE-15. A request_uri ends in time, whatever was configured.
func TestSP35RequestURILifetime(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.RequestURILifetime = time.Hour })
	c := w.Register("client-1", nil)
	early, late := c.Push(nil), c.Push(nil)
	visit := func(r fapitest.Reply) *url.URL {
		_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, r.Text("request_uri")))
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		return sentTo
	}
	t.Run("accepts less than 600 seconds", func(t *testing.T) {
		if life, ok := early.Body["expires_in"].(float64); !ok || life <= 0 || life >= 600 {
			t.Errorf("expires_in %v", early.Body["expires_in"])
		}
		w.Clock.Advance(598 * time.Second)
		if sentTo := visit(early); !sentTo.Query().Has("code") {
			t.Errorf("sent to %s", sentTo)
		}
	})
	t.Run("refuses it after that", func(t *testing.T) {
		w.Clock.Advance(time.Second)
		if sentTo := visit(late); sentTo.Query().Get("error") != "invalid_request_uri" {
			t.Errorf("sent to %s", sentTo)
		}
	})
}

// Covers: SP-36, PA-09. A request can be opened until it is answered, and is answered once.
func TestSP36RequestURIOnce(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Deciding("wait"))
	decide := w.User.Does
	c := w.Register("client-1", nil)
	b := w.Browser()
	open := func(address string) (int, *url.URL) {
		status, _, sentTo := b.Visit(address)
		return status, sentTo
	}
	for _, decision := range []string{"allow", "deny"} {
		decide("wait")
		asked := c.Push(func(form url.Values, _ http.Header) { form.Set("prompt", "consent") }) // whatever was allowed before
		address := w.AuthorizeURL(c.ID, asked.Text("request_uri"))
		t.Run("accepts a second visit before the user decides to "+decision, func(t *testing.T) {
			for range 3 {
				if status, sentTo := open(address); status != http.StatusOK || sentTo != nil {
					t.Errorf("%d, sent to %v", status, sentTo)
				}
			}
			if status, _, sentTo := w.Browser().Visit(address); status != http.StatusOK || sentTo != nil {
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	for name, length := range map[string]int{"1 character": 1, "64 characters": 64, "384 characters": 384, "1000 characters": 1000, "2048 characters": 2048} {
		t.Run("accepts "+name+" and gives them back", func(t *testing.T) {
			nonce, state := strings.Repeat("n", length), strings.Repeat("s", length)
			sentTo := c.Redirected(t, fapitest.Changes(fapitest.Set("nonce", nonce), fapitest.Set("state", state)))
			if sentTo.Query().Get("state") != state {
				t.Error("the state is another")
			}
			if _, id := w.Verify(c.Redeem(sentTo.Query().Get("code"), nil).Text("id_token")); id["nonce"] != nonce {
				t.Error("the nonce is another")
			}
		})
	}
	t.Run("accepts every character that a state may have", func(t *testing.T) {
		state := ""
		for r := rune(0x20); r <= 0x7e; r++ {
			state += string(r)
		}
		if got := c.Redirected(t, fapitest.Set("state", state)).Query().Get("state"); got != state {
			t.Errorf("got %q", got)
		}
	})
	t.Run("accepts none of them", func(t *testing.T) {
		sentTo := c.Redirected(t, fapitest.Changes(fapitest.Unset("nonce"), fapitest.Unset("state")))
		_, id := w.Verify(c.Redeem(sentTo.Query().Get("code"), nil).Text("id_token"))
		if sentTo.Query().Has("state") || id["nonce"] != nil {
			t.Errorf("sent to %s, nonce %v", sentTo, id["nonce"])
		}
	})
	fapitest.TryAll(t, c.Push,
		fapitest.Bad("a nonce that is too long to keep", fapitest.Set("nonce", strings.Repeat("n", 2049)), 400, "invalid_request"),
		fapitest.Bad("a state that is too long to keep", fapitest.Set("state", strings.Repeat("s", 4097)), 400, "invalid_request"),
		fapitest.Bad("a state with a line break", fapitest.Set("state", "a\r\nSet-Cookie: a=b"), 400, "invalid_request"),
		fapitest.Bad("a state beyond ASCII", fapitest.Set("state", "stäte"), 400, "invalid_request"),
		fapitest.Bad("a state given twice", func(form url.Values, _ http.Header) { form.Add("state", "other") }, 400, "invalid_request"),
		fapitest.Bad("a nonce given twice", func(form url.Values, _ http.Header) { form.Add("nonce", "nonce-1") }, 400, "invalid_request"))
}
