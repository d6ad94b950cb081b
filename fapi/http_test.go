package fapi_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// endpoints are addresses of every kind, good and bad ones.
func endpoints() []string {
	return []string{"/.well-known/openid-configuration", "/jwks", "/authorize", "/interaction/x", "/par", "/token", "/userinfo", "/accounts", "/nothing"}
}

// Covers: SP-08, RULE-02. Every answer tells browsers to stay with TLS.
func TestSP08StrictTransport(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for _, base := range []string{w.Issuer, w.MTLSIssuer} {
		for _, path := range endpoints() {
			t.Run("accepts nothing but HSTS at "+strings.TrimPrefix(base+path, "https://127.0.0.1"), func(t *testing.T) {
				response, _ := w.Request(t, "GET", base+path, nil, "")
				want := []string{"max-age=63072000"}
				if diff := cmp.Diff(want, response.Header.Values("Strict-Transport-Security")); diff != "" {
					t.Error(diff)
				}
			})
		}
		t.Run("refuses http at "+strings.TrimPrefix(base, "https://127.0.0.1"), func(t *testing.T) {
			response, body := w.Request(t, "GET", strings.Replace(base, "https:", "http:", 1)+"/jwks", nil, "")
			if response.StatusCode != http.StatusBadRequest || strings.Contains(body, "keys") {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		})
	}
}

// Covers: SP-10, RULE-03. Other sites' scripts read public documents and nothing else.
func TestSP10NoCORS(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	origin := http.Header{"Origin": {"https://elsewhere.example"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"authorization, dpop"}}
	allowed := func(response *http.Response) string {
		var found []string
		for name := range response.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				found = append(found, name+": "+response.Header.Get(name))
			}
		}
		return strings.Join(found, "; ")
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"} {
		t.Run("accepts scripts of other sites at "+path, func(t *testing.T) {
			if response, _ := w.Request(t, "GET", w.Issuer+path, origin, ""); response.StatusCode != 200 || response.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%d %s", response.StatusCode, allowed(response))
			}
		})
	}
	for _, path := range []string{"/authorize", "/interaction/x", "/par", "/token", "/userinfo", "/accounts"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			t.Run("refuses them at "+method+" "+path, func(t *testing.T) {
				if response, _ := w.Request(t, method, w.Issuer+path, origin, ""); allowed(response) != "" || response.StatusCode < 400 {
					t.Errorf("%d %s", response.StatusCode, allowed(response))
				}
			})
		}
	}
}

// Covers: SP-34, RULE-04, BC-07, ATTACK-35. Every redirect is a 303, which repeats no form.
func TestSP34SeeOther(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	jar := w.Browser()
	jar.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	follow := func(t *testing.T, address string) *http.Response {
		t.Helper()
		response, err := jar.HTTP.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusSeeOther || response.Header.Get("Referrer-Policy") != "no-referrer" || response.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", response.StatusCode, response.Header)
		}
		return response
	}
	address := w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))
	for _, stage := range []string{"to the interaction", "after the sign-in", "back to the client"} {
		t.Run("accepts and sends on with 303 "+stage, func(t *testing.T) {
			address = follow(t, address).Header.Get("Location")
		})
	}
	if !strings.HasPrefix(address, c.RedirectURI+"?") {
		t.Errorf("ended at %s", address)
	}
	t.Run("refuses with 303", func(t *testing.T) {
		follow(t, w.AuthorizeURL(c.ID, c.Push(fapitest.Set("prompt", "none")).Text("request_uri")))
	})
	t.Run("refuses to have a form repeated", func(t *testing.T) {
		form := url.Values{"client_id": {c.ID}, "request_uri": {c.Push(nil).Text("request_uri")}, "password": {"secret"}}
		response, _ := w.Request(t, "POST", w.Issuer+"/authorize", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
		if response.StatusCode != http.StatusSeeOther {
			t.Errorf("%d", response.StatusCode)
		}
	})
	t.Run("refuses to let state out of its parameter", func(t *testing.T) {
		state := `"><script>alert(1)</script>&code=forged#fragment`
		sentTo := c.Redirected(t, fapitest.Set("state", state))
		if sentTo.Query().Get("state") != state || len(sentTo.Query()["code"]) != 1 || sentTo.Fragment != "" || strings.ContainsAny(sentTo.String(), `"<>`) {
			t.Errorf("sent to %s", sentTo)
		}
	})
}

// Covers: SP-45, RULE-06, ATTACK-28. A JWT of one kind is not taken for one of another, wherever it is sent.
func TestSP45KindsOfJWT(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	token := issued.Text("access_token")
	kinds := map[string]string{
		"an assertion": c.ClientAssertion(nil), "a proof": c.Proof("GET", w.Issuer+"/accounts", token, nil),
		"an access token": token, "an ID token": issued.Text("id_token"),
		"an assertion with the typ of an access token": c.Sign(c.Key, "at+jwt", fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()}),
		"an assertion with the typ of a proof":         c.Sign(c.Key, "dpop+jwt", fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()}),
		"an assertion with the typ of a request":       c.Sign(c.Key, "oauth-authz-req+jwt", fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()}),
		"an assertion with the typ of a logout token":  c.Sign(c.Key, "logout+jwt", fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "exp": w.Clock.Now().Add(time.Minute).Unix()}),
	}
	for kind, jwt := range kinds {
		pushing, reading := fapitest.Bad(kind+" as an assertion", fapitest.Set("client_assertion", jwt), 401, "invalid_client"), fapitest.Bad(kind+" as an access token", nil, 401, "invalid_token")
		proving := fapitest.Bad(kind+" as a proof", fapitest.SetHeader("DPoP", jwt), 400, "invalid_dpop_proof")
		switch kind {
		case "an assertion":
			pushing = fapitest.Good(kind+" as an assertion", fapitest.Set("client_assertion", jwt))
		case "an access token":
			reading = fapitest.Good(kind+" as an access token", nil)
		}
		fapitest.TryAll(t, c.Push, pushing, proving)
		fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply { return c.Get("/accounts", jwt, nil) }, reading)
		if kind != "a proof" {
			fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply {
				return c.Get("/accounts", token, func(h http.Header) { h.Set("DPoP", jwt) })
			}, fapitest.Bad(kind+" as a proof at a resource", nil, 401, "invalid_dpop_proof"))
		}
	}
	fapitest.TryAll(t, func(fapitest.Change) fapitest.Reply {
		return c.Get("/accounts", token, func(h http.Header) { h.Set("DPoP", kinds["a proof"]) })
	}, fapitest.Good("a proof as a proof at a resource", nil))
}

// Covers: SP-49, ATTACK-46, RULE-45. Secrets have at least 128 bits, and a near miss is told nothing.
func TestSP49Entropy(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	pushed := c.Push(nil).Text("request_uri")
	code := c.Authorize()
	issued := c.Redeem(code, nil)
	_, access := w.Verify(issued.Text("access_token"))
	secrets := map[string]string{
		"request_uri": strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"), "code": code,
		"refresh token": issued.Text("refresh_token"), "jti of the access token": access["jti"].(string),
	}
	for name, secret := range secrets {
		t.Run("accepts 16 random bytes and more as a "+name, func(t *testing.T) {
			// What comes before a full stop is the time, so that a file keeps together what is made together.
			raw, err := base64.RawURLEncoding.DecodeString(secret[strings.LastIndexByte(secret, '.')+1:])
			if err != nil || len(raw) < 16 {
				t.Errorf("%q, %v", secret, err)
			}
		})
	}
	alike := func(t *testing.T, one, other fapitest.Reply) {
		t.Helper()
		delete(one.Body, "correlation_id")
		delete(other.Body, "correlation_id")
		if diff := cmp.Diff(one.Body, other.Body); diff != "" || one.Status != other.Status || one.Status != 400 {
			t.Errorf("%d and %d: %s", one.Status, other.Status, diff)
		}
	}
	t.Run("refuses a near miss of a code as any other", func(t *testing.T) {
		alike(t, c.Redeem(fapitest.Altered(c.Authorize()), nil), c.Redeem(fapitest.RandomString(), nil))
	})
	t.Run("refuses a used code as an invented one", func(t *testing.T) { alike(t, c.Redeem(code, nil), c.Redeem(fapitest.RandomString(), nil)) })
	t.Run("refuses another client's code as an invented one", func(t *testing.T) {
		other := w.Register("client-2", nil)
		alike(t, other.Redeem(c.Authorize(), nil), other.Redeem(fapitest.RandomString(), nil))
	})
	t.Run("refuses a near miss of a refresh token as any other", func(t *testing.T) {
		alike(t, c.Refresh(fapitest.Altered(issued.Text("refresh_token")), nil), c.Refresh(fapitest.RandomString(), nil))
	})
	t.Run("refuses a near miss of a request_uri as any other", func(t *testing.T) {
		page := func(requestURI string) string {
			_, body, _ := w.Browser().Visit(w.AuthorizeURL(c.ID, requestURI))
			return body
		}
		if diff := cmp.Diff(page("urn:ietf:params:oauth:request_uri:"+fapitest.RandomString()), page(fapitest.Altered(c.Push(nil).Text("request_uri")))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts no two secrets that are the same", func(t *testing.T) {
		seen := map[string]bool{}
		for range 50 {
			seen[c.Push(nil).Text("request_uri")] = true
		}
		if len(seen) != 50 {
			t.Errorf("%d of 50 differ", len(seen))
		}
	})
}
