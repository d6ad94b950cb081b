package login_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
)

// consentPage shows the token of its form, and allows what the form chooses.
type consentPage struct {
	last *atomic.Pointer[authorize.Interaction]
}

// Interact implements [authorize.Interactor].
func (p consentPage) Interact(w http.ResponseWriter, r *http.Request, in authorize.Interaction, actions authorize.Actions) {
	p.last.Store(&in)
	switch in.Form.Get("action") {
	case "allow":
		actions.Allow(w, r)
	case "leave":
		actions.Leave(w, r)
	default:
		_, _ = fmt.Fprint(w, in.FormToken)
	}
}

// Fail implements [browser.ErrorPage].
func (p consentPage) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	w.WriteHeader(failure.Status)
	_, _ = fmt.Fprintf(w, "%s: %s", failure.Code, failure.Description)
}

// press sends the form of a page.
func press(t *testing.T, in *fapitest.Browser, page, token, action string, chosen url.Values) (status int, to *url.URL, body string) {
	t.Helper()
	form := url.Values{"form_token": {token}, "action": {action}}
	for name, values := range chosen {
		form[name] = values
	}
	response, err := fapitest.NoRedirects(in).Post(page, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if to, err = response.Location(); err != nil {
		to = nil
	}
	return response.StatusCode, to, string(raw)
}

// own are the accounts that a login tells, for one type.
func own(kind string) (accounts []map[string]any) {
	for _, account := range fapitest.Offered() {
		if account["type"] == kind {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

const ownValues = `["DE02100100109307118603","GB33BUKB20201555555555"]`

// Covers: KX-03. A login that signs users in tells their accounts with that: they are offered on the consent page of the server, to this
// user alone, and what is chosen is granted.
func TestKX03ToldWithTheSignIn(t *testing.T) {
	t.Parallel()
	last := &atomic.Pointer[authorize.Interaction]{}
	w, b := newBank(t, true, false, fapitest.OfferingFrom(rar.FromLogin), func(c *fapitest.Config) { c.Interactor = consentPage{last} })
	c := w.Register("client-1", fapitest.ForOwnAccounts)
	open := fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]")
	told := func(t *testing.T, handle string, accounts any) fapitest.Claims {
		return with(b.message(t, handle), fapitest.Claims{"accounts": accounts})
	}
	// returned opens an address that leads to the consent page, and returns that and the token of its form.
	returned := func(t *testing.T, in *fapitest.Browser, handle, at string) (page, token string) {
		t.Helper()
		status, body, sentTo := in.Visit(at)
		if status != http.StatusOK || sentTo != nil {
			t.Fatalf("%d %s %v", status, body, sentTo)
		}
		return interactionOf(w, handle), body
	}
	t.Run("accepts accounts that are told, and grants what is chosen", func(t *testing.T) {
		in := w.Browser()
		handle := arrive(t, c, in, open)
		if line := fapitest.JSON(b.asked(t, handle)["authorization_details"]); !strings.Contains(line, `"choose":"some"`) || strings.Contains(line, "items") {
			t.Errorf("read %s", line)
		}
		page, token := returned(t, in, handle, b.done(t, handle, told(t, handle, own("own_accounts"))))
		if got := last.Load().Details[0].Groups[0].Lines[0].Items; len(got) != 2 || got[0].Label != "Everyday" || got[0].Balance != "€1,234.50" {
			t.Errorf("offered %s", fapitest.JSON(got))
		}
		_, to, body := press(t, in, page, token, "allow", url.Values{"choose.0./accounts.0": {"0"}})
		if to == nil || to.Query().Get("code") == "" {
			t.Fatalf("%v %s", to, body)
		}
		issued := c.Redeem(to.Query().Get("code"), nil)
		if got := fapitest.JSON(issued.Body["authorization_details"]); got != `[{"accounts":["DE02100100109307118603"],"type":"own_accounts"}]` {
			t.Errorf("granted %s", got)
		}
	})
	t.Run("accepts that a user who is signed in is sent there once more", func(t *testing.T) {
		in := w.Browser()
		handle := arrive(t, c, in, open)
		returned(t, in, handle, b.done(t, handle, told(t, handle, own("own_accounts"))))
		again := arrive(t, c, in, fapitest.Changes(open, fapitest.Set("scope", "openid accounts")))
		page, token := returned(t, in, again, b.done(t, again, told(t, again, own("own_accounts")[:1])))
		_, to, body := press(t, in, page, token, "allow", nil)
		if to == nil || to.Query().Get("code") == "" {
			t.Errorf("%v %s", to, body)
		}
	})
	t.Run("accepts a page that is loaded again a while later, and in a second tab", func(t *testing.T) {
		in := w.Browser()
		handle := arrive(t, c, in, open)
		page, _ := returned(t, in, handle, b.done(t, handle, told(t, handle, own("own_accounts"))))
		w.Clock.Advance(3 * 60e9) // longer than a browser may take to come back
		if _, err := w.Store.Purge(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
		_, token := returned(t, in, handle, page)
		_, tab := returned(t, in, handle, page)
		if _, to, _ := press(t, in, page, token, "allow", url.Values{"choose.0./accounts.1": {"1"}}); to == nil || to.Query().Get("code") == "" {
			t.Errorf("%v", to)
		}
		if status, to, _ := press(t, in, page, tab, "allow", url.Values{"choose.0./accounts.0": {"0"}}); to != nil {
			t.Errorf("allowed twice: %d %v", status, to)
		}
	})
	t.Run("refuses what was told of another user", func(t *testing.T) {
		in := w.Browser()
		handle := arrive(t, c, in, open)
		page, token := returned(t, in, handle, b.done(t, handle, told(t, handle, own("own_accounts"))))
		other := arrive(t, c, in, fapitest.Set("prompt", "login")) // bob signs in in another tab of the browser
		in.Visit(b.done(t, other, with(b.message(t, other), fapitest.Claims{"subject": "sub-bob"})))
		status, to, body := press(t, in, page, token, "allow", url.Values{"choose.0./accounts.0": {"0"}})
		if to != nil && to.Query().Get("code") != "" {
			t.Errorf("%d %v %s", status, to, body)
		}
	})
	t.Run("refuses a user without accounts, and the client is told", func(t *testing.T) {
		in := w.Browser()
		handle := arrive(t, c, in, open)
		page, token := returned(t, in, handle, b.done(t, handle, told(t, handle, []any{})))
		if code := last.Load().Unoffered.Code; code != browser.NothingOffered {
			t.Errorf("%q", code)
		}
		if _, to, _ := press(t, in, page, token, "leave", nil); to == nil || to.Query().Get("error") != "access_denied" {
			t.Errorf("%v", to)
		}
	})
	handle := arrive(t, c, w.Browser(), open)
	for name, accounts := range map[string]any{
		"no accounts":                        nil,
		"an account that the schema forbids": []any{map[string]any{"type": "own_accounts", "value": 7, "name": "X"}},
		"an account twice":                   []any{own("own_accounts")[0], own("own_accounts")[0]},
		"an account without a name":          []any{map[string]any{"type": "own_accounts", "value": "DE02100100109307118603"}},
		"forty-one accounts":                 manyAccounts(41),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			refused(t, b.answer(handle, told(t, handle, accounts)), http.StatusBadRequest, "accounts")
		})
	}
	t.Run("refuses accounts for which nobody asked", func(t *testing.T) {
		handle := arrive(t, c, w.Browser(), nil)
		refused(t, b.answer(handle, told(t, handle, own("own_accounts"))), http.StatusBadRequest, "accounts")
	})
}

func manyAccounts(n int) (accounts []map[string]any) {
	for i := range n {
		accounts = append(accounts, map[string]any{"type": "own_accounts", "value": fmt.Sprintf("DE021001001093071%05d", i), "name": "X"})
	}
	return accounts
}

// Covers: KX-04. A login that asks for consent lets its users choose, and answers with what they chose: entries that the schema allows,
// or, where the claims source offers them, entries of that.
func TestKX04ChosenAtTheLogin(t *testing.T) {
	t.Parallel()
	filled := func(asked fapitest.Claims, entries string) fapitest.Claims {
		return with(asked, fapitest.Claims{"allowed": map[string]any{"scopes": []string{"openid"}, "authorization_details": []json.RawMessage{
			json.RawMessage(`{"type":"own_accounts","accounts":` + entries + `}`),
		}}})
	}
	open := fapitest.Changes(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]"), fapitest.Set("scope", "openid"))
	t.Run("accepts what was chosen, and the words for it", func(t *testing.T) {
		w, b := newBank(t, true, true, fapitest.OfferingFrom(rar.FromLogin))
		c, in := w.Register("client-1", fapitest.ForOwnAccounts), w.Browser()
		handle := arrive(t, c, in, open)
		message := b.message(t, handle)
		for name, entries := range map[string]string{
			"nothing": `[]`, "an entry twice": `["DE02100100109307118603","DE02100100109307118603"]`, "what the schema forbids": `["x"]`, "no list": `"DE02100100109307118603"`,
		} {
			t.Run("refuses "+name, func(t *testing.T) {
				refused(t, b.answer(handle, filled(message, entries)), http.StatusBadRequest, "")
			})
		}
		refused(t, b.answer(handle, message), http.StatusBadRequest, "allowed") // the list left empty, as it was asked
		answer := with(filled(message, ownValues), fapitest.Claims{"accounts": own("own_accounts")})
		issued := c.Redeem(wantCode(t, in, b.done(t, handle, answer)), nil)
		if got := fapitest.JSON(issued.Body["authorization_details"]); got != `[{"accounts":`+ownValues+`,"type":"own_accounts"}]` {
			t.Errorf("granted %s", got)
		}
	})
	t.Run("refuses two where one is chosen", func(t *testing.T) {
		w, b := newBank(t, true, true, fapitest.OfferingFrom(rar.FromLogin))
		c, in := w.Register("client-1", fapitest.ForOwnAccounts), w.Browser()
		handle := arrive(t, c, in, fapitest.Changes(open, fapitest.Set("authorization_details", "["+fapitest.PayFromOwn+"]")))
		message := b.message(t, handle)
		paid := func(from string) fapitest.Claims {
			return with(message, fapitest.Claims{"allowed": map[string]any{"scopes": []string{"openid"}, "authorization_details": []json.RawMessage{
				json.RawMessage(strings.Replace(fapitest.PayFromOwn, "[]", from, 1)),
			}}})
		}
		refused(t, b.answer(handle, paid(`[{"iban":"A"},{"iban":"B"}]`)), http.StatusBadRequest, "allowed")
		refused(t, b.answer(handle, with(paid(`[{"iban":"A"}]`), fapitest.Claims{"allowed": map[string]any{"scopes": []string{"openid"},
			"authorization_details": []json.RawMessage{json.RawMessage(strings.Replace(strings.Replace(fapitest.PayFromOwn, "[]", `[{"iban":"A"}]`, 1), "123.50", "1123.50", 1))}}})),
			http.StatusBadRequest, "allowed")
		wantCode(t, in, b.done(t, handle, paid(`[{"iban":"A"}]`)))
	})
	for name, ask := range map[string][2]bool{"that signs in too": {true, true}, "that only asks": {false, true}} {
		t.Run("refuses at a login "+name+" what the claims source does not offer", func(t *testing.T) {
			source := fapitest.NewBank(t)
			w, b := newBank(t, ask[0], ask[1], fapitest.OfferingFrom(rar.FromClaims), fapitest.ClaimsFrom(t, source, nil))
			source.Knows("sub-alice", map[string]any{"accounts": fapitest.Offered()})
			c, in := w.Register("client-1", fapitest.ForOwnAccounts), w.Browser()
			handle := arrive(t, c, in, open)
			message := b.message(t, handle)
			refused(t, b.answer(handle, filled(message, `["DE19999999990000123456"]`)), http.StatusBadRequest, "allowed")
			source.IsAway(true)
			if r := b.answer(handle, filled(message, ownValues)); r.Status != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
			source.IsAway(false)
			w.Clock.Advance(31e9)
			message["request_digest"] = b.asked(t, handle)["request_digest"]
			issued := c.Redeem(wantCode(t, in, b.done(t, handle, filled(message, `["GB33BUKB20201555555555"]`))), nil)
			if got := fapitest.JSON(issued.Body["authorization_details"]); got != `[{"accounts":["GB33BUKB20201555555555"],"type":"own_accounts"}]` {
				t.Errorf("granted %s", got)
			}
		})
	}
}

// Covers: KX-05. Without a browser, too, accounts are offered: by the claims source on the device, in applications and at the login, and
// by the login itself where it decides.
func TestKX05OfferedWithoutABrowser(t *testing.T) {
	t.Parallel()
	ask := func(c *fapitest.Client) (id, reference string) {
		id = c.AuthReqID(fapitest.Changes(fapitest.Set("scope", "openid"), fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]")))
		return id, fapitest.Reference(id)
	}
	asker := fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("authorization_details_types", []string{"own_accounts"}))
	second := map[string]any{"choose.0./accounts.1": []string{"1"}}
	const granted = `[{"accounts":["GB33BUKB20201555555555"],"type":"own_accounts"}]`
	t.Run("accepts accounts of the login that decides", func(t *testing.T) {
		w, b := newBank(t, true, true, fapitest.WithBackchannel(), fapitest.OfferingFrom(rar.FromLogin), func(c *fapitest.Config) { c.Login.Confirmations = true })
		c := w.Register("asker", asker)
		id, reference := ask(c)
		message := b.allowed(t, reference)
		for name, change := range map[string]fapitest.Claims{
			"no accounts":             {"chosen": second},
			"accounts and no choice":  {"accounts": own("own_accounts")},
			"what is not offered":     {"accounts": own("own_accounts"), "chosen": map[string]any{"choose.0./accounts.2": []string{"2"}}},
			"what the schema forbids": {"accounts": []any{map[string]any{"type": "own_accounts", "value": "x", "name": "X"}}, "chosen": second},
			"an empty list":           {"accounts": []any{}, "chosen": second},
		} {
			t.Run("refuses "+name, func(t *testing.T) {
				nothingGranted(t, w, func() { refused(t, b.confirm(reference, with(message, change)), http.StatusBadRequest, "") })
			})
		}
		r := b.confirm(reference, with(message, fapitest.Claims{"accounts": own("own_accounts"), "chosen": second}))
		if r.Text("state") != "approved" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		if got := fapitest.JSON(c.Poll(id, nil).Body["authorization_details"]); got != granted {
			t.Errorf("granted %s", got)
		}
		if read := b.confirmation(reference); !strings.Contains(read.Raw, "Savings") || strings.Contains(read.Raw, "Everyday") {
			t.Errorf("read afterwards %s", read.Raw)
		}
	})
	t.Run("accepts accounts of the claims source, at the login that decides", func(t *testing.T) {
		source := fapitest.NewBank(t)
		w, b := newBank(t, true, true, fapitest.WithBackchannel(), fapitest.OfferingFrom(rar.FromClaims), fapitest.ClaimsFrom(t, source, nil),
			func(c *fapitest.Config) { c.Login.Confirmations = true })
		source.Knows("sub-alice", map[string]any{"accounts": fapitest.Offered()})
		c := w.Register("asker", asker)
		id, reference := ask(c)
		message := b.allowed(t, reference)
		if read := b.confirmation(reference); !strings.Contains(read.Raw, `"label":"Savings"`) || !strings.Contains(read.Raw, `"balance":"€1,234.50"`) {
			t.Errorf("read %s", read.Raw)
		}
		source.Knows("sub-alice", map[string]any{"accounts": own("own_accounts")[:1]})
		nothingGranted(t, w, func() {
			refused(t, b.confirm(reference, with(message, fapitest.Claims{"chosen": second})), http.StatusBadRequest, "")
		})
		source.Knows("sub-alice", map[string]any{"accounts": fapitest.Offered()})
		if r := b.confirm(reference, with(message, fapitest.Claims{"chosen": second})); r.Text("state") != "approved" {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		if got := fapitest.JSON(c.Poll(id, nil).Body["authorization_details"]); got != granted {
			t.Errorf("granted %s", got)
		}
	})
	t.Run("refuses a request whose accounts a login offers in a browser alone", func(t *testing.T) {
		w, _ := newBank(t, true, true, fapitest.WithBackchannel(), fapitest.OfferingFrom(rar.FromLogin))
		c := w.Register("asker", asker)
		fapitest.WantError(t, c.Backchannel(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]")), 400, "invalid_authorization_details")
	})
}

// Covers: KX-08. The user's own page and its API name the accounts of a grant as they were chosen.
func TestKX08NamedAfterwards(t *testing.T) {
	t.Parallel()
	w, b := newBank(t, true, true, fapitest.OfferingFrom(rar.FromLogin), fapitest.WithDevices)
	c, in := w.Register("client-1", fapitest.ForOwnAccounts), w.Browser()
	handle := arrive(t, c, in, fapitest.Changes(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]"), fapitest.Set("scope", "openid")))
	answer := with(b.message(t, handle), fapitest.Claims{
		"accounts": own("own_accounts"),
		"allowed": map[string]any{"scopes": []string{"openid"}, "authorization_details": []json.RawMessage{
			json.RawMessage(`{"type":"own_accounts","accounts":["GB33BUKB20201555555555"]}`),
		}},
	})
	fapitest.WantOK(t, c.Redeem(wantCode(t, in, b.done(t, handle, answer)), nil))
	page := w.DeviceBrowser(t)
	var at, shown string
	t.Run("accepts the name of what was chosen", func(t *testing.T) {
		all := page.Send(page.Visit("/account"), "/account", "sign-in", "username", "alice", "password", "right")
		all.Has(t, http.StatusOK, "Your account")
		found := regexp.MustCompile(`<p class="row-name"><a href="[^"]*(/account/[^"]+)"`).FindStringSubmatch(all.Body)
		if found == nil {
			t.Fatalf("no access is there: %s", all.Body)
		}
		one := page.Visit(found[1])
		one.Has(t, http.StatusOK, "Savings", "Savings account · ending 5555")
		at, shown = found[1], one.Body
	})
	t.Run("refuses to name what was offered and not chosen", func(t *testing.T) {
		if shown == "" || strings.Contains(shown, "Everyday") {
			t.Errorf("shows what was not chosen: %s", shown)
		}
	})
	t.Run("refuses to name it where nobody is signed in", func(t *testing.T) {
		if other := w.DeviceBrowser(t).Visit(at); at == "" || strings.Contains(other.Body, "Savings") || !strings.Contains(other.Body, "password") {
			t.Errorf("%q shows %s", at, other.Body)
		}
	})
}

// Accounts are offered to who signs in at the login, and not to who was signed in in the browser before.
func TestOfferedToWhoSignsIn(t *testing.T) {
	t.Parallel()
	const alices, bobs = `["GB33BUKB20201555555555"]`, `["DE19999999990000123456"]`
	source := fapitest.NewBank(t)
	w, b := newBank(t, true, true, fapitest.OfferingFrom(rar.FromClaims), fapitest.ClaimsFrom(t, source, nil))
	source.Knows("sub-alice", map[string]any{"accounts": fapitest.Offered()})
	source.Knows("sub-bob", map[string]any{"accounts": []any{map[string]any{"type": "own_accounts", "value": "DE19999999990000123456", "name": "Bob's"}}})
	c, in := w.Register("client-1", fapitest.ForOwnAccounts), w.Browser()
	open := fapitest.Changes(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]"), fapitest.Set("scope", "openid"))
	// chosen is what the login answers of a user with these accounts.
	chosen := func(t *testing.T, handle, subject, entries string) fapitest.Claims {
		t.Helper()
		return with(b.message(t, handle), fapitest.Claims{"subject": subject, "allowed": map[string]any{
			"scopes":                []string{"openid"},
			"authorization_details": []json.RawMessage{json.RawMessage(`{"type":"own_accounts","accounts":` + entries + `}`)},
		}})
	}
	handle := arrive(t, c, in, open)
	wantCode(t, in, b.done(t, handle, chosen(t, handle, "sub-alice", alices)))
	handle = arrive(t, c, in, open)
	if read := b.asked(t, handle)["subject"]; read != "sub-alice" {
		t.Fatalf("alice is not signed in: %v", read)
	}
	t.Run("refuses accounts of who was signed in before", func(t *testing.T) {
		refused(t, b.answer(handle, chosen(t, handle, "sub-bob", alices)), http.StatusBadRequest, "allowed")
	})
	t.Run("accepts those of who signs in", func(t *testing.T) {
		issued := c.Redeem(wantCode(t, in, b.done(t, handle, chosen(t, handle, "sub-bob", bobs))), nil)
		if got := fapitest.JSON(issued.Body["authorization_details"]); got != `[{"accounts":`+bobs+`,"type":"own_accounts"}]` {
			t.Errorf("granted %s", got)
		}
	})
}
