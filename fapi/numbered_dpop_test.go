package fapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// proving replaces the proof of a push by one with changed claims.
func (c *client) proving(path string, alter func(claims)) change {
	return func(_ url.Values, h http.Header) { h.Set("DPoP", c.proof("POST", c.base()+path, "", alter)) }
}

// proofEverywhere tries a proof at PAR, at the token endpoint and at a resource. make gets the method, the address and
// the access token of the request.
func (c *client) proofEverywhere(t *testing.T, name string, accepted bool, make func(method, address, token string) []string) {
	t.Helper()
	issued := c.tokens()
	token, refreshToken := issued.text("access_token"), issued.text("refresh_token")
	post := func(path string) change {
		return func(_ url.Values, h http.Header) { h["Dpop"] = make("POST", c.base()+path, "") }
	}
	atPAR, atToken, atResource := good(name+" at PAR", post("/par")), good(name+" at the token endpoint", post("/token")), good(name+" at a resource", nil)
	if !accepted {
		atPAR, atToken = bad(atPAR.name, post("/par"), 400, "invalid_dpop_proof"), bad(atToken.name, post("/token"), 400, "invalid_dpop_proof")
		atResource = bad(atResource.name, nil, 401, "invalid_dpop_proof")
	}
	tryAll(t, c.push, atPAR)
	tryAll(t, func(change change) reply { return c.refresh(refreshToken, change) }, atToken)
	tryAll(t, func(change) reply {
		return c.get("/accounts", token, func(h http.Header) { h["Dpop"] = make("GET", c.base()+"/accounts", token) })
	}, atResource)
}

// Covers: DP-01, RULE-28. One proof in one header.
func TestDP01OneHeader(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	one := func(method, address, token string) string { return c.proof(method, address, token, nil) }
	c.proofEverywhere(t, "one header", true, func(m, a, token string) []string { return []string{one(m, a, token)} })
	c.proofEverywhere(t, "two headers", false, func(m, a, token string) []string { return []string{one(m, a, token), one(m, a, token)} })
	c.proofEverywhere(t, "the same proof in two headers", false, func(m, a, token string) []string {
		proof := one(m, a, token)
		return []string{proof, proof}
	})
	c.proofEverywhere(t, "two proofs in one header", false, func(m, a, token string) []string { return []string{one(m, a, token) + ", " + one(m, a, token)} })
	c.proofEverywhere(t, "an empty header", false, func(string, string, string) []string { return []string{""} })
	c.proofEverywhere(t, "what is no JWT", false, func(string, string, string) []string { return []string{"proof"} })
	t.Run("accepts the name in any case", func(t *testing.T) {
		good("", nil).check(t, c.push(func(_ url.Values, h http.Header) {
			h["dpop"] = h["Dpop"] // http.Header would write it its own way
			delete(h, "Dpop")
		}))
	})
}

// Covers: DP-02, ATTACK-14. The key is in the proof, is public, is of an allowed kind, and made the signature.
func TestDP02KeyAndSignature(t *testing.T) {
	w := newWorld(t)
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		c := w.register("client "+alg, func(c *client, _ map[string]any) { c.proofKey = newKey(t, alg) })
		c.proofEverywhere(t, alg, true, func(m, a, token string) []string { return []string{c.proof(m, a, token, nil)} })
	}
	c := w.register("client-1", nil)
	other := newKey(t, jose.ES256)
	public := c.proofKey.PublicJWK()
	for name, header := range map[string]map[string]any{
		"no typ":                {"alg": "ES256", "jwk": public},
		"typ JWT":               {"alg": "ES256", "typ": "JWT", "jwk": public},
		"no jwk":                {"alg": "ES256", "typ": "dpop+jwt"},
		"a kid in place of jwk": {"alg": "ES256", "typ": "dpop+jwt", "kid": c.proofKey.ID()},
		"another's jwk":         {"alg": "ES256", "typ": "dpop+jwt", "jwk": other.PublicJWK()},
		"a private jwk":         {"alg": "ES256", "typ": "dpop+jwt", "jwk": c.proofKey.PrivateJWK()},
		"a symmetric jwk":       {"alg": "ES256", "typ": "dpop+jwt", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}},
		"a jwk of another kind": {"alg": "ES256", "typ": "dpop+jwt", "jwk": newKey(t, jose.EdDSA).PublicJWK()},
		"a point off the curve": {"alg": "ES256", "typ": "dpop+jwt", "jwk": jwkWith(t, c.proofKey, claim("y", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAc"))},
		"a huge RSA exponent":   {"alg": "PS256", "typ": "dpop+jwt", "jwk": jwkWith(t, newKey(t, jose.PS256), claim("e", strings.Repeat("_", 342)))},
		"a huge RSA modulus":    {"alg": "PS256", "typ": "dpop+jwt", "jwk": jwkWith(t, newKey(t, jose.PS256), claim("n", strings.Repeat("_", 6000)))},
		"alg none":              {"alg": "none", "typ": "dpop+jwt", "jwk": public},
		"alg HS256":             {"alg": "HS256", "typ": "dpop+jwt", "jwk": public},
		"alg RS256":             {"alg": "RS256", "typ": "dpop+jwt", "jwk": newKey(t, jose.PS256).PublicJWK()},
		"a critical header":     {"alg": "ES256", "typ": "dpop+jwt", "jwk": public, "crit": []string{"exp"}},
		"a key address":         {"alg": "ES256", "typ": "dpop+jwt", "jwk": public, "jku": "https://attacker.example/jwks"},
	} {
		c.proofEverywhere(t, name, false, func(m, a, token string) []string {
			body := claims{"jti": random(), "htm": m, "htu": a, "iat": w.clock.Now().Unix()}
			if token != "" {
				body["ath"] = challenge(token)
			}
			return []string{handSigned(t, header, body, es256(t, c.proofKey))}
		})
	}
}

// Covers: DP-03. The proof is for this method at this address, by its normal form.
func TestDP03Claims(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	with := func(alter func(m, a string, body claims)) func(m, a, token string) []string {
		return func(m, a, token string) []string {
			return []string{c.proof(m, a, token, func(body claims) { alter(m, a, body) })}
		}
	}
	for name, alter := range map[string]func(m, a string, body claims){
		"htu with query and fragment": func(_, a string, body claims) { body["htu"] = a + "?a=b#c" },
		"htu with the scheme in capitals": func(_, a string, body claims) {
			body["htu"] = strings.Replace(a, "https:", "HTTPS:", 1)
		},
		"htu of the listener with certificates": func(_, a string, body claims) { body["htu"] = strings.Replace(a, w.issuer, w.mtls, 1) },
		"claims that are not known":             func(_, _ string, body claims) { body["nonsense"] = []int{1} },
	} {
		c.proofEverywhere(t, name, true, with(alter))
	}
	for name, alter := range map[string]func(m, a string, body claims){
		"no jti":               func(_, _ string, body claims) { delete(body, "jti") },
		"no htm":               func(_, _ string, body claims) { delete(body, "htm") },
		"no htu":               func(_, _ string, body claims) { delete(body, "htu") },
		"no iat":               func(_, _ string, body claims) { delete(body, "iat") },
		"another htm":          func(_, _ string, body claims) { body["htm"] = "DELETE" },
		"htm in small letters": func(m, _ string, body claims) { body["htm"] = strings.ToLower(m) },
		"another endpoint":     func(_, a string, body claims) { body["htu"] = a + "x" },
		"a slash more":         func(_, a string, body claims) { body["htu"] = a + "/" },
		"another host":         func(_, a string, body claims) { body["htu"] = strings.Replace(a, "127.0.0.1", "127.0.0.2", 1) },
		"http":                 func(_, a string, body claims) { body["htu"] = strings.Replace(a, "https:", "http:", 1) },
		"no host":              func(_, a string, body claims) { body["htu"] = strings.TrimPrefix(a, w.issuer) },
		"a jti of 300 bytes":   func(_, _ string, body claims) { body["jti"] = strings.Repeat("j", 300) },
	} {
		c.proofEverywhere(t, name, false, with(alter))
	}
}

// Covers: DP-04, ATTACK-13. A proof is made for now.
func TestDP04Window(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	aged := func(offset time.Duration) func(m, a, token string) []string {
		return func(m, a, token string) []string {
			return []string{c.proof(m, a, token, claim("iat", w.clock.Now().Add(offset).Unix()))}
		}
	}
	for name, offset := range map[string]time.Duration{"now": 0, "10 s ago": -10 * time.Second, "10 s ahead": 10 * time.Second} {
		c.proofEverywhere(t, name, true, aged(offset))
	}
	for name, offset := range map[string]time.Duration{"an hour ago": -time.Hour, "61 s ago": -61 * time.Second, "61 s ahead": 61 * time.Second, "an hour ahead": time.Hour} {
		c.proofEverywhere(t, name, false, aged(offset))
	}
	c.proofEverywhere(t, "nbf and exp beside it, whatever they say", true, func(m, a, token string) []string {
		return []string{c.proof(m, a, token, func(body claims) { body["nbf"], body["exp"] = w.clock.Now().Add(time.Hour).Unix(), 1 })}
	})
}

// Covers: DP-05, ATTACK-12, RULE-28. A proof works once, to the end of its window, wherever it was used first.
func TestDP05Replay(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("access_token")
	atPAR := func(proof string) reply { return c.push(setHeader("DPoP", proof)) }
	atResource := func(proof string) reply {
		return c.get("/accounts", token, func(h http.Header) { h.Set("DPoP", proof) })
	}
	for name, one := range map[string]struct {
		make func(func(claims)) string
		send func(string) reply
		want attempt
	}{
		"at PAR":        {func(alter func(claims)) string { return c.proof("POST", w.issuer+"/par", "", alter) }, atPAR, bad("", nil, 400, "invalid_request")},
		"at a resource": {func(alter func(claims)) string { return c.proof("GET", w.issuer+"/accounts", token, alter) }, atResource, bad("", nil, 401, "invalid_dpop_proof")},
	} {
		jti := random()
		proof := one.make(claim("jti", jti))
		t.Run("accepts the first use "+name, func(t *testing.T) { good("", nil).check(t, one.send(proof)) })
		t.Run("refuses the second "+name, func(t *testing.T) { one.want.check(t, one.send(proof)) })
		t.Run("refuses the same jti, signed again "+name, func(t *testing.T) {
			one.want.check(t, one.send(one.make(func(body claims) { body["jti"] = jti })))
		})
		t.Run("accepts another jti "+name, func(t *testing.T) { good("", nil).check(t, one.send(one.make(nil))) })
		t.Run("accepts the same jti of another key "+name, func(t *testing.T) {
			other := w.register("other client "+name, nil)
			good("", nil).check(t, other.push(other.proving("/par", claim("jti", jti))))
		})
	}
	t.Run("refuses a replay at every second of the window", func(t *testing.T) {
		ahead := c.proof("POST", w.issuer+"/par", "", claim("iat", w.clock.Now().Add(30*time.Second).Unix()))
		good("", nil).check(t, atPAR(ahead))
		for range 20 {
			w.clock.Advance(5 * time.Second)
			if r := atPAR(ahead); r.status != 400 {
				t.Fatalf("%d %s", r.status, r.raw)
			}
		}
	})
	t.Run("refuses a proof that a refused request used up", func(t *testing.T) {
		proof := c.proof("POST", w.issuer+"/par", "", nil)
		wantError(t, c.push(both(setHeader("DPoP", proof), unset("redirect_uri"))), 400, "invalid_request")
		wantError(t, atPAR(proof), 400, "invalid_request")
	})
}

// Covers: DP-09, DP-14. At a resource the proof is for this token, and the challenge says what is wanted.
func TestDP09Resource(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("access_token")
	address := w.issuer + "/accounts"
	get := func(alter func(http.Header)) func(change) reply {
		return func(change) reply { return c.get("/accounts", token, alter) }
	}
	proof := func(alter func(claims)) func(http.Header) {
		return func(h http.Header) { h.Set("DPoP", c.proof("GET", address, token, alter)) }
	}
	tryAll(t, get(nil), good("the token with its proof", nil))
	for name, one := range map[string]struct {
		alter func(http.Header)
		code  string
	}{
		"no ath":                  {proof(claim("ath", nil)), "invalid_dpop_proof"},
		"ath of another token":    {proof(claim("ath", challenge("other"))), "invalid_dpop_proof"},
		"ath with padding":        {proof(claim("ath", challenge(token)+"=")), "invalid_dpop_proof"},
		"the token itself as ath": {proof(claim("ath", token)), "invalid_dpop_proof"},
		"the scheme Bearer":       {func(h http.Header) { h.Set("Authorization", "Bearer "+token) }, "invalid_token"},
		"no proof":                {func(h http.Header) { h.Del("DPoP") }, "invalid_dpop_proof"},
		"no token":                {func(h http.Header) { h.Del("Authorization") }, "invalid_token"},
	} {
		t.Run("refuses "+name+" and names the algorithms", func(t *testing.T) {
			r := get(one.alter)(nil)
			wantError(t, r, 401, one.code)
			if challenge := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `DPoP algs="PS256 ES256 EdDSA"`) {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
}

// Covers: DP-10. The token response and the token say that it is bound, and to which key.
func TestDP10TokenType(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	issued := c.tokens()
	for name, r := range map[string]reply{"a code": issued, "a refresh token": c.refresh(issued.text("refresh_token"), nil)} {
		t.Run("accepts "+name+" for token_type DPoP and cnf jkt", func(t *testing.T) {
			_, access := w.decode(r.text("access_token"))
			bound, _ := access["cnf"].(map[string]any)
			if r.text("token_type") != "DPoP" || bound["jkt"] != c.proofKey.Key().Thumbprint() {
				t.Errorf("token_type %s, cnf %v", r.text("token_type"), access["cnf"])
			}
		})
	}
	mutual := w.register("client-2", withCertificate)
	t.Run("refuses that type to a token that is bound to a certificate", func(t *testing.T) {
		if issued := mutual.tokens(); issued.text("token_type") != "Bearer" {
			t.Errorf("token_type %s", issued.text("token_type"))
		}
	})
	tryAll(t, mutual.push, bad("a proof of a client that registered a certificate", func(_ url.Values, h http.Header) {
		h.Set("DPoP", mutual.proof("POST", w.mtls+"/par", "", nil))
	}, 400, "invalid_request"))
}

// Covers: DP-12. A token request without a proof is an invalid request; one with a bad proof says so.
func TestDP12NoProof(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	noProof := func(_ url.Values, h http.Header) { h.Del("DPoP") }
	tryAll(t, func(change change) reply { return c.redeem(c.authorize(), change) },
		good("a proof", nil), bad("no proof with a code", noProof, 400, "invalid_request"),
		bad("a bad proof with a code", setHeader("DPoP", "a.b.c"), 400, "invalid_dpop_proof"))
	refreshToken := c.tokens().text("refresh_token")
	tryAll(t, func(change change) reply { return c.refresh(refreshToken, change) },
		good("a proof with a refresh token", nil), bad("no proof with a refresh token", noProof, 400, "invalid_request"),
		bad("a bad proof with a refresh token", setHeader("DPoP", "a.b.c"), 400, "invalid_dpop_proof"))
	tryAll(t, c.push, good("no proof at PAR", noProof))
}

// Covers: DP-13. The algorithms are advertised, and a client says that it uses DPoP.
func TestDP13Metadata(t *testing.T) {
	w := newWorld(t)
	advertised, _ := w.document()["dpop_signing_alg_values_supported"].([]any)
	if len(advertised) == 0 {
		t.Fatal("none advertised")
	}
	for _, alg := range advertised {
		t.Run("accepts "+alg.(string)+", which is advertised", func(t *testing.T) {
			c := w.register("client "+alg.(string), func(c *client, _ map[string]any) { c.proofKey = newKey(t, alg.(string)) })
			c.tokens()
		})
	}
	c := w.register("client-1", nil)
	tryAll(t, c.push, bad("what is not", func(_ url.Values, h http.Header) {
		h.Set("DPoP", handSigned(t, map[string]any{"alg": "ES384", "typ": "dpop+jwt", "jwk": c.proofKey.PublicJWK()},
			claims{"jti": random(), "htm": "POST", "htu": w.issuer + "/par", "iat": w.clock.Now().Unix()}, es256(t, c.proofKey)))
	}, 400, "invalid_dpop_proof"))
	registering(t, "dpop_bound_access_tokens", claim("dpop_bound_access_tokens", true), "")
	registering(t, "dpop_bound_access_tokens that is no boolean", claim("dpop_bound_access_tokens", "true"), "the client metadata is not correct JSON")
}
