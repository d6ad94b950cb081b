package login_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// Covers: KE-07. No more is granted than was asked, and nothing else.
func TestKE07MoreThanWasAsked(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	browser := w.Browser()
	handle := arrive(t, c, browser, fapitest.Changes(
		fapitest.Set("scope", "openid accounts"), fapitest.Set("claims", `{"userinfo":{"birthdate":null}}`),
		fapitest.Set("authorization_details", "["+fapitest.OnePayment+"]")))
	message := b.message(t, handle)
	payment, more := json.RawMessage(fapitest.OnePayment), json.RawMessage(strings.Replace(fapitest.OnePayment, "123.50", "1123.50", 1))
	another := json.RawMessage(strings.Replace(fapitest.OnePayment, "Merchant A", "Merchant B", 1))
	for name, allowed := range map[string]map[string]any{
		"another scope":              {"scopes": []string{"openid", "accounts", "payments"}},
		"a scope that there is not":  {"scopes": []string{"openid", "everything"}},
		"a scope twice":              {"scopes": []string{"openid", "accounts", "accounts"}},
		"openid left out":            {"scopes": []string{"accounts"}},
		"another claim":              {"scopes": []string{"openid"}, "claims": []string{"birthdate", "email"}},
		"a claim twice":              {"scopes": []string{"openid"}, "claims": []string{"birthdate", "birthdate"}},
		"a larger amount":            {"scopes": []string{"openid"}, "authorization_details": []any{more}},
		"another payee":              {"scopes": []string{"openid"}, "authorization_details": []any{another}},
		"the payment twice":          {"scopes": []string{"openid"}, "authorization_details": []any{payment, payment}},
		"another type":               {"scopes": []string{"openid"}, "authorization_details": []any{json.RawMessage(fapitest.OneAction)}},
		"a detail that is no object": {"scopes": []string{"openid"}, "authorization_details": []any{1}},
		"a detail of two minds":      {"scopes": []string{"openid"}, "authorization_details": []any{json.RawMessage(`{"type":"x","type":"payment_initiation"}`)}},
		"nothing":                    {},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			refused(t, b.answer(handle, with(message, fapitest.Claims{"allowed": allowed})), http.StatusBadRequest, "")
		})
	}
	t.Run("accepts the same payment in other order of members", func(t *testing.T) {
		turned := json.RawMessage(`{"creditorName":"Merchant A", "instructedAmount":{"amount":"123.50","currency":"EUR"}, "type":"payment_initiation"}`)
		allowed := map[string]any{"scopes": []string{"openid"}, "authorization_details": []any{turned}}
		issued := c.Redeem(wantCode(t, browser, b.done(t, handle, with(message, fapitest.Claims{"allowed": allowed}))), nil)
		if issued.Text("scope") != "openid" || !strings.Contains(issued.Raw, "123.50") {
			t.Errorf("%s", issued.Raw)
		}
	})
}

// Covers: KE-25. Where the user chooses of a list, what was chosen is granted, and nothing without a choice.
func TestKE25Chosen(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c, browser := everybody(w, "client-1"), w.Browser()
	handle := arrive(t, c, browser, fapitest.Set("authorization_details", "["+fapitest.ThreeAccounts+","+fapitest.TwoToPayFrom+"]"))
	message := b.message(t, handle)
	chosen := func(accounts, from string) any {
		return with(message, fapitest.Claims{"allowed": map[string]any{"scopes": []string{"openid"}, "authorization_details": []json.RawMessage{
			json.RawMessage(`{"type":"account_information","actions":["list_accounts"],"accounts":[` + accounts + `]}`),
			json.RawMessage(`{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A","debtorAccounts":[` + from + `]}`),
		}}})
	}
	const first, third, household = `"DE02100100109307118603"`, `"GB33BUKB20201555555555"`, `{"name":"Household","number":"7730"}`
	t.Run("accepts to read what is to be chosen", func(t *testing.T) {
		found := map[string]any{}
		for _, detail := range b.asked(t, handle)["authorization_details"].([]any) {
			for _, line := range detail.(map[string]any)["lines"].([]any) {
				if choose := line.(map[string]any)["choose"]; choose != nil {
					found[line.(map[string]any)["at"].(string)] = choose
				}
			}
		}
		if len(found) != 2 || found["/accounts"] != "some" || found["/debtorAccounts"] != "one" {
			t.Errorf("%v", found)
		}
	})
	for name, answer := range map[string]any{
		"nothing chosen":               message,
		"an empty list":                chosen("", household),
		"an account that is not there": chosen(first+`,"DE00"`, household),
		"an account twice":             chosen(first+","+first, household),
		"two to pay from":              chosen(first, household+`,{"name":"Everyday","number":"4821"}`),
		"one that is not there":        chosen(first, `{"name":"Household","number":"0000"}`),
	} {
		t.Run("refuses "+name, func(t *testing.T) { refused(t, b.answer(handle, answer), http.StatusBadRequest, "allowed") })
	}
	t.Run("accepts a choice, and that is granted", func(t *testing.T) {
		issued := c.Redeem(wantCode(t, browser, b.done(t, handle, chosen(first+","+third, household))), nil)
		details, _ := issued.Body["authorization_details"].([]any)
		if len(details) != 2 || canonical(t, details[0].(map[string]any)["accounts"]) != "["+first+","+third+"]" ||
			canonical(t, details[1].(map[string]any)["debtorAccounts"]) != "["+household+"]" {
			t.Errorf("%s", issued.Raw)
		}
	})
}

// Covers: KE-08. The login says of a sign-in what it may claim, and what satisfies the request.
func TestKE08Claiming(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true)
	c := everybody(w, "client-1")
	now := func(d time.Duration) int64 { return w.Clock.Now().Add(d).Unix() }
	browser := w.Browser()
	handle := arrive(t, c, browser, nil)
	message := b.message(t, handle)
	for name, change := range map[string]fapitest.Claims{
		"a class that the login may not claim":       {"acr": "urn:bank:gold"},
		"a class of the built-in pages":              {"acr": fapitest.ACRKey},
		"no class":                                   {"acr": nil},
		"no method":                                  {"amr": nil},
		"an empty method":                            {"amr": []string{""}},
		"methods without end":                        {"amr": strings.Split("1 2 3 4 5 6 7 8 9 10 11", " ")},
		"a method with a line break":                 {"amr": []string{"pwd\nhwk"}},
		"no time":                                    {"auth_time": nil},
		"a time to come":                             {"auth_time": now(2 * time.Minute)},
		"the day before yesterday":                   {"auth_time": now(-48 * time.Hour)},
		"a time before all":                          {"auth_time": -1},
		"a time after all":                           {"auth_time": int64(1) << 60},
		"a subject with a space":                     {"subject": "sub alice"},
		"a subject that is no ASCII":                 {"subject": "sub-ålice"},
		"a subject without end":                      {"subject": strings.Repeat("a", 256)},
		"no subject":                                 {"subject": nil},
		"a user name with space around it":           {"subject": "new-1", "username": " carol"},
		"the user name of another":                   {"subject": "new-2", "username": "bob"},
		"claims that the server makes":               {"claims": map[string]any{"name": "A", "sub": "sub-bob"}},
		"an issuer":                                  {"claims": map[string]any{"iss": "https://evil.example"}},
		"claims that are no object":                  {"claims": []string{"name"}},
		"claims without end":                         {"claims": map[string]any{"name": strings.Repeat("a", 17<<10)}},
		"a digest of something else":                 {"request_digest": strings.Repeat("A", 43)},
		"no digest":                                  {"request_digest": nil},
		"a member that is not known":                 {"scope": "openid"},
		"null":                                       {"username": json.RawMessage("null")},
		"a member of what is allowed that is nobody": {"allowed": map[string]any{"scopes": []string{"openid"}, "all": true}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			refused(t, b.answer(handle, with(message, change)), http.StatusBadRequest, "")
		})
	}
	t.Run("refuses what is no JSON object, or too long", func(t *testing.T) {
		for body, status := range map[string]int{
			"": 400, "[]": 400, "null": 400, "{": 400, `{"error":"access_denied","error":"login_required"}`: 400,
			`{"claims":"` + strings.Repeat("a", 1<<20) + `"}`: http.StatusRequestEntityTooLarge,
		} {
			refused(t, b.answer(handle, body), status, "")
		}
		form := b.caller.SendJSON(http.MethodPost, w.MTLSIssuer+path(handle), "", "error=access_denied", func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		})
		refused(t, form, http.StatusUnsupportedMediaType, "application/json")
	})
	t.Run("refuses a disabled user, and one that was erased", func(t *testing.T) {
		w.AddUser("sub-gone", "gone", "{}")
		w.Disable("sub-gone", true)
		refused(t, b.answer(handle, with(message, fapitest.Claims{"subject": "sub-gone"})), http.StatusBadRequest, "disabled")
		if err := w.Store.EraseUser(t.Context(), "sub-gone"); err != nil {
			t.Fatal(err)
		}
		refused(t, b.answer(handle, with(message, fapitest.Claims{"subject": "sub-gone"})), http.StatusBadRequest, "erased")
	})
	t.Run("accepts a correct answer after all that", func(t *testing.T) {
		wantCode(t, browser, b.done(t, handle, message))
	})
	for name, demand := range map[string]struct {
		form   fapitest.Change
		change fapitest.Claims
	}{
		"a sign-in of before, with prompt=login": {fapitest.Set("prompt", "login"), fapitest.Claims{"auth_time": now(-time.Minute)}},
		"one that is too old, with max_age":      {fapitest.Set("max_age", "60"), fapitest.Claims{"auth_time": now(-2 * time.Minute)}},
		"a class below the essential one": {
			fapitest.Set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+acrSCA+`"}}}`), fapitest.Claims{"acr": acrPassword},
		},
		"another user than demanded": {
			fapitest.Set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`), fapitest.Claims{"subject": "sub-bob"},
		},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			browser := w.Browser()
			handle := arrive(t, c, browser, demand.form)
			message := b.message(t, handle)
			refused(t, b.answer(handle, with(message, demand.change)), http.StatusBadRequest, "")
			wantCode(t, browser, b.done(t, handle, message))
		})
	}
	t.Run("accepts a clock that is ahead, and that nobody has signed in later than now", func(t *testing.T) {
		browser := w.Browser()
		handle := arrive(t, c, browser, nil)
		returnTo := b.done(t, handle, with(b.message(t, handle), fapitest.Claims{"auth_time": now(30 * time.Second)}))
		issued := c.Redeem(wantCode(t, browser, returnTo), nil)
		if claims := w.VerifyType(t, issued.Text("id_token"), "JWT"); claims["auth_time"] != float64(now(0)) {
			t.Errorf("%v", claims)
		}
	})
	t.Run("accepts to read who is demanded", func(t *testing.T) {
		handle := arrive(t, c, w.Browser(), fapitest.Set("claims", `{"id_token":{"sub":{"value":"sub-alice"}}}`))
		if asked := b.asked(t, handle); asked["required_subject"] != "sub-alice" {
			t.Errorf("%v", asked)
		}
	})
}
