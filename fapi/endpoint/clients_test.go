package endpoint_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: SP-13. The password grant exists neither in a registration nor at the token endpoint.
func TestSP13NoPasswordGrant(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	password := func(form url.Values, _ http.Header) {
		form.Set("grant_type", "password")
		form.Set("username", "alice")
		form.Set("password", "secret")
	}
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Redeem(c.Authorize(), change) },
		fapitest.Good("a code", nil),
		fapitest.Bad("a password", password, 400, "unsupported_grant_type"))
	fapitest.TryRegistration(t, "the code grant", fapitest.SetClaim("grant_types", []string{"authorization_code"}), "")
	fapitest.TryRegistration(t, "the password grant", fapitest.SetClaim("grant_types", []string{"authorization_code", "password"}), "grant_types")
}

// Covers: SP-14, RULE-08. A client that does not prove itself gets nowhere.
func TestSP14ConfidentialClients(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	anonymous := func(form url.Values, _ http.Header) {
		form.Del("client_assertion")
		form.Del("client_assertion_type")
		form.Set("client_id", c.ID)
	}
	for endpoint, send := range map[string]func(fapitest.Change) fapitest.Reply{
		"PAR":                            c.Push,
		"the token endpoint with a code": func(change fapitest.Change) fapitest.Reply { return c.Redeem(c.Authorize(), change) },
		"the token endpoint with a refresh token": func(change fapitest.Change) fapitest.Reply {
			return c.Refresh(c.Tokens().Text("refresh_token"), change)
		},
	} {
		fapitest.TryAll(t, send,
			fapitest.Good("a client that proves itself at "+endpoint, nil),
			fapitest.Bad("a client that only says its name at "+endpoint, anonymous, 401, "invalid_client"))
	}
	fapitest.TryRegistration(t, "a confidential client", nil, "")
	fapitest.TryRegistration(t, "a public client", fapitest.SetClaim("token_endpoint_auth_method", "none"), "token_endpoint_auth_method")
}

// Covers: SP-16, RULE-09. Secrets are not registered and not accepted.
func TestSP16ClientAuthentication(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for name, alter := range map[string]func(*fapitest.Client, map[string]any){
		"private_key_jwt": nil, "tls_client_auth": fapitest.TLSClientAuth, "self_signed_tls_client_auth": fapitest.SelfSignedTLSClientAuth,
	} {
		c := w.Register(name, alter)
		fapitest.TryAll(t, c.Push, fapitest.Good(name, nil),
			fapitest.Bad("a secret in the header beside "+name, fapitest.SetHeader("Authorization", "Basic Y2xpZW50OnNlY3JldA=="), 401, "invalid_client"),
			fapitest.Bad("a secret in the body beside "+name, fapitest.Set("client_secret", "secret"), 401, "invalid_client"))
	}
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "none", "attest_jwt_client_auth", "PRIVATE_KEY_JWT"} {
		fapitest.TryRegistration(t, method, fapitest.SetClaim("token_endpoint_auth_method", method), "token_endpoint_auth_method")
	}
}

// Covers: SP-18, PA-10, RULE-11, ATTACK-01. Only the issuer, as one string, is an audience of a client assertion.
func TestSP18AssertionAudience(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	endpoints := map[string]func(fapitest.Change) fapitest.Reply{
		"PAR":                c.Push,
		"the token endpoint": func(change fapitest.Change) fapitest.Reply { return c.Redeem(c.Authorize(), change) },
	}
	audiences := map[string]any{
		"an array with the issuer":                 []string{w.Issuer},
		"an array with the issuer and an endpoint": []string{w.Issuer, w.Issuer + "/token"},
		"an array with the issuer twice":           []string{w.Issuer, w.Issuer},
		"an empty array":                           []string{},
		"the PAR endpoint":                         w.Issuer + "/par",
		"an array with the PAR endpoint":           []string{w.Issuer + "/par"},
		"the token endpoint":                       w.Issuer + "/token",
		"the mTLS listener":                        w.MTLSIssuer,
		"the issuer and a slash":                   w.Issuer + "/",
		"the issuer in capitals":                   strings.ToUpper(w.Issuer),
		"the issuer and a blank":                   w.Issuer + " ",
		"the issuer over http":                     strings.Replace(w.Issuer, "https:", "http:", 1),
		"another server":                           "https://attacker.example",
		"an object":                                map[string]any{"issuer": w.Issuer},
		"a number":                                 1,
		"null":                                     []any{nil},
		"no audience":                              nil,
		"an empty string":                          "",
	}
	for endpoint, send := range endpoints {
		fapitest.TryAll(t, send,
			fapitest.Good("the issuer at "+endpoint, c.ReplaceAssertion(fapitest.SetClaim("aud", w.Issuer))),
			fapitest.Good("typ client-authentication+jwt at "+endpoint, func(form url.Values, _ http.Header) {
				now := w.Clock.Now()
				form.Set("client_assertion", c.Sign(c.Key, "client-authentication+jwt", fapitest.Claims{
					"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()}))
			}))
		for name, audience := range audiences {
			fapitest.TryAll(t, send, fapitest.Bad(name+" at "+endpoint, c.ReplaceAssertion(fapitest.SetClaim("aud", audience)), 401, "invalid_client"))
		}
	}
}

// Covers: SP-23. A client's clock may be 10 seconds ahead and must not be more than 60.
func TestSP23ClocksAhead(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	at := func(ahead time.Duration) int64 { return w.Clock.Now().Add(ahead).Unix() }
	proving := func(name string, value any) fapitest.Change {
		return func(_ url.Values, h http.Header) {
			h.Set("DPoP", c.Proof("POST", w.Issuer+"/par", "", fapitest.SetClaim(name, value)))
		}
	}
	for _, name := range []string{"iat", "nbf"} {
		fapitest.TryAll(t, c.Push,
			fapitest.Good("an assertion with "+name+" now", c.ReplaceAssertion(fapitest.SetClaim(name, at(0)))),
			fapitest.Good("an assertion with "+name+" 8 s ahead", c.ReplaceAssertion(fapitest.SetClaim(name, at(8*time.Second)))),
			fapitest.Good("an assertion with "+name+" 10 s ahead", c.ReplaceAssertion(fapitest.SetClaim(name, at(10*time.Second)))),
			fapitest.Bad("an assertion with "+name+" 61 s ahead", c.ReplaceAssertion(fapitest.SetClaim(name, at(61*time.Second))), 401, "invalid_client"),
			fapitest.Bad("an assertion with "+name+" an hour ahead", c.ReplaceAssertion(fapitest.SetClaim(name, at(time.Hour))), 401, "invalid_client"))
	}
	fapitest.TryAll(t, c.Push,
		fapitest.Good("a proof with iat 8 s ahead", proving("iat", at(8*time.Second))),
		fapitest.Good("a proof with iat 10 s ahead", proving("iat", at(10*time.Second))),
		fapitest.Bad("a proof with iat 61 s ahead", proving("iat", at(61*time.Second)), 400, "invalid_dpop_proof"))
	resource := func(ahead time.Duration) fapitest.Reply {
		return c.Get("/accounts", token, func(h http.Header) {
			h.Set("DPoP", c.Proof("GET", w.Issuer+"/accounts", token, fapitest.SetClaim("iat", at(ahead))))
		})
	}
	t.Run("accepts a proof with iat 10 s ahead at a resource", func(t *testing.T) { fapitest.Good("", nil).Check(t, resource(10*time.Second)) })
	t.Run("refuses a proof with iat 61 s ahead at a resource", func(t *testing.T) {
		fapitest.WantError(t, resource(61*time.Second), 401, "invalid_dpop_proof")
	})
}
