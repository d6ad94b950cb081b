package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/mtls"
)

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
