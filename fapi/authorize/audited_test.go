package authorize_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/authorize"
	"countersign/fapi/event"
	"countersign/fapi/fapitest"
	"countersign/internal/audit"
)

// names are the names of events.
func names(events []audit.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Detail["event"])
	}
	return all
}

func wantNames(t *testing.T, events []audit.Event, want ...string) {
	t.Helper()
	if got := names(events); !slices.Equal(got, want) {
		t.Fatalf("recorded %v, want %v", got, want)
	}
	for _, e := range events {
		if e.CorrelationID == "" || e.ClientID != "client-1" || e.Detail["address"] != "127.0.0.1" {
			t.Errorf("recorded %+v", e)
		}
	}
}

// Covers: KA-01, KA-02, KA-03, KA-04, KA-06. The ordinary flow is in the audit log, each step with the client, the address, the
// correlation id and the subject, and with no name.
func TestOrdinaryFlowIsAudited(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithAuditChain)
	c := w.Register("client-1", nil)
	var code, refreshToken, grant, subject string
	t.Run("accepts a sign-in, a decision and a grant", func(t *testing.T) {
		events := w.NewEvents(t, func() { code = c.Authorize() })
		wantNames(t, events, event.SignedIn, event.ConsentDecided, event.GrantMade)
		signedIn, decided, made := events[0].Detail, events[1].Detail, events[2].Detail
		grant, subject = made["grant"], made["subject"]
		if subject == "" || signedIn["subject"] != subject || decided["subject"] != subject || signedIn["acr"] == "" || signedIn["amr"] == "" {
			t.Errorf("recorded %v, %v, %v", signedIn, decided, made)
		}
		if decided["allowed"] != "true" || decided["scope"] == "" || decided["interaction"] == "" || decided["interaction"] != signedIn["interaction"] {
			t.Errorf("decided %v", decided)
		}
		if grant == "" || made["consent"] != "decided" || made["scope"] != decided["scope"] {
			t.Errorf("granted %v", made)
		}
	})
	t.Run("accepts tokens issued and refreshed", func(t *testing.T) {
		events := w.NewEvents(t, func() {
			issued := c.Redeem(code, nil)
			fapitest.WantOK(t, issued)
			refreshToken = issued.Text("refresh_token")
			fapitest.WantOK(t, c.Refresh(refreshToken, nil))
		})
		wantNames(t, events, event.TokensIssued, event.GrantRefreshed)
		for _, e := range events {
			if e.Detail["grant"] != grant || e.Detail["subject"] != subject {
				t.Errorf("recorded %v", e.Detail)
			}
		}
	})
	t.Run("refuses a code that was used before, and says so", func(t *testing.T) {
		events := w.NewEvents(t, func() {
			if again := c.Redeem(code, nil); again.Status != http.StatusBadRequest {
				t.Errorf("answered %d", again.Status)
			}
		})
		wantNames(t, events, event.CodeUsedTwice)
		if got := events[0].Detail; got["grant"] != grant || got["subject"] != subject {
			t.Errorf("recorded %v", got)
		}
	})
	t.Run("refuses to refresh what is revoked, and records no refresh", func(t *testing.T) {
		wantNames(t, w.NewEvents(t, func() { c.Refresh(refreshToken, nil) }))
	})
	t.Run("accepts that the client revokes", func(t *testing.T) {
		issued := c.Tokens()
		events := w.NewEvents(t, func() {
			fapitest.WantOK(t, c.Revoke(issued.Text("access_token"), nil))
			fapitest.WantOK(t, c.Revoke(issued.Text("refresh_token"), nil))
		})
		wantNames(t, events, event.AccessTokenRevoked, event.GrantRevoked)
		if got := events[1].Detail; got["by"] != "client" || got["grant"] == "" || got["subject"] != subject {
			t.Errorf("recorded %v", got)
		}
	})
	t.Run("accepts nothing that names a user otherwise", func(t *testing.T) {
		if err := w.Sealer(t).Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, all := w.Audited(t)
		if len(report.Findings) != 0 || report.Entries < 8 {
			t.Errorf("verified as %+v", report)
		}
		user, err := w.Store.User(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		if user.Username == "" || user.Username == subject || !strings.Contains(all, subject) || strings.Contains(strings.ReplaceAll(all, subject, ""), user.Username) {
			t.Errorf("the log of %q: %s", user.Username, all)
		}
	})
}

// Covers: KA-01, KA-02. Wrong passwords are recorded as such, and the end of the request is no decision of a user.
func TestFailedSignInsAreAudited(t *testing.T) {
	t.Parallel()
	t.Run("refuses to call wrong passwords a decision", func(t *testing.T) {
		w := fapitest.NewWorld(t, fapitest.WithAuditChain, func(c *fapitest.Config) {
			c.Interactor = guesser{&fapitest.User{}, authorize.MaxSignInFailures}
		})
		c := w.Register("client-1", nil)
		events := w.NewEvents(t, func() { c.Redirected(t, nil) })
		failed := slices.Repeat([]string{event.SignInFailed}, authorize.MaxSignInFailures)
		wantNames(t, events, append(failed, event.RequestEnded)...)
		if first := events[0].Detail; first["reason"] != "wrong password" || first["failures"] != "1" || first["interaction"] == "" {
			t.Errorf("recorded %v", first)
		}
		if end := events[len(events)-1].Detail; end["error"] != "access_denied" || !strings.HasPrefix(end["reason"], "nobody signed in") {
			t.Errorf("recorded %v", end)
		}
	})
	t.Run("accepts a denial as the user's", func(t *testing.T) {
		w := fapitest.NewWorld(t, fapitest.WithAuditChain, func(c *fapitest.Config) { c.Interactor = guesser{&fapitest.User{}, 0} })
		c := w.Register("client-1", nil)
		events := w.NewEvents(t, func() { c.Redirected(t, nil) })
		wantNames(t, events, event.ConsentDecided)
		if got := events[0].Detail; got["allowed"] != "false" {
			t.Errorf("recorded %v", got)
		}
	})
}

// Covers: KA-05. That a user who was signed in had to authenticate again is recorded, once for each interaction.
func TestStepUpIsAudited(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithAuditChain)
	c := w.Register("client-1", nil)
	b := w.Browser()
	c.AuthorizeIn(b, nil)
	t.Run("accepts a sign-in for prompt=login, after its reason", func(t *testing.T) {
		events := w.NewEvents(t, func() { c.AuthorizeIn(b, fapitest.Set("prompt", "login")) })
		wantNames(t, events, event.StepUpRequired, event.SignedIn, event.ConsentDecided, event.GrantMade)
		if got := events[0].Detail; got["prompt"] != "login" || got["subject"] == "" || got["acr"] == "" || got["interaction"] != events[1].Detail["interaction"] {
			t.Errorf("recorded %v", got)
		}
	})
	t.Run("accepts the consent of before, and records no sign-in", func(t *testing.T) {
		events := w.NewEvents(t, func() { c.AuthorizeIn(b, nil) })
		wantNames(t, events, event.GrantMade)
		if got := events[0].Detail; got["consent"] != "stored" {
			t.Errorf("recorded %v", got)
		}
	})
	t.Run("refuses prompt=none without a sign-in, and says why", func(t *testing.T) {
		events := w.NewEvents(t, func() { c.Redirected(t, fapitest.Set("prompt", "none")) })
		wantNames(t, events, event.RequestEnded)
		if got := events[0].Detail; got["error"] != "login_required" {
			t.Errorf("recorded %v", got)
		}
	})
}
