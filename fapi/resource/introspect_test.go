package resource_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/mtls"
)

// Covers: IN-01, MS-09, ATTACK-41, RULE-33. Only a resource server may introspect, by an authenticated POST; of a token that is
// not active for it, it is told just that.
func TestIN01Introspection(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, ledger, payments := w.Register("client-1", fapitest.AllScopes), w.ResourceServer("ledger", fapitest.LedgerAPI), w.ResourceServer("payments", fapitest.PaymentAPI)
	bob := w.Register("client-2", fapitest.AllScopes)
	forLedger := func(form url.Values, _ http.Header) { form.Set("resource", fapitest.LedgerAPI) }
	issued := c.TokensFor(forLedger)
	token := issued.Text("access_token")
	_ = bob
	t.Run("accepts the resource server that the token is for", func(t *testing.T) {
		if r := ledger.Introspect(token, nil); r.Status != http.StatusOK || r.Body["active"] != true {
			t.Fatalf("answered %d %s", r.Status, r.Raw)
		}
	})
	t.Run("accepts a hint of either type", func(t *testing.T) {
		for _, hint := range []string{"access_token", "refresh_token", "unknown"} {
			if r := ledger.Introspect(token, fapitest.Set("token_type_hint", hint)); r.Body["active"] != true {
				t.Errorf("%s: %d %s", hint, r.Status, r.Raw)
			}
		}
	})
	t.Run("accepts one that proves itself by certificate", func(t *testing.T) {
		shown := w.Register("ledger-mtls", func(c *fapitest.Client, m map[string]any) {
			fapitest.TLSClientAuth(c, m)
			m["resource_identifiers"], m["grant_types"] = []string{fapitest.LedgerAPI}, []string{}
			for _, name := range []string{"redirect_uris", "response_types", "tls_client_certificate_bound_access_tokens", "scope"} {
				delete(m, name)
			}
		})
		if r := shown.Introspect(token, nil); r.Body["active"] != true {
			t.Fatalf("answered %d %s", r.Status, r.Raw)
		}
		if r := shown.WithCertificate(nil).Introspect(token, nil); r.Status != http.StatusUnauthorized || r.Text("error") != "invalid_client" {
			t.Fatalf("without its certificate: %d %s", r.Status, r.Raw)
		}
	})
	fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return ledger.Introspect(token, alter) },
		fapitest.Bad("no client authentication", fapitest.Unset("client_assertion"), 401, "invalid_client"),
		fapitest.Bad("another's assertion", fapitest.Set("client_assertion", c.Sign(c.Key, "", fapitest.Claims{"iss": ledger.ID, "sub": ledger.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()})), 401, "invalid_client"),
		fapitest.Bad("an assertion for the endpoint", ledger.ReplaceAssertion(fapitest.SetClaim("aud", w.Issuer+"/introspect")), 401, "invalid_client"),
		fapitest.Bad("a client secret", fapitest.SetHeader("Authorization", "Basic bGVkZ2VyOnNlY3JldA=="), 401, "invalid_client"),
		fapitest.Bad("no token", fapitest.Set("token", ""), 400, "invalid_request"),
		fapitest.Bad("two tokens", func(f url.Values, _ http.Header) { f.Add("token", "x") }, 400, "invalid_request"),
		fapitest.Bad("a DPoP proof, for which it has no use", fapitest.SetHeader("DPoP", ledger.Proof("POST", w.Issuer+"/introspect", "", nil)), 400, "invalid_request"),
	)
	t.Run("refuses GET", func(t *testing.T) {
		response, _ := w.Request(t, http.MethodGet, w.Issuer+"/introspect?token="+token, nil, "")
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST" {
			t.Errorf("answered %d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
		}
	})
	t.Run("refuses an assertion that was used before", func(t *testing.T) {
		assertion := ledger.ClientAssertion(nil)
		again := fapitest.Set("client_assertion", assertion)
		fapitest.WantInactive(t, ledger.Introspect("unknown", again))
		fapitest.WantError(t, ledger.Introspect(token, again), 401, "invalid_client")
	})
	t.Run("refuses a client that is no resource server, whoever's token it asks about", func(t *testing.T) {
		own := c.Tokens().Text("access_token")
		fapitest.WantError(t, c.Introspect(own, nil), 400, "unauthorized_client")
		fapitest.WantError(t, bob.Introspect(own, nil), 400, "unauthorized_client")
		fapitest.WantError(t, bob.Introspect("unknown", nil), 400, "unauthorized_client")
	})
	inactive := func(name string, by *fapitest.Client, token string) {
		t.Run("refuses to tell of "+name, func(t *testing.T) { fapitest.WantInactive(t, by.Introspect(token, nil)) })
	}
	body := fapitest.UnverifiedClaims(t, token)
	inactive("a token for another resource server", payments, token)
	inactive("a token for the authorization server only", ledger, c.Tokens().Text("access_token"))
	inactive("an unknown token", ledger, fapitest.RandomString())
	inactive("an ID token", ledger, issued.Text("id_token"))
	inactive("a refresh token", ledger, issued.Text("refresh_token"))
	inactive("a token that somebody else signed", ledger, c.Sign(c.Key, "at+jwt", body))
	inactive("a token with changed claims", ledger, strings.Replace(token, ".", ".e30", 1))
	inactive("a token of another issuer", ledger, w.SignAsServer("PS256", "at+jwt", fapitest.Claims{"iss": "https://other.example", "aud": fapitest.LedgerAPI, "jti": body["jti"], "exp": body["exp"]}))
	inactive("a token that was never given out", ledger, w.SignAsServer("PS256", "at+jwt", fapitest.Claims{"iss": w.Issuer, "aud": fapitest.LedgerAPI, "jti": fapitest.RandomString(), "exp": body["exp"]}))
	inactive("a token whose exp is over, whatever its record says", ledger, w.SignAsServer("PS256", "at+jwt", fapitest.Claims{"iss": w.Issuer, "aud": fapitest.LedgerAPI, "jti": body["jti"], "exp": w.Clock.Now().Unix()}))

	w.Disable("sub-alice", true)
	inactive("a disabled person's token", ledger, token)
	w.Disable("sub-alice", false)
	if r := ledger.Introspect(token, nil); r.Body["active"] != true {
		t.Fatalf("enabled again: %d %s", r.Status, r.Raw)
	}
	revoked := c.TokensFor(forLedger)
	if r := c.Revoke(revoked.Text("access_token"), nil); r.Status != http.StatusOK {
		t.Fatal(r.Raw)
	}
	inactive("a revoked token", ledger, revoked.Text("access_token"))
	reused := c.Authorize()
	first := c.Redeem(reused, fapitest.Set("resource", w.Issuer))
	fapitest.WantError(t, c.Redeem(reused, nil), 400, "invalid_grant")
	inactive("a token whose code was used twice", w.ResourceServer("self", w.Issuer), first.Text("access_token"))
	w.Clock.Advance(5*time.Minute - time.Second)
	if r := ledger.Introspect(token, nil); r.Body["active"] != true {
		t.Fatalf("a second before its end: %d %s", r.Status, r.Raw)
	}
	w.Clock.Advance(time.Second)
	inactive("an expired token", ledger, token)
}

// Covers: IN-02, MT-05, DP-10, RA-03, SP-24. A resource server is told what concerns it: the key that the token is bound
// to, and of audience, scope and details its own part. Nothing about the user beyond sub.
func TestIN02WhatIsTold(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	p.Is("sub-alice", fapitest.ACRKey)
	ledger, payments := w.ResourceServer("ledger", fapitest.LedgerAPI), w.ResourceServer("payments", fapitest.PaymentAPI)
	everywhere := w.ResourceServer("everywhere", fapitest.LedgerAPI, fapitest.PaymentAPI)
	c := w.Register("client-1", fapitest.AllScopes)
	byCert := w.Register("client-2", fapitest.All(fapitest.AllScopes, fapitest.CertificateBound))
	alone := w.Register("machine", fapitest.ClientCredentialsOnly)
	details := `[{"type":"account_information","actions":["list_accounts"],"locations":["` + fapitest.LedgerAPI + `"]},
		{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"5.00"},"creditorName":"Baker","locations":["` + fapitest.PaymentAPI + `"]}]`
	forBoth := func(form url.Values, _ http.Header) {
		form["resource"] = []string{fapitest.LedgerAPI, fapitest.PaymentAPI}
		form.Set("authorization_details", details)
	}
	token := c.TokensFor(forBoth).Text("access_token")
	body := fapitest.UnverifiedClaims(t, token)
	now := float64(w.Clock.Now().Unix())
	forOne := func(audience any, scope string, details ...any) map[string]any {
		told := map[string]any{
			"active": true, "iss": w.Issuer, "sub": "sub-alice", "aud": audience, "client_id": c.ID, "jti": body["jti"],
			"iat": now, "exp": now + 300, "scope": scope, "token_type": "DPoP", "auth_time": now, "acr": fapitest.ACRKey,
			"amr": []any{"pwd", "hwk"}, "cnf": map[string]any{"jkt": c.ProofKey.Key().Thumbprint()},
		}
		if len(details) > 0 {
			told["authorization_details"] = details
		}
		return told
	}
	aboutAccounts := map[string]any{"type": "account_information", "actions": []any{"list_accounts"}, "locations": []any{fapitest.LedgerAPI}}
	aboutPayment := map[string]any{
		"type": "payment_initiation", "instructedAmount": map[string]any{"currency": "EUR", "amount": "5.00"},
		"creditorName": "Baker", "locations": []any{fapitest.PaymentAPI},
	}
	for name, test := range fapitest.Sorted(map[string]struct {
		by   *fapitest.Client
		want map[string]any
	}{
		"its own part of a token for two":        {ledger, forOne(fapitest.LedgerAPI, "accounts", aboutAccounts)},
		"the other part for the other":           {payments, forOne(fapitest.PaymentAPI, "payments", aboutPayment)},
		"both for one who answers for both":      {everywhere, forOne([]any{fapitest.LedgerAPI, fapitest.PaymentAPI}, "accounts payments", aboutAccounts, aboutPayment)},
		"no scope of the person to whom it says": {ledger, forOne(fapitest.LedgerAPI, "accounts", aboutAccounts)},
	}) {
		t.Run("accepts "+name, func(t *testing.T) {
			r := test.by.Introspect(token, nil)
			if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("headers %v", r.Header)
			}
			if diff := cmp.Diff(test.want, r.Body); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("accepts a token that is bound to a certificate", func(t *testing.T) {
		r := ledger.Introspect(byCert.TokensFor(fapitest.Set("resource", fapitest.LedgerAPI)).Text("access_token"), nil)
		want := map[string]any{"x5t#S256": mtls.Thumbprint(byCert.Certificate.Leaf)}
		if diff := cmp.Diff(want, r.Body["cnf"]); diff != "" || r.Text("token_type") != "Bearer" {
			t.Errorf("told %s", r.Raw)
		}
	})
	t.Run("accepts a token of a client for itself", func(t *testing.T) {
		r := ledger.Introspect(alone.ClientCredentials(fapitest.Set("resource", fapitest.LedgerAPI)).Text("access_token"), nil)
		if r.Text("sub") != alone.ID || r.Text("client_id") != alone.ID || r.Text("scope") != "accounts" || r.Body["auth_time"] != nil {
			t.Errorf("told %s", r.Raw)
		}
	})
	t.Run("refuses to tell who the user is", func(t *testing.T) {
		if r := everywhere.Introspect(token, nil); strings.Contains(strings.ToLower(r.Raw), "alice@") || strings.Contains(r.Raw, "Alice") || r.Body["username"] != nil {
			t.Errorf("told %s", r.Raw)
		}
	})
}

// Covers: FD-26, MS-08, MS-09, IN-03, RULE-46. An answer of introspection that is signed for the one that asked, when it asks so.
func TestMS08SignedIntrospection(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	c, self, other := w.Register("client-1", nil), w.ResourceServer("self", w.Issuer), w.ResourceServer("other", "https://other.example")
	token := c.Tokens().Text("access_token")
	const media = "application/token-introspection+jwt"
	for name, accept := range map[string]string{
		"alone": media, "among others": "application/json;q=0.5, " + media + ";q=1.0", "beside JSON": "application/json, " + media,
		"in capitals": strings.ToUpper(media), "with a low weight": media + "; q=0.001", "with a weight in capitals": media + ";Q=0.5",
		"before a wildcard": media + ", */*;q=0.8", "beside JSON that is excluded": media + ";q=0.1, application/json;q=0, */*",
		"beside JSON of less weight than its wildcard": media + ";q=0.5, application/json;q=0.4, application/*;q=0.9, */*",
		"twice": media + ";q=0, " + media,
	} {
		t.Run("accepts the media type "+name, func(t *testing.T) {
			r := self.Introspect(token, fapitest.SetHeader("Accept", accept))
			if r.Status != http.StatusOK || r.Header.Get("Content-Type") != media || r.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answered %d %v", r.Status, r.Header)
			}
			read := w.VerifyType(t, r.Raw, "token-introspection+jwt")
			told, _ := read["token_introspection"].(map[string]any)
			if read["iss"] != w.Issuer || read["aud"] != self.ID || read["iat"] == nil || read["sub"] != nil || read["exp"] != nil {
				t.Errorf("signed %v", read)
			}
			if told["active"] != true || told["aud"] != w.Issuer || told["client_id"] != c.ID || told["cnf"] == nil {
				t.Errorf("told %v", told)
			}
		})
	}
	t.Run("refuses to tell another resource server, and signs that too", func(t *testing.T) {
		read := w.VerifyType(t, other.Introspect(token, fapitest.SetHeader("Accept", media)).Raw, "token-introspection+jwt")
		told, _ := read["token_introspection"].(map[string]any)
		if len(told) != 1 || told["active"] != false || read["aud"] != other.ID {
			t.Errorf("told %v", read)
		}
	})
	t.Run("refuses a client that is no resource server", func(t *testing.T) {
		fapitest.WantError(t, c.Introspect(token, fapitest.SetHeader("Accept", media)), 400, "unauthorized_client")
	})
	for _, accept := range []string{"application/json", "*/*", media + ";q=0", media + ";q=0.0", media + "; q=0.000", media + ";q=0.", media + ";q=00.00",
		media + `;q="0"`, media + ";q=x", media + ";q=-1", media + ";q=1e-1", media + ";q=2", media + ";q=NaN", media + ";q=",
		media + ";q=0.5, application/json", "application/json;q=0.9, " + media + ";q=0.899", media + ";q=0.5, */*", media + ";q=0.5, application/*;q=0.6",
		"application/jwt", media + "x", ""} {
		t.Run("refuses to sign for "+accept, func(t *testing.T) {
			if r := self.Introspect(token, fapitest.SetHeader("Accept", accept)); r.Header.Get("Content-Type") != "application/json" || r.Body["active"] != true {
				t.Errorf("answered %v %s", r.Header, r.Raw)
			}
		})
	}
}
