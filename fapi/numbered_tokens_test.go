package fapi_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/mtls"
)

// Covers: AT-01, ATTACK-42. An access token is a JWT of the type at+jwt with the seven claims of RFC 9068 §2.2, and a
// resource takes nothing else for one.
func TestAT01AccessToken(t *testing.T) {
	w, _ := wholeWorld(t)
	c, alone := w.register("client-1", wide), w.register("machine", machine)
	issued := c.tokens()
	token := issued.text("access_token")
	w.clock.Advance(time.Second)
	tokens := map[string]struct{ token, clientID, subject string }{
		"for a code":            {token, c.id, "sub-alice"},
		"for a refresh token":   {c.refresh(issued.text("refresh_token"), nil).text("access_token"), c.id, "sub-alice"},
		"for the client itself": {alone.clientCredentials(nil).text("access_token"), alone.id, alone.id},
	}
	seen := map[any]bool{}
	for name, test := range inOrder(tokens) {
		t.Run("accepts a token "+name, func(t *testing.T) {
			header, body := w.decode(test.token)
			if header.Type != "at+jwt" || header.KeyID == "" || header.Algorithm != "PS256" {
				t.Errorf("header %+v", header)
			}
			issuedAt, _ := body["iat"].(float64)
			want := map[string]any{"iss": w.issuer, "aud": w.issuer, "sub": test.subject, "client_id": test.clientID, "exp": issuedAt + 300}
			for claim, value := range want {
				if diff := cmp.Diff(value, body[claim]); diff != "" {
					t.Errorf("%s (-want +got): %s", claim, diff)
				}
			}
			id, _ := body["jti"].(string)
			if len(id) < 22 || seen[id] || issuedAt < float64(w.clock.Now().Unix()-1) || issuedAt > float64(w.clock.Now().Unix()) {
				t.Errorf("jti %q, iat %v", id, body["iat"])
			}
			seen[id] = true
		})
	}
	body := claimsIn(t, token)
	resigned := func(typ string, alter func(claims)) string {
		changed := maps.Clone(body)
		if alter != nil {
			alter(changed)
		}
		return w.ownSignature("PS256", typ, changed)
	}
	t.Run("accepts the same claims, signed again with the server's key", func(t *testing.T) {
		wantActive(t, c.get("/accounts", resigned("at+jwt", nil), nil))
		wantActive(t, c.get("/accounts", resigned("application/at+jwt", nil), nil))
	})
	for name, forged := range map[string]string{
		"another typ":        resigned("JWT", nil),
		"no typ":             resigned("", nil),
		"no iss":             resigned("at+jwt", claim("iss", nil)),
		"another iss":        resigned("at+jwt", claim("iss", "https://other.example")),
		"iss with a slash":   resigned("at+jwt", claim("iss", w.issuer+"/")),
		"no aud":             resigned("at+jwt", claim("aud", nil)),
		"another aud":        resigned("at+jwt", claim("aud", ledgerAPI)),
		"no exp":             resigned("at+jwt", claim("exp", nil)),
		"no jti":             resigned("at+jwt", claim("jti", nil)),
		"a jti not given":    resigned("at+jwt", claim("jti", random())),
		"no cnf":             resigned("at+jwt", claim("cnf", nil)),
		"the cnf of another": resigned("at+jwt", claim("cnf", map[string]any{"jkt": challenge("x")})),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			wantError(t, c.get("/accounts", forged, nil), http.StatusUnauthorized, "invalid_token")
		})
	}
}

// Covers: AT-02, BC-05, SP-24. The audience is what was asked for, or this server; auth_time, acr and amr are those of
// the sign-in, also after a refresh; the scope is what means something there.
func TestAT02ClaimsFromTheSignIn(t *testing.T) {
	w, p := wholeWorld(t)
	c, alone := w.register("client-1", wide), w.register("machine", machine)
	p.is("sub-alice", byKey)
	signedInAt := float64(w.clock.Now().Unix())
	issued := c.tokens()
	w.clock.Advance(time.Minute)
	later := c.refresh(issued.text("refresh_token"), nil)
	for name, token := range inOrder(map[string]string{"a token": issued.text("access_token"), "a refreshed token": later.text("access_token")}) {
		t.Run("accepts "+name+" with auth_time, acr and amr of the sign-in", func(t *testing.T) {
			body := claimsIn(t, token)
			if body["auth_time"] != signedInAt || body["acr"] != byKey || !cmp.Equal(body["amr"], []any{"pwd", "hwk"}) {
				t.Errorf("claims %v", body)
			}
		})
	}
	resources := func(list ...string) change {
		return func(form url.Values, _ http.Header) { form["resource"] = list }
	}
	for name, test := range inOrder(map[string]struct {
		asked change
		aud   any
		scope string
	}{
		"no resource: this server": {nil, w.issuer, c.scope},
		"one resource":             {resources(ledgerAPI), ledgerAPI, "openid profile email accounts offline_access"},
		"two resources":            {resources(ledgerAPI, paymentAPI), []any{ledgerAPI, paymentAPI}, c.scope},
	}) {
		t.Run("accepts "+name, func(t *testing.T) {
			r := c.tokensFor(test.asked)
			body := claimsIn(t, r.text("access_token"))
			if diff := cmp.Diff(test.aud, body["aud"]); diff != "" {
				t.Errorf("aud (-want +got): %s", diff)
			}
			got := strings.Fields(r.text("scope"))
			for _, scope := range strings.Fields(test.scope) {
				if ofServer := slices.Contains([]string{"accounts", "payments"}, scope); ofServer && !slices.Contains(got, scope) {
					t.Errorf("scope %q lacks %s", r.text("scope"), scope)
				}
			}
			if name == "one resource" && slices.Contains(got, "payments") {
				t.Errorf("scope %q holds what means nothing to %s", r.text("scope"), ledgerAPI)
			}
			if body["scope"] != r.text("scope") {
				t.Errorf("the token says %v and the answer %q", body["scope"], r.text("scope"))
			}
		})
	}
	t.Run("refuses to speak of a sign-in where there was none", func(t *testing.T) {
		body := claimsIn(t, alone.clientCredentials(nil).text("access_token"))
		if body["auth_time"] != nil || body["acr"] != nil || body["amr"] != nil {
			t.Errorf("claims %v", body)
		}
	})
	personal := w.register("machine-2", func(c *client, m map[string]any) {
		machine(c, m)
		m["scope"] = "openid email offline_access accounts"
	})
	tryAll(t, personal.clientCredentials,
		good("a scope without a person", set("scope", "accounts")),
		bad("openid without a person", set("scope", "openid accounts"), 400, "invalid_scope"),
		bad("the scope of a claim without a person", set("scope", "email"), 400, "invalid_scope"),
		bad("offline_access without a person", set("scope", "offline_access"), 400, "invalid_scope"),
		bad("a scope that is not registered for the client", set("scope", "payments"), 400, "invalid_scope"),
		bad("an unknown scope", set("scope", "colour"), 400, "invalid_scope"),
	)
	t.Run("accepts a client that names no scope, and leaves out what is about a person", func(t *testing.T) {
		if r := personal.clientCredentials(nil); r.text("scope") != "accounts" || r.body["refresh_token"] != nil || r.body["id_token"] != nil {
			t.Errorf("answered %s", r.raw)
		}
	})
	t.Run("refuses a token for another resource", func(t *testing.T) {
		foreign := c.tokensFor(resources(ledgerAPI)).text("access_token")
		wantError(t, c.get("/accounts", foreign, nil), http.StatusUnauthorized, "invalid_token")
	})
}

// Covers: AT-03, SP-47, ATTACK-20, ATTACK-28. An access token is signed with a key of the published set, never with
// none, and is good for nothing but a resource.
func TestAT03Signature(t *testing.T) {
	w, _ := wholeWorld(t)
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		t.Run("accepts "+alg+" of a published key", func(t *testing.T) {
			w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.AccessTokenAlgorithm = alg })
			c := w.register("client-1", nil)
			token := c.tokens().text("access_token")
			if header, _ := w.decode(token); header.Algorithm != alg { // decode verifies with the published set
				t.Errorf("signed with %s", header.Algorithm)
			}
			wantActive(t, c.get("/accounts", token, nil))
		})
	}
	c := w.register("client-1", nil)
	issued := c.tokens()
	token := issued.text("access_token")
	header, _ := w.decode(token)
	head := claims{"alg": header.Algorithm, "kid": header.KeyID, "typ": "at+jwt"}
	with := func(name string, value any) claims {
		changed := maps.Clone(head)
		changed[name] = value
		return changed
	}
	own := newKey(t, jose.ES256)
	nothing := func([]byte) []byte { return nil }
	body := claimsIn(t, token)
	signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		t.Fatal(err)
	}
	same := func([]byte) []byte { return signature }
	embedded := with("jwk", own.PublicJWK())
	embedded["alg"] = "ES256"
	for name, forged := range inOrder(map[string]string{
		"alg none":                     handSigned(t, with("alg", "none"), body, nothing),
		"alg None":                     handSigned(t, with("alg", "None"), body, nothing),
		"alg PS256 without signature":  handSigned(t, head, body, nothing),
		"RS256 in the header":          handSigned(t, with("alg", "RS256"), body, same),
		"HS256 in the header":          handSigned(t, with("alg", "HS256"), body, same),
		"an unknown kid":               handSigned(t, with("kid", "unknown"), body, same),
		"a stranger's key":             handSigned(t, with("alg", "ES256"), body, es256(t, own)),
		"a stranger's key in jwk":      handSigned(t, embedded, body, es256(t, own)),
		"a stranger's key under a kid": handSigned(t, claims{"alg": "ES256", "kid": header.KeyID, "typ": "at+jwt"}, body, es256(t, own)),
	}) {
		t.Run("refuses "+name, func(t *testing.T) {
			wantError(t, c.get("/accounts", forged, nil), http.StatusUnauthorized, "invalid_token")
		})
	}
	t.Run("refuses it as an ID token", func(t *testing.T) {
		hint := func(token string) reply { return c.push(set("id_token_hint", token)) }
		wantError(t, hint(token), http.StatusBadRequest, "invalid_request")
		if r := hint(issued.text("id_token")); r.status != http.StatusCreated {
			t.Errorf("a real ID token: %d %s", r.status, r.raw)
		}
		if claimsIn(t, token)["aud"] == c.id {
			t.Error("aud is the client, as in an ID token")
		}
	})
	t.Run("refuses it as a client assertion", func(t *testing.T) {
		wantError(t, c.push(set("client_assertion", token)), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("refuses it as a refresh token", func(t *testing.T) {
		wantError(t, c.refresh(token, nil), http.StatusBadRequest, "invalid_grant")
	})
}

// Covers: IN-01, MS-09, ATTACK-41, RULE-33. Only a resource server may introspect, by an authenticated POST; of a token that is
// not active for it, it is told just that.
func TestIN01Introspection(t *testing.T) {
	w, _ := wholeWorld(t)
	c, ledger, payments := w.register("client-1", wide), w.resourceServer("ledger", ledgerAPI), w.resourceServer("payments", paymentAPI)
	bob := w.register("client-2", wide)
	forLedger := func(form url.Values, _ http.Header) { form.Set("resource", ledgerAPI) }
	issued := c.tokensFor(forLedger)
	token := issued.text("access_token")
	_ = bob
	t.Run("accepts the resource server that the token is for", func(t *testing.T) {
		if r := ledger.introspect(token, nil); r.status != http.StatusOK || r.body["active"] != true {
			t.Fatalf("answered %d %s", r.status, r.raw)
		}
	})
	t.Run("accepts a hint of either type", func(t *testing.T) {
		for _, hint := range []string{"access_token", "refresh_token", "unknown"} {
			if r := ledger.introspect(token, set("token_type_hint", hint)); r.body["active"] != true {
				t.Errorf("%s: %d %s", hint, r.status, r.raw)
			}
		}
	})
	t.Run("accepts one that proves itself by certificate", func(t *testing.T) {
		shown := w.register("ledger-mtls", func(c *client, m map[string]any) {
			withCertificate(c, m)
			m["resource_identifiers"], m["grant_types"] = []string{ledgerAPI}, []string{}
			for _, name := range []string{"redirect_uris", "response_types", "tls_client_certificate_bound_access_tokens", "scope"} {
				delete(m, name)
			}
		})
		if r := shown.introspect(token, nil); r.body["active"] != true {
			t.Fatalf("answered %d %s", r.status, r.raw)
		}
		if r := shown.showing(nil).introspect(token, nil); r.status != http.StatusUnauthorized || r.text("error") != "invalid_client" {
			t.Fatalf("without its certificate: %d %s", r.status, r.raw)
		}
	})
	tryAll(t, func(alter change) reply { return ledger.introspect(token, alter) },
		bad("no client authentication", unset("client_assertion"), 401, "invalid_client"),
		bad("another's assertion", set("client_assertion", c.signed(c.key, "", claims{"iss": ledger.id, "sub": ledger.id, "aud": w.issuer, "jti": random(), "exp": w.clock.Now().Add(time.Minute).Unix()})), 401, "invalid_client"),
		bad("an assertion for the endpoint", ledger.asserting(claim("aud", w.issuer+"/introspect")), 401, "invalid_client"),
		bad("a client secret", setHeader("Authorization", "Basic bGVkZ2VyOnNlY3JldA=="), 401, "invalid_client"),
		bad("no token", set("token", ""), 400, "invalid_request"),
		bad("two tokens", func(f url.Values, _ http.Header) { f.Add("token", "x") }, 400, "invalid_request"),
		bad("a DPoP proof, for which it has no use", setHeader("DPoP", ledger.proof("POST", w.issuer+"/introspect", "", nil)), 400, "invalid_request"),
	)
	t.Run("refuses GET", func(t *testing.T) {
		response, _ := w.ask(t, http.MethodGet, w.issuer+"/introspect?token="+token, nil, "")
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST" {
			t.Errorf("answered %d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
		}
	})
	t.Run("refuses an assertion that was used before", func(t *testing.T) {
		assertion := ledger.clientAssertion(nil)
		again := set("client_assertion", assertion)
		wantInactive(t, ledger.introspect("unknown", again))
		wantError(t, ledger.introspect(token, again), 400, "invalid_request")
	})
	t.Run("refuses a client that is no resource server, whoever's token it asks about", func(t *testing.T) {
		own := c.tokens().text("access_token")
		wantError(t, c.introspect(own, nil), 400, "unauthorized_client")
		wantError(t, bob.introspect(own, nil), 400, "unauthorized_client")
		wantError(t, bob.introspect("unknown", nil), 400, "unauthorized_client")
	})
	inactive := func(name string, by *client, token string) {
		t.Run("refuses to tell of "+name, func(t *testing.T) { wantInactive(t, by.introspect(token, nil)) })
	}
	body := claimsIn(t, token)
	inactive("a token for another resource server", payments, token)
	inactive("a token for the authorization server only", ledger, c.tokens().text("access_token"))
	inactive("an unknown token", ledger, random())
	inactive("an ID token", ledger, issued.text("id_token"))
	inactive("a refresh token", ledger, issued.text("refresh_token"))
	inactive("a token that somebody else signed", ledger, c.signed(c.key, "at+jwt", body))
	inactive("a token with changed claims", ledger, strings.Replace(token, ".", ".e30", 1))
	inactive("a token of another issuer", ledger, w.ownSignature("PS256", "at+jwt", claims{"iss": "https://other.example", "aud": ledgerAPI, "jti": body["jti"], "exp": body["exp"]}))
	inactive("a token that was never given out", ledger, w.ownSignature("PS256", "at+jwt", claims{"iss": w.issuer, "aud": ledgerAPI, "jti": random(), "exp": body["exp"]}))
	inactive("a token whose exp is over, whatever its record says", ledger, w.ownSignature("PS256", "at+jwt", claims{"iss": w.issuer, "aud": ledgerAPI, "jti": body["jti"], "exp": w.clock.Now().Unix()}))

	w.disable("sub-alice", true)
	inactive("a disabled person's token", ledger, token)
	w.disable("sub-alice", false)
	if r := ledger.introspect(token, nil); r.body["active"] != true {
		t.Fatalf("enabled again: %d %s", r.status, r.raw)
	}
	revoked := c.tokensFor(forLedger)
	if r := c.revoke(revoked.text("access_token"), nil); r.status != http.StatusOK {
		t.Fatal(r.raw)
	}
	inactive("a revoked token", ledger, revoked.text("access_token"))
	reused := c.authorize()
	bought := c.redeem(reused, set("resource", w.issuer))
	wantError(t, c.redeem(reused, nil), 400, "invalid_grant")
	inactive("a token whose code was used twice", w.resourceServer("self", w.issuer), bought.text("access_token"))
	w.clock.Advance(5*time.Minute - time.Second)
	if r := ledger.introspect(token, nil); r.body["active"] != true {
		t.Fatalf("a second before its end: %d %s", r.status, r.raw)
	}
	w.clock.Advance(time.Second)
	inactive("an expired token", ledger, token)
}

// Covers: IN-02, MT-05, DP-10, RA-03, SP-24. A resource server is told what concerns it: the key that the token is bound
// to, and of audience, scope and details its own part. Nothing about the person beyond sub.
func TestIN02WhatIsTold(t *testing.T) {
	w, p := wholeWorld(t)
	p.is("sub-alice", byKey)
	ledger, payments := w.resourceServer("ledger", ledgerAPI), w.resourceServer("payments", paymentAPI)
	everywhere := w.resourceServer("everywhere", ledgerAPI, paymentAPI)
	c := w.register("client-1", wide)
	byCert := w.register("client-2", all(wide, byCertificate))
	alone := w.register("machine", machine)
	details := `[{"type":"account_information","actions":["list_accounts"],"locations":["` + ledgerAPI + `"]},
		{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"5.00"},"creditorName":"Baker","locations":["` + paymentAPI + `"]}]`
	forBoth := func(form url.Values, _ http.Header) {
		form["resource"] = []string{ledgerAPI, paymentAPI}
		form.Set("authorization_details", details)
	}
	token := c.tokensFor(forBoth).text("access_token")
	body := claimsIn(t, token)
	now := float64(w.clock.Now().Unix())
	forOne := func(audience any, scope string, details ...any) map[string]any {
		told := map[string]any{
			"active": true, "iss": w.issuer, "sub": "sub-alice", "aud": audience, "client_id": c.id, "jti": body["jti"],
			"iat": now, "exp": now + 300, "scope": scope, "token_type": "DPoP", "auth_time": now, "acr": byKey,
			"amr": []any{"pwd", "hwk"}, "cnf": map[string]any{"jkt": c.proofKey.Key().Thumbprint()},
		}
		if len(details) > 0 {
			told["authorization_details"] = details
		}
		return told
	}
	aboutAccounts := map[string]any{"type": "account_information", "actions": []any{"list_accounts"}, "locations": []any{ledgerAPI}}
	aboutPayment := map[string]any{
		"type": "payment_initiation", "instructedAmount": map[string]any{"currency": "EUR", "amount": "5.00"},
		"creditorName": "Baker", "locations": []any{paymentAPI},
	}
	for name, test := range inOrder(map[string]struct {
		by   *client
		want map[string]any
	}{
		"its own part of a token for two":        {ledger, forOne(ledgerAPI, "accounts", aboutAccounts)},
		"the other part for the other":           {payments, forOne(paymentAPI, "payments", aboutPayment)},
		"both for one who answers for both":      {everywhere, forOne([]any{ledgerAPI, paymentAPI}, "accounts payments", aboutAccounts, aboutPayment)},
		"no scope of the person to whom it says": {ledger, forOne(ledgerAPI, "accounts", aboutAccounts)},
	}) {
		t.Run("accepts "+name, func(t *testing.T) {
			r := test.by.introspect(token, nil)
			if r.header.Get("Cache-Control") != "no-store" || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", r.header)
			}
			if diff := cmp.Diff(test.want, r.body); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("accepts a token that is bound to a certificate", func(t *testing.T) {
		r := ledger.introspect(byCert.tokensFor(set("resource", ledgerAPI)).text("access_token"), nil)
		want := map[string]any{"x5t#S256": mtls.Thumbprint(byCert.certificate.Leaf)}
		if diff := cmp.Diff(want, r.body["cnf"]); diff != "" || r.text("token_type") != "Bearer" {
			t.Errorf("told %s", r.raw)
		}
	})
	t.Run("accepts a token of a client for itself", func(t *testing.T) {
		r := ledger.introspect(alone.clientCredentials(set("resource", ledgerAPI)).text("access_token"), nil)
		if r.text("sub") != alone.id || r.text("client_id") != alone.id || r.text("scope") != "accounts" || r.body["auth_time"] != nil {
			t.Errorf("told %s", r.raw)
		}
	})
	t.Run("refuses to tell who the person is", func(t *testing.T) {
		if r := everywhere.introspect(token, nil); strings.Contains(strings.ToLower(r.raw), "alice@") || strings.Contains(r.raw, "Alice") || r.body["username"] != nil {
			t.Errorf("told %s", r.raw)
		}
	})
}

// Covers: RV-01, RULE-34. A client ends its own tokens by an authenticated POST; it cannot touch another's; one that is not
// known is as good as revoked.
func TestRV01Revocation(t *testing.T) {
	w, _ := wholeWorld(t)
	c, other := w.register("client-1", nil), w.register("client-2", nil)
	fresh := func(kind string) func(alter change) reply {
		return func(alter change) reply { return c.revoke(c.tokens().text(kind), alter) }
	}
	for _, kind := range []string{"access_token", "refresh_token"} {
		tryAll(t, fresh(kind),
			good("its own "+kind, nil),
			good("its own "+kind+" with the right hint", set("token_type_hint", kind)),
			good("its own "+kind+" with a wrong hint", set("token_type_hint", "id_token")),
			bad("no client authentication, "+kind, unset("client_assertion"), 401, "invalid_client"),
			bad("another method of authentication, "+kind, setHeader("Authorization", "Basic Y2xpZW50LTE6eA=="), 401, "invalid_client"),
			bad("the "+kind+" twice", func(f url.Values, _ http.Header) { f.Add("token", f.Get("token")) }, 400, "invalid_request"),
		)
	}
	tryAll(t, func(alter change) reply { return c.revoke(random(), alter) },
		good("an unknown token", nil),
		good("what looks like a JWT", set("token", "a.b.c")),
		bad("no token", set("token", ""), 400, "invalid_request"),
	)
	t.Run("accepts a token that is revoked or expired already", func(t *testing.T) {
		issued := c.tokens()
		for range 2 {
			if r := c.revoke(issued.text("access_token"), nil); r.status != http.StatusOK || r.raw != "" {
				t.Fatalf("answered %d %q", r.status, r.raw)
			}
		}
		w.clock.Advance(time.Hour)
		if r := c.revoke(issued.text("access_token"), nil); r.status != http.StatusOK {
			t.Fatalf("expired: %d %q", r.status, r.raw)
		}
	})
	t.Run("refuses another client's tokens, which stay as they are", func(t *testing.T) {
		issued := c.tokens()
		wantError(t, other.revoke(issued.text("access_token"), nil), 400, "invalid_grant")
		wantError(t, other.revoke(issued.text("refresh_token"), nil), 400, "invalid_grant")
		wantActive(t, c.get("/accounts", issued.text("access_token"), nil))
		wantActive(t, c.refresh(issued.text("refresh_token"), nil))
	})
	t.Run("refuses GET", func(t *testing.T) {
		if response, _ := w.ask(t, http.MethodGet, w.issuer+"/revoke", nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
	t.Run("refuses an assertion that was used before", func(t *testing.T) {
		token := c.tokens().text("access_token")
		again := set("client_assertion", c.clientAssertion(nil))
		if r := c.revoke("unknown", again); r.status != http.StatusOK {
			t.Fatal(r.raw)
		}
		wantError(t, c.revoke(token, again), 400, "invalid_request")
		wantActive(t, c.get("/accounts", token, nil))
	})
}

// Covers: RV-02, ATTACK-53. Revoking a refresh token ends everything of its grant; an access token goes alone; an ID token
// cannot be revoked.
func TestRV02WhatEnds(t *testing.T) {
	w, p := wholeWorld(t)
	c, self := w.register("client-1", nil), w.resourceServer("self", w.issuer)
	ended := func(t *testing.T, token string) {
		t.Helper()
		wantError(t, c.get("/userinfo", token, nil), 401, "invalid_token")
		wantInactive(t, self.introspect(token, nil))
	}
	stands := func(t *testing.T, token string) {
		t.Helper()
		wantActive(t, c.get("/userinfo", token, nil))
		if r := self.introspect(token, nil); r.body["active"] != true {
			t.Fatalf("introspection: %s", r.raw)
		}
	}
	t.Run("accepts a refresh token, which takes its grant along", func(t *testing.T) {
		b := w.browser()
		issued, untouched := c.granted(b, nil), c.tokens()
		second := c.refresh(issued.text("refresh_token"), nil).text("access_token")
		stands(t, issued.text("access_token"))
		stands(t, second)
		if r := c.revoke(issued.text("refresh_token"), nil); r.status != http.StatusOK || r.raw != "" {
			t.Fatalf("answered %d %q", r.status, r.raw)
		}
		ended(t, issued.text("access_token"))
		ended(t, second)
		wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
		stands(t, untouched.text("access_token")) // another grant of the same client and person
		// What the person had allowed is forgotten with it.
		p.asked()
		c.granted(b, nil)
		if _, pages := p.asked(); pages != 1 {
			t.Errorf("the person was asked %d times after the revocation, want once", pages)
		}
	})
	t.Run("accepts an access token, which goes alone", func(t *testing.T) {
		issued := c.tokens()
		second := c.refresh(issued.text("refresh_token"), nil).text("access_token")
		if r := c.revoke(issued.text("access_token"), nil); r.status != http.StatusOK {
			t.Fatalf("answered %d %q", r.status, r.raw)
		}
		ended(t, issued.text("access_token"))
		stands(t, second)
		stands(t, c.refresh(issued.text("refresh_token"), nil).text("access_token"))
	})
	t.Run("refuses an ID token", func(t *testing.T) {
		issued := c.tokens()
		wantError(t, c.revoke(issued.text("id_token"), nil), 400, "unsupported_token_type")
		stands(t, issued.text("access_token"))
	})
}

// Covers: RV-03, ATTACK-53. Revocation takes effect at once, on every node: the clock does not move in this test.
func TestRV03AtOnce(t *testing.T) {
	var config fapiConfig
	w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { config = *c })
	config.Interactor = &person{}
	second, err := fapi.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	node := second.Handler()
	c := w.register("client-1", nil)
	elsewhere := func(token string) int {
		request := httptest.NewRequest(http.MethodGet, w.issuer+"/accounts", nil)
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", c.proof(http.MethodGet, w.issuer+"/accounts", token, nil))
		recorder := httptest.NewRecorder()
		node.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for _, kind := range []string{"access_token", "refresh_token"} {
		issued := c.tokens()
		token := issued.text("access_token")
		t.Run("accepts the token on another node until its "+kind+" is revoked", func(t *testing.T) {
			if status := elsewhere(token); status != http.StatusOK {
				t.Fatalf("answered %d", status)
			}
		})
		t.Run("refuses it on another node at once when its "+kind+" is revoked", func(t *testing.T) {
			if r := c.revoke(issued.text(kind), nil); r.status != http.StatusOK {
				t.Fatal(r.raw)
			}
			if status := elsewhere(token); status != http.StatusUnauthorized {
				t.Fatalf("answered %d", status)
			}
			wantError(t, c.get("/accounts", token, nil), 401, "invalid_token")
		})
	}
}
