package client_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// against makes a client of a fake provider, with private_key_jwt and DPoP.
func against(t *testing.T, p *providertest.Provider, changes ...func(*client.Config)) *client.Client {
	t.Helper()
	return newClient(t, fakeConfig(t, p), changes...)
}

func fakeConfig(t *testing.T, p *providertest.Provider) client.Config {
	t.Helper()
	return client.Config{
		Issuer: p.Issuer, ClientID: providertest.ClientID, RedirectURI: "https://client.example/callback", Scopes: []string{"openid", "accounts"},
		Auth: client.PrivateKeyJWT(generated(t)), Roots: p.Roots, Now: p.Now,
	}
}

func generated(t *testing.T) client.Key {
	t.Helper()
	key, err := client.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// through goes through an authorization with a provider that behaves in some way from the authorization endpoint on.
func through(t *testing.T, p *providertest.Provider, c *client.Client, b providertest.Behaviour, options client.AuthorizeOptions) (*client.Tokens, error) {
	t.Helper()
	p.Behave(providertest.Behaviour{})
	address, transaction, err := c.Authorize(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	p.Behave(b)
	return c.Callback(t.Context(), transaction, p.Login(address))
}

// set sets a claim; nil removes it.
func set(name string, value any) func(map[string]any) {
	return func(claims map[string]any) {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
}

// shift sets a claim to a time of the provider's clock.
func shift(p *providertest.Provider, name string, by time.Duration) func(map[string]any) {
	return func(claims map[string]any) { claims[name] = p.Now().Add(by).Unix() }
}

// resign replaces header and signature of a JWT.
func resign(token string, header map[string]any, sign func(message string) []byte) string {
	raw, _ := json.Marshal(header) // of strings only
	message := base64.RawURLEncoding.EncodeToString(raw) + "." + strings.Split(token, ".")[1]
	return message + "." + base64.RawURLEncoding.EncodeToString(sign(message))
}

// forgeries are JWTs that were not signed by the provider's key with the algorithm that is registered.
func forgeries(t *testing.T, p *providertest.Provider) map[string]struct {
	check string
	forge func(token string) string
} {
	other, err := jose.NewPrivateKey(jose.PS256)
	if err != nil {
		t.Fatal(err)
	}
	var published struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(p.PublicKey(), &published); err != nil {
		t.Fatal(err)
	}
	kid := published.Keys[0].Kid
	forged := map[string]struct {
		check string
		forge func(token string) string
	}{
		"no algorithm": {"alg", func(token string) string {
			return resign(token, map[string]any{"alg": "none"}, func(string) []byte { return nil })
		}},
		"HS256 with the public key": {"alg", func(token string) string {
			return resign(token, map[string]any{"alg": "HS256", "kid": kid}, func(message string) []byte {
				mac := hmac.New(sha256.New, p.PublicKey())
				mac.Write([]byte(message))
				return mac.Sum(nil)
			})
		}},
		"RS256, which is not registered": {"alg", func(token string) string {
			return resign(token, map[string]any{"alg": "RS256", "kid": kid}, func(string) []byte { return make([]byte, 256) })
		}},
		"another key under the same kid": {"signature", func(token string) string {
			return resign(token, map[string]any{"alg": "PS256", "kid": kid}, func(message string) []byte {
				signature, err := other.SigningKey().Sign(context.Background(), []byte(message))
				if err != nil {
					t.Error(err)
				}
				return signature
			})
		}},
		"a key in its own header": {"malformed", func(token string) string {
			return resign(token, map[string]any{"alg": "PS256", "jwk": json.RawMessage(other.PublicJWK())}, func(message string) []byte {
				signature, err := other.SigningKey().Sign(context.Background(), []byte(message))
				if err != nil {
					t.Error(err)
				}
				return signature
			})
		}},
		"the typ of an access token": {"typ", func(token string) string {
			return resign(token, map[string]any{"alg": "PS256", "kid": kid, "typ": "at+jwt"}, func(string) []byte { return make([]byte, 256) })
		}},
		"an unknown critical header": {"malformed", func(token string) string {
			return resign(token, map[string]any{"alg": "PS256", "kid": kid, "crit": []string{"x"}}, func(string) []byte { return make([]byte, 256) })
		}},
		"an altered payload": {"signature", func(token string) string {
			parts := strings.Split(token, ".")
			raw, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err != nil {
				t.Error(err)
			}
			parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(raw), p.Subject, "sub-mallory", 1) + " "))
			return strings.Join(parts, ".")
		}},
		"a truncated signature": {"malformed", func(token string) string { return token[:len(token)-8] }},
		"nothing but words":     {"malformed", func(string) string { return "not a token" }},
		"too much":              {"malformed", func(token string) string { return token + strings.Repeat("A", 20<<10) }},
	}
	return forged
}

// TestMixUp: an authorization response counts only for the request, the provider and the browser that it belongs to.
//
// Covers: RP-10.
func TestMixUp(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	for name, test := range map[string]struct {
		check  string
		answer func(url.Values)
	}{
		"refuses another provider's iss":      {"iss", func(v url.Values) { v.Set("iss", "https://attacker.example") }},
		"refuses an iss with a slash more":    {"iss", func(v url.Values) { v.Set("iss", p.Issuer+"/") }},
		"refuses an answer without iss":       {"iss", func(v url.Values) { v.Del("iss") }},
		"refuses another state":               {"state", func(v url.Values) { v.Set("state", "another") }},
		"refuses an answer without state":     {"state", func(v url.Values) { v.Del("state") }},
		"refuses two states":                  {"malformed", func(v url.Values) { v.Add("state", v.Get("state")) }},
		"refuses two codes":                   {"malformed", func(v url.Values) { v.Add("code", "x") }},
		"refuses an answer without code":      {"code", func(v url.Values) { v.Del("code") }},
		"refuses JARM that was not asked for": {"response", func(v url.Values) { v.Set("response", "x") }},
		"refuses an answer that is too large": {"malformed", func(v url.Values) { v.Set("code", strings.Repeat("x", 100<<10)) }},
		"refuses an error without iss":        {"iss", func(v url.Values) { v.Del("iss"); v.Del("code"); v.Set("error", "access_denied") }},
		"refuses an error with another state": {"state", func(v url.Values) { v.Set("state", "x"); v.Del("code"); v.Set("error", "access_denied") }},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(p.Requests("/token"))
			tokens, err := through(t, p, c, providertest.Behaviour{Answer: test.answer}, client.AuthorizeOptions{})
			wantCheck(t, tokens, err, test.check)
			if len(p.Requests("/token")) != before {
				t.Error("the code was sent to the token endpoint")
			}
		})
	}
	t.Run("accepts its own answer", func(t *testing.T) {
		if _, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses the answer to another request of the same client", func(t *testing.T) {
		p.Behave(providertest.Behaviour{})
		address, _, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := c.Callback(t.Context(), second, p.Login(address))
		wantCheck(t, tokens, err, "state")
	})
	t.Run("refuses a code that was redeemed, when the answer is replayed", func(t *testing.T) {
		address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		answer := p.Login(address)
		if _, err := c.Callback(t.Context(), transaction, answer); err != nil {
			t.Fatal(err)
		}
		tokens, err := c.Callback(t.Context(), transaction, answer)
		if refused, ok := errors.AsType[*client.ProviderError](err); !ok || refused.Code != "invalid_grant" || tokens != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses a transaction with another provider", func(t *testing.T) {
		other := providertest.New(t)
		address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := against(t, other, func(c *client.Config) { c.Now = p.Now }).Callback(t.Context(), transaction, p.Login(address))
		wantCheck(t, tokens, err, "iss")
	})
	t.Run("refuses the zero transaction", func(t *testing.T) {
		tokens, err := c.Callback(t.Context(), client.Transaction{}, url.Values{"code": {"x"}, "state": {""}, "iss": {p.Issuer}})
		wantCheck(t, tokens, err, "iss")
	})
}

// TestIDToken: each rule of OpenID Connect Core §3.1.3.7.
//
// Covers: RP-11.
func TestIDToken(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	age := time.Minute
	all := client.AuthorizeOptions{MaxAge: &age, ACRValues: []string{p.ACR, "urn:example:higher"}}
	for name, test := range map[string]struct {
		check string // "" is accepted
		alter func(map[string]any)
	}{
		"accepts what is right":                             {"", nil},
		"accepts the client in an array":                    {"", set("aud", []string{providertest.ClientID})},
		"accepts azp of the client":                         {"", set("azp", providertest.ClientID)},
		"accepts no at_hash":                                {"", set("at_hash", nil)},
		"accepts a clock that is a little ahead":            {"", shift(p, "iat", 9*time.Second)},
		"accepts an end that was a moment ago":              {"", shift(p, "exp", -9*time.Second)},
		"refuses another issuer":                            {"iss", set("iss", "https://attacker.example")},
		"refuses no issuer":                                 {"iss", set("iss", nil)},
		"refuses an issuer with a slash more":               {"iss", set("iss", p.Issuer+"/")},
		"refuses another audience":                          {"aud", set("aud", "another")},
		"refuses no audience":                               {"aud", set("aud", nil)},
		"refuses an audience more":                          {"aud", set("aud", []string{providertest.ClientID, "another"})},
		"refuses an audience that is no string":             {"malformed", set("aud", 1)},
		"refuses another azp":                               {"azp", set("azp", "another")},
		"refuses another nonce":                             {"nonce", set("nonce", "another")},
		"refuses no nonce":                                  {"nonce", set("nonce", nil)},
		"refuses a nonce that is no string":                 {"malformed", set("nonce", []string{"x"})},
		"refuses no sub":                                    {"sub", set("sub", nil)},
		"refuses an empty sub":                              {"sub", set("sub", "")},
		"refuses a sub that is too long":                    {"sub", set("sub", strings.Repeat("a", 256))},
		"refuses an end that is over":                       {"exp", shift(p, "exp", -11*time.Second)},
		"refuses no end":                                    {"exp", set("exp", nil)},
		"refuses an end that is no number":                  {"malformed", set("exp", "tomorrow")},
		"refuses the future":                                {"iat", shift(p, "iat", 11*time.Second)},
		"refuses no iat":                                    {"iat", set("iat", nil)},
		"refuses what was issued a week ago":                {"iat", shift(p, "iat", -7*24*time.Hour)},
		"refuses what is not valid yet":                     {"nbf", shift(p, "nbf", time.Minute)},
		"refuses the hash of another access token":          {"at_hash", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		"refuses the hash of another code":                  {"c_hash", set("c_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		"refuses another acr":                               {"acr", set("acr", "urn:example:low")},
		"refuses no acr where one was asked for":            {"acr", set("acr", nil)},
		"refuses no auth_time after max_age":                {"auth_time", set("auth_time", nil)},
		"refuses an authentication too long ago":            {"auth_time", shift(p, "auth_time", -2*time.Minute)},
		"refuses an authentication in the future":           {"auth_time", shift(p, "auth_time", time.Minute)},
		"accepts another acr of those that were asked for":  {"", set("acr", "urn:example:higher")},
		"accepts an authentication that is just new enough": {"", shift(p, "auth_time", -time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := through(t, p, c, providertest.Behaviour{IDToken: test.alter}, all)
			if test.check != "" {
				wantCheck(t, tokens, err, test.check)
				return
			}
			if err != nil || tokens.Identity == nil {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refuses none where openid was asked for", func(t *testing.T) {
		tokens, err := through(t, p, c, providertest.Behaviour{Tokens: set("id_token", nil)}, all)
		wantCheck(t, tokens, err, "id_token")
	})
	t.Run("accepts an audience that is trusted, with azp", func(t *testing.T) {
		trusting := against(t, p, func(c *client.Config) { c.TrustedAudiences = []string{"another"} })
		both := func(claims map[string]any) { claims["aud"] = []string{providertest.ClientID, "another"} }
		tokens, err := through(t, p, trusting, providertest.Behaviour{IDToken: both}, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "azp")
		if _, err := through(t, p, trusting, providertest.Behaviour{IDToken: func(claims map[string]any) {
			both(claims)
			claims["azp"] = providertest.ClientID
		}}, client.AuthorizeOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses another user than the hint names", func(t *testing.T) {
		first, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := through(t, p, c, providertest.Behaviour{IDToken: set("sub", "sub-bob")}, client.AuthorizeOptions{IDTokenHint: first.IDToken})
		wantCheck(t, tokens, err, "sub")
	})
	t.Run("refuses members of another case", func(t *testing.T) {
		tokens, err := through(t, p, c, providertest.Behaviour{IDToken: func(claims map[string]any) {
			claims["NONCE"] = claims["nonce"]
			delete(claims, "nonce")
		}}, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "nonce")
	})
}

// TestForgery: alg confusion, keys of strangers, and what is no token, as ID token, JARM, UserInfo and introspection.
//
// Covers: RP-12.
func TestForgery(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	plain := against(t, p)
	jarm := against(t, p, func(c *client.Config) { c.Profile = client.FAPI2MessageSigning })
	tokens, err := through(t, p, plain, providertest.Behaviour{}, client.AuthorizeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, forgery := range forgeries(t, p) {
		signed := func(kind string) providertest.Behaviour {
			return providertest.Behaviour{SignedAnswers: true, Signed: func(of, token string) string {
				if of == kind {
					return forgery.forge(token)
				}
				return token
			}}
		}
		t.Run("refuses an ID token with "+name, func(t *testing.T) {
			tokens, err := through(t, p, plain, signed("id_token"), client.AuthorizeOptions{})
			wantCheck(t, tokens, err, forgery.check)
		})
		t.Run("refuses a signed response with "+name, func(t *testing.T) {
			tokens, err := through(t, p, jarm, signed("response"), client.AuthorizeOptions{})
			wantCheck(t, tokens, err, forgery.check)
		})
		t.Run("refuses UserInfo with "+name, func(t *testing.T) {
			p.Behave(signed("userinfo"))
			info, err := plain.UserInfo(t.Context(), tokens)
			wantCheck(t, nil, err, forgery.check)
			if info != nil {
				t.Error("it was given out")
			}
		})
		t.Run("refuses introspection with "+name, func(t *testing.T) {
			p.Behave(signed("introspection"))
			told, err := plain.Introspect(t.Context(), "token")
			wantCheck(t, nil, err, forgery.check)
			if told != nil {
				t.Error("it was given out")
			}
		})
		t.Run("refuses a logout token with "+name, func(t *testing.T) {
			p.Behave(providertest.Behaviour{})
			_, err := plain.VerifyLogoutToken(t.Context(), forgery.forge(p.Sign("logout+jwt", logoutClaims(p))))
			wantCheck(t, nil, err, forgery.check)
		})
	}
	t.Run("accepts what the provider signed", func(t *testing.T) {
		p.Behave(providertest.Behaviour{SignedAnswers: true})
		if info, err := plain.UserInfo(t.Context(), tokens); err != nil || info.JWT == "" {
			t.Error(err)
		}
		if told, err := plain.Introspect(t.Context(), "token"); err != nil || told.JWT == "" || !told.Active {
			t.Error(err)
		}
		if _, err := through(t, p, jarm, providertest.Behaviour{}, client.AuthorizeOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestJARM: what the claims of a signed response have to be.
//
// Covers: RP-13.
func TestJARM(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p, func(c *client.Config) { c.Profile = client.FAPI2MessageSigning })
	for name, test := range map[string]struct {
		check string
		alter func(map[string]any)
	}{
		"accepts what is right":                     {"", nil},
		"refuses another issuer":                    {"iss", set("iss", "https://attacker.example")},
		"refuses no issuer":                         {"iss", set("iss", nil)},
		"refuses another audience":                  {"aud", set("aud", "another")},
		"refuses an audience more":                  {"aud", set("aud", []string{providertest.ClientID, "another"})},
		"refuses what has expired":                  {"exp", shift(p, "exp", -time.Minute)},
		"refuses what does not expire":              {"exp", set("exp", nil)},
		"refuses another state":                     {"state", set("state", "another")},
		"refuses no state":                          {"state", set("state", nil)},
		"refuses a state that is no string":         {"state", set("state", []string{"x"})},
		"refuses a code that is no string":          {"code", set("code", 1)},
		"refuses what is not valid yet":             {"nbf", shift(p, "nbf", time.Minute)},
		"refuses what was signed in a day from now": {"iat", shift(p, "iat", 24*time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := through(t, p, c, providertest.Behaviour{Response: test.alter}, client.AuthorizeOptions{})
			if test.check != "" {
				wantCheck(t, tokens, err, test.check)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("refuses a plain answer where a signed one was asked for", func(t *testing.T) {
		p.Behave(providertest.Behaviour{})
		_, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := c.Callback(t.Context(), transaction, url.Values{"code": {"x"}, "state": {transaction.State}, "iss": {p.Issuer}})
		wantCheck(t, tokens, err, "response")
	})
	t.Run("refuses an ID token as one", func(t *testing.T) {
		_, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		token := p.Sign("", map[string]any{"iss": p.Issuer, "aud": providertest.ClientID, "exp": p.Now().Add(time.Minute).Unix(), "sub": p.Subject})
		tokens, err := c.Callback(t.Context(), transaction, url.Values{"response": {token}})
		wantCheck(t, tokens, err, "state")
	})
	t.Run("accepts an error that is signed", func(t *testing.T) {
		_, err := through(t, p, c, providertest.Behaviour{Answer: func(v url.Values) {
			v.Del("code")
			v.Set("error", "access_denied")
			v.Set("error_description", "no\x1b[31m")
		}}, client.AuthorizeOptions{})
		denied, ok := errors.AsType[*client.AuthorizationError](err)
		if !ok || denied.Code != "access_denied" || strings.Contains(denied.Error(), "\x1b") {
			t.Errorf("%v", err)
		}
	})
}

// TestDetachedSignature: the ID token of the front channel signs the code and the state (FAPI 1.0 Advanced §5.2.3).
//
// Covers: RP-14.
func TestDetachedSignature(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := advanced(t, p)
	for name, test := range map[string]struct {
		check string
		alter func(map[string]any)
	}{
		"accepts what is right":             {"", nil},
		"refuses no s_hash":                 {"s_hash", set("s_hash", nil)},
		"refuses the hash of another state": {"s_hash", set("s_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		"refuses no c_hash":                 {"c_hash", set("c_hash", nil)},
		"refuses the hash of another code":  {"c_hash", set("c_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		"refuses another nonce":             {"nonce", set("nonce", "another")},
		"refuses another issuer":            {"iss", set("iss", "https://attacker.example")},
		"refuses another audience":          {"aud", set("aud", "another")},
		"refuses what has expired":          {"exp", shift(p, "exp", -time.Minute)},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := through(t, p, c, providertest.Behaviour{FrontIDToken: test.alter}, client.AuthorizeOptions{})
			if test.check != "" {
				wantCheck(t, tokens, err, test.check)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("refuses an ID token of another login", func(t *testing.T) {
		p.Behave(providertest.Behaviour{})
		other, _, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		swapped := p.Login(other).Get("id_token")
		tokens, err := through(t, p, c, providertest.Behaviour{Answer: func(v url.Values) { v.Set("id_token", swapped) }}, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "nonce")
	})
	t.Run("refuses another user at the token endpoint", func(t *testing.T) {
		tokens, err := through(t, p, c, providertest.Behaviour{IDToken: set("sub", "sub-bob")}, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "sub")
	})
}

// advanced makes a client of FAPI 1.0 Advanced.
func advanced(t *testing.T, p *providertest.Provider) *client.Client {
	t.Helper()
	certificate := p.Certificate()
	return against(t, p, func(c *client.Config) { c.Profile, c.Binding = client.FAPI1Advanced, client.MTLSBoundWith(certificate) })
}

// TestTokenResponse: tokens count only if they are bound as was asked for, and errors are typed.
//
// Covers: RP-15.
func TestTokenResponse(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	for name, test := range map[string]struct {
		check string
		alter func(map[string]any)
	}{
		"accepts dpop in lower case":              {"", set("token_type", "dpop")},
		"accepts no expires_in":                   {"", set("expires_in", nil)},
		"accepts expires_in as a string":          {"", set("expires_in", "300")},
		"refuses Bearer where DPoP was asked for": {"token_type", set("token_type", "Bearer")},
		"refuses no token_type":                   {"token_type", set("token_type", nil)},
		"refuses no access token":                 {"access_token", set("access_token", nil)},
		"refuses an access token of another type": {"malformed", set("access_token", 1)},
		"refuses a negative life":                 {"expires_in", set("expires_in", -1)},
		"refuses a life that is no number":        {"expires_in", set("expires_in", "soon")},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := through(t, p, c, providertest.Behaviour{Tokens: test.alter}, client.AuthorizeOptions{})
			if test.check != "" {
				wantCheck(t, tokens, err, test.check)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("accepts members that it does not know", func(t *testing.T) {
		tokens, err := through(t, p, c, providertest.Behaviour{Tokens: set("cdr_arrangement_id", "x")}, client.AuthorizeOptions{})
		if err != nil || string(tokens.Extra["cdr_arrangement_id"]) != `"x"` || len(tokens.Extra) != 1 {
			t.Errorf("%+v, %v", tokens, err)
		}
	})
	t.Run("refuses a member twice", func(t *testing.T) {
		tokens, err := through(t, p, c, providertest.Behaviour{Handle: at("/token", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"a","access_token":"b","token_type":"DPoP"}`)
		})}, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "malformed")
	})
	t.Run("refuses with the provider's error", func(t *testing.T) {
		_, err := through(t, p, c, providertest.Behaviour{Handle: at("/token", func(w http.ResponseWriter) {
			w.Header().Set("X-Fapi-Interaction-Id", "id-1")
			w.Header().Set("Retry-After", "3")
			providertest.Write(w, http.StatusTooManyRequests, map[string]any{"error": "slow", "error_description": "a\x1b[0m" + strings.Repeat("b", 4000)})
		})}, client.AuthorizeOptions{})
		refused, ok := errors.AsType[*client.ProviderError](err)
		if !ok || refused.Code != "slow" || refused.CorrelationID != "id-1" || refused.RetryAfter != 3*time.Second || !client.Temporary(err) ||
			strings.ContainsRune(refused.Error(), 0x1b) || len(refused.Error()) > 1000 {
			t.Errorf("%v", err)
		}
	})
}

// at answers one path otherwise.
func at(path string, answer func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		answer(w)
		return true
	}
}

// TestProviderDown: a provider that is out of order is a typed error that says so, and nothing that was there is lost.
//
// Covers: RP-16.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter){
		"an error of a proxy": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		"a page":              func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html"); fmt.Fprint(w, "<html>") },
		"too much":            func(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/json"); writeALot(w) },
		"a redirect": func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://attacker.example/token")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"a broken connection":     func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"no answer for some time": func(http.ResponseWriter) { time.Sleep(1500 * time.Millisecond) },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			p := providertest.New(t)
			c := against(t, p, func(c *client.Config) { c.Timeout = time.Second })
			tokens, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			before := *tokens
			p.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, _ *http.Request) bool { answer(w); return true }})
			for what, call := range map[string]func() error{
				"refresh":    func() error { _, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{}); return err },
				"UserInfo":   func() error { _, err := c.UserInfo(t.Context(), tokens); return err },
				"PAR":        func() error { _, _, err := c.Authorize(t.Context(), client.AuthorizeOptions{}); return err },
				"introspect": func() error { _, err := c.Introspect(t.Context(), "x"); return err },
			} {
				err := call()
				if _, ok := errors.AsType[*client.UnavailableError](err); !ok || !client.Temporary(err) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if before.AccessToken != tokens.AccessToken || before.RefreshToken != tokens.RefreshToken || before.IDToken != tokens.IDToken {
				t.Error("the tokens have changed")
			}
			p.Behave(providertest.Behaviour{})
			if _, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{}); err != nil {
				t.Errorf("after that: %v", err)
			}
		})
	}
	t.Run("accepts the tokens from before when the provider is back", func(t *testing.T) {
		t.Parallel()
		p := providertest.New(t)
		c := against(t, p)
		tokens, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Behave(providertest.Behaviour{Handle: at("/token", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })})
		if _, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{}); !client.Temporary(err) {
			t.Fatalf("meanwhile: %v", err)
		}
		p.Behave(providertest.Behaviour{})
		fresh, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if fresh.AccessToken == "" || fresh.AccessToken == tokens.AccessToken || fresh.Identity.Subject != tokens.Identity.Subject {
			t.Errorf("the refresh gave %+v", fresh.Identity)
		}
	})
	t.Run("refuses for good what the provider refuses, and not as an outage", func(t *testing.T) {
		t.Parallel()
		p := providertest.New(t)
		c := against(t, p)
		tokens, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Behave(providertest.Behaviour{Handle: at("/token", func(w http.ResponseWriter) {
			providertest.Write(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		})})
		_, err = c.Refresh(t.Context(), tokens, client.RefreshOptions{})
		if refused, ok := errors.AsType[*client.ProviderError](err); !ok || refused.Code != "invalid_grant" || client.Temporary(err) {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses to begin without the provider", func(t *testing.T) {
		t.Parallel()
		p := providertest.New(t)
		config := fakeConfig(t, p)
		p.Close()
		_, err := client.New(t.Context(), config)
		if down, ok := errors.AsType[*client.UnavailableError](err); !ok || down.Endpoint != "metadata" {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses a certificate that nobody vouches for", func(t *testing.T) {
		t.Parallel()
		p := providertest.New(t)
		config := fakeConfig(t, p)
		config.Roots = nil
		_, err := client.New(t.Context(), config)
		if down, ok := errors.AsType[*client.UnavailableError](err); !ok || !strings.Contains(down.Reason, "certificate") {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses when the caller gives up", func(t *testing.T) {
		t.Parallel()
		p := providertest.New(t)
		c := against(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err := c.Authorize(ctx, client.AuthorizeOptions{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// writeALot writes two megabytes of JSON.
func writeALot(w http.ResponseWriter) {
	fmt.Fprint(w, `{"access_token":"`)
	for range 2048 {
		fmt.Fprint(w, strings.Repeat("a", 1024))
	}
	fmt.Fprint(w, `"}`)
}

// TestKeyRotation: keys may change at any time, and strangers' kids cause few fetches.
//
// Covers: RP-17.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	t.Run("accepts a key that is new since the authorization began", func(t *testing.T) {
		for _, algorithm := range []string{jose.PS256, jose.ES256, jose.EdDSA} {
			p.Behave(providertest.Behaviour{})
			address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			answer := p.Login(address)
			p.Advance(time.Minute) // a set may be fetched for an unknown kid every 30 s
			p.Rotate(algorithm)
			b := providertest.Behaviour{}
			if algorithm == jose.EdDSA {
				b.IDToken = set("at_hash", nil) // that of the fake is SHA-256
			}
			p.Behave(b)
			if _, err := c.Callback(t.Context(), transaction, answer); err != nil {
				t.Errorf("%s: %v", algorithm, err)
			}
		}
	})
	t.Run("refuses unknown kids, with few fetches", func(t *testing.T) {
		p.Rotate(jose.PS256)
		p.Advance(time.Minute)
		before := len(p.Requests("/jwks"))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := c.VerifyLogoutToken(t.Context(), resign(p.Sign("logout+jwt", logoutClaims(p)), map[string]any{"alg": "PS256", "kid": "stranger", "typ": "logout+jwt"}, func(string) []byte { return make([]byte, 256) }))
				wantCheck(t, nil, err, "kid")
			})
		}
		all.Wait()
		if fetched := len(p.Requests("/jwks")) - before; fetched > 2 {
			t.Errorf("%d fetches", fetched)
		}
	})
	t.Run("refuses while the keys cannot be had, as the provider's fault", func(t *testing.T) {
		other := providertest.New(t)
		c := against(t, other)
		tokens, err := through(t, other, c, providertest.Behaviour{Handle: at("/jwks", func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) })}, client.AuthorizeOptions{})
		if down, ok := errors.AsType[*client.UnavailableError](err); !ok || down.Endpoint != "jwks_uri" || tokens != nil {
			t.Errorf("%v", err)
		}
	})
}

// logoutClaims are those of a good logout token.
func logoutClaims(p *providertest.Provider) map[string]any {
	return map[string]any{
		"iss": p.Issuer, "aud": providertest.ClientID, "iat": p.Now().Unix(), "exp": p.Now().Add(2 * time.Minute).Unix(), "jti": "jti-1",
		"sub": p.Subject, "sid": "session-1", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
}

// TestLogoutToken: each rule of OpenID Connect Back-Channel Logout 1.0 §2.6.
//
// Covers: RP-18.
func TestLogoutToken(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	for name, test := range map[string]struct {
		check string
		alter func(map[string]any)
	}{
		"accepts what is right":              {"", func(map[string]any) {}},
		"accepts a subject alone":            {"", set("sid", nil)},
		"accepts a session alone":            {"", set("sub", nil)},
		"refuses neither":                    {"sub", func(claims map[string]any) { delete(claims, "sub"); delete(claims, "sid") }},
		"refuses another issuer":             {"iss", set("iss", "https://attacker.example")},
		"refuses another audience":           {"aud", set("aud", "another")},
		"refuses a nonce":                    {"nonce", set("nonce", "x")},
		"refuses a nonce that is null":       {"nonce", func(claims map[string]any) { claims["nonce"] = json.RawMessage("null") }},
		"refuses no events":                  {"events", set("events", nil)},
		"refuses another event":              {"events", set("events", map[string]any{"https://example.com/other": map[string]any{}})},
		"refuses an event that is no object": {"events", set("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": true})},
		"refuses no jti":                     {"jti", set("jti", nil)},
		"refuses a jti that is too long":     {"jti", set("jti", strings.Repeat("x", 600))},
		"refuses no iat":                     {"iat", set("iat", nil)},
		"refuses an iat of an hour ago":      {"iat", shift(p, "iat", -time.Hour)},
		"refuses the future":                 {"iat", shift(p, "iat", time.Minute)},
		"refuses what has expired":           {"exp", shift(p, "exp", -time.Minute)},
		"refuses what does not expire":       {"exp", set("exp", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			claims := logoutClaims(p)
			test.alter(claims)
			verified, err := c.VerifyLogoutToken(t.Context(), p.Sign("logout+jwt", claims))
			if test.check != "" {
				wantCheck(t, nil, err, test.check)
				return
			}
			if err != nil || verified.JTI != "jti-1" {
				t.Errorf("%+v, %v", verified, err)
			}
		})
	}
	for _, typ := range []string{"", "JWT", "at+jwt"} {
		t.Run("refuses the typ "+typ, func(t *testing.T) {
			_, err := c.VerifyLogoutToken(t.Context(), p.Sign(typ, logoutClaims(p)))
			wantCheck(t, nil, err, "typ")
		})
	}
	t.Run("accepts no typ from a provider of which that is known", func(t *testing.T) {
		weak := against(t, p, func(c *client.Config) { c.Profile, c.Weak.UntypedLogoutToken = client.Plain, true })
		if _, err := weak.VerifyLogoutToken(t.Context(), p.Sign("", logoutClaims(p))); err != nil {
			t.Error(err)
		}
		_, err := weak.VerifyLogoutToken(t.Context(), p.Sign("at+jwt", logoutClaims(p)))
		wantCheck(t, nil, err, "typ")
	})
}

// TestUserInfoAndIntrospection: whose claims they are, and that a signature that was asked for is there.
//
// Covers: RP-19.
func TestUserInfoAndIntrospection(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	tokens, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		check string
		b     providertest.Behaviour
	}{
		"accepts the user's":               {"", providertest.Behaviour{}},
		"refuses another user's":           {"sub", providertest.Behaviour{UserInfo: set("sub", "sub-bob")}},
		"refuses nobody's":                 {"sub", providertest.Behaviour{UserInfo: set("sub", nil)}},
		"refuses another user's, signed":   {"sub", providertest.Behaviour{SignedAnswers: true, UserInfo: set("sub", "sub-bob")}},
		"refuses another client's, signed": {"aud", providertest.Behaviour{SignedAnswers: true, UserInfo: set("aud", "another")}},
		"refuses another issuer's, signed": {"iss", providertest.Behaviour{SignedAnswers: true, UserInfo: set("iss", "https://attacker.example")}},
		"refuses what has expired":         {"exp", providertest.Behaviour{SignedAnswers: true, UserInfo: shift(p, "exp", -time.Minute)}},
	} {
		t.Run(name, func(t *testing.T) {
			p.Behave(test.b)
			info, err := c.UserInfo(t.Context(), tokens)
			if test.check != "" {
				wantCheck(t, nil, err, test.check)
			} else if err != nil || info.Subject != p.Subject {
				t.Error(err)
			}
		})
	}
	signing := against(t, p, func(c *client.Config) { c.SignedIntrospection = true })
	for name, test := range map[string]struct {
		check string
		b     providertest.Behaviour
	}{
		"accepts a signed answer":                 {"", providertest.Behaviour{SignedAnswers: true}},
		"refuses a plain one":                     {"signature", providertest.Behaviour{}},
		"refuses one for another resource server": {"aud", providertest.Behaviour{SignedAnswers: true, Introspection: set("aud", "another")}},
		"refuses an old one":                      {"iat", providertest.Behaviour{SignedAnswers: true, Introspection: shift(p, "iat", -time.Hour)}},
		"refuses one without what was asked":      {"token_introspection", providertest.Behaviour{SignedAnswers: true, Introspection: set("token_introspection", nil)}},
		"refuses one that does not say active":    {"active", providertest.Behaviour{SignedAnswers: true, Introspection: set("token_introspection", map[string]any{})}},
	} {
		t.Run(name, func(t *testing.T) {
			p.Behave(test.b)
			told, err := signing.Introspect(t.Context(), "token")
			if test.check != "" {
				wantCheck(t, nil, err, test.check)
			} else if err != nil || !told.Active {
				t.Error(err)
			}
		})
	}
}

// TestRefreshAndExchange: what is carried over, and what is refused.
//
// Covers: RP-20.
func TestRefreshAndExchange(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	c := against(t, p)
	tokens, err := through(t, p, c, providertest.Behaviour{}, client.AuthorizeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts what is not issued again, and keeps it", func(t *testing.T) {
		p.Behave(providertest.Behaviour{Tokens: func(answer map[string]any) {
			delete(answer, "refresh_token")
			delete(answer, "id_token")
		}})
		refreshed, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{})
		if err != nil || refreshed.RefreshToken != tokens.RefreshToken || refreshed.IDToken != tokens.IDToken || refreshed.Identity == nil ||
			refreshed.AccessToken == tokens.AccessToken || refreshed.Scope != "openid accounts" {
			t.Errorf("%+v, %v", refreshed, err)
		}
	})
	t.Run("accepts what is rotated", func(t *testing.T) {
		p.Behave(providertest.Behaviour{})
		refreshed, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{Scopes: []string{"accounts"}})
		if err != nil || refreshed.RefreshToken == tokens.RefreshToken || refreshed.Scope != "accounts" {
			t.Errorf("%+v, %v", refreshed, err)
		}
	})
	for name, b := range map[string]struct {
		check string
		b     providertest.Behaviour
	}{
		"refuses an ID token of another user":   {"sub", providertest.Behaviour{IDToken: set("sub", "sub-bob")}},
		"refuses an ID token of another client": {"aud", providertest.Behaviour{IDToken: set("aud", "another")}},
		"refuses a token that is not bound":     {"token_type", providertest.Behaviour{Tokens: set("token_type", "Bearer")}},
	} {
		t.Run(name, func(t *testing.T) {
			p.Behave(b.b)
			refreshed, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{})
			wantCheck(t, refreshed, err, b.check)
		})
	}
	t.Run("refuses tokens that cannot be refreshed", func(t *testing.T) {
		if _, err := c.Refresh(t.Context(), &client.Tokens{}, client.RefreshOptions{}); err == nil {
			t.Error("they were")
		}
	})
	t.Run("accepts an exchange and a token of the client's own", func(t *testing.T) {
		p.Behave(providertest.Behaviour{})
		const access = "urn:ietf:params:oauth:token-type:access_token"
		got, err := c.Exchange(t.Context(), client.ExchangeOptions{SubjectToken: tokens.AccessToken, SubjectTokenType: access, Audience: []string{"a", "b"}})
		if err != nil || got.IssuedTokenType != access {
			t.Errorf("%+v, %v", got, err)
		}
		if sent := p.Requests("/token"); len(sent[len(sent)-1].Form["audience"]) != 2 {
			t.Errorf("%v", sent[len(sent)-1].Form)
		}
		if own, err := c.ClientCredentials(t.Context(), client.TokenOptions{Scopes: []string{"accounts"}}); err != nil || own.Scope != "accounts" || own.IDToken != "" {
			t.Errorf("%+v, %v", own, err)
		}
	})
	t.Run("refuses an exchange of nothing", func(t *testing.T) {
		for _, options := range []client.ExchangeOptions{{}, {SubjectToken: "a"}, {SubjectToken: "a", SubjectTokenType: "b", ActorToken: "c"}} {
			if _, err := c.Exchange(t.Context(), options); err == nil {
				t.Errorf("%v was sent", options)
			}
		}
	})
	t.Run("refuses to show secrets", func(t *testing.T) {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, *tokens) + fmt.Sprintf(format, tokens); strings.Contains(text, tokens.AccessToken) || strings.Contains(text, tokens.RefreshToken) {
				t.Errorf("%s shows %s", format, text)
			}
		}
	})
}
