package endpoint_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: ATTACK-44, RULE-06. At every endpoint, each parameter of a request that would be good: given twice, before or
// after another value, or in the address besides, it spoils the request and consumes nothing.
func TestAttack44EveryEndpoint(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, self := w.Register("client-1", fapitest.AllScopes), w.ResourceServer("self", w.Issuer)
	issued, code := c.Tokens(), c.Authorize()
	refreshToken := issued.Text("refresh_token")
	alone := w.Register("machine", fapitest.ClientCredentialsOnly)
	requests := map[string]struct {
		by   *fapitest.Client
		path string
		form url.Values
	}{
		"a push":             {c, "/par", c.AuthorizationForm()},
		"a redemption":       {c, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURI}, "code_verifier": {fapitest.CodeVerifier}}},
		"a refresh":          {c, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}, "scope": {"openid"}}},
		"client credentials": {alone, "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}},
		"introspection":      {self, "/introspect", url.Values{"token": {issued.Text("access_token")}, "token_type_hint": {"access_token"}}},
		"revocation":         {c, "/revoke", url.Values{"token": {issued.Text("access_token")}, "token_type_hint": {"access_token"}}},
	}
	send := func(name, query string, pollute func(encoded string) string) fapitest.Reply {
		one := requests[name]
		form, header := url.Values{}, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		for name, list := range one.form {
			form[name] = slices.Clone(list)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", one.by.ClientAssertion(nil))
		form.Set("client_id", one.by.ID)
		if one.by.DPoP {
			header.Set("DPoP", one.by.Proof("POST", w.Issuer+one.path, "", nil))
		}
		request, err := http.NewRequest(http.MethodPost, w.Issuer+one.path+query, strings.NewReader(pollute(form.Encode())))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header
		return one.by.Do(request)
	}
	same := func(encoded string) string { return encoded }
	for name, one := range fapitest.Sorted(requests) {
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
			for how, pollution := range fapitest.Sorted(pollutions) {
				t.Run("refuses "+parameter+" of "+name+" "+how, func(t *testing.T) {
					fapitest.WantError(t, send(name, pollution.query, pollution.pollute), 400, "invalid_request")
				})
			}
		}
	}
	for _, name := range []string{"a push", "introspection", "a redemption", "a refresh", "client credentials", "revocation"} {
		t.Run("accepts "+name+" afterwards, with every parameter once", func(t *testing.T) {
			fapitest.Good("", nil).Check(t, send(name, "", same))
		})
	}
	t.Run("accepts a resource that is named twice, which may be", func(t *testing.T) {
		fapitest.Good("", nil).Check(t, c.Push(func(form url.Values, _ http.Header) { form["resource"] = []string{w.Issuer, fapitest.LedgerAPI} }))
	})
	for kind, body := range map[string]string{"application/json": `{"grant_type":"client_credentials"}`, "multipart/form-data; boundary=x": "--x--", "": "a=b", "text/plain": "a=b"} {
		t.Run("refuses a body of the type "+url.QueryEscape(kind), func(t *testing.T) {
			r := alone.Post("/token", url.Values{"x": {body}}, fapitest.SetHeader("Content-Type", kind))
			fapitest.WantError(t, r, http.StatusUnsupportedMediaType, "invalid_request")
		})
	}
}

// Covers: ATTACK-44, RULE-06. A parameter is given once, whichever it is.
func TestAttack44ParametersTwice(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	names := []string{
		"client_assertion", "client_assertion_type", "client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"prompt", "max_age", "login_hint", "dpop_jkt", "response_mode", "request", "authorization_details", "claims", "acr_values", "nonsense",
	}
	fapitest.TryAll(t, c.Push, fapitest.Good("every parameter once", nil))
	for _, name := range names {
		fapitest.TryAll(t, c.Push,
			fapitest.Bad(name+" twice with the same value", func(form url.Values, _ http.Header) {
				if !form.Has(name) {
					form.Set(name, "a")
				}
				form.Add(name, form.Get(name))
			}, 400, "invalid_request"),
			fapitest.Bad(name+" twice with an empty value", func(form url.Values, _ http.Header) {
				if !form.Has(name) {
					form.Set(name, "a")
				}
				form.Add(name, "")
			}, 400, "invalid_request"))
	}
	for _, name := range []string{"grant_type", "code", "redirect_uri", "code_verifier", "client_assertion"} {
		fapitest.TryAll(t, func(change fapitest.Change) fapitest.Reply { return c.Redeem(c.Authorize(), change) },
			fapitest.Bad(name+" twice at the token endpoint", func(form url.Values, _ http.Header) { form.Add(name, form.Get(name)) }, 400, "invalid_request"))
	}
	for _, name := range []string{"client_id", "request_uri", "state", "redirect_uri"} {
		t.Run("refuses "+name+" twice at the authorization endpoint", func(t *testing.T) {
			query := url.Values{"client_id": {c.ID}, "request_uri": {c.Push(nil).Text("request_uri")}, "state": {"a"}, "redirect_uri": {c.RedirectURI}}
			query.Add(name, query.Get(name))
			if status, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + query.Encode()); status != 400 || sentTo != nil {
				t.Errorf("%d, sent to %v", status, sentTo)
			}
		})
	}
	t.Run("refuses a parameter in the address beside the body", func(t *testing.T) {
		fapitest.WantError(t, c.Post("/par?scope=openid", c.AuthorizationForm(), fapitest.SetHeader("DPoP", c.Proof("POST", w.Issuer+"/par", "", nil))), 400, "invalid_request")
	})
}
