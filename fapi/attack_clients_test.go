package fapi_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// Covers: ATTACK-01, SP-18, RULE-11. Of everything that an aud can look like, the issuer as one string is accepted, and
// nothing else, at any endpoint of either listener: an assertion that was made for another server opens nothing here.
func TestAttack01AudienceMatrix(t *testing.T) {
	w, _ := wholeWorld(t)
	everything := func(c *client, m map[string]any) {
		wide(c, m)
		m["resource_identifiers"] = []string{w.issuer}
	}
	front := w.register("client-1", everything)
	back := w.register("client-2", func(c *client, m map[string]any) { everything(c, m); c.atMTLS = true })
	for listener, c := range map[string]*client{"": front, " on the mTLS listener": back} {
		issued := c.tokens()
		for endpoint, send := range map[string]func(change) reply{
			"/par":        c.push,
			"/token":      func(alter change) reply { return c.refresh(issued.text("refresh_token"), alter) },
			"/introspect": func(alter change) reply { return c.introspect("unknown", alter) },
			"/revoke":     func(alter change) reply { return c.revoke("unknown", alter) },
		} {
			at := " at " + endpoint + listener
			here, aliased := w.issuer+endpoint, w.mtls+endpoint
			denied := map[string]any{
				"no audience": nil, "an empty string": "", "an empty array": []any{}, "an array with null": []any{nil}, "a number": 1, "an object": claims{w.issuer: true},
				"the issuer in an array": []string{w.issuer}, "the issuer in an array twice": []string{w.issuer, w.issuer}, "the issuer in an array in an array": []any{[]string{w.issuer}},
				"this endpoint": here, "this endpoint in an array": []string{here}, "this endpoint's alias": aliased, "the issuer and this endpoint": []string{w.issuer, here},
				"the mTLS listener": w.mtls, "the issuer and a slash": w.issuer + "/", "the issuer and a path": w.issuer + "/.well-known/openid-configuration",
				"the issuer and a query": w.issuer + "?", "the issuer without its scheme": strings.TrimPrefix(w.issuer, "https://"), "the issuer over http": strings.Replace(w.issuer, "https", "http", 1),
				"the issuer with a blank": " " + w.issuer, "the issuer in capitals": strings.ToUpper(w.issuer), "the issuer and NUL": w.issuer + "\x00",
				"two issuers in one string": w.issuer + " https://attacker.example", "another server": "https://attacker.example",
				"another server and the issuer": []string{"https://attacker.example", w.issuer}, "the issuer below another server": "https://attacker.example/" + w.issuer, "the client itself": c.id,
			}
			for _, typ := range []string{"", "JWT", "client-authentication+jwt"} {
				tryAll(t, send, good("the issuer, typ "+typ+at, set("client_assertion", c.assertionOf(typ, claim("aud", w.issuer)))))
			}
			for shape, audience := range denied {
				tryAll(t, send, bad(shape+at, set("client_assertion", c.assertionOf("", claim("aud", audience))), 401, "invalid_client"))
			}
			for typ, wrong := range map[string]any{"JWT": here, "client-authentication+jwt": []string{w.issuer}} {
				tryAll(t, send, bad("another audience under typ "+typ+at, set("client_assertion", c.assertionOf(typ, claim("aud", wrong))), 401, "invalid_client"))
			}
			for name, members := range map[string]string{
				"the issuer, then another": `"aud":"` + w.issuer + `","aud":"https://attacker.example"`,
				"another, then the issuer": `"aud":"https://attacker.example","aud":"` + w.issuer + `"`,
				"a name in other letters":  `"AUD":"` + w.issuer + `"`,
			} {
				tryAll(t, send, bad(name+at, set("client_assertion", c.literalAssertion(members)), 401, "invalid_client"))
			}
			tryAll(t, send, good("the issuer, written by hand"+at, set("client_assertion", c.literalAssertion(`"aud":"`+w.issuer+`"`))))
		}
	}
}

// assertionOf is a client assertion with a typ.
func (c *client) assertionOf(typ string, alter func(claims)) string {
	now := c.w.clock.Now()
	body := claims{"iss": c.id, "sub": c.id, "jti": random(), "exp": now.Add(time.Minute).Unix()}
	alter(body)
	return c.signed(c.key, typ, body)
}

// literalAssertion is a client assertion with members as they are written, which no encoder would write so.
func (c *client) literalAssertion(members string) string {
	c.w.t.Helper()
	body := jsonText(claims{"iss": c.id, "sub": c.id, "jti": random(), "exp": c.w.clock.Now().Add(time.Minute).Unix()})
	body = "{" + members + "," + strings.TrimPrefix(body, "{")
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(body))
	return input + "." + encode(es256(c.w.t, c.key)([]byte(input)))
}

// Covers: ATTACK-03, RULE-10. The registration decides how a client authenticates. Whatever else a request carries, of an
// assertion, a certificate, and secrets in every combination, opens no weaker way in.
func TestAttack03AuthenticationMatrix(t *testing.T) {
	w := newWorld(t)
	stranger := newAuthority(t, "Another CA", w.clock.Now())
	for method, alter := range map[string]func(*client, map[string]any){
		"private_key_jwt": func(c *client, _ map[string]any) { c.atMTLS = true }, "tls_client_auth": withCertificate, "self_signed_tls_client_auth": selfSigned,
	} {
		c := w.register("client with "+method, alter)
		right := c.certificate
		if right == nil { // one that is trusted, and names the client
			right = ptr(w.clientCA.issue(t, c.id, w.clock.Now()))
		}
		c.assertion, c.atMTLS = false, true
		for shown, certificate := range map[string]*tls.Certificate{
			"no certificate": nil, "its certificate": right, "a certificate of another CA": ptr(stranger.issue(t, c.id, w.clock.Now())),
		} {
			at := c.showing(certificate)
			at.atMTLS = true
			for asserted, assertion := range map[string]func() string{
				"no assertion":                nil,
				"its assertion":               func() string { return c.clientAssertion(nil) },
				"an unsigned assertion":       func() string { return c.unsignedAssertion() },
				"an assertion of another key": func() string { return c.signed(newKey(t, jose.ES256), "", c.assertionClaims()) },
			} {
				for secrets, secret := range map[string]change{
					"": nil, " and Basic": setHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.id)+":secret"))),
					" and a secret": set("client_secret", "secret"),
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
					one := bad(carried, alter, 401, "invalid_client")
					byKey := method == "private_key_jwt"
					switch {
					case secret != nil:
					case byKey && asserted == "its assertion", !byKey && asserted == "no assertion" && shown == "its certificate":
						one = good(carried, alter)
					case !byKey && assertion != nil && asserted != "an unsigned assertion":
						one.status, one.code = 400, "invalid_request" // one method a request
					}
					tryAll(t, at.push, one)
				}
			}
		}
	}
}

func (c *client) assertionClaims() claims {
	now := c.w.clock.Now()
	return claims{"iss": c.id, "sub": c.id, "aud": c.w.issuer, "jti": random(), "exp": now.Add(time.Minute).Unix()}
}

// unsignedAssertion is one with the algorithm none.
func (c *client) unsignedAssertion() string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(jsonText(c.assertionClaims()))) + "."
}
