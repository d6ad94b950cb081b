package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: KF-20. Browsers that know the user are listed, and each is forgotten by one press, on the page and through the API; the last
// sign-in in others stays. Those of others can be neither seen nor forgotten.
func TestKF20OneBrowser(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	now := b.Clock.Now().UTC().Truncate(time.Microsecond)
	know := func(subject, name, agent string) {
		t.Helper()
		if err := b.Store.KnowBrowser(t.Context(), subject, store.KnownBrowser{
			ID: store.DigestOf(name), Agent: agent, CreatedAt: now.Add(-48 * time.Hour), UsedAt: now, ExpiresAt: now.Add(time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
	}
	know("sub-alice", "one", "Edge/Windows")
	know("sub-alice", "two", "Opera/Linux")
	know("sub-bob", "bobs", "Chrome/ChromeOS")
	known := func(subject, name string) bool {
		t.Helper()
		is, err := b.Store.KnowsBrowser(t.Context(), subject, store.DigestOf(name))
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	p := b.at(t, "alice")
	on := p.Visit("/account")
	on.Has(t, http.StatusOK, "Edge on Windows", "Opera on Linux", "First sign-in on "+now.Add(-48*time.Hour).Format("2 January 2006"))
	id := func(on fapitest.Page, of string) string {
		return on.One(t, of+`[\s\S]*?name="id" value="([^"]+)">\s*<button[^>]* value="forget-browser"`)
	}
	first := id(on, "Edge on Windows")
	t.Run("refuses to show and to forget those of others", func(t *testing.T) {
		if strings.Contains(on.Body, "ChromeOS") {
			t.Error("another user's is shown")
		}
		bob := b.at(t, "bob")
		bob.Send(bob.Visit("/account"), "/account", "forget-browser", "id", first).Has(t, http.StatusOK)
		p.Send(on, "/account", "forget-browser", "id", "x").Has(t, http.StatusOK)
		if !known("sub-alice", "one") || !known("sub-bob", "bobs") {
			t.Error("it is forgotten")
		}
	})
	t.Run("accepts to forget one on the page", func(t *testing.T) {
		events := b.NewEvents(t, func() {
			p.Send(p.Visit("/account"), "/account", "forget-browser", "id", first).Has(t, http.StatusOK, "That browser is forgotten", "Opera on Linux")
		})
		if known("sub-alice", "one") || !known("sub-alice", "two") {
			t.Error("the wrong one is forgotten")
		}
		if len(events) != 1 || events[0].Detail["event"] != "account_browser_forgotten" || events[0].Detail["browser"] != first {
			t.Errorf("the events are %+v", events)
		}
	})
	t.Run("accepts to forget one through the API", func(t *testing.T) {
		b.as("alice")
		token := b.app.TokensFor(nil).Text("access_token")
		listed := list(t, call(b.app, "GET", "/account/v1/browsers", token, nil), "known")
		if len(listed) != 1 || listed[0]["browser"] != "Opera" || listed[0]["system"] != "Linux" || listed[0]["last_signed_in_at"] == nil {
			t.Fatalf("%v", listed)
		}
		fapitest.WantOK(t, call(b.app, "DELETE", "/account/v1/browsers/"+listed[0]["id"].(string), token, nil))
		if known("sub-alice", "two") {
			t.Error("it is known")
		}
		fapitest.WantError(t, call(b.app, "DELETE", "/account/v1/browsers/"+listed[0]["id"].(string), token, nil), 404, "invalid_request")
		know("sub-alice", "three", "")
		p.Visit("/account").Has(t, http.StatusOK, "A browser that does not say what it is")
		fapitest.WantOK(t, call(b.app, "DELETE", "/account/v1/browsers", token, nil))
		if known("sub-alice", "three") || !known("sub-bob", "bobs") {
			t.Error("all are to be forgotten, and of alice alone")
		}
	})
}

// Covers: KF-21. Who ended something reads differently: the user, the application or the bank.
func TestKF21EndedBy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end   func(t *testing.T, b *bank, given fapitest.Reply)
		words string
		state string
	}{
		"the application": {func(t *testing.T, b *bank, given fapitest.Reply) {
			fapitest.WantOK(t, b.budget.Revoke(given.Text("refresh_token"), nil))
		}, "By the application", "ended_by_application"},
		"the bank": {func(t *testing.T, b *bank, _ fapitest.Reply) {
			if err := b.Store.RevokeGrant(t.Context(), grantOf(t, b), store.RevokedByOperator, nil); err != nil {
				t.Fatal(err)
			}
		}, "By us", "ended_by_operator"},
		"the user": {func(t *testing.T, b *bank, _ fapitest.Reply) {
			p := b.at(t, "alice")
			p.Send(p.Visit(accessPath(budgetID)), accessPath(budgetID), "end").Has(t, http.StatusOK)
		}, "By you", "ended_by_user"},
		"the server, because a code came twice": {func(t *testing.T, b *bank, _ fapitest.Reply) {
			if err := b.Store.RevokeGrant(t.Context(), grantOf(t, b), store.RevokedByServer, nil); err != nil {
				t.Fatal(err)
			}
		}, "By us", "ended_by_operator"},
		"nobody knows, in the release before": {func(t *testing.T, b *bank, _ fapitest.Reply) {
			if err := b.Store.RevokeGrant(t.Context(), grantOf(t, b), "", nil); err != nil {
				t.Fatal(err)
			}
		}, "By the application, or by us", "ended"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			test.end(t, b, b.given("alice", b.budget, ""))
			p := b.at(t, "alice")
			on := p.Visit(accessPath(budgetID))
			on.Has(t, http.StatusOK)
			if said := on.One(t, `\b(By (?:you|us|itself|the application(?:, or by us)?))\b`); said != test.words {
				t.Errorf("it says %q, want %q", said, test.words)
			}
			b.as("alice")
			token := b.app.TokensFor(nil).Text("access_token")
			got := list(t, call(b.app, "GET", "/account/v1/access/"+budgetID, token, nil), "grants")
			if len(got) != 1 || got[0]["state"] != test.state {
				t.Errorf("the state is %v, want %s", got, test.state)
			}
		})
	}
}

// grantOf is the only grant of alice to the client.
func grantOf(t *testing.T, b *bank) string {
	t.Helper()
	given, err := b.Store.ListGiven(t.Context(), "sub-alice", "budget", store.Page{Limit: 2})
	if err != nil || len(given) != 1 {
		t.Fatal(given, err)
	}
	return given[0].ID
}

// Covers: KF-22. A second after the press, at the latest, tokens are refused on another node that has just accepted them.
func TestKF22WithinASecond(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	n := b.Node(nil)
	there := n.Client(b.budget)
	p := b.at(t, "alice")
	tokens, others := b.given("alice", b.budget, ""), b.given("alice", b.ledger, "")
	for range 3 { // whatever the node keeps of it, it has
		alive(t, there, tokens)
	}
	on := p.Visit(accessPath(budgetID))
	p.Send(on, accessPath(budgetID), "end").Has(t, http.StatusOK)
	pressed := time.Now()
	t.Run("refuses them on the other node within a second", func(t *testing.T) {
		for {
			asked := time.Since(pressed)
			reply := there.Get("/userinfo", tokens.Text("access_token"), nil)
			if reply.Status == http.StatusUnauthorized {
				return
			}
			if asked > time.Second {
				t.Fatalf("%v after the press the token is answered with %d", asked, reply.Status)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	t.Run("accepts those of another application", func(t *testing.T) { alive(t, n.Client(b.ledger), others) })
}
