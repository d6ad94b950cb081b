package account_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// accessPath is the address of the page about a client.
func accessPath(id string) string { return "/account/access/" + id }

// The references of the clients.
const (
	budgetID = "YnVkZ2V0"
	ledgerID = "bGVkZ2Vy"
)

// Covers: KF-01. The page says who was given what, until when, and when it was last used; a page of its own says all of it.
func TestKF01Overview(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	access := b.given("alice", b.budget, "["+fapitest.TwoActions+"]")
	b.given("alice", b.ledger, "["+fapitest.OnePayment+"]")
	b.given("bob", b.ledger, "["+strings.Replace(fapitest.OnePayment, "Merchant A", "Merchant B", 1)+"]")
	agreed := b.Clock.Now().UTC().Format("2 January 2006")
	until := b.Clock.Now().Add(90 * 24 * time.Hour).UTC().Format("2 January 2006")
	p := b.at(t, "alice")
	t.Run("accepts what was given", func(t *testing.T) {
		p.Visit("/account").Has(t, http.StatusOK, "Orchid Budget", "What it will see: Your accounts, Balances", "Quillmere Ledger",
			"€123.50 to Merchant A", "Not used since you agreed, on "+agreed, "Until "+until)
		p.Visit(accessPath(budgetID)).Has(t, http.StatusOK, "What you allowed <bdi>Orchid Budget</bdi>", "What it will see", "Balances", until, "End this access",
			"Not since you agreed")
	})
	t.Run("accepts a use", func(t *testing.T) {
		b.Clock.Advance(2 * time.Hour)
		fapitest.WantOK(t, b.budget.Refresh(access.Text("refresh_token"), nil))
		p := b.at(t, "alice")
		p.Visit("/account").Has(t, http.StatusOK, "Last used today")
	})
	t.Run("refuses to show what others gave", func(t *testing.T) {
		for _, path := range []string{"/account", accessPath(ledgerID), "/account/ended"} {
			if on := p.Visit(path); strings.Contains(on.Body, "Merchant B") {
				t.Errorf("%s shows what bob gave:\n%s", path, on.Body)
			}
		}
	})
}

// Covers: KF-02, KF-04. One press ends all that was given to an application, on every node, before the page that says so is there;
// what was given to others stays. Who ended it is in the audit log.
func TestKF02EndAccess(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	first, second := b.given("alice", b.budget, "["+fapitest.TwoActions+"]"), b.given("alice", b.budget, "")
	other, bobs := b.given("alice", b.ledger, ""), b.given("bob", b.budget, "")
	b.as("alice")
	code := b.budget.Authorize()
	n := b.Node(nil)
	p, there := b.at(t, "alice"), n.Client(b.budget)
	began := time.Now()
	var ended fapitest.Page
	events := b.NewEvents(t, func() {
		ended = p.Send(p.Visit(accessPath(budgetID)), accessPath(budgetID), "end")
	})
	t.Run("accepts one press", func(t *testing.T) {
		ended.Has(t, http.StatusOK, "You ended this access. Orchid Budget learns it", "What you had allowed <bdi>Orchid Budget</bdi>", "By you")
		if strings.Contains(ended.Body, `value="end"`) {
			t.Error("it can be ended again")
		}
		alive(t, b.ledger, other)
		alive(t, b.budget, bobs)
		p.Visit("/account/ended").Has(t, http.StatusOK, "Orchid Budget", "Ended on", "By you.")
		if on := p.Visit("/account"); strings.Contains(on.Body, "Orchid Budget") {
			t.Error("it is still listed")
		}
	})
	t.Run("refuses its tokens and codes on two nodes", func(t *testing.T) {
		for _, at := range []*fapitest.Client{there, b.budget} {
			dead(t, at, first)
			dead(t, at, second)
			fapitest.WantError(t, at.Redeem(code, nil), 400, "invalid_grant")
		}
		if took := time.Since(began); took > time.Minute { // each call reads the grant, so that no time passes between
			t.Errorf("it took %v", took)
		}
	})
	t.Run("accepts a record of it", func(t *testing.T) {
		if len(events) != 1 {
			t.Fatalf("%d events: %v", len(events), events)
		}
		e := events[0]
		if e.ClientID != "budget" || e.Detail["event"] != "account_access_ended" || e.Detail["subject"] != "sub-alice" || e.Detail["by"] != "user" ||
			e.Detail["through"] != "page" || e.Detail["address"] == "" || e.CorrelationID == "" {
			t.Errorf("the event is %+v", e)
		}
	})
	t.Run("accepts the same again", func(t *testing.T) {
		b.as("alice")
		alive(t, b.budget, b.budget.Tokens())
	})
}

// Covers: KF-03. One of several decisions can be ended alone.
func TestKF03EndOne(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	first := b.given("alice", b.budget, "["+fapitest.TwoActions+"]")
	b.Clock.Advance(time.Second)
	second := b.given("alice", b.budget, "["+fapitest.OneAction+"]")
	p := b.at(t, "alice")
	on := p.Visit(accessPath(budgetID)) // the newest first
	id := on.One(t, `name="id" value="([^"]*)"`)
	t.Run("accepts the end of one", func(t *testing.T) {
		events := b.NewEvents(t, func() {
			p.Send(on, accessPath(budgetID), "end-grant", "id", id).Has(t, http.StatusOK, "You ended this one", "What you allowed <bdi>Orchid Budget</bdi>")
		})
		dead(t, b.budget, second)
		alive(t, b.budget, first)
		if len(events) != 1 || events[0].Detail["event"] != "grant_revoked" || events[0].Detail["grant"] != id || events[0].Detail["by"] != "user" {
			t.Errorf("the events are %+v", events)
		}
	})
	t.Run("refuses the grant of another application", func(t *testing.T) {
		given := b.given("alice", b.ledger, "")
		elsewhere, err := b.Store.ListGiven(t.Context(), "sub-alice", "ledger", store.Page{Limit: 1})
		if err != nil || len(elsewhere) != 1 {
			t.Fatal(elsewhere, err)
		}
		p.Send(p.Visit(accessPath(budgetID)), accessPath(budgetID), "end-grant", "id", elsewhere[0].ID)
		alive(t, b.ledger, given)
	})
}

// Covers: KF-05. What belongs to another user cannot be seen or ended, whatever the form or the address names.
func TestKF05OthersOnPage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	given := b.given("bob", b.budget, "["+fapitest.TwoActions+"]")
	bobs := b.PasskeyOwner(t, "bob")
	bobs.SignInByPasskeyAgain("/device/settings")
	bobs.AddPasskey() // a second one, so that neither is the last
	device := store.Device{ID: "bobs-phone", Subject: "sub-bob", Name: "Phone of Bob", JKT: "thumbprint", CreatedAt: b.Clock.Now()}
	subscription := store.Subscription{ID: store.DigestOf("endpoint"), Subject: "sub-bob", Endpoint: "https://push.example/1", KeyID: "kid", CreatedAt: b.Clock.Now()}
	if err := b.Store.AddDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.PutSubscription(t.Context(), subscription); err != nil {
		t.Fatal(err)
	}
	bobs.SignInByPasskeyAgain("/account")
	shown := bobs.Visit("/account")
	shown.Has(t, http.StatusOK, "Orchid Budget", "Phone of Bob", "push.example")
	all := map[string][]string{}
	for _, form := range regexp.MustCompile(`name="id" value="([^"]+)">\s*<button[^>]* value="([^"]+)"`).FindAllStringSubmatch(shown.Body, -1) {
		all[form[2]] = append(all[form[2]], form[1])
	}
	alice := b.PasskeyOwner(t, "alice")
	alice.SignInByPasskeyAgain("/account")
	t.Run("accepts bob's own", func(t *testing.T) {
		if len(all["remove-passkey"]) != 2 || len(all["remove-application"]) != 1 || len(all["stop-notifying"]) != 1 || len(all["end-session"]) == 0 {
			t.Fatalf("bob has %v", all)
		}
	})
	t.Run("refuses them to alice", func(t *testing.T) {
		for action, ids := range all {
			for _, id := range ids {
				alice.Send(alice.Visit("/account"), "/account", action, "id", id)
			}
		}
		on := alice.Visit(accessPath(budgetID))
		if on.Path != "/account" || strings.Contains(on.Body, "Orchid Budget") {
			t.Errorf("alice sees %s:\n%s", on.Path, on.Body)
		}
		alice.Send(on, accessPath(budgetID), "end")
		after := bobs.Visit("/account")
		after.Has(t, http.StatusOK, "Orchid Budget", "Phone of Bob", "push.example")
		if got := strings.Count(after.Body, `value="remove-passkey"`); got != 2 {
			t.Errorf("bob has %d passkeys left", got)
		}
		alive(t, b.budget, given)
	})
}

// Covers: KF-06. A form counts only from the page, in the browser and under the sign-in that it was shown to.
func TestKF06Forms(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	given := b.given("alice", b.budget, "")
	p := b.at(t, "alice")
	on := p.Visit(accessPath(budgetID))
	token := on.One(t, `name="form_token" value="([^"]*)"`)
	send := func(of *fapitest.DeviceBrowser, token string, header http.Header) fapitest.Page {
		form := url.Values{"form_token": {token}, "action": {"end"}}
		request, err := http.NewRequest(http.MethodPost, b.Issuer+accessPath(budgetID), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header = header.Clone()
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return of.Read(of.HTTP.Do(request))
	}
	twice := b.at(t, "alice")
	for name, test := range map[string]struct {
		by     *fapitest.DeviceBrowser
		token  string
		header http.Header
	}{
		"another origin":       {p, token, http.Header{"Origin": {"https://evil.example"}}},
		"another site":         {p, token, http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"a sibling":            {p, token, http.Header{"Sec-Fetch-Site": {"same-site"}}},
		"no TLS":               {p, token, http.Header{"Origin": {strings.Replace(b.Issuer, "https:", "http:", 1)}}},
		"no token":             {p, "", http.Header{}},
		"another token":        {p, token[1:] + "A", http.Header{}},
		"another browser":      {twice, token, http.Header{}},
		"nobody's browser":     {b.DeviceBrowser(t), token, http.Header{}},
		"the token of /device": {p, p.Visit("/device/settings").One(t, `name="form_token" value="([^"]*)"`), http.Header{}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got := send(test.by, test.token, test.header); got.Status < 400 || got.Status > 499 {
				t.Errorf("answered %d:\n%s", got.Status, got.Body)
			}
			alive(t, b.budget, given)
		})
	}
	t.Run("refuses the form of a sign-in before", func(t *testing.T) {
		p.Send(on, "/account", "sign-out")
		p.Send(p.Visit("/account"), "/account", "sign-in", "username", "alice", "password", "right")
		if got := send(p, token, http.Header{}); got.Status != http.StatusForbidden {
			t.Errorf("answered %d:\n%s", got.Status, got.Body)
		}
		alive(t, b.budget, given)
	})
	t.Run("accepts the form of the page", func(t *testing.T) {
		fresh := p.Visit(accessPath(budgetID)).One(t, `name="form_token" value="([^"]*)"`)
		send(p, fresh, http.Header{"Origin": {b.Issuer}, "Sec-Fetch-Site": {"same-origin"}}).Has(t, http.StatusOK, "You ended this access")
		dead(t, b.budget, given)
	})
}

// Covers: KF-07. Whoever is not signed in gets the sign-in page at the address of the page, and then the page.
func TestKF07SignIn(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.given("alice", b.budget, "")
	p := b.DeviceBrowser(t)
	on := p.Visit(accessPath(budgetID))
	t.Run("refuses the page", func(t *testing.T) {
		on.Has(t, http.StatusOK, "Sign in to see what you gave access to")
		if strings.Contains(on.Body, "Orchid Budget") {
			t.Error("it shows what was given")
		}
		p.Send(on, accessPath(budgetID), "sign-in", "username", "alice", "password", "wrong").Has(t, http.StatusOK, "do not belong together")
		p.Send(on, accessPath(budgetID), "end").Has(t, http.StatusForbidden)
	})
	t.Run("accepts it after a sign-in", func(t *testing.T) {
		after := p.Send(on, accessPath(budgetID), "sign-in", "username", "alice", "password", "right")
		after.Has(t, http.StatusOK, "What you allowed <bdi>Orchid Budget</bdi>")
		if after.Path != accessPath(budgetID) {
			t.Errorf("the browser is at %s", after.Path)
		}
	})
	t.Run("refuses it when the user is disabled", func(t *testing.T) {
		b.Disable("sub-alice", true)
		p.Visit("/account").Has(t, http.StatusOK, "Sign in to see what you gave access to")
	})
}
