package fapi_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
	"countersign/internal/jose"
)

// ask sends any request to the server, without following redirects.
func (w *world) ask(t *testing.T, method, address string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	b := w.browser()
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := b.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(raw)
}

// endpoints are addresses of every kind, good and bad ones.
func endpoints() []string {
	return []string{"/.well-known/openid-configuration", "/jwks", "/authorize", "/interaction/x", "/par", "/token", "/userinfo", "/accounts", "/nothing"}
}

// Covers: SP-08, RULE-02. Every answer tells browsers to stay with TLS, in the form that may be preloaded.
func TestSP08StrictTransport(t *testing.T) {
	w := newWorld(t)
	for _, base := range []string{w.issuer, w.mtls} {
		for _, path := range endpoints() {
			t.Run("accepts nothing but HSTS at "+strings.TrimPrefix(base+path, "https://127.0.0.1"), func(t *testing.T) {
				response, _ := w.ask(t, "GET", base+path, nil, "")
				want := []string{"max-age=63072000; includeSubDomains; preload"} // a year or more, and both words (hstspreload.org)
				if diff := cmp.Diff(want, response.Header.Values("Strict-Transport-Security")); diff != "" {
					t.Error(diff)
				}
			})
		}
		t.Run("refuses http at "+strings.TrimPrefix(base, "https://127.0.0.1"), func(t *testing.T) {
			response, body := w.ask(t, "GET", strings.Replace(base, "https:", "http:", 1)+"/jwks", nil, "")
			if response.StatusCode != http.StatusBadRequest || strings.Contains(body, "keys") {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		})
	}
}

// Covers: SP-10, RULE-03. Other sites' scripts read public documents and nothing else.
func TestSP10NoCORS(t *testing.T) {
	w := newWorld(t)
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
			if response, _ := w.ask(t, "GET", w.issuer+path, origin, ""); response.StatusCode != 200 || response.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%d %s", response.StatusCode, allowed(response))
			}
		})
	}
	for _, path := range []string{"/authorize", "/interaction/x", "/par", "/token", "/userinfo", "/accounts"} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			t.Run("refuses them at "+method+" "+path, func(t *testing.T) {
				if response, _ := w.ask(t, method, w.issuer+path, origin, ""); allowed(response) != "" || response.StatusCode < 400 {
					t.Errorf("%d %s", response.StatusCode, allowed(response))
				}
			})
		}
	}
}

// Covers: SP-31, IS-01, BC-02, RULE-25, ATTACK-04. iss is in every answer that the browser brings to a client, and is
// the metadata's issuer to the byte.
func TestSP31IssuerInResponses(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	issuer := w.document()["issuer"]
	check := func(t *testing.T, sentTo *url.URL, want string) {
		t.Helper()
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		q := sentTo.Query()
		if diff := cmp.Diff([]string{issuer.(string)}, q["iss"]); diff != "" {
			t.Error(diff)
		}
		if got := q.Get("error"); got != want || q.Has("code") == (want != "") {
			t.Errorf("sent to %s", sentTo)
		}
	}
	request := c.push(nil).text("request_uri")
	b := w.browser()
	t.Run("accepts with iss beside the code", func(t *testing.T) {
		_, _, sentTo := b.visit(w.authorizeURL(c.id, request))
		check(t, sentTo, "")
	})
	t.Run("refuses a used request with iss", func(t *testing.T) {
		_, _, sentTo := b.visit(w.authorizeURL(c.id, request))
		check(t, sentTo, "invalid_request_uri")
	})
	t.Run("refuses an expired request with iss", func(t *testing.T) {
		old := c.push(nil).text("request_uri")
		w.clock.Advance(10 * time.Minute)
		_, _, sentTo := b.visit(w.authorizeURL(c.id, old))
		check(t, sentTo, "invalid_request_uri")
	})
	t.Run("refuses what was not pushed with iss", func(t *testing.T) {
		_, _, sentTo := b.visit(w.issuer + "/authorize?" + c.request().Encode())
		check(t, sentTo, "invalid_request")
	})
	t.Run("refuses prompt=none with iss", func(t *testing.T) { check(t, c.opened(t, set("prompt", "none")), "login_required") })
	t.Run("refuses for the person with iss", func(t *testing.T) {
		denying := newWorld(t, deciding("deny"))
		sentTo := denying.register("client-1", nil).opened(t, nil)
		issuer = denying.document()["issuer"]
		check(t, sentTo, "access_denied")
	})
	t.Run("accepts a redirect URI with a parameter iss of its own, after which ours comes", func(t *testing.T) {
		issuer = w.document()["issuer"]
		c := w.register("client-2", func(c *client, m map[string]any) {
			c.redirectURI += "?tenant=a"
			m["redirect_uris"] = []string{c.redirectURI}
		})
		check(t, c.opened(t, nil), "")
	})
}

// Covers: SP-34, RULE-04, BC-07, ATTACK-35. Every redirect is a 303, which repeats no form.
func TestSP34SeeOther(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	jar := w.browser()
	jar.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	follow := func(t *testing.T, address string) *http.Response {
		t.Helper()
		response, err := jar.http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusSeeOther || response.Header.Get("Referrer-Policy") != "no-referrer" || response.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v", response.StatusCode, response.Header)
		}
		return response
	}
	address := w.authorizeURL(c.id, c.push(nil).text("request_uri"))
	for _, stage := range []string{"to the interaction", "after the sign-in", "back to the client"} {
		t.Run("accepts and sends on with 303 "+stage, func(t *testing.T) {
			address = follow(t, address).Header.Get("Location")
		})
	}
	if !strings.HasPrefix(address, c.redirectURI+"?") {
		t.Errorf("ended at %s", address)
	}
	t.Run("refuses with 303", func(t *testing.T) { follow(t, w.issuer+"/authorize?"+c.request().Encode()) })
	t.Run("refuses to have a form repeated", func(t *testing.T) {
		form := url.Values{"client_id": {c.id}, "request_uri": {c.push(nil).text("request_uri")}, "password": {"secret"}}
		response, _ := w.ask(t, "POST", w.issuer+"/authorize", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
		if response.StatusCode != http.StatusSeeOther {
			t.Errorf("%d", response.StatusCode)
		}
	})
	t.Run("refuses to let state out of its parameter", func(t *testing.T) {
		state := `"><script>alert(1)</script>&code=forged#fragment`
		sentTo := c.opened(t, set("state", state))
		if sentTo.Query().Get("state") != state || len(sentTo.Query()["code"]) != 1 || sentTo.Fragment != "" || strings.ContainsAny(sentTo.String(), `"<>`) {
			t.Errorf("sent to %s", sentTo)
		}
	})
}

// Covers: SP-45, RULE-06, ATTACK-28. A JWT of one kind is not taken for one of another, wherever it is sent.
func TestSP45KindsOfJWT(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	issued := c.tokens()
	token := issued.text("access_token")
	kinds := map[string]string{
		"an assertion": c.clientAssertion(nil), "a proof": c.proof("GET", w.issuer+"/accounts", token, nil),
		"an access token": token, "an ID token": issued.text("id_token"),
		"an assertion with the typ of an access token": c.signed(c.key, "at+jwt", claims{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": w.clock.Now().Add(time.Minute).Unix()}),
		"an assertion with the typ of a proof":         c.signed(c.key, "dpop+jwt", claims{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": w.clock.Now().Add(time.Minute).Unix()}),
		"an assertion with the typ of a request":       c.signed(c.key, "oauth-authz-req+jwt", claims{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": w.clock.Now().Add(time.Minute).Unix()}),
		"an assertion with the typ of a logout token":  c.signed(c.key, "logout+jwt", claims{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "exp": w.clock.Now().Add(time.Minute).Unix()}),
	}
	for kind, jwt := range kinds {
		pushing, reading := bad(kind+" as an assertion", set("client_assertion", jwt), 401, "invalid_client"), bad(kind+" as an access token", nil, 401, "invalid_token")
		proving := bad(kind+" as a proof", setHeader("DPoP", jwt), 400, "invalid_dpop_proof")
		switch kind {
		case "an assertion":
			pushing = good(kind+" as an assertion", set("client_assertion", jwt))
		case "an access token":
			reading = good(kind+" as an access token", nil)
		}
		tryAll(t, c.push, pushing, proving)
		tryAll(t, func(change) reply { return c.get("/accounts", jwt, nil) }, reading)
		if kind != "a proof" {
			tryAll(t, func(change) reply {
				return c.get("/accounts", token, func(h http.Header) { h.Set("DPoP", jwt) })
			}, bad(kind+" as a proof at a resource", nil, 401, "invalid_dpop_proof"))
		}
	}
	tryAll(t, func(change) reply {
		return c.get("/accounts", token, func(h http.Header) { h.Set("DPoP", kinds["a proof"]) })
	}, good("a proof as a proof at a resource", nil))
}

// Covers: SP-49, ATTACK-46, RULE-45. Secrets have at least 128 bits, and a near miss is told nothing.
func TestSP49Entropy(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	pushed := c.push(nil).text("request_uri")
	code := c.authorize()
	issued := c.redeem(code, nil)
	_, access := w.decode(issued.text("access_token"))
	secrets := map[string]string{
		"request_uri": strings.TrimPrefix(pushed, "urn:ietf:params:oauth:request_uri:"), "code": code,
		"refresh token": issued.text("refresh_token"), "jti of the access token": access["jti"].(string),
	}
	for name, secret := range secrets {
		t.Run("accepts 16 random bytes and more as a "+name, func(t *testing.T) {
			raw, err := base64.RawURLEncoding.DecodeString(secret)
			if err != nil || len(raw) < 16 {
				t.Errorf("%q, %v", secret, err)
			}
		})
	}
	alike := func(t *testing.T, one, other reply) {
		t.Helper()
		delete(one.body, "correlation_id")
		delete(other.body, "correlation_id")
		if diff := cmp.Diff(one.body, other.body); diff != "" || one.status != other.status || one.status != 400 {
			t.Errorf("%d and %d: %s", one.status, other.status, diff)
		}
	}
	t.Run("refuses a near miss of a code as any other", func(t *testing.T) {
		alike(t, c.redeem(altered(c.authorize()), nil), c.redeem(random(), nil))
	})
	t.Run("refuses a used code as an invented one", func(t *testing.T) { alike(t, c.redeem(code, nil), c.redeem(random(), nil)) })
	t.Run("refuses another client's code as an invented one", func(t *testing.T) {
		other := w.register("client-2", nil)
		alike(t, other.redeem(c.authorize(), nil), other.redeem(random(), nil))
	})
	t.Run("refuses a near miss of a refresh token as any other", func(t *testing.T) {
		alike(t, c.refresh(altered(issued.text("refresh_token")), nil), c.refresh(random(), nil))
	})
	t.Run("refuses a near miss of a request_uri as any other", func(t *testing.T) {
		page := func(requestURI string) string {
			_, body, _ := w.browser().visit(w.authorizeURL(c.id, requestURI))
			return body
		}
		if diff := cmp.Diff(page("urn:ietf:params:oauth:request_uri:"+random()), page(altered(c.push(nil).text("request_uri")))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts no two secrets that are the same", func(t *testing.T) {
		seen := map[string]bool{}
		for range 50 {
			seen[c.push(nil).text("request_uri")] = true
		}
		if len(seen) != 50 {
			t.Errorf("%d of 50 differ", len(seen))
		}
	})
}

// Covers: SP-54. A registration tightens its profile and never loosens it; times that are configured are cut to it.
func TestSP54ProfilesOnlyTighten(t *testing.T) {
	key := keySet(newKey(t, jose.PS256).PublicJWK())
	t.Run("accepts a registration that tightens", func(t *testing.T) {
		client, err := fapi.ParseClient("client-1", "fapi2-security", registration(t, func(m map[string]any) {
			m["jwks"], m["token_endpoint_auth_signing_alg"], m["grant_types"] = key, "PS256", []string{"authorization_code"}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"authorization_code"}, client.Profile.GrantTypes); diff != "" {
			t.Error(diff)
		}
	})
	for name, value := range map[string]any{
		"grant_types": []string{"implicit"}, "response_types": []string{"token"}, "token_endpoint_auth_method": "client_secret_post",
		"token_endpoint_auth_signing_alg": "RS256", "id_token_signed_response_alg": "none",
	} {
		registering(t, fmt.Sprintf("%s %v", name, value), claim(name, value), name)
	}
	t.Run("refuses a profile that does not exist", func(t *testing.T) {
		if _, err := fapi.ParseClient("client-1", "lax", registration(t, nil)); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("refuses a registration that asks for unpushed requests", func(t *testing.T) {
		w := newWorld(t)
		c := w.register("client-1", member("require_pushed_authorization_requests", false))
		_, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + c.request().Encode())
		if sentTo == nil || sentTo.Query().Get("error") != "invalid_request" {
			t.Errorf("sent to %v", sentTo)
		}
	})
}

// Covers: SP-12, MD-01. Both documents are where clients look, say the same, and nothing else is served there.
func TestSP12Metadata(t *testing.T) {
	w := newWorld(t)
	_, openID := w.ask(t, "GET", w.issuer+"/.well-known/openid-configuration", nil, "")
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		t.Run("accepts GET "+path, func(t *testing.T) {
			response, body := w.ask(t, "GET", w.issuer+path, nil, "")
			if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" || body != openID {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		})
		t.Run("refuses POST "+path, func(t *testing.T) {
			if response, _ := w.ask(t, "POST", w.issuer+path, nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%d", response.StatusCode)
			}
		})
		t.Run("refuses "+path+" of another issuer", func(t *testing.T) {
			if response, _ := w.ask(t, "GET", w.issuer+path+"/other", nil, ""); response.StatusCode != http.StatusNotFound {
				t.Errorf("%d", response.StatusCode)
			}
		})
	}
	t.Run("accepts an issuer with a path, behind which RFC 8414 puts its document and OpenID Connect does not", func(t *testing.T) {
		w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.Issuer += "/tenant" })
		base := strings.TrimSuffix(w.issuer, "/tenant")
		for _, address := range []string{base + "/.well-known/oauth-authorization-server/tenant", w.issuer + "/.well-known/openid-configuration"} {
			response, body := w.ask(t, "GET", address, nil, "")
			if response.StatusCode != 200 || !strings.Contains(body, `"issuer":"`+w.issuer+`"`) {
				t.Errorf("%s: %d %s", address, response.StatusCode, body)
			}
		}
		if response, _ := w.ask(t, "GET", base+"/.well-known/oauth-authorization-server", nil, ""); response.StatusCode != 404 {
			t.Errorf("without its path: %d", response.StatusCode)
		}
	})
}
