package fapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
)

// Covers: IS-01, SP-31, BC-02, ATTACK-04, RULE-25. Every authorization response, good or bad, names this server once, byte for
// byte as its metadata does.
func TestIS01IssuerInResponses(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", wide)
	issuer := w.document()["issuer"]
	named := func(t *testing.T, q url.Values) {
		t.Helper()
		if diff := cmp.Diff([]any{issuer}, []any{q.Get("iss")}); diff != "" || len(q["iss"]) != 1 {
			t.Errorf("iss %q, metadata %v", q["iss"], issuer)
		}
	}
	t.Run("accepts a code", func(t *testing.T) {
		q := c.through(w.browser(), nil)
		if named(t, q); q.Get("code") == "" {
			t.Errorf("no code in %v", q)
		}
	})
	t.Run("accepts a code that was given without a page", func(t *testing.T) {
		b := w.browser()
		c.through(b, nil)
		q := c.through(b, set("prompt", "none"))
		if named(t, q); q.Get("code") == "" {
			t.Errorf("no code in %v", q)
		}
	})
	p.does("deny")
	t.Run("refuses with iss when the person refuses", func(t *testing.T) {
		q := c.through(w.browser(), nil)
		named(t, q)
		wantSent(t, q, "access_denied")
	})
	p.does("allow")
	t.Run("refuses with iss when nobody is signed in", func(t *testing.T) {
		q := c.through(w.browser(), set("prompt", "none"))
		named(t, q)
		wantSent(t, q, "login_required")
	})
	t.Run("refuses with iss when the sign-in is not strong enough", func(t *testing.T) {
		q := c.through(w.browser(), set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+byKey+`"}}}`))
		named(t, q)
		wantSent(t, q, "unmet_authentication_requirements")
	})
	t.Run("refuses with iss what was used before, and what has expired", func(t *testing.T) {
		for _, spoil := range []func(address string){
			func(address string) { w.browser().visit(address) },
			func(string) { w.clock.Advance(time.Minute) },
		} {
			address := w.authorizeURL(c.id, c.push(nil).text("request_uri"))
			spoil(address)
			_, _, sentTo := w.browser().visit(address)
			if sentTo == nil {
				t.Fatal("the browser was not sent back")
			}
			named(t, sentTo.Query())
			wantSent(t, sentTo.Query(), "invalid_request_uri")
		}
	})
	t.Run("refuses to repeat an iss that comes with the request", func(t *testing.T) {
		pushed := c.push(set("iss", "https://other.example")).text("request_uri")
		_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed) + "&iss=https%3A%2F%2Fother.example")
		if sentTo == nil || sentTo.Query().Get("code") == "" {
			t.Fatalf("sent to %v", sentTo)
		}
		named(t, sentTo.Query())
	})
}

// Covers: IS-02. The parameter is advertised, and no client can do without it.
func TestIS02IssuerAdvertised(t *testing.T) {
	w, _ := wholeWorld(t)
	t.Run("accepts that the metadata promises iss", func(t *testing.T) {
		if w.document()["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("metadata %v", w.document()["authorization_response_iss_parameter_supported"])
		}
	})
	t.Run("refuses to leave it out for a client that registers so", func(t *testing.T) {
		c := w.register("client-1", member("authorization_response_iss_parameter_supported", false))
		if q := c.through(w.browser(), nil); q.Get("iss") != w.issuer {
			t.Errorf("the response is %v", q)
		}
	})
}

// Covers: MD-01, SP-12. Both documents are at the places of OpenID Connect Discovery §4 and RFC 8414 §3, also for an issuer
// with a path, and are the same.
func TestMD01Documents(t *testing.T) {
	for name, path := range map[string]string{"without a path": "", "with a path": "/tenants/one"} {
		w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) {
			c.Issuer += path
			c.MTLSIssuer += path
		})
		host := strings.TrimSuffix(w.issuer, path)
		openID, oauth := host+path+"/.well-known/openid-configuration", host+"/.well-known/oauth-authorization-server"+path
		t.Run("accepts both addresses of an issuer "+name, func(t *testing.T) {
			first, one := w.ask(t, http.MethodGet, openID, nil, "")
			second, other := w.ask(t, http.MethodGet, oauth, nil, "")
			if first.StatusCode != 200 || second.StatusCode != 200 || first.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("answered %d and %d, %s", first.StatusCode, second.StatusCode, first.Header.Get("Content-Type"))
			}
			if diff := cmp.Diff(one, other); diff != "" {
				t.Errorf("the two differ: %s", diff)
			}
			var document map[string]any
			if err := json.Unmarshal([]byte(one), &document); err != nil || document["issuer"] != w.issuer {
				t.Errorf("issuer %v, %v", document["issuer"], err)
			}
		})
		t.Run("accepts the whole flow of an issuer "+name, func(t *testing.T) {
			c := w.register("client-1", nil)
			wantActive(t, c.get("/userinfo", c.tokens().text("access_token"), nil))
			byCert := w.register("client-2", withCertificate)
			wantActive(t, byCert.get("/userinfo", byCert.tokens().text("access_token"), nil))
		})
		wrong := []string{host + "/.well-known/openid-configuration/other", host + "/.well-known/oauth-authorization-server/other"}
		if path != "" {
			wrong = append(wrong, host+"/.well-known/openid-configuration", host+"/.well-known/oauth-authorization-server", w.issuer+"/.well-known/oauth-authorization-server", host+"/token")
		}
		t.Run("refuses other addresses of an issuer "+name, func(t *testing.T) {
			for _, address := range wrong {
				if response, _ := w.ask(t, http.MethodGet, address, nil, ""); response.StatusCode != http.StatusNotFound {
					t.Errorf("%s: %d", address, response.StatusCode)
				}
			}
			if response, _ := w.ask(t, http.MethodPost, openID, nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("POST: %d", response.StatusCode)
			}
		})
	}
}

// Covers: MD-02. An issuer is https without query and fragment; the server does not start with another, and uses it
// byte for byte everywhere.
func TestMD02Issuer(t *testing.T) {
	var config fapiConfig
	w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { config = *c })
	try := func(title, issuer string, good bool) {
		t.Run(title, func(t *testing.T) {
			changed := config
			changed.Issuer = issuer
			_, err := fapi.New(t.Context(), changed)
			if good != (err == nil) {
				t.Errorf("%q: %v", issuer, err)
			}
		})
	}
	for _, issuer := range []string{"https://as.example", "https://as.example:8443", "https://as.example/tenants/one"} {
		try("accepts "+issuer, issuer, true)
	}
	for _, issuer := range []string{
		"", "as.example", "http://as.example", "ftp://as.example", "https://", "https:///path", "https://as.example?", "https://as.example?a=b",
		"https://as.example#", "https://as.example#part", "https://as.example/", "https://as.example/tenants/", "https://user@as.example", "https://as.example/%zz",
	} {
		try("refuses "+fmt.Sprintf("%q", issuer), issuer, false)
	}
	t.Run("accepts the same issuer everywhere", func(t *testing.T) {
		c := w.register("client-1", member("userinfo_signed_response_alg", "ES256"))
		q := c.through(w.browser(), nil)
		issued := c.redeem(q.Get("code"), nil)
		info := claimsIn(t, c.get("/userinfo", issued.text("access_token"), nil).raw)
		self := w.resourceServer("self", w.issuer)
		for place, got := range map[string]any{
			"metadata": w.document()["issuer"], "authorization response": q.Get("iss"), "ID token": claimsIn(t, issued.text("id_token"))["iss"],
			"access token": claimsIn(t, issued.text("access_token"))["iss"], "signed UserInfo": info["iss"],
			"introspection": self.introspect(issued.text("access_token"), nil).body["iss"],
		} {
			if got != w.issuer {
				t.Errorf("%s: %v", place, got)
			}
		}
	})
}
