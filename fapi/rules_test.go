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

	"countersign/fapi/fapitest"
)

// Covers: RULE-32. No secret is in the database.
func TestRule32Digests(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	b := w.Browser()
	pushed := c.Push(nil).Text("request_uri")
	waiting := c.Push(nil).Text("request_uri")
	_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, pushed))
	code := sentTo.Query().Get("code")
	issued := c.Redeem(code, nil)
	unredeemed := c.Authorize()
	jar := b.HTTP.Jar.Cookies(fapitest.MustURL(t, w.Issuer))
	_, access := w.Verify(issued.Text("access_token"))
	secrets := map[string]string{
		"a consumed code": code, "a code": unredeemed, "a spent request_uri": strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"),
		"a request_uri": strings.TrimPrefix(waiting, "urn:ietf:params:oauth:request_uri:"), "a refresh token": issued.Text("refresh_token"),
		"an access token": issued.Text("access_token"), "the jti of an access token": access["jti"].(string), "an ID token": issued.Text("id_token"), "a verifier": fapitest.CodeVerifier,
	}
	for _, cookie := range jar {
		secrets["the cookie "+cookie.Name] = cookie.Value
	}
	files, err := filepath.Glob(w.File + "*")
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
		for _, text := range []string{c.ID, c.RedirectURI, fapitest.CodeChallenge(fapitest.CodeVerifier)} {
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

// Covers: RULE-47, F1-18, ATTACK-52. The client's interaction id comes back everywhere and is in the log, if it is a UUID and
// so cannot forge a line of it.
func TestRule47InteractionID(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	token := c.Tokens().Text("access_token")
	const id = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for _, path := range endpoints() {
		t.Run("accepts it at "+path, func(t *testing.T) {
			response, _ := w.Request(t, "GET", w.Issuer+path, http.Header{"X-Fapi-Interaction-Id": {id}}, "")
			if response.Header.Get("x-fapi-interaction-id") != id || response.Header.Get("X-Correlation-Id") != id {
				t.Errorf("%v", response.Header)
			}
		})
		for name, wrong := range map[string]string{
			"what is no UUID": "nonsense", "a line": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6 level=ERROR msg=forged", "a longer UUID": id + "0", "braces": "{" + id + "}",
			"64 KiB": strings.Repeat("f", 64<<10),
		} {
			t.Run("refuses to echo "+name+" at "+path, func(t *testing.T) {
				response, _ := w.Request(t, "GET", w.Issuer+path, http.Header{"X-Fapi-Interaction-Id": {wrong}}, "")
				if response.Header.Get("x-fapi-interaction-id") != "" || !uuid.MatchString(response.Header.Get("X-Correlation-Id")) {
					t.Errorf("%v", response.Header)
				}
			})
		}
	}
	t.Run("accepts none, and makes one for a client of FAPI 1.0 alone", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
		one := w.Register("client-2", fapitest.CIBAAdvanced)
		id := one.BackchannelSigned(nil).Text("auth_req_id")
		w.Decide(id, true)
		r := one.Get("/accounts", one.Poll(id, nil).Text("access_token"), nil)
		if id := r.Header.Get("x-fapi-interaction-id"); r.Status != 200 || !uuid.MatchString(id) || id != r.Header.Get("X-Correlation-Id") {
			t.Errorf("%d %v", r.Status, r.Header)
		}
		if r := c.Get("/accounts", token, nil); r.Status != 200 || r.Header.Get("x-fapi-interaction-id") != "" {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	})
	t.Run("accepts it with a success, and logs it", func(t *testing.T) {
		const other = "11111111-7dec-41d0-a765-00a0c91e6bf6"
		r := c.Get("/accounts", token, func(h http.Header) { h.Set("x-fapi-interaction-id", other) })
		if r.Status != 200 || r.Header.Get("x-fapi-interaction-id") != other || !strings.Contains(w.Logs.String(), `"correlation_id":"`+other+`"`) {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	})
	t.Run("refuses to let a client write the log", func(t *testing.T) {
		for _, forged := range []string{"client-1\n{\"level\":\"ERROR\"}", "client-1\r\nforged", "\x1b[31mred"} {
			c.Push(fapitest.Set("client_id", forged))
			c.Push(fapitest.Set("scope", forged))
			w.Browser().Visit(w.Issuer + "/authorize?" + url.Values{"client_id": {forged}, "request_uri": {forged}}.Encode())
		}
		for line := range strings.Lines(w.Logs.String()) {
			if !strings.HasPrefix(line, `{"time":`) || strings.Contains(line, "\x1b") {
				t.Errorf("the line %q", line)
			}
		}
	})
}
