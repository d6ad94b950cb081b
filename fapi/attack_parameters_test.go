package fapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Covers: ATTACK-44, RULE-06. At every endpoint, each parameter of a request that would be good: given twice, before or
// after another value, or in the address besides, it spoils the request and spends nothing.
func TestAttack44EveryEndpoint(t *testing.T) {
	w, _ := wholeWorld(t)
	c, self := w.register("client-1", wide), w.resourceServer("self", w.issuer)
	issued, code := c.tokens(), c.authorize()
	refreshToken := issued.text("refresh_token")
	alone := w.register("machine", machine)
	requests := map[string]struct {
		by   *client
		path string
		form url.Values
	}{
		"a push":             {c, "/par", c.request()},
		"a redemption":       {c, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.redirectURI}, "code_verifier": {verifier}}},
		"a refresh":          {c, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "scope": {"openid"}}},
		"client credentials": {alone, "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}},
		"introspection":      {self, "/introspect", url.Values{"token": {issued.text("access_token")}, "token_type_hint": {"access_token"}}},
		"revocation":         {c, "/revoke", url.Values{"token": {issued.text("access_token")}, "token_type_hint": {"access_token"}}},
	}
	send := func(name, query string, pollute func(encoded string) string) reply {
		one := requests[name]
		form, header := url.Values{}, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		for name, list := range one.form {
			form[name] = slices.Clone(list)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", one.by.clientAssertion(nil))
		form.Set("client_id", one.by.id)
		if one.by.dpop {
			header.Set("DPoP", one.by.proof("POST", w.issuer+one.path, "", nil))
		}
		request, err := http.NewRequest(http.MethodPost, w.issuer+one.path+query, strings.NewReader(pollute(form.Encode())))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		return one.by.do(request)
	}
	same := func(encoded string) string { return encoded }
	for name, one := range inOrder(requests) {
		names := []string{"client_assertion", "client_assertion_type", "client_id"}
		for parameter := range one.form {
			names = append(names, parameter)
		}
		slices.Sort(names)
		for _, parameter := range names {
			pollutions := map[string]struct {
				query   string
				pollute func(string) string
			}{
				"after another value":   {"", func(encoded string) string { return parameter + "=other&" + encoded }},
				"before another value":  {"", func(encoded string) string { return encoded + "&" + parameter + "=other" }},
				"before nothing":        {"", func(encoded string) string { return encoded + "&" + parameter + "=" }},
				"before its name alone": {"", func(encoded string) string { return encoded + "&" + parameter }},
				"before its escaped name": {"", func(encoded string) string {
					return encoded + "&" + fmt.Sprintf("%%%02x", parameter[0]) + parameter[1:] + "=other"
				}},
				"besides the address":      {"?" + parameter + "=other", same},
				"separated by a semicolon": {"", func(encoded string) string { return encoded + ";" + parameter + "=other" }},
			}
			for how, pollution := range inOrder(pollutions) {
				t.Run("refuses "+parameter+" of "+name+" "+how, func(t *testing.T) {
					wantError(t, send(name, pollution.query, pollution.pollute), 400, "invalid_request")
				})
			}
		}
	}
	for _, name := range []string{"a push", "introspection", "a redemption", "a refresh", "client credentials", "revocation"} {
		t.Run("accepts "+name+" afterwards, with every parameter once", func(t *testing.T) {
			good("", nil).check(t, send(name, "", same))
		})
	}
	t.Run("accepts a resource that is named twice, which may be", func(t *testing.T) {
		good("", nil).check(t, c.push(func(form url.Values, _ http.Header) { form["resource"] = []string{w.issuer, ledgerAPI} }))
	})
	for kind, body := range map[string]string{"application/json": `{"grant_type":"client_credentials"}`, "multipart/form-data; boundary=x": "--x--", "": "a=b", "text/plain": "a=b"} {
		t.Run("refuses a body of the type "+url.QueryEscape(kind), func(t *testing.T) {
			r := alone.post("/token", url.Values{"x": {body}}, setHeader("Content-Type", kind))
			wantError(t, r, http.StatusUnsupportedMediaType, "invalid_request")
		})
	}
}
