package fapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/internal/jose"
)

// canaries are values that are planted to be looked for afterwards.
type canaries map[string]string

// plant gives a value that occurs nowhere else.
func (c canaries) plant(name string) string {
	c[name] = "canary" + strings.NewReplacer("-", "", "_", "").Replace(random())
	return c[name]
}

// watch adds a secret that the server or a client made.
func (c canaries) watch(name, secret string) {
	if len(secret) < 16 {
		panic(name + " is not there: " + secret)
	}
	c[name] = secret
}

// leaked tells where a secret is found: as it is, in base64 or escaped, and for a JWT its signature alone, which is all
// that somebody who can guess the rest needs.
func leaked(secret string, places map[string]string) []string {
	forms := []string{secret, base64.RawURLEncoding.EncodeToString([]byte(secret)), url.QueryEscape(secret), fmt.Sprintf("%x", secret)}
	if parts := strings.Split(secret, "."); len(parts) == 3 && len(parts[2]) > 40 {
		forms = append(forms, parts[1], parts[2])
	}
	var found []string
	for name, text := range places {
		if slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(text, form) }) {
			found = append(found, name)
		}
	}
	return found
}

// Covers: ATTACK-07. Every value of a pushed request is planted with a canary. On its way to the decision none gets into a
// cookie, an address, a header, the log or a trace; with the answer only state does, to its client.
func TestAttack07Canaries(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", func(c *client, m map[string]any) {
		wide(c, m)
		m["redirect_uris"] = []string{c.redirectURI}
	})
	planted := canaries{}
	plant := func(form url.Values, header http.Header) {
		for _, name := range []string{"state", "nonce", "login_hint", "acr_values", "ui_locales", "unknown"} {
			form.Set(name, planted.plant(name))
		}
		form.Set("claims", `{"id_token":{"acr":{"values":["`+planted.plant("claims")+`"]},"`+planted.plant("name of a claim")+`":null}}`)
		form.Set("authorization_details", "["+strings.Replace(onePayment, "Merchant A", planted.plant("authorization_details"), 1)+"]")
		form.Set("scope", form.Get("scope")+" "+planted.plant("scope"))
		form.Set("code_challenge", challenge(planted.plant("verifier")+strings.Repeat("v", 43)))
		planted.watch("code_challenge", form.Get("code_challenge"))
	}
	pushed := c.push(plant)
	if pushed.status != http.StatusCreated {
		t.Fatal(pushed.raw)
	}
	planted.watch("request_uri", strings.TrimPrefix(pushed.text("request_uri"), "urn:ietf:params:oauth:request_uri:"))
	p.does("wait")
	b := w.browser()
	var headers []http.Header
	for address := w.authorizeURL(c.id, pushed.text("request_uri")); address != ""; {
		response, err := noRedirects(b).Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		headers = append(headers, response.Header)
		address = response.Header.Get("Location")
	}
	if len(headers) != 2 {
		t.Fatalf("%d answers on the way to the page", len(headers))
	}
	places := map[string]string{
		"the headers": fmt.Sprint(headers), "the cookies": fmt.Sprint(b.http.Jar.Cookies(mustURL(t, w.issuer))),
		"the log": w.logs.String(), "the traces": fmt.Sprintf("%+v", w.spans.GetSpans()),
	}
	t.Run("accepts the values at the page, where they belong", func(t *testing.T) {
		if page := p.sees(); page.loginHint != planted["login_hint"] || !slices.Contains(page.acrs, planted["acr_values"]) ||
			!strings.Contains(jsonText(page.details), planted["authorization_details"]) {
			t.Errorf("%+v", page)
		}
	})
	for name, value := range inOrder(planted) {
		t.Run("refuses to leak "+name, func(t *testing.T) {
			if found := leaked(value, places); len(found) > 0 {
				t.Errorf("it is in %s", found)
			}
		})
	}
	p.does("allow")
	_, _, sentTo := b.visit(w.authorizeURL(c.id, pushed.text("request_uri")))
	if sentTo == nil || sentTo.Query().Get("code") == "" {
		t.Fatalf("sent to %v", sentTo)
	}
	t.Run("accepts state in the answer", func(t *testing.T) {
		if sentTo.Query().Get("state") != planted["state"] {
			t.Errorf("sent to %s", sentTo)
		}
	})
	t.Run("refuses everything else in the answer", func(t *testing.T) {
		for name, value := range planted {
			if found := leaked(value, map[string]string{"it": sentTo.String()}); len(found) > 0 && name != "state" {
				t.Errorf("%s is in %s", name, sentTo)
			}
		}
	})
}

// Covers: ATTACK-52, RULE-45. Every secret of a flow, and of every way to get it wrong, is looked for in the log and in the
// traces afterwards; and no text from outside makes a line of its own there.
func TestAttack52Canaries(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", wide)
	self := w.resourceServer("self", w.issuer)
	planted := canaries{}
	// Each request's one-time secrets are noted as it is sent.
	noting := func(name string, alter change) change {
		return func(form url.Values, header http.Header) {
			if alter != nil {
				alter(form, header)
			}
			if assertion := form.Get("client_assertion"); len(assertion) > 40 {
				planted.watch("assertion of "+name, assertion)
			}
			if proof := header.Get("DPoP"); len(proof) > 40 {
				planted.watch("proof of "+name, proof)
			}
		}
	}
	pushed := c.push(noting("push", nil)).text("request_uri")
	planted.watch("request_uri", strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"))
	b := w.browser()
	_, _, sentTo := b.visit(w.authorizeURL(c.id, pushed))
	code := sentTo.Query().Get("code")
	planted.watch("code", code)
	planted.watch("verifier", verifier)
	for _, cookie := range b.http.Jar.Cookies(mustURL(t, w.issuer)) {
		planted.watch("cookie "+cookie.Name, cookie.Value)
	}
	issued := c.redeem(code, noting("redemption", nil))
	token, refreshToken := issued.text("access_token"), issued.text("refresh_token")
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		planted.watch(name, issued.text(name))
	}
	for name, wrong := range map[string]reply{
		"client secret":         c.push(noting("secret", set("client_secret", planted.plant("client secret")))),
		"password":              c.post("/token", url.Values{"grant_type": {"password"}, "username": {planted.plant("username")}, "password": {planted.plant("password")}}, nil),
		"Basic":                 c.push(setHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("client-1:"+planted.plant("Basic"))))),
		"wrong code":            c.redeem(planted.plant("wrong code"), nil),
		"wrong verifier":        c.redeem(c.authorize(), set("code_verifier", strings.Repeat("x", 43)+planted.plant("wrong verifier"))),
		"malformed assertion":   c.push(set("client_assertion", planted.plant("malformed assertion"))),
		"forged assertion":      c.push(set("client_assertion", c.signed(newKey(t, jose.ES256), "", claims{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": planted.plant("jti"), "exp": planted.plant("exp")}))),
		"used assertion":        c.push(set("client_assertion", planted["assertion of push"])),
		"malformed proof":       c.push(setHeader("DPoP", planted.plant("malformed proof"))),
		"private key in proof":  c.push(setHeader("DPoP", proofWithPrivateKey(t, c, planted))),
		"wrong refresh token":   c.refresh(planted.plant("wrong refresh token"), nil),
		"wrong access token":    c.get("/accounts", planted.plant("wrong access token"), nil),
		"changed access token":  c.get("/accounts", token[:len(token)-4]+"AAAA", nil),
		"bearer":                c.get("/accounts", token, func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }),
		"token in the address":  c.get("/accounts?access_token="+planted.plant("token in the address"), token, nil),
		"unknown scheme":        c.get("/accounts", token, func(h http.Header) { h.Set("Authorization", "Negotiate "+planted.plant("another scheme")) }),
		"secret in the address": c.post("/token?client_assertion="+planted.plant("assertion in the address"), url.Values{}, nil),
		"unknown path":          c.get("/"+planted.plant("unknown path"), token, nil),
		"too many parameters":   c.push(func(f url.Values, _ http.Header) { f.Add("state", planted.plant("doubled state")) }),
		"hint":                  c.push(set("id_token_hint", issued.text("id_token")[:60]+planted.plant("hint"))),
		"introspected":          self.introspect(planted.plant("introspected token"), nil),
		"revoked":               c.revoke(planted.plant("revoked token"), nil),
		"second use":            c.redeem(code, noting("second use", nil)),
		"dead refresh token":    c.refresh(refreshToken, noting("dead refresh", nil)),
		"details":               c.push(set("authorization_details", `[{"type":"payment_initiation","`+planted.plant("detail")+`":1}]`)),
		"claims":                c.push(set("claims", `{"`+planted.plant("claims")+`"`)),
		"cookie":                c.get("/authorize?client_id="+c.id, "", func(h http.Header) { h.Set("Cookie", "__Host-countersign-session="+planted.plant("cookie")) }),
	} {
		if wrong.status < 400 && name != "introspected" && name != "revoked" {
			t.Errorf("%s was meant to go wrong: %d %s", name, wrong.status, wrong.raw)
		}
	}
	b.visit(w.authorizeURL(c.id, "urn:ietf:params:oauth:request_uri:"+planted.plant("wrong request_uri")))
	b.visit(w.issuer + "/interaction/" + planted.plant("interaction"))
	places := map[string]string{"the log": w.logs.String(), "the traces": fmt.Sprintf("%+v", w.spans.GetSpans())}
	t.Run("accepts a line for every request in the log, and a span", func(t *testing.T) {
		for _, text := range []string{`"outcome":"invalid_grant"`, `"outcome":"invalid_client"`, `"outcome":"invalid_dpop_proof"`, `"outcome":"invalid_token"`, `"route":"/introspect"`} {
			if !strings.Contains(places["the log"], text) {
				t.Errorf("no %s in the log", text)
			}
		}
		if found := leaked(c.id, places); len(found) != 2 { // no secret; it shows that secrets would be found
			t.Errorf("%s is in %s only", c.id, found)
		}
	})
	for name, secret := range inOrder(planted) {
		t.Run("refuses to tell "+name, func(t *testing.T) {
			if found := leaked(secret, places); len(found) > 0 {
				t.Errorf("it is in %s", found)
			}
		})
	}
}

// proofWithPrivateKey is a proof of a careless client: its private key is in the header.
func proofWithPrivateKey(t *testing.T, c *client, planted canaries) string {
	t.Helper()
	private := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(random(), 2)[:32]))
	planted.watch("private key", private)
	jwk := jwkWith(t, c.proofKey, func(m map[string]any) { m["d"] = private })
	header := map[string]any{"alg": "ES256", "typ": "dpop+jwt", "jwk": json.RawMessage(jwk)}
	body := claims{"jti": random(), "htm": "POST", "htu": c.w.issuer + "/par", "iat": c.w.clock.Now().Unix()}
	return handSigned(t, header, body, es256(t, c.proofKey))
}

// Covers: ATTACK-52. Whatever is sent, the log stays one line of JSON for each request.
func TestAttack52LogLines(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	forged := "\n" + `{"level":"INFO","msg":"request","outcome":"ok","client_id":"forged"}` + "\r\n\x1b[2J\u202e\u2028"
	before := strings.Count(w.logs.String(), "\n")
	c.push(set("client_id", forged))
	c.push(set(forged, "a"))
	c.push(set("client_assertion", c.signed(c.key, "", claims{"iss": forged, "sub": forged})))
	c.push(set("redirect_uri", forged))
	c.redeem(forged, nil)
	c.post("/token", url.Values{"grant_type": {forged}}, nil)
	c.get("/accounts", "x", func(h http.Header) { h.Set("x-fapi-interaction-id", url.QueryEscape(forged)) })
	w.browser().visit(w.issuer + "/authorize?client_id=" + url.QueryEscape(forged))
	w.browser().visit(w.issuer + "/" + url.PathEscape(forged))
	lines := strings.Split(strings.TrimSuffix(w.logs.String(), "\n"), "\n")[before:]
	t.Run("accepts a line for each of nine requests", func(t *testing.T) {
		if len(lines) != 9 {
			t.Errorf("%d lines", len(lines))
		}
	})
	t.Run("refuses a line that a client wrote", func(t *testing.T) {
		for _, line := range lines {
			var one map[string]any
			if err := json.Unmarshal([]byte(line), &one); err != nil || one["msg"] != "request" || one["client_id"] != "" && one["client_id"] != c.id {
				t.Errorf("%s: %v", line, err)
			}
			if strings.ContainsAny(line, "\r\x1b\u2028") {
				t.Errorf("%q", line)
			}
		}
	})
}
