package account_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: KF-08. Sign-ins are listed with what the browser says it is, and ended one by one or all others at once, on every node.
func TestKF08Sessions(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	here := b.at(t, "alice")
	others := make([]*fapitest.DeviceBrowser, 3)
	for i := range others {
		others[i] = b.DeviceBrowser(t)
		others[i].HTTP.Transport = named{others[i].HTTP.Transport, "Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) Version/26.0 Mobile/15E148 Safari/604.1"}
		others[i].Send(others[i].Visit("/account"), "/account", "sign-in", "username", "alice", "password", "right")
	}
	bob := b.at(t, "bob")
	n := b.Node(nil)
	signedIn := func(p *fapitest.DeviceBrowser) bool {
		return strings.Contains(elsewhere(t, b, n, p).Visit("/account").Body, "Signed in as")
	}
	t.Run("accepts the end of one", func(t *testing.T) {
		on := here.Visit("/account")
		on.Has(t, http.StatusOK, "Firefox on Linux", "This browser", "Safari on iPhone", "with a password")
		id := on.One(t, `Safari on iPhone[\s\S]*?name="id" value="([^"]*)"`)
		events := b.NewEvents(t, func() {
			here.Send(on, "/account", "end-session", "id", id).Has(t, http.StatusOK, "That browser is signed out")
		})
		left := 0
		for _, p := range others {
			if signedIn(p) {
				left++
			}
		}
		if left != 2 || !signedIn(here) || !signedIn(bob) {
			t.Errorf("%d of three others are left", left)
		}
		if len(events) != 1 || events[0].Detail["event"] != "account_session_ended" || events[0].Detail["session"] != id {
			t.Errorf("the events are %+v", events)
		}
	})
	t.Run("accepts the end of all others", func(t *testing.T) {
		here.Send(here.Visit("/account"), "/account", "end-sessions").Has(t, http.StatusOK, "You are signed out everywhere else")
		for i, p := range others {
			if signedIn(p) {
				t.Errorf("browser %d is still signed in", i)
			}
		}
		if !signedIn(here) || !signedIn(bob) {
			t.Error("too much has ended")
		}
	})
	t.Run("accepts the end of this one", func(t *testing.T) {
		on := here.Visit("/account")
		here.Send(on, "/account", "end-session", "id", on.One(t, `This browser[\s\S]*?name="id" value="([^"]*)"`)).Has(t, http.StatusOK, "Sign in to see")
	})
}

// Covers: KF-09. A passkey is removed under a recent sign-in with a passkey alone, and the last one where it is explained.
func TestKF09Passkeys(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	p := b.PasskeyOwner(t, "alice")
	p.SignInByPasskeyAgain("/device/settings")
	p.AddPasskey().Has(t, http.StatusOK)
	t.Run("refuses it under a password", func(t *testing.T) {
		other := b.at(t, "alice")
		on := other.Visit("/account")
		if strings.Contains(on.Body, `value="remove-passkey"`) {
			t.Error("there is a button")
		}
		passkeys, err := b.Store.Passkeys(t.Context(), "sub-alice")
		if err != nil || len(passkeys) != 2 {
			t.Fatal(passkeys, err)
		}
		other.Send(on, "/account", "remove-passkey", "id", "AAAA")
		p.SignInByPasskeyAgain("/account")
		id := p.Visit("/account").One(t, `name="id" value="([^"]+)">\s*<button[^>]* value="remove-passkey"`)
		other.Send(other.Visit("/account"), "/account", "remove-passkey", "id", id).Has(t, http.StatusOK, "Sign in again first")
		if left, err := b.Store.Passkeys(t.Context(), "sub-alice"); err != nil || len(left) != 2 {
			t.Errorf("%d are left, %v", len(left), err)
		}
	})
	t.Run("refuses it some time later", func(t *testing.T) {
		on := p.Visit("/account")
		id := on.One(t, `name="id" value="([^"]+)">\s*<button[^>]* value="remove-passkey"`)
		b.Clock.Advance(10 * time.Minute)
		p.Send(on, "/account", "remove-passkey", "id", id).Has(t, http.StatusOK, "Sign in again first")
	})
	t.Run("accepts it", func(t *testing.T) {
		p.SignInByPasskeyAgain("/account")
		on := p.Visit("/account")
		events := b.NewEvents(t, func() {
			p.Send(on, "/account", "remove-passkey", "id", on.One(t, `name="id" value="([^"]+)">\s*<button[^>]* value="remove-passkey"`)).
				Has(t, http.StatusOK, "The passkey is removed")
		})
		if len(events) != 1 || events[0].Detail["event"] != "passkey_removed" || events[0].Detail["through"] != "page" {
			t.Errorf("the events are %+v", events)
		}
	})
	t.Run("refuses the last", func(t *testing.T) {
		left, err := b.Store.Passkeys(t.Context(), "sub-alice")
		if err != nil || len(left) != 1 {
			t.Fatal(left, err)
		}
		on := p.Visit("/account")
		if strings.Contains(on.Body, `value="remove-passkey"`) {
			t.Error("there is a button")
		}
	})
}

// Covers: KF-10. Applications and notifications end in one step, without a new sign-in, and so does what browsers are known by.
func TestKF10Others(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	p := b.at(t, "alice")
	device := store.Device{ID: "phone", Subject: "sub-alice", Name: "Phone of Alice", JKT: "thumbprint", CreatedAt: b.Clock.Now()}
	subscription := store.Subscription{ID: store.DigestOf("endpoint"), Subject: "sub-alice", Endpoint: "https://push.example/1", KeyID: "kid", CreatedAt: b.Clock.Now()}
	if err := b.Store.AddDevice(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.PutSubscription(t.Context(), subscription); err != nil {
		t.Fatal(err)
	}
	b.Clock.Advance(30 * time.Minute)
	button := func(on fapitest.Page, action string) string {
		return on.One(t, `name="id" value="([^"]+)">\s*<button[^>]* value="`+action+`"`)
	}
	t.Run("accepts the end of an application", func(t *testing.T) {
		on := p.Visit("/account")
		on.Has(t, http.StatusOK, "Phone of Alice")
		p.Send(on, "/account", "remove-application", "id", button(on, "remove-application")).Has(t, http.StatusOK, "The application is removed")
		if left, err := b.Store.Devices(t.Context(), "sub-alice"); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
	})
	t.Run("accepts the end of notifications", func(t *testing.T) {
		on := p.Visit("/account")
		p.Send(on, "/account", "stop-notifying", "id", button(on, "stop-notifying")).Has(t, http.StatusOK, "tells you of nothing any more")
		if left, err := b.Store.Subscriptions(t.Context(), "sub-alice"); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
	})
	t.Run("accepts that browsers are forgotten", func(t *testing.T) {
		events := b.NewEvents(t, func() {
			p.Send(p.Visit("/account"), "/account", "forget-browsers").Has(t, http.StatusOK, "All browsers are forgotten", "Last forgotten: today")
		})
		user, err := b.Store.User(t.Context(), "sub-alice")
		if err != nil || !user.BrowsersFrom.Equal(b.Clock.Now().UTC().Truncate(time.Microsecond)) {
			t.Errorf("%v, %v", user.BrowsersFrom, err)
		}
		if len(events) != 1 || events[0].Detail["event"] != "account_browsers_forgotten" {
			t.Errorf("the events are %+v", events)
		}
	})
	t.Run("refuses a form without a button", func(t *testing.T) {
		p.Send(p.Visit("/account"), "/account", "end").Has(t, http.StatusBadRequest)
	})
}

// Covers: KF-15. A list is no longer than a page, and its pages have everything once.
func TestKF15Pages(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	now := b.Clock.Now().UTC()
	for i := range 45 {
		id := "client-" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		grant := store.Grant{ID: "grant of " + id, ClientID: id, Subject: "sub-alice", Scopes: []string{"accounts"}, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
		token := store.AccessToken{ID: store.DigestOf(id), GrantID: grant.ID, ExpiresAt: now.Add(time.Minute)}
		if err := b.Store.IssueToken(t.Context(), grant, token); err != nil {
			t.Fatal(err)
		}
	}
	p := b.at(t, "alice")
	seen, counts := map[string]int{}, []int{}
	next := "/account"
	for next != "" && len(counts) < 10 {
		on := p.Visit(next)
		found := regexp.MustCompile(`href="/account/access/([^"]+)"`).FindAllStringSubmatch(on.Body, -1)
		for _, one := range found {
			seen[one[1]]++
		}
		counts, next = append(counts, len(found)), ""
		if strings.Contains(on.Body, `id="more"`) {
			next = on.One(t, `id="more" href="([^"]+)"`)
		}
	}
	t.Run("accepts everything once", func(t *testing.T) {
		if len(seen) != 45 {
			t.Errorf("%d of 45", len(seen))
		}
		for id, count := range seen {
			if count != 1 {
				t.Errorf("%s is there %d times", id, count)
			}
		}
	})
	t.Run("refuses more than a page at once", func(t *testing.T) {
		if len(counts) != 3 || counts[0] != 20 || counts[1] != 20 || counts[2] != 5 {
			t.Errorf("the pages have %v", counts)
		}
		p.Visit("/account?after=x").Has(t, http.StatusBadRequest)
	})
}

// Covers: KF-16. A use is recorded to an hour: what comes within an hour of the decision, or of the last that was recorded, changes
// nothing.
func TestKF16LastUse(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	given := b.given("alice", b.budget, "")
	start := b.Clock.Now().UTC()
	refreshed := func(at time.Duration) time.Time {
		t.Helper()
		b.Clock.Advance(start.Add(at).Sub(b.Clock.Now()))
		fapitest.WantOK(t, b.budget.Refresh(given.Text("refresh_token"), nil))
		grants, err := b.Store.ListGiven(t.Context(), "sub-alice", "budget", store.Page{Limit: 1})
		if err != nil || len(grants) != 1 {
			t.Fatal(grants, err)
		}
		return grants[0].UsedAt
	}
	for _, test := range []struct {
		name string
		at   time.Duration
		want time.Time
	}{
		{"refuses to record one within an hour", 59 * time.Minute, time.Time{}},
		{"accepts one after it", 61 * time.Minute, start.Add(61 * time.Minute)},
		{"refuses to record the next", 120 * time.Minute, start.Add(61 * time.Minute)},
		{"accepts one an hour later", 121 * time.Minute, start.Add(121 * time.Minute)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := refreshed(test.at); !got.Equal(test.want) {
				t.Errorf("used at %v, want %v", got, test.want)
			}
		})
	}
}
