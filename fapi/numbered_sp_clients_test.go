package fapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// Covers: SP-13. The password grant exists neither in a registration nor at the token endpoint.
func TestSP13NoPasswordGrant(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	password := func(form url.Values, _ http.Header) {
		form.Set("grant_type", "password")
		form.Set("username", "alice")
		form.Set("password", "secret")
	}
	tryAll(t, func(change change) reply { return c.redeem(c.authorize(), change) },
		good("a code", nil),
		bad("a password", password, 400, "unsupported_grant_type"))
	registering(t, "the code grant", claim("grant_types", []string{"authorization_code"}), "")
	registering(t, "the password grant", claim("grant_types", []string{"authorization_code", "password"}), "grant_types")
}

// Covers: SP-14, RULE-08. A client that does not prove itself gets nowhere.
func TestSP14ConfidentialClients(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	anonymous := func(form url.Values, _ http.Header) {
		form.Del("client_assertion")
		form.Del("client_assertion_type")
		form.Set("client_id", c.id)
	}
	for endpoint, send := range map[string]func(change) reply{
		"PAR":                            c.push,
		"the token endpoint with a code": func(change change) reply { return c.redeem(c.authorize(), change) },
		"the token endpoint with a refresh token": func(change change) reply {
			return c.refresh(c.tokens().text("refresh_token"), change)
		},
	} {
		tryAll(t, send,
			good("a client that proves itself at "+endpoint, nil),
			bad("a client that only says its name at "+endpoint, anonymous, 401, "invalid_client"))
	}
	registering(t, "a confidential client", nil, "")
	registering(t, "a public client", claim("token_endpoint_auth_method", "none"), "token_endpoint_auth_method")
}

// Covers: SP-16, RULE-09. Secrets are not registered and not accepted.
func TestSP16ClientAuthentication(t *testing.T) {
	w := newWorld(t)
	for name, alter := range map[string]func(*client, map[string]any){
		"private_key_jwt": nil, "tls_client_auth": withCertificate, "self_signed_tls_client_auth": selfSigned,
	} {
		c := w.register(name, alter)
		tryAll(t, c.push, good(name, nil),
			bad("a secret in the header beside "+name, setHeader("Authorization", "Basic Y2xpZW50OnNlY3JldA=="), 401, "invalid_client"),
			bad("a secret in the body beside "+name, set("client_secret", "secret"), 401, "invalid_client"))
	}
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "none", "attest_jwt_client_auth", "PRIVATE_KEY_JWT"} {
		registering(t, method, claim("token_endpoint_auth_method", method), "token_endpoint_auth_method")
	}
}

// Covers: SP-18, PA-10, RULE-11, ATTACK-01. Only the issuer, as one string, is an audience of a client assertion.
func TestSP18AssertionAudience(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	endpoints := map[string]func(change) reply{
		"PAR":                c.push,
		"the token endpoint": func(change change) reply { return c.redeem(c.authorize(), change) },
	}
	audiences := map[string]any{
		"an array with the issuer":                 []string{w.issuer},
		"an array with the issuer and an endpoint": []string{w.issuer, w.issuer + "/token"},
		"an array with the issuer twice":           []string{w.issuer, w.issuer},
		"an empty array":                           []string{},
		"the PAR endpoint":                         w.issuer + "/par",
		"an array with the PAR endpoint":           []string{w.issuer + "/par"},
		"the token endpoint":                       w.issuer + "/token",
		"the mTLS listener":                        w.mtls,
		"the issuer and a slash":                   w.issuer + "/",
		"the issuer in capitals":                   strings.ToUpper(w.issuer),
		"the issuer and a blank":                   w.issuer + " ",
		"the issuer over http":                     strings.Replace(w.issuer, "https:", "http:", 1),
		"another server":                           "https://attacker.example",
		"an object":                                map[string]any{"issuer": w.issuer},
		"a number":                                 1,
		"null":                                     []any{nil},
		"no audience":                              nil,
		"an empty string":                          "",
	}
	for endpoint, send := range endpoints {
		tryAll(t, send,
			good("the issuer at "+endpoint, c.asserting(claim("aud", w.issuer))),
			good("typ client-authentication+jwt at "+endpoint, func(form url.Values, _ http.Header) {
				now := w.clock.Now()
				form.Set("client_assertion", c.signed(c.key, "client-authentication+jwt", claims{
					"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": now.Add(time.Minute).Unix()}))
			}))
		for name, audience := range audiences {
			tryAll(t, send, bad(name+" at "+endpoint, c.asserting(claim("aud", audience)), 401, "invalid_client"))
		}
	}
}

// Covers: SP-23. A client's clock may be 10 seconds ahead and must not be more than 60.
func TestSP23ClocksAhead(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("access_token")
	at := func(ahead time.Duration) int64 { return w.clock.Now().Add(ahead).Unix() }
	proving := func(name string, value any) change {
		return func(_ url.Values, h http.Header) {
			h.Set("DPoP", c.proof("POST", w.issuer+"/par", "", claim(name, value)))
		}
	}
	for _, name := range []string{"iat", "nbf"} {
		tryAll(t, c.push,
			good("an assertion with "+name+" now", c.asserting(claim(name, at(0)))),
			good("an assertion with "+name+" 8 s ahead", c.asserting(claim(name, at(8*time.Second)))),
			good("an assertion with "+name+" 10 s ahead", c.asserting(claim(name, at(10*time.Second)))),
			bad("an assertion with "+name+" 61 s ahead", c.asserting(claim(name, at(61*time.Second))), 401, "invalid_client"),
			bad("an assertion with "+name+" an hour ahead", c.asserting(claim(name, at(time.Hour))), 401, "invalid_client"))
	}
	tryAll(t, c.push,
		good("a proof with iat 8 s ahead", proving("iat", at(8*time.Second))),
		good("a proof with iat 10 s ahead", proving("iat", at(10*time.Second))),
		bad("a proof with iat 61 s ahead", proving("iat", at(61*time.Second)), 400, "invalid_dpop_proof"))
	resource := func(ahead time.Duration) reply {
		return c.get("/accounts", token, func(h http.Header) {
			h.Set("DPoP", c.proof("GET", w.issuer+"/accounts", token, claim("iat", at(ahead))))
		})
	}
	t.Run("accepts a proof with iat 10 s ahead at a resource", func(t *testing.T) { good("", nil).check(t, resource(10*time.Second)) })
	t.Run("refuses a proof with iat 61 s ahead at a resource", func(t *testing.T) {
		wantError(t, resource(61*time.Second), 401, "invalid_dpop_proof")
	})
}

// algorithmAttempts are assertions with each algorithm that somebody may try.
func algorithmAttempts(t *testing.T, c *client, secret *rsa.PrivateKey) []attempt {
	t.Helper()
	now := c.w.clock.Now()
	body := func() claims {
		return claims{"iss": c.id, "sub": c.id, "aud": c.w.issuer, "jti": random(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	}
	with := func(alg string, sign func([]byte) []byte) change {
		return set("client_assertion", handSigned(t, map[string]any{"alg": alg}, body(), sign))
	}
	fixed := func(signature string) func([]byte) []byte { return func([]byte) []byte { return []byte(signature) } }
	var attempts []attempt
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K", "HS256", "HS512", "Ed448", "es256", ""} {
		attempts = append(attempts, bad("the algorithm "+alg, with(alg, rs256(t, secret)), 401, "invalid_client"))
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		attempts = append(attempts,
			bad("the algorithm "+alg, with(alg, fixed("")), 401, "invalid_client"),
			bad("the algorithm "+alg+" with a signature", with(alg, fixed("signature")), 401, "invalid_client"))
	}
	return attempts
}

// Covers: SP-46, RULE-13. PS256, ES256 and EdDSA are made, accepted and advertised, and nothing else.
func TestSP46Algorithms(t *testing.T) {
	w := newWorld(t)
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"PS256", "ES256", "EdDSA"}
	for _, alg := range allowed {
		c := w.register("client-"+alg, func(c *client, m map[string]any) {
			c.key = newKey(t, alg)
			m["jwks"], m["id_token_signed_response_alg"] = keySet(c.key.PublicJWK()), alg
		})
		t.Run("accepts "+alg+" in both directions", func(t *testing.T) {
			header, _ := w.decode(c.tokens().text("id_token"))
			if header.Algorithm != alg {
				t.Errorf("the ID token is signed with %s", header.Algorithm)
			}
		})
		registering(t, "assertions registered for "+alg, claim("token_endpoint_auth_signing_alg", alg), "")
	}
	c := w.register("client-1", func(c *client, m map[string]any) {
		public, err := jose.NewKey("rsa", jose.PS256, secret.Public())
		if err != nil {
			t.Fatal(err)
		}
		m["jwks"] = jose.NewKeySet(c.key.Key(), public)
	})
	tryAll(t, c.push, algorithmAttempts(t, c, secret)...)
	for _, alg := range []string{"RS256", "ES384", "HS256", "none"} {
		registering(t, "assertions registered for "+alg, claim("token_endpoint_auth_signing_alg", alg), "token_endpoint_auth_signing_alg")
		registering(t, "ID tokens registered for "+alg, claim("id_token_signed_response_alg", alg), "id_token_signed_response_alg")
	}
	narrow := w.register("client-narrow", member("token_endpoint_auth_signing_alg", "PS256"))
	tryAll(t, narrow.push, bad("another algorithm than the registered one", nil, 401, "invalid_client"))
	t.Run("accepts and advertises the same", func(t *testing.T) {
		for name, value := range w.document() {
			if !strings.HasSuffix(name, "_alg_values_supported") || strings.HasSuffix(name, "_encryption_alg_values_supported") {
				continue
			}
			for _, alg := range value.([]any) {
				if alg != "PS256" && alg != "ES256" && alg != "EdDSA" {
					t.Errorf("%s advertises %v", name, alg)
				}
			}
		}
	})
}

// Covers: SP-47. Nothing unsigned is believed: no assertion, no proof, no access token.
func TestSP47AlgNone(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("access_token")
	unsigned := func(signed string, header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + strings.Split(signed, ".")[1] + "."
	}
	jwk := string(c.proofKey.PublicJWK())
	tryAll(t, c.push,
		good("what is signed", nil),
		bad("an unsigned assertion", func(form url.Values, _ http.Header) {
			form.Set("client_assertion", unsigned(form.Get("client_assertion"), `{"alg":"none"}`))
		}, 401, "invalid_client"),
		bad("an unsigned proof", func(_ url.Values, h http.Header) {
			h.Set("DPoP", unsigned(h.Get("DPoP"), `{"alg":"none","typ":"dpop+jwt","jwk":`+jwk+`}`))
		}, 400, "invalid_dpop_proof"))
	t.Run("accepts a signed access token", func(t *testing.T) { good("", nil).check(t, c.get("/accounts", token, nil)) })
	t.Run("refuses an unsigned access token", func(t *testing.T) {
		wantError(t, c.get("/accounts", unsigned(token, `{"alg":"none","typ":"at+jwt"}`), nil), 401, "invalid_token")
	})
}

// Covers: SP-48. Keys are strong: our own, and the clients' at registration.
func TestSP48KeySizes(t *testing.T) {
	rsaJWK := func(bits int) map[string]any {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": "AQAB"}
	}
	keys := func(list ...map[string]any) func(map[string]any) { return claim("jwks", map[string]any{"keys": list}) }
	registering(t, "RSA with 2048 bits", keys(rsaJWK(2048)), "")
	registering(t, "RSA with 3072 bits", keys(rsaJWK(3072)), "")
	registering(t, "RSA with 1024 bits", keys(rsaJWK(1024)), "jwks")
	registering(t, "RSA with 2040 bits", keys(rsaJWK(2040)), "jwks")
	registering(t, "a weak key beside a strong one", keys(rsaJWK(2048), rsaJWK(1024)), "jwks")
	registering(t, "P-192", keys(map[string]any{"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA"}), "jwks")
	registering(t, "a symmetric key", keys(map[string]any{"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAA"}), "jwks")
	t.Run("accepts no weak key among our own", func(t *testing.T) {
		w := newWorld(t)
		_, body, _ := w.browser().visit(w.issuer + "/jwks")
		set, err := jose.ParseKeySet([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range set.Keys() {
			if public, ok := key.Public.(*rsa.PublicKey); ok && public.N.BitLen() < 2048 {
				t.Errorf("a key of %d bits is published", public.N.BitLen())
			}
		}
		if len(set.Keys()) != 3 {
			t.Errorf("%d keys are published", len(set.Keys()))
		}
	})
}

// Covers: SP-50, ATTACK-20. Keys come from the registration: what a JWT's own header names is not used.
func TestSP50KeysInHeaders(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	attacker := newKey(t, jose.ES256)
	now := w.clock.Now()
	signing := func(key jose.PrivateKey, header map[string]any) change {
		header["alg"] = "ES256"
		return set("client_assertion", handSigned(t, header, claims{
			"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": now.Add(time.Minute).Unix()}, es256(t, key)))
	}
	tryAll(t, c.push, good("a registered key", signing(c.key, map[string]any{"kid": c.key.ID()})),
		bad("a key that is not registered", signing(attacker, map[string]any{}), 401, "invalid_client"),
		bad("its kid under another key", signing(attacker, map[string]any{"kid": c.key.ID()}), 401, "invalid_client"))
	for name, value := range map[string]any{
		"jku": "https://attacker.example/jwks", "x5u": "https://attacker.example/certificate", "jwk": attacker.PublicJWK(),
		"x5c": []string{"AAAA"}, "crit": []string{"exp"}, "b64": false, "zip": "DEF",
	} {
		tryAll(t, c.push,
			bad("the header "+name+" with the attacker's key", signing(attacker, map[string]any{name: value}), 401, "invalid_client"),
			bad("the header "+name+" with the registered key", signing(c.key, map[string]any{name: value}), 401, "invalid_client"))
	}
	t.Run("accepts our own key set: https, no kid twice, nothing private", func(t *testing.T) {
		address := w.document()["jwks_uri"].(string)
		if !strings.HasPrefix(address, "https://") {
			t.Errorf("jwks_uri %s", address)
		}
		_, body, _ := w.browser().visit(address)
		set, err := jose.ParseKeySet([]byte(body)) // which refuses private members
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, key := range set.Keys() {
			if seen[key.ID] || key.ID == "" {
				t.Errorf("kid %q", key.ID)
			}
			seen[key.ID] = true
		}
		for _, name := range []string{"x5u", "jku", `"d"`} {
			if strings.Contains(body, name) {
				t.Errorf("the key set holds %s", name)
			}
		}
	})
}

// Covers: SP-51, F1-17, ATTACK-21. Of keys with the same kid the one of the right kind is found; a kid is never more than a
// name.
func TestSP51KeysWithTheSameID(t *testing.T) {
	w := newWorld(t)
	own, other, signing := newKey(t, jose.ES256), newKey(t, jose.PS256), newKey(t, jose.ES256)
	named := func(key jose.PrivateKey, alter func(map[string]any)) []byte {
		return jwkWith(t, key, func(m map[string]any) {
			m["kid"] = "same"
			if alter != nil {
				alter(m)
			}
		})
	}
	register := func(id string, keys ...[]byte) *client {
		return w.register(id, func(c *client, m map[string]any) { m["jwks"] = keySet(keys...) })
	}
	signed := func(c *client, key jose.PrivateKey, kid any) change {
		now := w.clock.Now()
		return set("client_assertion", handSigned(t, map[string]any{"alg": "ES256", "kid": kid}, claims{
			"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": now.Add(time.Minute).Unix()}, es256(t, key)))
	}
	kinds := register("kinds", named(other, nil), named(own, nil))
	uses := register("uses", named(signing, claim("use", "enc")), named(own, nil))
	same := register("same", named(signing, nil), named(own, nil))
	tryAll(t, kinds.push, good("the key of the right kind", signed(kinds, own, "same")),
		bad("a stranger's key under that kid", signed(kinds, signing, "same"), 401, "invalid_client"))
	tryAll(t, uses.push, good("the key that is for signatures", signed(uses, own, "same")),
		bad("the key that is for encryption", signed(uses, signing, "same"), 401, "invalid_client"))
	tryAll(t, same.push, good("either of two of the same kind", signed(same, own, "same")), good("or the other", signed(same, signing, "same")))
	for name, kid := range map[string]any{
		"of a path": "../../../../etc/passwd", "of SQL": "same' OR '1'='1", "of LDAP": "*)(kid=*", "with a line break": "same\n", "with a NUL": "same\x00",
		"of 64 KiB": strings.Repeat("k", 5000), "in capitals": "SAME", "as a number": 1, "as an array": []string{"same"},
	} {
		tryAll(t, kinds.push, bad("a kid "+name, signed(kinds, own, kid), 401, "invalid_client"))
	}
}
