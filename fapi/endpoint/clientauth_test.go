package endpoint_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: ATTACK-01, SP-18, RULE-11. Of everything that an aud can look like, the issuer as one string is accepted, and
// nothing else, at any endpoint of either listener: an assertion that was made for another server opens nothing here.
func TestAttack01AudienceMatrix(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	everything := func(c *fapitest.Client, m map[string]any) {
		fapitest.AllScopes(c, m)
		m["resource_identifiers"] = []string{w.Issuer}
	}
	front := w.Register("client-1", everything)
	back := w.Register("client-2", func(c *fapitest.Client, m map[string]any) { everything(c, m); c.AtMTLS = true })
	for listener, c := range map[string]*fapitest.Client{"": front, " on the mTLS listener": back} {
		issued := c.Tokens()
		for endpoint, send := range map[string]func(fapitest.Change) fapitest.Reply{
			"/par":        c.Push,
			"/token":      func(alter fapitest.Change) fapitest.Reply { return c.Refresh(issued.Text("refresh_token"), alter) },
			"/introspect": func(alter fapitest.Change) fapitest.Reply { return c.Introspect("unknown", alter) },
			"/revoke":     func(alter fapitest.Change) fapitest.Reply { return c.Revoke("unknown", alter) },
		} {
			at := " at " + endpoint + listener
			here, aliased := w.Issuer+endpoint, w.MTLSIssuer+endpoint
			denied := map[string]any{
				"no audience": nil, "an empty string": "", "an empty array": []any{}, "an array with null": []any{nil}, "a number": 1, "an object": fapitest.Claims{w.Issuer: true},
				"the issuer in an array": []string{w.Issuer}, "the issuer in an array twice": []string{w.Issuer, w.Issuer}, "the issuer in an array in an array": []any{[]string{w.Issuer}},
				"this endpoint": here, "this endpoint in an array": []string{here}, "this endpoint's alias": aliased, "the issuer and this endpoint": []string{w.Issuer, here},
				"the mTLS listener": w.MTLSIssuer, "the issuer and a slash": w.Issuer + "/", "the issuer and a path": w.Issuer + "/.well-known/openid-configuration",
				"the issuer and a query": w.Issuer + "?", "the issuer without its scheme": strings.TrimPrefix(w.Issuer, "https://"), "the issuer over http": strings.Replace(w.Issuer, "https", "http", 1),
				"the issuer with a blank": " " + w.Issuer, "the issuer in capitals": strings.ToUpper(w.Issuer), "the issuer and NUL": w.Issuer + "\x00",
				"two issuers in one string": w.Issuer + " https://attacker.example", "another server": "https://attacker.example",
				"another server and the issuer": []string{"https://attacker.example", w.Issuer}, "the issuer below another server": "https://attacker.example/" + w.Issuer, "the client itself": c.ID,
			}
			for _, typ := range []string{"", "JWT", "client-authentication+jwt"} {
				fapitest.TryAll(t, send, fapitest.Good("the issuer, typ "+typ+at, fapitest.Set("client_assertion", assertionOf(c, typ, fapitest.SetClaim("aud", w.Issuer)))))
			}
			for shape, audience := range denied {
				fapitest.TryAll(t, send, fapitest.Bad(shape+at, fapitest.Set("client_assertion", assertionOf(c, "", fapitest.SetClaim("aud", audience))), 401, "invalid_client"))
			}
			for typ, wrong := range map[string]any{"JWT": here, "client-authentication+jwt": []string{w.Issuer}} {
				fapitest.TryAll(t, send, fapitest.Bad("another audience under typ "+typ+at, fapitest.Set("client_assertion", assertionOf(c, typ, fapitest.SetClaim("aud", wrong))), 401, "invalid_client"))
			}
			for name, members := range map[string]string{
				"the issuer, then another": `"aud":"` + w.Issuer + `","aud":"https://attacker.example"`,
				"another, then the issuer": `"aud":"https://attacker.example","aud":"` + w.Issuer + `"`,
				"a name in other letters":  `"AUD":"` + w.Issuer + `"`,
			} {
				fapitest.TryAll(t, send, fapitest.Bad(name+at, fapitest.Set("client_assertion", literalAssertion(c, members)), 401, "invalid_client"))
			}
			fapitest.TryAll(t, send, fapitest.Good("the issuer, written by hand"+at, fapitest.Set("client_assertion", literalAssertion(c, `"aud":"`+w.Issuer+`"`))))
		}
	}
}

// Covers: ATTACK-03, RULE-10. The registration decides how a client authenticates. Whatever else a request carries, of an
// assertion, a certificate, and secrets in every combination, opens no weaker way in.
func TestAttack03AuthenticationMatrix(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	stranger := fapitest.NewAuthority(t, "Another CA", w.Clock.Now())
	for method, alter := range map[string]func(*fapitest.Client, map[string]any){
		"private_key_jwt": func(c *fapitest.Client, _ map[string]any) { c.AtMTLS = true }, "tls_client_auth": fapitest.TLSClientAuth, "self_signed_tls_client_auth": fapitest.SelfSignedTLSClientAuth,
	} {
		c := w.Register("client with "+method, alter)
		right := c.Certificate
		if right == nil { // one that is trusted, and names the client
			right = new(w.ClientCA.Issue(t, c.ID, w.Clock.Now()))
		}
		c.Assertion, c.AtMTLS = false, true
		for shown, certificate := range map[string]*tls.Certificate{
			"no certificate": nil, "its certificate": right, "a certificate of another CA": new(stranger.Issue(t, c.ID, w.Clock.Now())),
		} {
			at := c.WithCertificate(certificate)
			at.AtMTLS = true
			for asserted, assertion := range map[string]func() string{
				"no assertion":                nil,
				"its assertion":               func() string { return c.ClientAssertion(nil) },
				"an unsigned assertion":       func() string { return unsignedAssertion(c) },
				"an assertion of another key": func() string { return c.Sign(fapitest.NewKey(t, jose.ES256), "", assertionClaims(c)) },
			} {
				for secrets, secret := range map[string]fapitest.Change{
					"": nil, " and Basic": fapitest.SetHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.ID)+":secret"))),
					" and a secret": fapitest.Set("client_secret", "secret"),
				} {
					carried := "of " + method + " with " + asserted + ", " + shown + secrets
					alter := func(form url.Values, header http.Header) {
						if assertion != nil {
							form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
							form.Set("client_assertion", assertion())
						}
						if secret != nil {
							secret(form, header)
						}
					}
					one := fapitest.Bad(carried, alter, 401, "invalid_client")
					byKey := method == "private_key_jwt"
					switch {
					case secret != nil:
					case byKey && asserted == "its assertion", !byKey && asserted == "no assertion" && shown == "its certificate":
						one = fapitest.Good(carried, alter)
					case !byKey && assertion != nil && asserted != "an unsigned assertion":
						one.Status, one.Code = 400, "invalid_request" // one method a request
					}
					fapitest.TryAll(t, at.Push, one)
				}
			}
		}
	}
}

// TestClientAssertion lists what a client assertion may and may not be (RFC 7523 §3, FAPI 2.0 §5.3.2.1).
func TestClientAssertion(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	other := w.Register("client-2", nil)
	now := w.Clock.Now()
	set := func(name string, value any) func(fapitest.Claims) { return func(b fapitest.Claims) { b[name] = value } }
	tests := map[string]struct {
		change func(fapitest.Claims)
		good   bool
	}{
		"as it is":                     {nil, true},
		"nbf 8 seconds ahead":          {set("nbf", now.Add(8*time.Second).Unix()), true},
		"iat 10 seconds ahead":         {set("iat", now.Add(10*time.Second).Unix()), true},
		"aud in an array":              {set("aud", []string{w.Issuer}), false},
		"aud is the PAR endpoint":      {set("aud", w.Issuer+"/par"), false},
		"aud is the token endpoint":    {set("aud", w.Issuer+"/token"), false},
		"aud with a slash":             {set("aud", w.Issuer+"/"), false},
		"no aud":                       {func(b fapitest.Claims) { delete(b, "aud") }, false},
		"no exp":                       {func(b fapitest.Claims) { delete(b, "exp") }, false},
		"exp 5 minutes ago":            {set("exp", now.Add(-5*time.Minute).Unix()), false},
		"exp an hour ahead":            {set("exp", now.Add(time.Hour).Unix()), false},
		"nbf more than a minute ahead": {set("nbf", now.Add(61*time.Second).Unix()), false},
		"iat more than a minute ahead": {set("iat", now.Add(61*time.Second).Unix()), false},
		"no sub":                       {func(b fapitest.Claims) { delete(b, "sub") }, false},
		"another iss":                  {set("iss", "client-2"), false},
		"another sub":                  {set("sub", "client-2"), false},
		"no jti":                       {func(b fapitest.Claims) { delete(b, "jti") }, false},
		"a jti of 300 bytes":           {set("jti", strings.Repeat("j", 300)), false},
		"exp that is not a number":     {set("exp", "soon"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := c.Push(func(form url.Values, _ http.Header) { form.Set("client_assertion", c.ClientAssertion(test.change)) })
			if test.good {
				if r.Status != http.StatusCreated {
					t.Fatalf("refused: %d %s", r.Status, r.Raw)
				}
				return
			}
			fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_client")
		})
	}
	body := fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()}
	for name, assertion := range map[string]string{
		"signed by another client": c.Sign(other.Key, "", body),
		"typ of an access token":   c.Sign(c.Key, "at+jwt", body),
		"alg none":                 "eyJhbGciOiJub25lIn0." + strings.Split(c.ClientAssertion(nil), ".")[1] + ".",
		"garbage":                  "a.b.c",
		"too large":                strings.Repeat("a", 20<<10),
	} {
		t.Run(name, func(t *testing.T) {
			r := c.Push(func(form url.Values, _ http.Header) { form.Set("client_assertion", assertion) })
			fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_client")
		})
	}
}

// Covers: F1-16, F1-06, SP-18. The two generations want opposite things of a client assertion, each of its own clients.
func TestF116AssertionAudience(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	first, second := w.Register("first", fapitest.FAPI1Advanced), w.Register("second", fapitest.OfProfile("fapi2-message-signing"))
	hybrid := fapitest.SetClaim("response_type", "code id_token")
	for name, audience := range map[string]any{
		"the token endpoint": w.Issuer + "/token", "the token endpoint on the mTLS listener": w.MTLSIssuer + "/token",
		"the PAR endpoint": w.Issuer + "/par", "an array with the issuer": []string{w.Issuer, "https://other.example"},
	} {
		fapitest.TryAll(t, first.Push, fapitest.Good(name+", of FAPI 1", fapitest.Changes(first.Signing(hybrid), first.ReplaceAssertion(fapitest.SetClaim("aud", audience)))))
		fapitest.TryAll(t, second.Push, fapitest.Bad(name+", of FAPI 2", fapitest.Changes(second.Signing(nil), second.ReplaceAssertion(fapitest.SetClaim("aud", audience))), 401, "invalid_client"))
	}
	fapitest.TryAll(t, first.Push,
		fapitest.Good("the issuer, of FAPI 1", fapitest.Changes(first.Signing(hybrid), first.ReplaceAssertion(nil))),
		fapitest.Bad("another endpoint, of FAPI 1", fapitest.Changes(first.Signing(hybrid), first.ReplaceAssertion(fapitest.SetClaim("aud", w.Issuer+"/revoke"))), 401, "invalid_client"),
		fapitest.Bad("another server, of FAPI 1", fapitest.Changes(first.Signing(hybrid), first.ReplaceAssertion(fapitest.SetClaim("aud", []string{"https://other.example"}))), 401, "invalid_client"),
		fapitest.Bad("nobody, of FAPI 1", fapitest.Changes(first.Signing(hybrid), first.ReplaceAssertion(fapitest.SetClaim("aud", nil))), 401, "invalid_client"),
	)
	fapitest.TryAll(t, second.Push, fapitest.Good("the issuer, of FAPI 2", second.Signing(nil)))
}

// Covers: FD-20, ATTACK-02, RULE-12. An assertion works once, also when it is sent many times at once, at any endpoint.
func TestAttack02AssertionReplay(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	one := func() fapitest.Change { return fapitest.Set("client_assertion", c.ClientAssertion(nil)) }
	used := one()
	fapitest.TryAll(t, c.Push, fapitest.Good("an assertion", used), fapitest.Bad("the same again", used, 401, "invalid_client"))
	fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Redeem(c.Authorize(), change) }, fapitest.Bad("it at another endpoint", used, 401, "invalid_client"))
	t.Run("accepts one of 16 at once", func(t *testing.T) {
		same := one()
		replies := make([]fapitest.Reply, 16)
		var wait sync.WaitGroup
		for i := range replies {
			wait.Go(func() { replies[i] = c.Push(same) })
		}
		wait.Wait()
		won := 0
		for _, r := range replies {
			if r.Status == http.StatusCreated {
				won++
			} else if r.Status != 401 || r.Text("error") != "invalid_client" {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		}
		if won != 1 {
			t.Errorf("%d succeeded", won)
		}
	})
	now := w.Clock.Now()
	fapitest.TryAll(t, c.Push,
		fapitest.Good("the jti of another client", func(form url.Values, _ http.Header) {
			jti := fapitest.RandomString()
			other := w.Register("client-"+jti, nil)
			fapitest.Good("", nil).Check(t, other.Push(other.ReplaceAssertion(fapitest.SetClaim("jti", jti))))
			form.Set("client_assertion", c.ClientAssertion(fapitest.SetClaim("jti", jti)))
		}),
		fapitest.Bad("no jti", c.ReplaceAssertion(fapitest.SetClaim("jti", nil)), 401, "invalid_client"),
		fapitest.Bad("a jti of 300 bytes", c.ReplaceAssertion(fapitest.SetClaim("jti", strings.Repeat("j", 300))), 401, "invalid_client"),
		fapitest.Bad("no exp", c.ReplaceAssertion(fapitest.SetClaim("exp", nil)), 401, "invalid_client"),
		fapitest.Bad("an exp that is over", c.ReplaceAssertion(fapitest.SetClaim("exp", now.Unix())), 401, "invalid_client"),
		fapitest.Bad("an exp an hour ahead", c.ReplaceAssertion(fapitest.SetClaim("exp", now.Add(time.Hour).Unix())), 401, "invalid_client"),
		fapitest.Bad("an exp that is no number", c.ReplaceAssertion(fapitest.SetClaim("exp", "soon")), 401, "invalid_client"),
		fapitest.Bad("another iss", c.ReplaceAssertion(fapitest.SetClaim("iss", "client-2")), 401, "invalid_client"),
		fapitest.Bad("another sub", c.ReplaceAssertion(fapitest.SetClaim("sub", "client-2")), 401, "invalid_client"),
		fapitest.Bad("no iss", c.ReplaceAssertion(fapitest.SetClaim("iss", nil)), 401, "invalid_client"),
		fapitest.Bad("no sub", c.ReplaceAssertion(fapitest.SetClaim("sub", nil)), 401, "invalid_client"))
	t.Run("refuses a replay to the end of the assertion's time", func(t *testing.T) {
		long := c.ReplaceAssertion(func(body fapitest.Claims) { body["jti"], body["exp"] = "long", now.Add(10*time.Minute).Unix() })
		fapitest.Good("", nil).Check(t, c.Push(long))
		for range 11 {
			w.Clock.Advance(time.Minute)
			if r := c.Push(long); r.Status == http.StatusCreated {
				t.Fatalf("accepted at %s", w.Clock.Now().Sub(now))
			}
		}
	})
}

// assertionOf is a client assertion with a typ.
func assertionOf(c *fapitest.Client, typ string, alter func(fapitest.Claims)) string {
	now := c.World.Clock.Now()
	body := fapitest.Claims{"iss": c.ID, "sub": c.ID, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()}
	alter(body)
	return c.Sign(c.Key, typ, body)
}

// literalAssertion is a client assertion with members as they are written, which no encoder would write so.
func literalAssertion(c *fapitest.Client, members string) string {
	c.World.T.Helper()
	body := fapitest.JSON(fapitest.Claims{"iss": c.ID, "sub": c.ID, "jti": fapitest.RandomString(), "exp": c.World.Clock.Now().Add(time.Minute).Unix()})
	body = "{" + members + "," + strings.TrimPrefix(body, "{")
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(body))
	return input + "." + encode(fapitest.ES256(c.World.T, c.Key)([]byte(input)))
}

func assertionClaims(c *fapitest.Client) fapitest.Claims {
	now := c.World.Clock.Now()
	return fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": c.World.Issuer, "jti": fapitest.RandomString(), "exp": now.Add(time.Minute).Unix()}
}

// unsignedAssertion is one with the algorithm none.
func unsignedAssertion(c *fapitest.Client) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(fapitest.JSON(assertionClaims(c)))) + "."
}
