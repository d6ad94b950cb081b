package authorize_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/store"
)

// offering is a world whose claims source offers accounts, with a client that asks for them.
func offering(t *testing.T) (w *fapitest.World, bank *fapitest.Bank, c, api *fapitest.Client, last *atomic.Pointer[authorize.Interaction]) {
	t.Helper()
	last = &atomic.Pointer[authorize.Interaction]{}
	bank = fapitest.NewBank(t)
	w, _ = fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.Interactor = keeping{last: last} }, fapitest.WithAuditChain,
		fapitest.OfferingFrom(rar.FromClaims), fapitest.ClaimsFrom(t, bank, nil))
	bank.Knows("sub-alice", map[string]any{"accounts": fapitest.Offered()})
	return w, bank, w.Register("client-1", fapitest.ForOwnAccounts), w.ResourceServer("rs-1", w.Issuer), last
}

// answersWith has the bank offer these accounts from now on.
func answersWith(bank *fapitest.Bank, accounts any) {
	bank.Answers(func(w http.ResponseWriter, _ *http.Request, question map[string]any) {
		answer := map[string]any{"sub": question["subject"]}
		if question["accounts_for"] != nil && accounts != nil {
			answer["accounts"] = accounts
		}
		fapitest.WriteAnswer(w, answer)
	})
}

// onlyOf are the accounts for one type.
func onlyOf(kind string) (accounts []map[string]any) {
	for _, account := range fapitest.Offered() {
		if account["type"] == kind {
			accounts = append(accounts, account)
		}
	}
	return accounts
}

// Covers: KX-01. A request leaves open which accounts of the user's own it is for: the claims source offers them, the user is shown
// name, kind, masked number and balance, and what is chosen is what is granted (RFC 9396 §7).
func TestKX01OfferedAccounts(t *testing.T) {
	t.Parallel()
	w, bank, c, api, last := offering(t)
	b := w.Browser()
	t.Run("accepts what is chosen, and shows it by what the bank calls it", func(t *testing.T) {
		bank.Asked()
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts, fapitest.PayFromOwn)
		asked := bank.Asked()
		if len(asked) == 0 || fapitest.JSON(asked[0]["accounts_for"]) != `["own_accounts","pay_from_own"]` || asked[0]["subject"] != "sub-alice" ||
			asked[0]["purpose"] != "consent" {
			t.Errorf("the bank was asked %v", asked)
		}
		details := last.Load().Details
		line := details[0].Groups[0].Lines[0]
		want := []display.Item{
			{Label: "Everyday", Detail: "Current account · DE•• 8603 · ending 8603", Balance: "€1,234.50"},
			{Label: "Savings", Detail: "Savings account · ending 5555"},
		}
		if line.Choose != display.Some || line.Label != "Which accounts" || fapitest.JSON(line.Items) != fapitest.JSON(want) {
			t.Errorf("shown %s", fapitest.JSON(line))
		}
		from := details[1].Groups[0].Lines
		if len(from) != 1 || len(from[0].Items) != 2 || from[0].Items[1].Label != "Savings" || from[0].Items[1].Balance != "£7.00" ||
			from[0].Items[1].Lines[0].Value != "GB33 BUKB 2020 1555 5555 55" {
			t.Errorf("shown %s", fapitest.JSON(from))
		}
		status, to, body := allow(t, b, interaction, token, url.Values{"choose.0./accounts.1": {"1"}, "choose.1./from": {"0"}})
		if to == nil || to.Query().Get("code") == "" {
			t.Fatalf("%d %v %s", status, to, body)
		}
		const granted = `[{"accounts":["GB33BUKB20201555555555"],"type":"own_accounts"},{"creditorName":"Merchant A","from":[{"iban":"DE02100100109307118603"}],` +
			`"instructedAmount":{"amount":"123.50","currency":"EUR"},"type":"pay_from_own"}]`
		issued := c.Redeem(to.Query().Get("code"), nil)
		fapitest.WantOK(t, issued)
		for place, got := range map[string]any{
			"response": issued.Body["authorization_details"], "token": fapitest.UnverifiedClaims(t, issued.Text("access_token"))["authorization_details"],
			"introspection": api.Introspect(issued.Text("access_token"), nil).Body["authorization_details"],
			"refresh":       c.Refresh(issued.Text("refresh_token"), nil).Body["authorization_details"],
		} {
			if fapitest.JSON(got) != granted {
				t.Errorf("%s: %s", place, fapitest.JSON(got))
			}
		}
	})
	t.Run("accepts another balance when the user decides, and one account without a choice", func(t *testing.T) {
		one := onlyOf("own_accounts")[:1]
		answersWith(bank, one)
		defer bank.Answers(nil)
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
		changed := onlyOf("own_accounts")[:1]
		changed[0]["balance"] = map[string]string{"amount": "0.01", "currency": "EUR"}
		answersWith(bank, changed)
		if status, to, body := allow(t, b, interaction, token, nil); to == nil || to.Query().Get("code") == "" {
			t.Errorf("%d %v %s", status, to, body)
		}
	})
	t.Run("refuses a list left empty of a type for which nothing is offered", func(t *testing.T) {
		plain, _ := fapitest.NewFullWorld(t, fapitest.OfferingFrom(rar.FromRequest))
		c := plain.Register("client-1", fapitest.ForOwnAccounts)
		fapitest.WantError(t, c.Push(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]")), 400, "invalid_authorization_details")
		named := strings.Replace(fapitest.OwnAccounts, "[]", `["DE02100100109307118603"]`, 1)
		if pushed := c.Push(fapitest.Set("authorization_details", "["+named+"]")); pushed.Status != http.StatusCreated {
			t.Errorf("%d %s", pushed.Status, pushed.Raw)
		}
	})
	t.Run("refuses such a list where there is no user", func(t *testing.T) {
		machine := w.Register("machine", fapitest.All(fapitest.ForOwnAccounts, fapitest.ClientCredentialsOnly))
		fapitest.WantError(t, machine.ClientCredentials(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]")), 400, "invalid_authorization_details")
	})
}

// Covers: KX-02. Only what is offered now can be chosen: nothing is granted of what was not offered, of what is not there any more, and
// without the source, which has no answer kept.
func TestKX02OnlyWhatIsOffered(t *testing.T) {
	t.Parallel()
	w, bank, c, _, last := offering(t)
	b := w.Browser()
	for name, chosen := range map[string]url.Values{
		"an account that was not offered": {"choose.0./accounts.2": {"2"}},
		"another list":                    {"choose.0./from": {"0"}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
			if status, to, body := allow(t, b, interaction, token, chosen); status != http.StatusBadRequest || to != nil {
				t.Errorf("%d %v %s", status, to, body)
			}
		})
	}
	t.Run("refuses nothing chosen, and shows the page again", func(t *testing.T) {
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
		if status, to, body := allow(t, b, interaction, token, nil); to == nil || to.String() != interaction {
			t.Errorf("sent to %v: %d %s", to, status, body)
		}
	})
	t.Run("refuses what a page showed when other accounts are offered since, also in a second tab", func(t *testing.T) {
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
		answersWith(bank, []map[string]any{onlyOf("own_accounts")[1], onlyOf("own_accounts")[0]}) // the places have changed
		defer bank.Answers(nil)
		if status, to, body := allow(t, b, interaction, token, url.Values{"choose.0./accounts.0": {"0"}}); to == nil || to.String() != interaction {
			t.Errorf("sent to %v: %d %s", to, status, body)
		}
		_, tab := begin(t, b, interaction)
		status, to, body := allow(t, b, interaction, tab, url.Values{"choose.0./accounts.0": {"0"}})
		if to == nil {
			t.Fatalf("nothing was allowed: %d %s", status, body)
		}
		issued := c.Redeem(to.Query().Get("code"), nil)
		if got := fapitest.JSON(issued.Body["authorization_details"]); got != `[{"accounts":["GB33BUKB20201555555555"],"type":"own_accounts"}]` {
			t.Errorf("granted %s", got)
		}
		if status, to, body := allow(t, b, interaction, token, url.Values{"choose.0./accounts.0": {"0"}}); to != nil {
			t.Errorf("answered twice: %d %v %s", status, to, body)
		}
	})
	t.Run("refuses while the source is away, before and after the page was shown, and the client is told", func(t *testing.T) {
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
		bank.IsAway(true)
		if status, to, body := allow(t, b, interaction, token, url.Values{"choose.0./accounts.0": {"0"}}); to == nil || to.String() != interaction {
			t.Fatalf("sent to %v: %d %s", to, status, body)
		}
		_, token = begin(t, b, interaction)
		in := last.Load()
		if in.Unoffered.Code != browser.AccountsAway || strings.Contains(fapitest.JSON(in.Details), "8603") {
			t.Errorf("shown %q %s", in.Unoffered.Code, fapitest.JSON(in.Details))
		}
		w.Clock.Advance(31e9) // the source is left alone for a while, and then asked again
		status, to, body := allow(t, b, interaction, token, url.Values{"decision": {"leave"}})
		if to == nil || to.Query().Get("error") != "temporarily_unavailable" || to.Query().Has("code") {
			t.Errorf("sent to %v: %d %s", to, status, body)
		}
		bank.IsAway(false)
	})
	t.Run("accepts to go on when it is back", func(t *testing.T) {
		bank.IsAway(true)
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
		if last.Load().Unoffered.Code != browser.AccountsAway {
			t.Errorf("%q", last.Load().Unoffered.Code)
		}
		bank.IsAway(false)
		w.Clock.Advance(31e9)
		if status, to, body := allow(t, b, interaction, token, url.Values{"decision": {"leave"}}); to == nil || to.String() != interaction {
			t.Fatalf("sent to %v: %d %s", to, status, body)
		}
		_, token = begin(t, b, interaction)
		if status, to, body := allow(t, b, interaction, token, url.Values{"choose.0./accounts.0": {"0"}}); to == nil || to.Query().Get("code") == "" {
			t.Errorf("sent to %v: %d %s", to, status, body)
		}
	})
	for name, accounts := range map[string]any{
		"no list of accounts":                 nil,
		"an account that the schema forbids":  []any{map[string]any{"type": "own_accounts", "value": "x", "name": "X"}},
		"an account twice":                    []any{onlyOf("own_accounts")[0], onlyOf("own_accounts")[0]},
		"an account without a name":           []any{map[string]any{"type": "own_accounts", "value": "DE02100100109307118603"}},
		"a balance that is no amount":         []any{map[string]any{"type": "own_accounts", "value": "DE02100100109307118603", "name": "X", "balance": map[string]string{"amount": "1e9", "currency": "EUR"}}},
		"accounts that are not a list":        "none",
		"a kind of a hundred and one letters": []any{map[string]any{"type": "own_accounts", "value": "DE02100100109307118603", "name": "X", "kind": strings.Repeat("k", 101)}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			answersWith(bank, accounts)
			defer bank.Answers(nil)
			asks(t, w, c, b, fapitest.OwnAccounts)
			if in := last.Load(); in.Unoffered.Code != browser.AccountsAway || strings.Contains(fapitest.JSON(in.Details), "DE02") {
				t.Errorf("%q %s", in.Unoffered.Code, fapitest.JSON(in.Details))
			}
			w.Clock.Advance(31e9)
		})
	}
	t.Run("refuses for a user without any, and the client is told", func(t *testing.T) {
		answersWith(bank, onlyOf("pay_from_own"))
		defer bank.Answers(nil)
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
		if code := last.Load().Unoffered.Code; code != browser.NothingOffered {
			t.Errorf("%q", code)
		}
		status, to, body := allow(t, b, interaction, token, url.Values{"decision": {"leave"}})
		if to == nil || to.Query().Get("error") != "access_denied" {
			t.Errorf("sent to %v: %d %s", to, status, body)
		}
	})
	t.Run("refuses a source that answers about another user, and nothing is shown", func(t *testing.T) {
		bank.Answers(func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
			fapitest.WriteAnswer(w, map[string]any{"sub": "sub-bob", "accounts": onlyOf("own_accounts")})
		})
		defer bank.Answers(nil)
		pushed := c.Push(fapitest.Set("authorization_details", "["+fapitest.OwnAccounts+"]"))
		response, err := b.HTTP.Get(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusInternalServerError {
			t.Errorf("%d", response.StatusCode)
		}
	})
	t.Run("refuses to keep a balance in the grant", func(t *testing.T) {
		interaction, token := asks(t, w, c, b, fapitest.OwnAccounts)
		status, to, body := allow(t, b, interaction, token, url.Values{"choose.0./accounts.0": {"0"}})
		if to == nil {
			t.Fatalf("nothing was allowed: %d %s", status, body)
		}
		fapitest.WantOK(t, c.Redeem(to.Query().Get("code"), nil))
		grants, err := w.Store.ListGrants(t.Context(), store.Filter{Subject: "sub-alice", Limit: 1})
		if err != nil || len(grants) == 0 {
			t.Fatal(grants, err)
		}
		var kept struct {
			Accounts []display.Offered `json:"accounts"`
		}
		if err := json.Unmarshal(grants[0].Detail, &kept); err != nil || len(kept.Accounts) != 1 || kept.Accounts[0].Name != "Everyday" || kept.Accounts[0].Balance != nil {
			t.Errorf("kept %s, %v", grants[0].Detail, err)
		}
	})
}
