package fapi_test

import (
	"bytes"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"countersign/internal/jose"
)

// Covers: RULE-05, PA-05. What is too long, too deep or of another kind is refused before anything is done with it.
func TestRule05Limits(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	many := func(count int) change {
		return func(form url.Values, _ http.Header) {
			for i := len(form); i < count; i++ {
				form.Set("unknown"+strings.Repeat("x", i), "1")
			}
		}
	}
	nested := func(depth int) func(claims) {
		value := any(1)
		for range depth {
			value = []any{value}
		}
		return claim("nested", value)
	}
	tryAll(t, c.push,
		good("a body of 32 KiB", set("unknown", strings.Repeat("x", 32<<10))),
		bad("a body of 65 KiB", set("unknown", strings.Repeat("x", 65<<10)), 413, "invalid_request"),
		bad("a body of 1 MiB", set("unknown", strings.Repeat("x", 1<<20)), 413, "invalid_request"),
		good("100 parameters", many(100)),
		bad("101 parameters", many(101), 400, "invalid_request"),
		good("an assertion of 8 KiB", c.asserting(claim("filler", strings.Repeat("x", 6<<10)))),
		bad("an assertion of 20 KiB", c.asserting(claim("filler", strings.Repeat("x", 15<<10))), 401, "invalid_client"),
		good("claims that are a little nested", c.asserting(nested(3))),
		bad("claims that are nested 100 deep", c.asserting(nested(100)), 401, "invalid_client"),
		bad("a proof of 20 KiB", c.proving("/par", claim("filler", strings.Repeat("x", 15<<10))), 400, "invalid_dpop_proof"),
		bad("another content type", setHeader("Content-Type", "text/plain"), 415, "invalid_request"),
		bad("a value that is not UTF-8", set("state", "\xff"), 400, "invalid_request"),
		bad("a value with a NUL", set("unknown", "a\x00b"), 400, "invalid_request"))
	t.Run("refuses another method with 405", func(t *testing.T) {
		for _, path := range []string{"/par", "/token"} {
			if response, _ := w.ask(t, "GET", w.issuer+path, nil, ""); response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
				t.Errorf("%s: %d", path, response.StatusCode)
			}
		}
	})
	t.Run("refuses an access token of 20 KiB", func(t *testing.T) {
		if r := c.get("/accounts", strings.Repeat("x", 20<<10), func(h http.Header) { h.Del("DPoP") }); r.status != 400 && r.status != 401 {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
}

// Covers: RULE-32. No secret is in the database.
func TestRule32Digests(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	b := w.browser()
	pushed := c.push(nil).text("request_uri")
	waiting := c.push(nil).text("request_uri")
	_, _, sentTo := b.visit(w.authorizeURL(c.id, pushed))
	code := sentTo.Query().Get("code")
	issued := c.redeem(code, nil)
	unredeemed := c.authorize()
	jar := b.http.Jar.Cookies(mustURL(t, w.issuer))
	_, access := w.decode(issued.text("access_token"))
	secrets := map[string]string{
		"a spent code": code, "a code": unredeemed, "a spent request_uri": strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"),
		"a request_uri": strings.TrimPrefix(waiting, "urn:ietf:params:oauth:request_uri:"), "a refresh token": issued.text("refresh_token"),
		"an access token": issued.text("access_token"), "the jti of an access token": access["jti"].(string), "an ID token": issued.text("id_token"), "a verifier": verifier,
	}
	for _, cookie := range jar {
		secrets["the cookie "+cookie.Name] = cookie.Value
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(t.TempDir()), "*", "countersign.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	var stored []byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, content...)
	}
	t.Run("accepts what is no secret", func(t *testing.T) {
		for _, text := range []string{c.id, c.redirectURI, challenge(verifier)} {
			if !bytes.Contains(stored, []byte(text)) {
				t.Errorf("%s is not in the database", text)
			}
		}
	})
	for name, secret := range secrets {
		t.Run("refuses "+name, func(t *testing.T) {
			if secret == "" || bytes.Contains(stored, []byte(secret)) {
				t.Errorf("%q is in the database", secret)
			}
		})
	}
}

func mustURL(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Covers: RULE-47, F1-18, ATTACK-52. The client's interaction id comes back everywhere and is in the log, if it is a UUID and
// so cannot forge a line of it.
func TestRule47InteractionID(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	token := c.tokens().text("access_token")
	const id = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, path := range endpoints() {
		t.Run("accepts it at "+path, func(t *testing.T) {
			response, _ := w.ask(t, "GET", w.issuer+path, http.Header{"X-Fapi-Interaction-Id": {id}}, "")
			if response.Header.Get("x-fapi-interaction-id") != id || response.Header.Get("X-Correlation-Id") != id {
				t.Errorf("%v", response.Header)
			}
		})
		for name, wrong := range map[string]string{
			"what is no UUID": "nonsense", "a line": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6 level=ERROR msg=forged", "a longer UUID": id + "0", "braces": "{" + id + "}",
			"64 KiB": strings.Repeat("f", 64<<10),
		} {
			t.Run("refuses to echo "+name+" at "+path, func(t *testing.T) {
				response, _ := w.ask(t, "GET", w.issuer+path, http.Header{"X-Fapi-Interaction-Id": {wrong}}, "")
				if response.Header.Get("x-fapi-interaction-id") != "" || !uuid.MatchString(response.Header.Get("X-Correlation-Id")) {
					t.Errorf("%v", response.Header)
				}
			})
		}
	}
	t.Run("accepts none, and makes one for a client of FAPI 1.0 alone", func(t *testing.T) {
		w := newWorld(t, offersBackchannel())
		one := w.register("client-2", asksAdvanced)
		id := one.askSigned(nil).text("auth_req_id")
		w.decide(id, true)
		r := one.get("/accounts", one.fetch(id, nil).text("access_token"), nil)
		if id := r.header.Get("x-fapi-interaction-id"); r.status != 200 || !uuid.MatchString(id) || id != r.header.Get("X-Correlation-Id") {
			t.Errorf("%d %v", r.status, r.header)
		}
		if r := c.get("/accounts", token, nil); r.status != 200 || r.header.Get("x-fapi-interaction-id") != "" {
			t.Errorf("%d %v", r.status, r.header)
		}
	})
	t.Run("accepts it with a success, and logs it", func(t *testing.T) {
		const other = "11111111-7dec-41d0-a765-00a0c91e6bf6"
		r := c.get("/accounts", token, func(h http.Header) { h.Set("x-fapi-interaction-id", other) })
		if r.status != 200 || r.header.Get("x-fapi-interaction-id") != other || !strings.Contains(w.logs.String(), `"correlation_id":"`+other+`"`) {
			t.Errorf("%d %v", r.status, r.header)
		}
	})
	t.Run("refuses to let a client write the log", func(t *testing.T) {
		for _, forged := range []string{"client-1\n{\"level\":\"ERROR\"}", "client-1\r\nforged", "\x1b[31mred"} {
			c.push(set("client_id", forged))
			c.push(set("scope", forged))
			w.browser().visit(w.issuer + "/authorize?" + url.Values{"client_id": {forged}, "request_uri": {forged}}.Encode())
		}
		for line := range strings.Lines(w.logs.String()) {
			if !strings.HasPrefix(line, `{"time":`) || strings.Contains(line, "\x1b") {
				t.Errorf("the line %q", line)
			}
		}
	})
}

// Covers: RULE-35, OC-01. An ID token has the registered algorithm and the hash of its access token, and opens nothing.
func TestRule35IDToken(t *testing.T) {
	w := newWorld(t)
	for alg, half := range map[string]int{"PS256": 22, "ES256": 22, "EdDSA": 43} { // base64url of 16 and 32 bytes
		c := w.register("client-"+alg, member("id_token_signed_response_alg", alg))
		issued := c.tokens()
		t.Run("accepts "+alg+" as registered, with at_hash", func(t *testing.T) {
			header, id := w.decode(issued.text("id_token"))
			hash, _ := id["at_hash"].(string)
			if header.Algorithm != alg || len(hash) != half || id["aud"] != c.id || id["iss"] != w.issuer || id["nonce"] != "nonce-1" {
				t.Errorf("%+v %v", header, id)
			}
		})
		t.Run("refuses it as an access token, "+alg, func(t *testing.T) {
			wantError(t, c.get("/userinfo", issued.text("id_token"), nil), 401, "invalid_token")
		})
		t.Run("refuses it as a refresh token, "+alg, func(t *testing.T) {
			wantError(t, c.refresh(issued.text("id_token"), nil), 400, "invalid_grant")
		})
		t.Run("refuses it as a client assertion, "+alg, func(t *testing.T) {
			wantError(t, c.push(set("client_assertion", issued.text("id_token"))), 401, "invalid_client")
		})
	}
	registering(t, "an ID token signed with RS256", claim("id_token_signed_response_alg", "RS256"), "id_token_signed_response_alg")
}

// Covers: AM-01. Nobody else reaches a person's resources, signs in as that person, or makes a person use the attacker's.
func TestAM01Goals(t *testing.T) {
	w := newWorld(t)
	c, attacker := w.register("client-1", nil), w.register("attacker", nil)
	issued := c.tokens()
	t.Run("accepts a person's own client", func(t *testing.T) {
		if r := c.get("/accounts", issued.text("access_token"), nil); r.status != 200 || r.text("owner") != "sub-alice" {
			t.Errorf("%d %s", r.status, r.raw)
		}
	})
	t.Run("refuses a stolen access token", func(t *testing.T) {
		wantError(t, attacker.get("/accounts", issued.text("access_token"), nil), 401, "invalid_token")
	})
	t.Run("refuses a stolen refresh token", func(t *testing.T) {
		wantError(t, attacker.refresh(issued.text("refresh_token"), nil), 400, "invalid_grant")
	})
	t.Run("refuses a stolen code", func(t *testing.T) {
		wantError(t, attacker.redeem(c.authorize(), nil), 400, "invalid_grant")
	})
	t.Run("refuses a stolen code that its client is made to redeem in the attacker's session", func(t *testing.T) {
		wantError(t, c.redeem(c.authorize(), set("code_verifier", strings.Repeat("a", 43))), 400, "invalid_grant")
	})
	t.Run("refuses the attacker's code in the victim's session", func(t *testing.T) {
		session := set("code_challenge", challenge(strings.Repeat("a", 43)))
		wantError(t, c.redeem(c.opened(t, session).Query().Get("code"), nil), 400, "invalid_grant")
	})
}

// Covers: AM-02, ATTACK-01. What a client shows to a server of the attacker's opens nothing here.
func TestAM02AttackersServer(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	const evil = "https://attacker.example"
	tryAll(t, c.push, good("what was made for this server", nil),
		bad("an assertion that was made for the attacker's", c.asserting(claim("aud", evil)), 401, "invalid_client"),
		bad("one that was made for both", c.asserting(claim("aud", []string{evil, w.issuer})), 401, "invalid_client"),
		bad("a proof that was made for the attacker's", func(_ url.Values, h http.Header) { h.Set("DPoP", c.proof("POST", evil+"/par", "", nil)) }, 400, "invalid_dpop_proof"))
	token := c.tokens().text("access_token")
	t.Run("refuses a proof that was made for the attacker's resource", func(t *testing.T) {
		wantError(t, c.get("/accounts", token, func(h http.Header) { h.Set("DPoP", c.proof("GET", evil+"/accounts", token, nil)) }), 401, "invalid_dpop_proof")
	})
	t.Run("refuses a token of the attacker's server in this one's name", func(t *testing.T) {
		_, body := w.decode(token)
		forged := c.signed(newKey(t, jose.ES256), "at+jwt", body)
		wantError(t, c.get("/accounts", forged, nil), 401, "invalid_token")
	})
	t.Run("accepts responses that tell the servers apart", func(t *testing.T) {
		if got := c.opened(t, nil).Query().Get("iss"); got != w.issuer || got == evil {
			t.Errorf("iss %s", got)
		}
	})
}
