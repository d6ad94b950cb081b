package fapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// byCertificate binds a client's tokens to its certificate, however it authenticates.
func byCertificate(c *client, m map[string]any) {
	certificate := c.w.clientCA.issue(c.w.t, c.id, c.w.clock.Now())
	c.certificate, c.dpop = &certificate, false
	delete(m, "dpop_bound_access_tokens")
	m["tls_client_certificate_bound_access_tokens"] = true
}

// Covers: SP-15, RULE-26, BC-05. No access token leaves that is not bound to a key.
func TestSP15SenderConstrained(t *testing.T) {
	w := newWorld(t)
	for name, alter := range map[string]func(*client, map[string]any){"jkt": nil, "x5t#S256": byCertificate} {
		c := w.register("client "+name, alter)
		issued := c.tokens()
		for what, token := range map[string]string{"code": issued.text("access_token"), "refresh token": c.refresh(issued.text("refresh_token"), nil).text("access_token")} {
			t.Run("accepts a "+what+" for a token with cnf "+name, func(t *testing.T) {
				_, access := w.decode(token)
				bound, _ := access["cnf"].(map[string]any)
				if text, _ := bound[name].(string); len(bound) != 1 || len(text) != 43 {
					t.Errorf("cnf %v", access["cnf"])
				}
			})
		}
	}
	c := w.register("client-1", nil)
	noProof := func(_ url.Values, h http.Header) { h.Del("DPoP") }
	tryAll(t, func(change change) reply { return c.redeem(c.opened(t, noProof).Query().Get("code"), change) },
		good("a code with a proof", nil), bad("a code without a proof", noProof, 400, "invalid_request"))
	refreshToken := c.tokens().text("refresh_token")
	tryAll(t, func(change change) reply { return c.refresh(refreshToken, change) },
		good("a refresh token with a proof", nil), bad("a refresh token without a proof", noProof, 400, "invalid_request"))
	bare := *w.register("client-2", func(c *client, m map[string]any) {
		byCertificate(c, m)
	})
	code := bare.authorize()
	bare.certificate, bare.atMTLS = nil, true
	bare.http = w.transport(&bare)
	tryAll(t, func(change change) reply { return bare.redeem(code, change) }, bad("a code without a certificate", nil, 400, "invalid_request"))
	registering(t, "one way to bind", nil, "")
	registering(t, "no way to bind", claim("dpop_bound_access_tokens", nil), "dpop_bound_access_tokens")
	registering(t, "a denied way to bind", claim("dpop_bound_access_tokens", false), "dpop_bound_access_tokens")
	registering(t, "two ways to bind", claim("tls_client_certificate_bound_access_tokens", true), "dpop_bound_access_tokens")
}

// Covers: SP-19, RULE-30, BC-06, ATTACK-11. A refresh token stays the same, and serves its own client only.
func TestSP19RefreshTokens(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("refresh_token")
	t.Run("accepts the same token again and again", func(t *testing.T) {
		seen := map[string]bool{}
		for range 5 {
			r := c.refresh(token, nil)
			if r.status != http.StatusOK || r.body["refresh_token"] != nil || seen[r.text("access_token")] {
				t.Fatalf("%d %s", r.status, r.raw)
			}
			seen[r.text("access_token")] = true
		}
	})
	send := func(change change) reply { return c.refresh(token, change) }
	tryAll(t, send, good("less scope", set("scope", "openid")), good("the same scope", set("scope", c.scope)),
		bad("more scope", set("scope", c.scope+" payments"), 400, "invalid_scope"),
		bad("other scope", set("scope", "payments"), 400, "invalid_scope"),
		bad("an invented token", set("refresh_token", random()), 400, "invalid_grant"),
		bad("a token that is changed at the end", set("refresh_token", altered(token)), 400, "invalid_grant"),
		bad("no token", set("refresh_token", ""), 400, "invalid_request"),
		bad("the token without its client", unset("client_assertion"), 401, "invalid_client"))
	stranger := w.register("client-2", nil)
	tryAll(t, func(change change) reply { return stranger.refresh(token, change) }, bad("another client", nil, 400, "invalid_grant"))
	t.Run("accepts it still from its own client", func(t *testing.T) { good("", nil).check(t, c.refresh(token, nil)) })
}

// altered is a secret with another last but one character.
func altered(secret string) string {
	replacement := byte('A')
	if secret[len(secret)-2] == replacement {
		replacement = 'B'
	}
	return secret[:len(secret)-2] + string(replacement) + secret[len(secret)-1:]
}

// Covers: SP-21, RULE-29. A code lives 60 seconds, even where more was configured.
func TestSP21CodeLifetime(t *testing.T) {
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.CodeLifetime = 10 * time.Minute })
	c := w.register("client-1", nil)
	early, late := c.authorize(), c.authorize()
	w.clock.Advance(59 * time.Second)
	tryAll(t, func(change) reply { return c.redeem(early, nil) }, good("a code after 59 seconds", nil))
	w.clock.Advance(time.Second)
	tryAll(t, func(change) reply { return c.redeem(late, nil) }, bad("a code after 60 seconds", nil, 400, "invalid_grant"))
	w.clock.Advance(9 * time.Minute)
	tryAll(t, func(change) reply { return c.redeem(late, nil) }, bad("a code after ten minutes", nil, 400, "invalid_grant"))
}

// Covers: SP-24, BC-05. What was not asked for is not granted, and what was not granted is not in the token.
func TestSP24LeastPrivilege(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	for _, scope := range []string{"openid", "accounts", "openid email"} {
		t.Run("accepts "+scope+" and grants no more", func(t *testing.T) {
			issued := c.redeem(c.opened(t, set("scope", scope)).Query().Get("code"), nil)
			if _, access := w.decode(issued.text("access_token")); access["scope"] != scope || issued.text("scope") != scope {
				t.Errorf("granted %v, said %q", access["scope"], issued.text("scope"))
			}
			if got := c.get("/accounts", issued.text("access_token"), nil); (got.status == http.StatusOK) != (scope == "accounts") {
				t.Errorf("accounts: %d", got.status)
			}
		})
	}
	tryAll(t, c.push, bad("a scope that is not registered for the client", set("scope", "payments"), 400, "invalid_scope"),
		bad("one beside others", set("scope", "openid payments"), 400, "invalid_scope"))
	modest := w.register("client-2", member("grant_types", []string{"authorization_code"}))
	t.Run("refuses a refresh token to a client that registered none", func(t *testing.T) {
		if issued := modest.tokens(); issued.body["refresh_token"] != nil {
			t.Error(issued.raw)
		}
		wantError(t, modest.refresh(random(), nil), 400, "unauthorized_client")
	})
	t.Run("refuses claims of scopes that were not granted", func(t *testing.T) {
		issued := c.redeem(c.opened(t, set("scope", "openid")).Query().Get("code"), nil)
		r := c.get("/userinfo", issued.text("access_token"), nil)
		if want := []string{"sub"}; r.status != http.StatusOK || !slices.Equal(slices.Sorted(maps.Keys(r.body)), want) {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
}

// Covers: SP-33, RULE-29, BC-04, AM-07, ATTACK-08. A code works once, for its own client and key; its second use ends what
// the first one bought.
func TestSP33CodeOnce(t *testing.T) {
	w := newWorld(t)
	c, stranger := w.register("client-1", nil), w.register("client-2", nil)
	code := c.authorize()
	issued := c.redeem(code, nil)
	works := func(t *testing.T) {
		t.Helper()
		good("", nil).check(t, c.get("/accounts", issued.text("access_token"), nil))
		good("", nil).check(t, c.refresh(issued.text("refresh_token"), nil))
	}
	t.Run("accepts the first use", func(t *testing.T) { works(t) })
	t.Run("refuses another client, which ends nothing", func(t *testing.T) {
		wantError(t, stranger.redeem(code, nil), 400, "invalid_grant")
		works(t)
	})
	t.Run("refuses the second use, and then what was bought", func(t *testing.T) {
		wantError(t, c.redeem(code, nil), 400, "invalid_grant")
		wantError(t, c.get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
		wantError(t, c.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
	otherKey := *c
	otherKey.proofKey = newKey(t, jose.ES256)
	for name, redeem := range map[string]func(string) reply{
		"in another session, with that session's verifier": func(code string) reply { return c.redeem(code, set("code_verifier", strings.Repeat("v", 43))) },
		"with another key":          func(code string) reply { return otherKey.redeem(code, nil) },
		"with another redirect_uri": func(code string) reply { return c.redeem(code, set("redirect_uri", "https://client.example/other")) },
		"without a redirect_uri":    func(code string) reply { return c.redeem(code, unset("redirect_uri")) },
		"by another client":         func(code string) reply { return stranger.redeem(code, nil) },
		"by another client in its own name": func(code string) reply {
			return stranger.redeem(code, set("client_id", stranger.id))
		},
	} {
		code := c.authorize()
		t.Run("refuses a code "+name, func(t *testing.T) { wantError(t, redeem(code), 400, "invalid_grant") })
		t.Run("accepts it afterwards as it should be, not "+name, func(t *testing.T) { good("", nil).check(t, c.redeem(code, nil)) })
	}
}

// Covers: SP-40. Who the person is, the client learns from an ID token, if it asked for openid.
func TestSP40IdentityByIDToken(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	t.Run("accepts openid with an ID token", func(t *testing.T) {
		if _, id := w.decode(c.tokens().text("id_token")); id["sub"] != "sub-alice" || id["aud"] != c.id {
			t.Errorf("%v", id)
		}
	})
	plain := c.redeem(c.opened(t, set("scope", "accounts")).Query().Get("code"), nil)
	t.Run("refuses one without openid", func(t *testing.T) {
		if plain.status != http.StatusOK || plain.body["id_token"] != nil || strings.Contains(plain.raw, "sub-alice") {
			t.Errorf("%d %s", plain.status, plain.raw)
		}
	})
	t.Run("refuses claims without openid", func(t *testing.T) {
		wantError(t, c.get("/userinfo", plain.text("access_token"), nil), 403, "insufficient_scope")
	})
}

// Covers: SP-41. The access token is in the header, once, and nowhere else.
func TestSP41TokenInHeader(t *testing.T) {
	w := newWorld(t)
	for name, alter := range map[string]func(*client, map[string]any){"DPoP": nil, "certificate": withCertificate} {
		c := w.register("client by "+name, alter)
		token := c.tokens().text("access_token")
		noHeader := func(h http.Header) { h.Del("Authorization") }
		for _, path := range []string{"/accounts", "/userinfo"} {
			t.Run("accepts the header, by "+name+" at "+path, func(t *testing.T) { good("", nil).check(t, c.get(path, token, nil)) })
			t.Run("refuses the address, by "+name+" at "+path, func(t *testing.T) {
				wantError(t, c.get(path+"?access_token="+token, token, noHeader), 400, "invalid_request")
			})
			t.Run("refuses the address beside the header, by "+name+" at "+path, func(t *testing.T) {
				wantError(t, c.get(path+"?access_token="+token, token, nil), 400, "invalid_request")
			})
			t.Run("refuses no token, by "+name+" at "+path, func(t *testing.T) {
				wantError(t, c.get(path, token, noHeader), 401, "invalid_token")
			})
			t.Run("refuses two headers, by "+name+" at "+path, func(t *testing.T) {
				wantError(t, c.get(path, token, func(h http.Header) { h.Add("Authorization", h.Get("Authorization")) }), 400, "invalid_request")
			})
		}
		t.Run("refuses the body, by "+name, func(t *testing.T) {
			r := c.post("/userinfo", url.Values{"access_token": {token}}, nil)
			wantError(t, r, 401, "invalid_token")
		})
	}
}

// Covers: SP-42, AT-03, ATTACK-53. A resource believes no token that is forged, changed, over, or revoked.
func TestSP42TokenChecked(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	code := c.authorize()
	issued := c.redeem(code, nil)
	token := issued.text("access_token")
	parts := strings.Split(token, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var body claims
	if err := json.Unmarshal(payload, &body); err != nil {
		t.Fatal(err)
	}
	body["scope"] = "openid accounts payments"
	changed, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := jose.Sign(context.Background(), newKey(t, jose.ES256).SigningKey(), "at+jwt", body)
	if err != nil {
		t.Fatal(err)
	}
	try := func(title, token, code string) {
		t.Run(title, func(t *testing.T) {
			r := c.get("/accounts", token, nil)
			if code == "" {
				good("", nil).check(t, r)
				return
			}
			wantError(t, r, 401, code)
		})
	}
	try("accepts a token of this server", token, "")
	try("refuses an ID token", issued.text("id_token"), "invalid_token")
	try("refuses a refresh token", issued.text("refresh_token"), "invalid_token")
	try("refuses changed claims", parts[0]+"."+base64.RawURLEncoding.EncodeToString(changed)+"."+parts[2], "invalid_token")
	try("refuses a stranger's signature", forged, "invalid_token")
	try("refuses half a signature", token[:len(token)-20], "invalid_token")
	try("refuses no signature", parts[0]+"."+parts[1]+".", "invalid_token")
	try("refuses what is no token", "token", "invalid_token")
	fresh := c.refresh(issued.text("refresh_token"), nil).text("access_token")
	w.clock.Advance(5*time.Minute - time.Second)
	try("accepts it a second before its end", token, "")
	w.clock.Advance(time.Second)
	try("refuses it at its end", token, "invalid_token")
	try("refuses another of the same age", fresh, "invalid_token")
	late := c.refresh(issued.text("refresh_token"), nil).text("access_token")
	try("accepts a new one", late, "")
	w.revokeGrantOf(t, late)
	try("refuses it at once when the grant is revoked", late, "invalid_token")
}

// Covers: SP-43. Errors are those of RFC 6750 §3.1, and the scheme may be written in any case.
func TestSP43Sufficiency(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	issued := c.tokens()
	token := issued.text("access_token")
	for _, scheme := range []string{"DPoP", "dpop", "DPOP", "dPoP"} {
		t.Run("accepts the scheme "+scheme, func(t *testing.T) {
			good("", nil).check(t, c.get("/accounts", token, func(h http.Header) { h.Set("Authorization", scheme+" "+token) }))
		})
	}
	mutual := w.register("client-2", withCertificate)
	bound := mutual.tokens().text("access_token")
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		t.Run("accepts the scheme "+scheme+" with a certificate", func(t *testing.T) {
			good("", nil).check(t, mutual.get("/accounts", bound, func(h http.Header) { h.Set("Authorization", scheme+" "+bound) }))
		})
	}
	narrow := c.refresh(issued.text("refresh_token"), set("scope", "openid")).text("access_token")
	t.Run("refuses too little scope with 403", func(t *testing.T) {
		r := c.get("/accounts", narrow, nil)
		wantError(t, r, 403, "insufficient_scope")
		if challenge := r.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="insufficient_scope"`) {
			t.Errorf("WWW-Authenticate %q", challenge)
		}
	})
	t.Run("refuses a bad token with 401", func(t *testing.T) {
		r := c.get("/accounts", "bad", nil)
		wantError(t, r, 401, "invalid_token")
		if challenge := r.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("WWW-Authenticate %q", challenge)
		}
	})
	t.Run("refuses no token with 401 and no error code in the challenge", func(t *testing.T) {
		r := c.get("/accounts", "", func(h http.Header) { h.Del("Authorization") })
		if challenge := r.header.Get("WWW-Authenticate"); r.status != 401 || challenge == "" || strings.Contains(challenge, "error=") {
			t.Errorf("%d, WWW-Authenticate %q", r.status, challenge)
		}
	})
	for name, value := range map[string]string{"another scheme": "Basic YTpi", "a scheme without a token": "DPoP", "a scheme and blanks": "DPoP  "} {
		t.Run("refuses "+name, func(t *testing.T) {
			if r := c.get("/accounts", token, func(h http.Header) { h.Set("Authorization", value) }); r.status != 400 && r.status != 401 || r.text("error") == "" {
				t.Errorf("%d %s", r.status, r.raw)
			}
		})
	}
}

// Covers: SP-44, AM-06, MT-06, DP-09, ATTACK-15. A token is of no use without its key.
func TestSP44SenderConstraintChecked(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("access_token")
	thief := *c
	thief.proofKey = newKey(t, jose.ES256)
	address := w.issuer + "/accounts"
	header := func(alter func(http.Header)) func(change) reply {
		return func(change) reply { return c.get("/accounts", token, alter) }
	}
	tryAll(t, header(nil), good("the key that the token is bound to", nil))
	tryAll(t, func(change) reply { return thief.get("/accounts", token, nil) }, bad("another key", nil, 401, "invalid_token"))
	tryAll(t, header(func(h http.Header) { h.Del("DPoP") }), bad("no proof", nil, 401, "invalid_dpop_proof"))
	tryAll(t, header(func(h http.Header) { h.Set("Authorization", "Bearer "+token) }), bad("the token as a bearer token with a proof", nil, 401, "invalid_token"))
	tryAll(t, header(func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }), bad("the token as a bearer token", nil, 401, "invalid_token"))
	used := c.proof("GET", address, token, nil)
	tryAll(t, header(func(h http.Header) { h.Set("DPoP", used) }), good("a new proof", nil), bad("the proof that was read on the way", nil, 401, "invalid_dpop_proof"))
	tryAll(t, header(func(h http.Header) { h.Set("DPoP", c.proof("GET", w.issuer+"/userinfo", token, nil)) }), bad("a proof for another resource", nil, 401, "invalid_dpop_proof"))
	tryAll(t, header(func(h http.Header) { h.Set("DPoP", c.proof("GET", address, "another token", nil)) }), bad("a proof for another token", nil, 401, "invalid_dpop_proof"))

	mutual := w.register("client-2", withCertificate)
	bound := mutual.tokens().text("access_token")
	other, none := *mutual, *mutual
	certificate := w.clientCA.issue(t, mutual.id, w.clock.Now())
	other.certificate = &certificate
	other.http = w.transport(&other)
	none.certificate, none.atMTLS = nil, true
	none.http = w.transport(&none)
	elsewhere := none
	elsewhere.atMTLS = false
	tryAll(t, func(change) reply { return mutual.get("/accounts", bound, nil) }, good("the certificate that the token is bound to", nil))
	for name, sender := range map[string]*client{"another certificate of the same client": &other, "no certificate": &none, "the listener without certificates": &elsewhere} {
		tryAll(t, func(change) reply { return sender.get("/accounts", bound, nil) }, bad(name, nil, 401, "invalid_token"))
	}
	tryAll(t, func(change) reply {
		return mutual.get("/accounts", bound, func(h http.Header) {
			h.Set("Authorization", "DPoP "+bound)
			h.Set("DPoP", mutual.proof("GET", w.mtls+"/accounts", bound, nil))
		})
	}, bad("a proof in place of the certificate", nil, 401, "invalid_token"))
}

// Covers: SP-53, RULE-31, DP-11, MT-08. Access tokens are short, and a client changes its keys by refreshing.
func TestSP53KeysChange(t *testing.T) {
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.AccessTokenLifetime = 24 * time.Hour })
	c := w.register("client-1", nil)
	issued := c.tokens()
	t.Run("accepts 15 minutes and no more, though a day was configured", func(t *testing.T) {
		_, access := w.decode(issued.text("access_token"))
		life := access["exp"].(float64) - access["iat"].(float64)
		if life > 900 || issued.body["expires_in"] != life {
			t.Errorf("%v seconds, expires_in %v", life, issued.body["expires_in"])
		}
	})
	for name, alter := range map[string]func(*client, map[string]any){"key": nil, "certificate": withCertificate} {
		before := w.register("client with a "+name, alter)
		bought := before.tokens()
		after := *before
		after.proofKey = newKey(t, jose.EdDSA)
		if before.certificate != nil {
			certificate := w.clientCA.issue(t, before.id, w.clock.Now())
			after.certificate = &certificate
			after.http = w.transport(&after)
		}
		fresh := after.refresh(bought.text("refresh_token"), nil)
		t.Run("accepts a refresh with a new "+name, func(t *testing.T) {
			good("", nil).check(t, fresh)
			good("", nil).check(t, after.get("/accounts", fresh.text("access_token"), nil))
		})
		t.Run("refuses the old "+name+" with the new token", func(t *testing.T) {
			wantError(t, before.get("/accounts", fresh.text("access_token"), nil), 401, "invalid_token")
		})
		t.Run("refuses the new "+name+" with the old token", func(t *testing.T) {
			wantError(t, after.get("/accounts", bought.text("access_token"), nil), 401, "invalid_token")
		})
	}
	w.clock.Advance(15 * time.Minute)
	t.Run("refuses the access token after its time", func(t *testing.T) {
		wantError(t, c.get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
	})
	t.Run("accepts the refresh token after that", func(t *testing.T) {
		good("", nil).check(t, c.refresh(issued.text("refresh_token"), nil))
	})
}
