package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: DP-01, RULE-28. One proof in one header.
func TestDP01OneHeader(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	one := func(method, address, token string) string { return c.Proof(method, address, token, nil) }
	proofEverywhere(t, c, "one header", true, func(m, a, token string) []string { return []string{one(m, a, token)} })
	proofEverywhere(t, c, "two headers", false, func(m, a, token string) []string { return []string{one(m, a, token), one(m, a, token)} })
	proofEverywhere(t, c, "the same proof in two headers", false, func(m, a, token string) []string {
		proof := one(m, a, token)
		return []string{proof, proof}
	})
	proofEverywhere(t, c, "two proofs in one header", false, func(m, a, token string) []string { return []string{one(m, a, token) + ", " + one(m, a, token)} })
	proofEverywhere(t, c, "an empty header", false, func(string, string, string) []string { return []string{""} })
	proofEverywhere(t, c, "what is no JWT", false, func(string, string, string) []string { return []string{"proof"} })
	t.Run("accepts the name in any case", func(t *testing.T) {
		fapitest.Good("", nil).Check(t, c.Push(func(_ url.Values, h http.Header) {
			h["dpop"] = h["Dpop"] // http.Header would write it its own way
			delete(h, "Dpop")
		}))
	})
}

// Covers: DP-02, ATTACK-14. The key is in the proof, is public, is of an allowed kind, and made the signature.
func TestDP02KeyAndSignature(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for _, alg := range []string{"PS256", "ES256", "EdDSA"} {
		c := w.Register("client "+alg, func(c *fapitest.Client, _ map[string]any) { c.ProofKey = fapitest.NewKey(t, alg) })
		proofEverywhere(t, c, alg, true, func(m, a, token string) []string { return []string{c.Proof(m, a, token, nil)} })
	}
	c := w.Register("client-1", nil)
	other := fapitest.NewKey(t, jose.ES256)
	public := c.ProofKey.PublicJWK()
	for name, header := range map[string]map[string]any{
		"no typ":                {"alg": "ES256", "jwk": public},
		"typ JWT":               {"alg": "ES256", "typ": "JWT", "jwk": public},
		"no jwk":                {"alg": "ES256", "typ": "dpop+jwt"},
		"a kid in place of jwk": {"alg": "ES256", "typ": "dpop+jwt", "kid": c.ProofKey.ID()},
		"another's jwk":         {"alg": "ES256", "typ": "dpop+jwt", "jwk": other.PublicJWK()},
		"a private jwk":         {"alg": "ES256", "typ": "dpop+jwt", "jwk": c.ProofKey.PrivateJWK()},
		"a symmetric jwk":       {"alg": "ES256", "typ": "dpop+jwt", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}},
		"a jwk of another kind": {"alg": "ES256", "typ": "dpop+jwt", "jwk": fapitest.NewKey(t, jose.EdDSA).PublicJWK()},
		"a point off the curve": {"alg": "ES256", "typ": "dpop+jwt", "jwk": fapitest.JWKWith(t, c.ProofKey, fapitest.SetClaim("y", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAc"))},
		"a huge RSA exponent":   {"alg": "PS256", "typ": "dpop+jwt", "jwk": fapitest.JWKWith(t, fapitest.NewKey(t, jose.PS256), fapitest.SetClaim("e", strings.Repeat("_", 342)))},
		"a huge RSA modulus":    {"alg": "PS256", "typ": "dpop+jwt", "jwk": fapitest.JWKWith(t, fapitest.NewKey(t, jose.PS256), fapitest.SetClaim("n", strings.Repeat("_", 6000)))},
		"alg none":              {"alg": "none", "typ": "dpop+jwt", "jwk": public},
		"alg HS256":             {"alg": "HS256", "typ": "dpop+jwt", "jwk": public},
		"alg RS256":             {"alg": "RS256", "typ": "dpop+jwt", "jwk": fapitest.NewKey(t, jose.PS256).PublicJWK()},
		"a critical header":     {"alg": "ES256", "typ": "dpop+jwt", "jwk": public, "crit": []string{"exp"}},
		"a key address":         {"alg": "ES256", "typ": "dpop+jwt", "jwk": public, "jku": "https://attacker.example/jwks"},
	} {
		proofEverywhere(t, c, name, false, func(m, a, token string) []string {
			body := fapitest.Claims{"jti": fapitest.RandomString(), "htm": m, "htu": a, "iat": w.Clock.Now().Unix()}
			if token != "" {
				body["ath"] = fapitest.CodeChallenge(token)
			}
			return []string{fapitest.HandSigned(t, header, body, fapitest.ES256(t, c.ProofKey))}
		})
	}
}

// Covers: DP-03. The proof is for this method at this address, by its normal form.
func TestDP03Claims(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	with := func(alter func(m, a string, body fapitest.Claims)) func(m, a, token string) []string {
		return func(m, a, token string) []string {
			return []string{c.Proof(m, a, token, func(body fapitest.Claims) { alter(m, a, body) })}
		}
	}
	for name, alter := range map[string]func(m, a string, body fapitest.Claims){
		"htu with query and fragment": func(_, a string, body fapitest.Claims) { body["htu"] = a + "?a=b#c" },
		"htu with the scheme in capitals": func(_, a string, body fapitest.Claims) {
			body["htu"] = strings.Replace(a, "https:", "HTTPS:", 1)
		},
		"claims that are not known": func(_, _ string, body fapitest.Claims) { body["nonsense"] = []int{1} },
	} {
		proofEverywhere(t, c, name, true, with(alter))
	}
	for name, alter := range map[string]func(m, a string, body fapitest.Claims){
		"htu of the listener with certificates": func(_, a string, body fapitest.Claims) { body["htu"] = strings.Replace(a, w.Issuer, w.MTLSIssuer, 1) },
		"no jti":                                func(_, _ string, body fapitest.Claims) { delete(body, "jti") },
		"no htm":                                func(_, _ string, body fapitest.Claims) { delete(body, "htm") },
		"no htu":                                func(_, _ string, body fapitest.Claims) { delete(body, "htu") },
		"no iat":                                func(_, _ string, body fapitest.Claims) { delete(body, "iat") },
		"another htm":                           func(_, _ string, body fapitest.Claims) { body["htm"] = "DELETE" },
		"htm in small letters":                  func(m, _ string, body fapitest.Claims) { body["htm"] = strings.ToLower(m) },
		"another endpoint":                      func(_, a string, body fapitest.Claims) { body["htu"] = a + "x" },
		"a slash more":                          func(_, a string, body fapitest.Claims) { body["htu"] = a + "/" },
		"another host":                          func(_, a string, body fapitest.Claims) { body["htu"] = strings.Replace(a, "127.0.0.1", "127.0.0.2", 1) },
		"http":                                  func(_, a string, body fapitest.Claims) { body["htu"] = strings.Replace(a, "https:", "http:", 1) },
		"no host":                               func(_, a string, body fapitest.Claims) { body["htu"] = strings.TrimPrefix(a, w.Issuer) },
		"a jti of 300 bytes":                    func(_, _ string, body fapitest.Claims) { body["jti"] = strings.Repeat("j", 300) },
	} {
		proofEverywhere(t, c, name, false, with(alter))
	}
}

// Covers: DP-04, ATTACK-13. A proof is made for now.
func TestDP04Window(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	aged := func(offset time.Duration) func(m, a, token string) []string {
		return func(m, a, token string) []string {
			return []string{c.Proof(m, a, token, fapitest.SetClaim("iat", w.Clock.Now().Add(offset).Unix()))}
		}
	}
	for name, offset := range map[string]time.Duration{"now": 0, "10 s ago": -10 * time.Second, "10 s ahead": 10 * time.Second} {
		proofEverywhere(t, c, name, true, aged(offset))
	}
	for name, offset := range map[string]time.Duration{"an hour ago": -time.Hour, "61 s ago": -61 * time.Second, "61 s ahead": 61 * time.Second, "an hour ahead": time.Hour} {
		proofEverywhere(t, c, name, false, aged(offset))
	}
	proofEverywhere(t, c, "nbf and exp beside it, whatever they say", true, func(m, a, token string) []string {
		return []string{c.Proof(m, a, token, func(body fapitest.Claims) { body["nbf"], body["exp"] = w.Clock.Now().Add(time.Hour).Unix(), 1 })}
	})
}

// Covers: FD-20, DP-05, ATTACK-12, RULE-28. A proof works once, to the end of its window, wherever it was used first.
func TestDP05Replay(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	atPAR := func(proof string) fapitest.Reply { return c.Push(fapitest.SetHeader("DPoP", proof)) }
	atResource := func(proof string) fapitest.Reply {
		return c.Get("/accounts", token, func(h http.Header) { h.Set("DPoP", proof) })
	}
	for name, one := range map[string]struct {
		make func(func(fapitest.Claims)) string
		send func(string) fapitest.Reply
		want fapitest.Attempt
	}{
		"at PAR":        {func(alter func(fapitest.Claims)) string { return c.Proof("POST", w.Issuer+"/par", "", alter) }, atPAR, fapitest.Bad("", nil, 400, "invalid_dpop_proof")},
		"at a resource": {func(alter func(fapitest.Claims)) string { return c.Proof("GET", w.Issuer+"/accounts", token, alter) }, atResource, fapitest.Bad("", nil, 401, "invalid_dpop_proof")},
	} {
		jti := fapitest.RandomString()
		proof := one.make(fapitest.SetClaim("jti", jti))
		t.Run("accepts the first use "+name, func(t *testing.T) { fapitest.Good("", nil).Check(t, one.send(proof)) })
		t.Run("refuses the second "+name, func(t *testing.T) { one.want.Check(t, one.send(proof)) })
		t.Run("refuses the same jti, signed again "+name, func(t *testing.T) {
			one.want.Check(t, one.send(one.make(func(body fapitest.Claims) { body["jti"] = jti })))
		})
		t.Run("accepts another jti "+name, func(t *testing.T) { fapitest.Good("", nil).Check(t, one.send(one.make(nil))) })
		t.Run("accepts the same jti of another key "+name, func(t *testing.T) {
			other := w.Register("other client "+name, nil)
			fapitest.Good("", nil).Check(t, other.Push(other.ReplaceProof("/par", fapitest.SetClaim("jti", jti))))
		})
	}
	t.Run("refuses a replay at every second of the window", func(t *testing.T) {
		ahead := c.Proof("POST", w.Issuer+"/par", "", fapitest.SetClaim("iat", w.Clock.Now().Add(30*time.Second).Unix()))
		fapitest.Good("", nil).Check(t, atPAR(ahead))
		for range 20 {
			w.Clock.Advance(5 * time.Second)
			if r := atPAR(ahead); r.Status != 400 {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
		}
	})
	t.Run("refuses a proof that a refused request used up", func(t *testing.T) {
		proof := c.Proof("POST", w.Issuer+"/par", "", nil)
		fapitest.WantError(t, c.Push(fapitest.Changes(fapitest.SetHeader("DPoP", proof), fapitest.Unset("redirect_uri"))), 400, "invalid_request")
		fapitest.WantError(t, atPAR(proof), 400, "invalid_dpop_proof")
	})
}

// Covers: DP-13. The algorithms are advertised, and a client says that it uses DPoP.
func TestDP13Metadata(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	advertised, _ := w.Document()["dpop_signing_alg_values_supported"].([]any)
	if len(advertised) == 0 {
		t.Fatal("none advertised")
	}
	for _, alg := range advertised {
		t.Run("accepts "+alg.(string)+", which is advertised", func(t *testing.T) {
			c := w.Register("client "+alg.(string), func(c *fapitest.Client, _ map[string]any) { c.ProofKey = fapitest.NewKey(t, alg.(string)) })
			c.Tokens()
		})
	}
	c := w.Register("client-1", nil)
	fapitest.TryAll(t, c.Push, fapitest.Bad("what is not", func(_ url.Values, h http.Header) {
		h.Set("DPoP", fapitest.HandSigned(t, map[string]any{"alg": "ES384", "typ": "dpop+jwt", "jwk": c.ProofKey.PublicJWK()},
			fapitest.Claims{"jti": fapitest.RandomString(), "htm": "POST", "htu": w.Issuer + "/par", "iat": w.Clock.Now().Unix()}, fapitest.ES256(t, c.ProofKey)))
	}, 400, "invalid_dpop_proof"))
	fapitest.TryRegistration(t, "dpop_bound_access_tokens", fapitest.SetClaim("dpop_bound_access_tokens", true), "")
	fapitest.TryRegistration(t, "dpop_bound_access_tokens that is no boolean", fapitest.SetClaim("dpop_bound_access_tokens", "true"), "the client metadata is not correct JSON")
}

// proofEverywhere tries a proof at PAR, at the token endpoint and at a resource. make gets the method, the address and
// the access token of the request.
func proofEverywhere(t *testing.T, c *fapitest.Client, name string, accepted bool, make func(method, address, token string) []string) {
	t.Helper()
	issued := c.Tokens()
	token, refreshToken := issued.Text("access_token"), issued.Text("refresh_token")
	post := func(path string) fapitest.Change {
		return func(_ url.Values, h http.Header) { h["Dpop"] = make("POST", c.Base()+path, "") }
	}
	atPAR, atToken, atResource := fapitest.Good(name+" at PAR", post("/par")), fapitest.Good(name+" at the token endpoint", post("/token")), fapitest.Good(name+" at a resource", nil)
	if !accepted {
		atPAR, atToken = fapitest.Bad(atPAR.Name, post("/par"), 400, "invalid_dpop_proof"), fapitest.Bad(atToken.Name, post("/token"), 400, "invalid_dpop_proof")
		atResource = fapitest.Bad(atResource.Name, nil, 401, "invalid_dpop_proof")
	}
	fapitest.TryAll(t, c.Push, atPAR)
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Refresh(refreshToken, change) }, atToken)
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply {
		return c.Get("/accounts", token, func(h http.Header) { h["Dpop"] = make("GET", c.Base()+"/accounts", token) })
	}, atResource)
}
