package endpoint_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// algorithmAttempts are assertions with each algorithm that somebody may try.
func algorithmAttempts(t *testing.T, c *fapitest.Client, secret *rsa.PrivateKey) []fapitest.Attempt {
	t.Helper()
	now := c.World.Clock.Now()
	body := func() fapitest.Claims {
		return fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": c.World.Issuer, "jti": fapitest.RandomString(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	}
	with := func(alg string, sign func([]byte) []byte) fapitest.Change {
		return fapitest.Set("client_assertion", fapitest.HandSigned(t, map[string]any{"alg": alg}, body(), sign))
	}
	fixed := func(signature string) func([]byte) []byte { return func([]byte) []byte { return []byte(signature) } }
	var attempts []fapitest.Attempt
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K", "HS256", "HS512", "Ed448", "es256", ""} {
		attempts = append(attempts, fapitest.Bad("the algorithm "+alg, with(alg, rs256(t, secret)), 401, "invalid_client"))
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		attempts = append(attempts,
			fapitest.Bad("the algorithm "+alg, with(alg, fixed("")), 401, "invalid_client"),
			fapitest.Bad("the algorithm "+alg+" with a signature", with(alg, fixed("signature")), 401, "invalid_client"))
	}
	return attempts
}

// Covers: SP-46, RULE-13. PS256, ES256 and EdDSA are made, accepted and advertised, and nothing else.
func TestSP46Algorithms(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	secret, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"PS256", "ES256", "EdDSA"}
	for _, alg := range allowed {
		c := w.Register("client-"+alg, func(c *fapitest.Client, m map[string]any) {
			c.Key = fapitest.NewKey(t, alg)
			m["jwks"], m["id_token_signed_response_alg"] = fapitest.KeySet(c.Key.PublicJWK()), alg
		})
		t.Run("accepts "+alg+" in both directions", func(t *testing.T) {
			header, _ := w.Verify(c.Tokens().Text("id_token"))
			if header.Algorithm != alg {
				t.Errorf("the ID token is signed with %s", header.Algorithm)
			}
		})
		fapitest.TryRegistration(t, "assertions registered for "+alg, fapitest.SetClaim("token_endpoint_auth_signing_alg", alg), "")
	}
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		public, err := jose.NewKey("rsa", jose.PS256, secret.Public())
		if err != nil {
			t.Fatal(err)
		}
		m["jwks"] = jose.NewKeySet(c.Key.Key(), public)
	})
	fapitest.TryAll(t, c.Push, algorithmAttempts(t, c, secret)...)
	for _, alg := range []string{"RS256", "ES384", "HS256", "none"} {
		fapitest.TryRegistration(t, "assertions registered for "+alg, fapitest.SetClaim("token_endpoint_auth_signing_alg", alg), "token_endpoint_auth_signing_alg")
		fapitest.TryRegistration(t, "ID tokens registered for "+alg, fapitest.SetClaim("id_token_signed_response_alg", alg), "id_token_signed_response_alg")
	}
	narrow := w.Register("client-narrow", fapitest.SetMember("token_endpoint_auth_signing_alg", "PS256"))
	fapitest.TryAll(t, narrow.Push, fapitest.Bad("another algorithm than the registered one", nil, 401, "invalid_client"))
	t.Run("accepts and advertises the same", func(t *testing.T) {
		for name, value := range w.Document() {
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	unsigned := func(signed string, header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + strings.Split(signed, ".")[1] + "."
	}
	jwk := string(c.ProofKey.PublicJWK())
	fapitest.TryAll(t, c.Push,
		fapitest.Good("what is signed", nil),
		fapitest.Bad("an unsigned assertion", func(form url.Values, _ http.Header) {
			form.Set("client_assertion", unsigned(form.Get("client_assertion"), `{"alg":"none"}`))
		}, 401, "invalid_client"),
		fapitest.Bad("an unsigned proof", func(_ url.Values, h http.Header) {
			h.Set("DPoP", unsigned(h.Get("DPoP"), `{"alg":"none","typ":"dpop+jwt","jwk":`+jwk+`}`))
		}, 400, "invalid_dpop_proof"))
	t.Run("accepts a signed access token", func(t *testing.T) { fapitest.Good("", nil).Check(t, c.Get("/accounts", token, nil)) })
	t.Run("refuses an unsigned access token", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/accounts", unsigned(token, `{"alg":"none","typ":"at+jwt"}`), nil), 401, "invalid_token")
	})
}

// Covers: SP-48. Keys are strong: our own, and the clients' at registration.
func TestSP48KeySizes(t *testing.T) {
	t.Parallel()
	rsaJWK := func(bits int) map[string]any {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": "AQAB"}
	}
	keys := func(list ...map[string]any) func(map[string]any) {
		return fapitest.SetClaim("jwks", map[string]any{"keys": list})
	}
	fapitest.TryRegistration(t, "RSA with 2048 bits", keys(rsaJWK(2048)), "")
	fapitest.TryRegistration(t, "RSA with 3072 bits", keys(rsaJWK(3072)), "")
	fapitest.TryRegistration(t, "RSA with 1024 bits", keys(rsaJWK(1024)), "jwks")
	fapitest.TryRegistration(t, "RSA with 2040 bits", keys(rsaJWK(2040)), "jwks")
	fapitest.TryRegistration(t, "a weak key beside a strong one, which alone is used", keys(rsaJWK(2048), rsaJWK(1024)), "")
	fapitest.TryRegistration(t, "P-192", keys(map[string]any{"kty": "EC", "crv": "P-192", "x": "AA", "y": "AA"}), "jwks")
	fapitest.TryRegistration(t, "a symmetric key", keys(map[string]any{"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAA"}), "jwks")
	t.Run("accepts no weak key among our own", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t)
		_, body, _ := w.Browser().Visit(w.Issuer + "/jwks")
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	attacker := fapitest.NewKey(t, jose.ES256)
	now := w.Clock.Now()
	signing := func(key jose.PrivateKey, header map[string]any) fapitest.Change {
		header["alg"] = "ES256"
		return fapitest.Set("client_assertion", fapitest.HandSigned(t, header, fapitest.Claims{
			"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()}, fapitest.ES256(t, key)))
	}
	fapitest.TryAll(t, c.Push, fapitest.Good("a registered key", signing(c.Key, map[string]any{"kid": c.Key.ID()})),
		fapitest.Bad("a key that is not registered", signing(attacker, map[string]any{}), 401, "invalid_client"),
		fapitest.Bad("its kid under another key", signing(attacker, map[string]any{"kid": c.Key.ID()}), 401, "invalid_client"))
	for name, value := range map[string]any{
		"jku": "https://attacker.example/jwks", "x5u": "https://attacker.example/certificate", "jwk": attacker.PublicJWK(),
		"crit": []string{"exp"}, "b64": false, "zip": "DEF",
	} {
		fapitest.TryAll(t, c.Push,
			fapitest.Bad("the header "+name+" with the attacker's key", signing(attacker, map[string]any{name: value}), 401, "invalid_client"),
			fapitest.Bad("the header "+name+" with the registered key", signing(c.Key, map[string]any{name: value}), 401, "invalid_client"))
	}
	t.Run("accepts our own key set: https, no kid twice, nothing private", func(t *testing.T) {
		address := w.Document()["jwks_uri"].(string)
		if !strings.HasPrefix(address, "https://") {
			t.Errorf("jwks_uri %s", address)
		}
		_, body, _ := w.Browser().Visit(address)
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
	t.Parallel()
	w := fapitest.NewWorld(t)
	own, other, signing := fapitest.NewKey(t, jose.ES256), fapitest.NewKey(t, jose.PS256), fapitest.NewKey(t, jose.ES256)
	named := func(key jose.PrivateKey, alter func(map[string]any)) []byte {
		return fapitest.JWKWith(t, key, func(m map[string]any) {
			m["kid"] = "same"
			if alter != nil {
				alter(m)
			}
		})
	}
	register := func(id string, keys ...[]byte) *fapitest.Client {
		return w.Register(id, func(c *fapitest.Client, m map[string]any) { m["jwks"] = fapitest.KeySet(keys...) })
	}
	signed := func(c *fapitest.Client, key jose.PrivateKey, kid any) fapitest.Change {
		now := w.Clock.Now()
		return fapitest.Set("client_assertion", fapitest.HandSigned(t, map[string]any{"alg": "ES256", "kid": kid}, fapitest.Claims{
			"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()}, fapitest.ES256(t, key)))
	}
	kinds := register("kinds", named(other, nil), named(own, nil))
	uses := register("uses", named(signing, fapitest.SetClaim("use", "enc")), named(own, nil))
	same := register("same", named(signing, nil), named(own, nil))
	fapitest.TryAll(t, kinds.Push, fapitest.Good("the key of the right kind", signed(kinds, own, "same")),
		fapitest.Bad("a stranger's key under that kid", signed(kinds, signing, "same"), 401, "invalid_client"))
	fapitest.TryAll(t, uses.Push, fapitest.Good("the key that is for signatures", signed(uses, own, "same")),
		fapitest.Bad("the key that is for encryption", signed(uses, signing, "same"), 401, "invalid_client"))
	fapitest.TryAll(t, same.Push, fapitest.Good("either of two of the same kind", signed(same, own, "same")), fapitest.Good("or the other", signed(same, signing, "same")))
	for name, kid := range map[string]any{
		"of a path": "../../../../etc/passwd", "of SQL": "same' OR '1'='1", "of LDAP": "*)(kid=*", "with a line break": "same\n", "with a NUL": "same\x00",
		"of 64 KiB": strings.Repeat("k", 5000), "in capitals": "SAME", "as a number": 1, "as an array": []string{"same"},
	} {
		fapitest.TryAll(t, kinds.Push, fapitest.Bad("a kid "+name, signed(kinds, own, kid), 401, "invalid_client"))
	}
}

// rs256 signs as the algorithm RS256 does.
func rs256(t *testing.T, key *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		digest := sha256.Sum256(input)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}
