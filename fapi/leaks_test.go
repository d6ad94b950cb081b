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

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// canaries are values that are planted to be looked for afterwards.
type canaries map[string]string

// plant gives a value that occurs nowhere else.
func (c canaries) plant(name string) string {
	c[name] = "canary" + strings.NewReplacer("-", "", "_", "").Replace(fapitest.RandomString())
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
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		fapitest.AllScopes(c, m)
		m["redirect_uris"] = []string{c.RedirectURI}
	})
	planted := canaries{}
	plant := func(form url.Values, header http.Header) {
		for _, name := range []string{"state", "nonce", "login_hint", "acr_values", "ui_locales", "unknown"} {
			form.Set(name, planted.plant(name))
		}
		form.Set("claims", `{"id_token":{"acr":{"values":["`+planted.plant("claims")+`"]},"`+planted.plant("name of a claim")+`":null}}`)
		form.Set("authorization_details", "["+strings.Replace(fapitest.OnePayment, "Merchant A", planted.plant("authorization_details"), 1)+"]")
		form.Set("scope", form.Get("scope")+" "+planted.plant("scope"))
		form.Set("code_challenge", fapitest.CodeChallenge(planted.plant("verifier")+strings.Repeat("v", 43)))
		planted.watch("code_challenge", form.Get("code_challenge"))
	}
	pushed := c.Push(plant)
	if pushed.Status != http.StatusCreated {
		t.Fatal(pushed.Raw)
	}
	planted.watch("request_uri", strings.TrimPrefix(pushed.Text("request_uri"), "urn:ietf:params:oauth:request_uri:"))
	p.Does("wait")
	b := w.Browser()
	var headers []http.Header
	for address := w.AuthorizeURL(c.ID, pushed.Text("request_uri")); address != ""; {
		response, err := fapitest.NoRedirects(b).Get(address)
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
		"the headers": fmt.Sprint(headers), "the cookies": fmt.Sprint(b.HTTP.Jar.Cookies(fapitest.MustURL(t, w.Issuer))),
		"the log": w.Logs.String(), "the traces": fmt.Sprintf("%+v", w.Spans.GetSpans()),
	}
	t.Run("accepts the values at the page, where they belong", func(t *testing.T) {
		if page := p.Sees(); page.LoginHint != planted["login_hint"] || !slices.Contains(page.ACRs, planted["acr_values"]) ||
			!strings.Contains(fapitest.JSON(page.Details), planted["authorization_details"]) {
			t.Errorf("%+v", page)
		}
	})
	for name, value := range fapitest.Sorted(planted) {
		t.Run("refuses to leak "+name, func(t *testing.T) {
			if found := leaked(value, places); len(found) > 0 {
				t.Errorf("it is in %s", found)
			}
		})
	}
	p.Does("allow")
	_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
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
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	self := w.ResourceServer("self", w.Issuer)
	planted := canaries{}
	// Each request's one-time secrets are noted as it is sent.
	noting := func(name string, alter fapitest.Change) fapitest.Change {
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
	pushed := c.Push(noting("push", nil)).Text("request_uri")
	planted.watch("request_uri", strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"))
	b := w.Browser()
	_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, pushed))
	code := sentTo.Query().Get("code")
	planted.watch("code", code)
	planted.watch("verifier", fapitest.CodeVerifier)
	for _, cookie := range b.HTTP.Jar.Cookies(fapitest.MustURL(t, w.Issuer)) {
		planted.watch("cookie "+cookie.Name, cookie.Value)
	}
	issued := c.Redeem(code, noting("redemption", nil))
	token, refreshToken := issued.Text("access_token"), issued.Text("refresh_token")
	for _, name := range []string{"access_token", "refresh_token", "id_token"} {
		planted.watch(name, issued.Text(name))
	}
	for name, wrong := range map[string]fapitest.Reply{
		"client secret":         c.Push(noting("secret", fapitest.Set("client_secret", planted.plant("client secret")))),
		"password":              c.Post("/token", url.Values{"grant_type": {"password"}, "username": {planted.plant("username")}, "password": {planted.plant("password")}}, nil),
		"Basic":                 c.Push(fapitest.SetHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("client-1:"+planted.plant("Basic"))))),
		"wrong code":            c.Redeem(planted.plant("wrong code"), nil),
		"wrong verifier":        c.Redeem(c.Authorize(), fapitest.Set("code_verifier", strings.Repeat("x", 43)+planted.plant("wrong verifier"))),
		"malformed assertion":   c.Push(fapitest.Set("client_assertion", planted.plant("malformed assertion"))),
		"forged assertion":      c.Push(fapitest.Set("client_assertion", c.Sign(fapitest.NewKey(t, jose.ES256), "", fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": planted.plant("jti"), "exp": planted.plant("exp")}))),
		"used assertion":        c.Push(fapitest.Set("client_assertion", planted["assertion of push"])),
		"malformed proof":       c.Push(fapitest.SetHeader("DPoP", planted.plant("malformed proof"))),
		"private key in proof":  c.Push(fapitest.SetHeader("DPoP", proofWithPrivateKey(t, c, planted))),
		"wrong refresh token":   c.Refresh(planted.plant("wrong refresh token"), nil),
		"wrong access token":    c.Get("/accounts", planted.plant("wrong access token"), nil),
		"changed access token":  c.Get("/accounts", token[:len(token)-4]+"AAAA", nil),
		"bearer":                c.Get("/accounts", token, func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") }),
		"token in the address":  c.Get("/accounts?access_token="+planted.plant("token in the address"), token, nil),
		"unknown scheme":        c.Get("/accounts", token, func(h http.Header) { h.Set("Authorization", "Negotiate "+planted.plant("another scheme")) }),
		"secret in the address": c.Post("/token?client_assertion="+planted.plant("assertion in the address"), url.Values{}, nil),
		"unknown path":          c.Get("/"+planted.plant("unknown path"), token, nil),
		"too many parameters":   c.Push(func(f url.Values, _ http.Header) { f.Add("state", planted.plant("doubled state")) }),
		"hint":                  c.Push(fapitest.Set("id_token_hint", issued.Text("id_token")[:60]+planted.plant("hint"))),
		"introspected":          self.Introspect(planted.plant("introspected token"), nil),
		"revoked":               c.Revoke(planted.plant("revoked token"), nil),
		"second use":            c.Redeem(code, noting("second use", nil)),
		"dead refresh token":    c.Refresh(refreshToken, noting("dead refresh", nil)),
		"details":               c.Push(fapitest.Set("authorization_details", `[{"type":"payment_initiation","`+planted.plant("detail")+`":1}]`)),
		"claims":                c.Push(fapitest.Set("claims", `{"`+planted.plant("claims")+`"`)),
		"cookie":                c.Get("/authorize?client_id="+c.ID, "", func(h http.Header) { h.Set("Cookie", "__Host-countersign-session="+planted.plant("cookie")) }),
	} {
		if wrong.Status < 400 && name != "introspected" && name != "revoked" {
			t.Errorf("%s was meant to go wrong: %d %s", name, wrong.Status, wrong.Raw)
		}
	}
	b.Visit(w.AuthorizeURL(c.ID, "urn:ietf:params:oauth:request_uri:"+planted.plant("wrong request_uri")))
	b.Visit(w.Issuer + "/interaction/" + planted.plant("interaction"))
	places := map[string]string{"the log": w.Logs.String(), "the traces": fmt.Sprintf("%+v", w.Spans.GetSpans())}
	t.Run("accepts a line for every request in the log, and a span", func(t *testing.T) {
		for _, text := range []string{`"outcome":"invalid_grant"`, `"outcome":"invalid_client"`, `"outcome":"invalid_dpop_proof"`, `"outcome":"invalid_token"`, `"route":"/introspect"`} {
			if !strings.Contains(places["the log"], text) {
				t.Errorf("no %s in the log", text)
			}
		}
		if found := leaked(c.ID, places); len(found) != 2 { // no secret; it shows that secrets would be found
			t.Errorf("%s is in %s only", c.ID, found)
		}
	})
	for name, secret := range fapitest.Sorted(planted) {
		t.Run("refuses to tell "+name, func(t *testing.T) {
			if found := leaked(secret, places); len(found) > 0 {
				t.Errorf("it is in %s", found)
			}
		})
	}
}

// proofWithPrivateKey is a proof of a careless client: its private key is in the header.
func proofWithPrivateKey(t *testing.T, c *fapitest.Client, planted canaries) string {
	t.Helper()
	private := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(fapitest.RandomString(), 2)[:32]))
	planted.watch("private key", private)
	jwk := fapitest.JWKWith(t, c.ProofKey, func(m map[string]any) { m["d"] = private })
	header := map[string]any{"alg": "ES256", "typ": "dpop+jwt", "jwk": json.RawMessage(jwk)}
	body := fapitest.Claims{"jti": fapitest.RandomString(), "htm": "POST", "htu": c.World.Issuer + "/par", "iat": c.World.Clock.Now().Unix()}
	return fapitest.HandSigned(t, header, body, fapitest.ES256(t, c.ProofKey))
}

// Covers: ATTACK-52. Whatever is sent, the log stays one line of JSON for each request.
func TestAttack52LogLines(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	forged := "\n" + `{"level":"INFO","msg":"request","outcome":"ok","client_id":"forged"}` + "\r\n\x1b[2J\u202e\u2028"
	before := strings.Count(w.Logs.String(), "\n")
	c.Push(fapitest.Set("client_id", forged))
	c.Push(fapitest.Set(forged, "a"))
	c.Push(fapitest.Set("client_assertion", c.Sign(c.Key, "", fapitest.Claims{"iss": forged, "sub": forged})))
	c.Push(fapitest.Set("redirect_uri", forged))
	c.Redeem(forged, nil)
	c.Post("/token", url.Values{"grant_type": {forged}}, nil)
	c.Get("/accounts", "x", func(h http.Header) { h.Set("x-fapi-interaction-id", url.QueryEscape(forged)) })
	w.Browser().Visit(w.Issuer + "/authorize?client_id=" + url.QueryEscape(forged))
	w.Browser().Visit(w.Issuer + "/" + url.PathEscape(forged))
	lines := strings.Split(strings.TrimSuffix(w.Logs.String(), "\n"), "\n")[before:]
	t.Run("accepts a line for each of nine requests", func(t *testing.T) {
		if len(lines) != 9 {
			t.Errorf("%d lines", len(lines))
		}
	})
	t.Run("refuses a line that a client wrote", func(t *testing.T) {
		for _, line := range lines {
			var one map[string]any
			if err := json.Unmarshal([]byte(line), &one); err != nil || one["msg"] != "request" || one["client_id"] != "" && one["client_id"] != c.ID {
				t.Errorf("%s: %v", line, err)
			}
			if strings.ContainsAny(line, "\r\x1b\u2028") {
				t.Errorf("%q", line)
			}
		}
	})
}

// Covers: ATTACK-52. It goes through the flow and its refusals, and looks for every secret of it in the log and in the
// traces.
func TestNothingSecretLeaks(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	pushed := c.Push(nil).Text("request_uri")
	b := w.Browser()
	_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, pushed))
	code := sentTo.Query().Get("code")
	var assertion, proof string
	wrong := c.Redeem(code, func(f url.Values, h http.Header) {
		f.Set("code_verifier", strings.Repeat("w", 43))
		assertion, proof = f.Get("client_assertion"), h.Get("DPoP")
	})
	fapitest.WantError(t, wrong, 400, "invalid_grant")
	issued := c.Redeem(code, nil)
	c.Get("/accounts", issued.Text("access_token"), nil)
	c.Get("/accounts", issued.Text("access_token"), func(h http.Header) { h.Del("DPoP") })
	c.Refresh(issued.Text("refresh_token"), nil)
	c.Redeem(code, nil)

	secrets := map[string]string{
		"code": code, "request_uri": strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"), "verifier": fapitest.CodeVerifier,
		"access token": issued.Text("access_token"), "refresh token": issued.Text("refresh_token"), "ID token": issued.Text("id_token"),
		"client assertion": assertion, "DPoP proof": proof, "state": "state-1", "nonce": "nonce-1",
	}
	issuer, err := url.Parse(w.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range b.HTTP.Jar.Cookies(issuer) {
		secrets["cookie "+cookie.Name] = cookie.Value
	}
	if len(secrets) < 12 {
		t.Fatalf("only %d secrets to look for", len(secrets))
	}
	log, spans := w.Logs.String(), fmt.Sprintf("%+v", w.Spans.GetSpans())
	if !strings.Contains(log, `"outcome":"invalid_grant"`) || !strings.Contains(spans, "client authentication") {
		t.Fatalf("the log or the traces are empty:\n%s\n%s", log, spans)
	}
	for name, secret := range secrets {
		t.Run("refuses to tell "+name, func(t *testing.T) {
			if secret == "" {
				t.Error("it is empty")
			}
			// A signature alone would do to use a token, so look for its last part too.
			parts := append(strings.Split(secret, "."), secret)
			for _, part := range parts {
				if len(part) >= 7 && (strings.Contains(log, part) || strings.Contains(spans, part)) && !strings.HasPrefix(part, "eyJ") {
					t.Error("it is in the log or in the traces")
				}
			}
		})
	}
}
