package login_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: KE-01. Signing in and deciding are handed off: the browser goes to the login, and comes back to the client.
func TestKE01WholeFlow(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	t.Run("accepts a user who is known, and what was allowed is in the token", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		issued := c.Redeem(wantCode(t, browser, b.done(t, handle, b.message(t, handle))), nil)
		fapitest.WantOK(t, issued)
		claims := w.VerifyType(t, issued.Text("id_token"), "JWT")
		if claims["sub"] != "sub-alice" || claims["acr"] != acrSCA || !reflect.DeepEqual(claims["amr"], []any{"pwd", "hwk"}) ||
			claims["auth_time"] != float64(w.Clock.Now().Unix()) {
			t.Errorf("%v", claims)
		}
		if signIns, pages := w.User.Asked(); signIns != 0 || pages != 0 {
			t.Errorf("the built-in pages were shown: %d, %d", signIns, pages)
		}
	})
	t.Run("accepts a user who was not known, with claims", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		message := with(b.message(t, handle), fapitest.Claims{
			"subject": "cust-4711", "username": "carol", "claims": map[string]any{"name": "Carol Example", "email": "carol@example.com"},
		})
		issued := c.Redeem(wantCode(t, browser, b.done(t, handle, message)), nil)
		info := c.Get("/userinfo", issued.Text("access_token"), nil)
		if info.Text("sub") != "cust-4711" || info.Text("name") != "Carol Example" || info.Text("email") != "carol@example.com" {
			t.Errorf("%s", info.Raw)
		}
	})
	t.Run("accepts a part of it", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, fapitest.Set("authorization_details", "["+fapitest.OnePayment+","+fapitest.OneAction+"]"))
		message := with(b.message(t, handle), fapitest.Claims{"allowed": map[string]any{
			"scopes": []string{"openid", "accounts"}, "authorization_details": []json.RawMessage{json.RawMessage(fapitest.OneAction)},
		}})
		issued := c.Redeem(wantCode(t, browser, b.done(t, handle, message)), nil)
		if issued.Text("scope") != "openid accounts" && issued.Text("scope") != "accounts openid" {
			t.Errorf("%s", issued.Raw)
		}
		details, _ := issued.Body["authorization_details"].([]any)
		if len(details) != 1 || details[0].(map[string]any)["type"] != "account_information" {
			t.Errorf("%s", issued.Raw)
		}
	})
	t.Run("accepts the same handle for a page that is loaded again, and another for another request", func(t *testing.T) {
		browser := w.Browser()
		first := arrive(t, c, browser, nil)
		if again := handleOf(t, browser, interactionOf(w, first)); again != first {
			t.Errorf("%s, then %s", first, again)
		}
		if other := arrive(t, c, browser, nil); other == first {
			t.Errorf("%s twice", other)
		}
		if other := arrive(t, c, w.Browser(), nil); strings.HasPrefix(other, strings.SplitAfter(first, ".")[0]) {
			t.Errorf("%s in another browser", other)
		}
	})
	t.Run("refuses to log or to keep what opens anything", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		wantCode(t, browser, returnTo)
		seen := w.Logs.String()
		for _, span := range w.Spans.GetSpans() {
			seen += span.Name + fmt.Sprint(span.Attributes)
		}
		for _, file := range []string{w.File, w.File + "-wal"} {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			seen += string(raw)
		}
		for _, secret := range []string{handle, returnTo[strings.LastIndex(returnTo, "/")+1:]} {
			if strings.Contains(seen, secret) {
				t.Errorf("%s is there", secret)
			}
		}
		if !strings.Contains(seen, "client-1") || !strings.Contains(seen, "/login/v1/interactions/{handle}") {
			t.Error("nothing was looked at")
		}
	})
	t.Run("refuses to grant before the browser is back", func(t *testing.T) {
		nothingGranted(t, w, func() {
			handle := arrive(t, c, w.Browser(), nil)
			b.done(t, handle, b.message(t, handle))
		})
	})
}

// Covers: KE-02. The login reads all that is asked for, and what is demanded of a sign-in.
func TestKE02WhatIsRead(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := w.RegisterFor("Shop Ltd", "client-1", fapitest.All(fapitest.AllScopes,
		fapitest.SetMember("client_name", "A shop"), fapitest.SetMember("client_name#pt", "Uma loja"),
		fapitest.SetMember("logo_uri", "https://shop.example/logo.png"), fapitest.SetMember("client_uri", "https://shop.example"),
		fapitest.SetMember("policy_uri", "https://shop.example/privacy"), fapitest.SetMember("tos_uri", "https://shop.example/terms"),
		fapitest.SetMember("redirect_uris", []string{"https://client.example/callback", "https://client.example/other"})))
	handle := arrive(t, c, w.Browser(), fapitest.Changes(
		fapitest.Set("authorization_details", "["+fapitest.OnePayment+"]"), fapitest.Set("max_age", "600"), fapitest.Set("prompt", "login"),
		fapitest.Set("login_hint", "alice@shop.example"), fapitest.Set("ui_locales", "pt-BR en"), fapitest.Set("acr_values", acrPassword),
		fapitest.Set("claims", `{"id_token":{"acr":{"essential":true,"values":["`+acrSCA+`"]}},"userinfo":{"birthdate":null}}`),
		fapitest.Set("scope", "openid accounts")))
	w.Clock.Advance(time.Minute)
	asked := b.asked(t, handle)
	t.Run("accepts what the client asks for, as it is registered", func(t *testing.T) {
		want := map[string]any{}
		if err := json.Unmarshal([]byte(`{
			"ask": ["login", "consent"], "expires_in": 240, "profile": "fapi2-security",
			"client": {"client_id": "client-1", "client_name": "A shop", "client_names": {"pt": "Uma loja"}, "organisation": "holder Shop Ltd",
				"client_uri": "https://shop.example", "logo_uri": "https://shop.example/logo.png",
				"policy_uri": "https://shop.example/privacy", "tos_uri": "https://shop.example/terms",
				"redirect_uri": "https://client.example/callback",
				"redirect_uris": ["https://client.example/callback", "https://client.example/other"]},
			"scopes": [{"scope": "openid", "description": "Know who you are: a stable identifier of your account"},
				{"scope": "accounts", "description": "See your accounts"}],
			"claims": ["birthdate"], "resources": [], "acr_values": ["urn:bank:sca", "urn:bank:password"],
			"essential_acr_values": ["urn:bank:sca"], "claimable_acr_values": ["urn:bank:sca", "urn:bank:password"], "max_age": 600,
			"language": "pt-BR", "prompt": ["login"], "login_hint": "alice@shop.example", "ui_locales": ["pt-BR", "en"], "grant_lifetime": 7776000
		}`), &want); err != nil {
			t.Fatal(err)
		}
		details := asked["authorization_details"].([]any)
		for name, value := range want {
			if !reflect.DeepEqual(asked[name], value) {
				t.Errorf("%s is %v, want %v", name, asked[name], value)
			}
		}
		if len(asked) != len(want)+3 || len(asked["request_digest"].(string)) != 43 || len(asked["consent_id"].(string)) != 43 || len(details) != 1 {
			t.Errorf("%v", asked)
		}
		detail := details[0].(map[string]any)
		raw, _ := json.Marshal(detail["value"])
		title, _ := detail["title"].(string)
		if detail["type"] != "payment_initiation" || detail["kind"] != "payment" || !strings.Contains(title, "123,50") || !strings.Contains(title, "Merchant A") ||
			!strings.Contains(detail["allow"].(string), "123,50") || detail["deny"] == "" || !strings.Contains(string(raw), `"amount":"123.50"`) {
			t.Errorf("%v", detail)
		}
	})
	t.Run("accepts details in the language of the call, unless the client asks for one, with the same digest", func(t *testing.T) {
		handle := arrive(t, c, w.Browser(), fapitest.Set("authorization_details", "["+fapitest.TwoActions+"]"))
		in := func(language string) map[string]any {
			return b.caller.SendJSON(http.MethodGet, w.MTLSIssuer+path(handle), "", nil, func(r *http.Request) {
				r.Header.Set("Accept-Language", language)
			}).Body
		}
		english, german := in("en"), in("de-AT, en;q=0.5")
		if english["language"] != "en" || german["language"] != "de" || english["request_digest"] != german["request_digest"] {
			t.Errorf("%v\n%v", english, german)
		}
		said := english["authorization_details"].([]any)[0].(map[string]any)["lines"].([]any)
		if len(said) == 0 || said[0].(map[string]any)["label"] == "" || said[0].(map[string]any)["value"] == "" {
			t.Errorf("the lines are %v", said)
		}
		b.done(t, handle, b.message(t, handle))
	})
	t.Run("accepts the same, read again", func(t *testing.T) {
		if again := b.asked(t, handle); !reflect.DeepEqual(again, asked) {
			t.Errorf("%v, then %v", asked, again)
		}
	})
	t.Run("refuses an answer in a class that is too low", func(t *testing.T) {
		refused(t, b.answer(handle, with(b.message(t, handle), fapitest.Claims{"acr": acrPassword})), http.StatusBadRequest,
			"unmet_authentication_requirements")
	})
}

// Covers: KE-03. Either can be handed off alone: the built-in pages do the other.
func TestKE03Apart(t *testing.T) {
	t.Parallel()
	t.Run("accepts their login with our consent page", func(t *testing.T) {
		w, b := newBank(t, true, false)
		c := everybody(w, "client-1")
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		if asked := b.asked(t, handle); !reflect.DeepEqual(asked["ask"], []any{"login"}) {
			t.Errorf("%v", asked)
		}
		wantCode(t, browser, b.done(t, handle, b.message(t, handle)))
		if signIns, pages := w.User.Asked(); signIns != 0 || pages != 1 || w.User.Sees().SignedIn.Subject != "sub-alice" {
			t.Errorf("%d sign-ins, %d pages", signIns, pages)
		}
		if c.AuthorizeIn(browser, fapitest.Set("scope", "accounts")).Get("code") == "" { // signed in, it needs no login
			t.Error("no code")
		}
	})
	t.Run("refuses an answer to what their login is not asked", func(t *testing.T) {
		w, b := newBank(t, true, false)
		handle := arrive(t, everybody(w, "client-1"), w.Browser(), nil)
		refused(t, b.answer(handle, with(b.message(t, handle), fapitest.Claims{"allowed": map[string]any{"scopes": []string{"openid"}}})),
			http.StatusBadRequest, "nothing to allow")
	})
	t.Run("accepts our login with their consent page", func(t *testing.T) {
		w, b := newBank(t, false, true)
		c, browser := everybody(w, "client-1"), w.Browser()
		handle := arrive(t, c, browser, nil)
		if asked := b.asked(t, handle); !reflect.DeepEqual(asked["ask"], []any{"consent"}) || asked["subject"] != "sub-alice" {
			t.Errorf("%v", asked)
		}
		wantCode(t, browser, b.done(t, handle, b.message(t, handle)))
		if signIns, pages := w.User.Asked(); signIns != 1 || pages != 0 {
			t.Errorf("%d sign-ins, %d pages", signIns, pages)
		}
	})
	for name, wrong := range map[string]struct {
		change fapitest.Claims
		says   string
	}{
		"that another user decided":           {fapitest.Claims{"subject": "sub-bob"}, "not who signed in"},
		"a class":                             {fapitest.Claims{"acr": acrSCA}, "nothing to say about the sign-in"},
		"methods":                             {fapitest.Claims{"amr": []string{"pwd"}}, "nothing to say about the sign-in"},
		"a time":                              {fapitest.Claims{"auth_time": 1700000000}, "nothing to say about the sign-in"},
		"claims about a user":                 {fapitest.Claims{"claims": map[string]any{"name": "Mallory"}}, "nothing to say about the sign-in"},
		"a user name":                         {fapitest.Claims{"username": "mallory"}, "nothing to say about the sign-in"},
		"nothing that was allowed or refused": {fapitest.Claims{"allowed": nil}, "allowed is missing"},
	} {
		t.Run("refuses of their consent page "+name, func(t *testing.T) {
			w, b := newBank(t, false, true)
			handle := arrive(t, everybody(w, "client-1"), w.Browser(), nil)
			refused(t, b.answer(handle, with(b.message(t, handle), wrong.change)), http.StatusBadRequest, wrong.says)
		})
	}
	t.Run("refuses what a user decided there who is not signed in here any more", func(t *testing.T) {
		w, b := newBank(t, false, true)
		browser := w.Browser()
		handle := arrive(t, everybody(w, "client-1"), browser, nil)
		returnTo := b.done(t, handle, b.message(t, handle))
		w.Disable("sub-alice", true)
		nothingGranted(t, w, func() {
			w.User.Is("sub-bob", fapitest.ACRPassword)
			if again := handleOf(t, browser, returnTo); again == handle { // bob signs in, and is asked
				t.Error("the same handle")
			}
		})
	})
}

// Covers: KE-04. The login says why not, and the client is told.
func TestKE04Refusals(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	for _, code := range []string{
		"access_denied", "login_required", "consent_required", "interaction_required", "unmet_authentication_requirements",
		"temporarily_unavailable",
	} {
		t.Run("accepts "+code, func(t *testing.T) {
			browser := w.Browser()
			handle := arrive(t, c, browser, nil)
			nothingGranted(t, w, func() {
				returnTo := b.done(t, handle, fapitest.Claims{"request_digest": b.asked(t, handle)["request_digest"], "error": code})
				wantError(t, browser, returnTo, code)
				wantPage(t, browser, returnTo, http.StatusBadRequest, "answered already")
			})
		})
	}
	for name, change := range map[string]fapitest.Claims{
		"an error that there is not": {"error": "server_error"}, "one with a subject": {"error": "access_denied", "subject": "sub-alice"},
		"one with what is allowed": {"error": "access_denied", "allowed": map[string]any{"scopes": []string{"openid"}}},
		"one with a class":         {"error": "access_denied", "acr": acrSCA},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			browser := w.Browser()
			handle := arrive(t, c, browser, nil)
			message := b.message(t, handle)
			refused(t, b.answer(handle, with(fapitest.Claims{"request_digest": message["request_digest"]}, change)), http.StatusBadRequest, "error")
			wantCode(t, browser, b.done(t, handle, message)) // it is still open
		})
	}
}
