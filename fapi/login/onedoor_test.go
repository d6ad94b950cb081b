package login_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
)

// Covers: KE-49. The built-in pages and the login's API decide by one state machine: the same request, decided the same way, makes the
// same grant with the same evidence, and what was decided at one of them cannot be decided at the other.
func TestKE49OneDecision(t *testing.T) {
	t.Parallel()
	ask := func(c *fapitest.Client) string {
		return c.AuthReqID(fapitest.Changes(fapitest.Set("scope", "openid accounts"), fapitest.Set("authorization_details", "["+fapitest.OnePayment+"]")))
	}
	asker := fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("authorization_details_types", []string{"payment_initiation"}))
	pages := fapitest.NewWorld(t, fapitest.WithDevices, fapitest.WithBackchannel(), fapitest.WithAuditChain, func(c *fapitest.Config) {
		c.AuthorizationDetailTypes = fapitest.DetailTypes()
	})
	onPages := pages.Register("asker", asker)
	alice := pages.PasskeyOwner(t, "alice")
	w, b, inAPI := newConfirming(t)
	digests := map[string]string{}
	decided := func(t *testing.T, events []audit.Event, shownBy, wants string) {
		t.Helper()
		found := 0
		for _, e := range events {
			if e.Detail["event"] == "backchannel_decided" {
				found++
				digests[shownBy] = e.Detail["request_digest"]
				if e.Detail["device"] != wants || e.Detail["allowed"] != "true" || e.Detail["shown"] == "" || e.Detail["request_digest"] == "" {
					t.Errorf("%s: %v", shownBy, e.Detail)
				}
			}
		}
		if found != 1 {
			t.Errorf("%s: decided %d times", shownBy, found)
		}
	}
	t.Run("accepts the same request on a page and in the API, as the same", func(t *testing.T) {
		id := ask(onPages)
		decided(t, pages.NewEvents(t, func() {
			alice.Decide(fapitest.Reference(id), "approve").Has(t, http.StatusOK, "This was approved")
		}), "page", "device page")
		onPage := onPages.Poll(id, nil)
		fapitest.WantOK(t, onPage)

		id = ask(inAPI)
		decided(t, w.NewEvents(t, func() {
			if r := b.confirm(fapitest.Reference(id), b.allowed(t, fapitest.Reference(id))); r.Status != http.StatusOK {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
		}), "login", "login")
		throughAPI := inAPI.Poll(id, nil)
		fapitest.WantOK(t, throughAPI)
		if digests["page"] != digests["login"] {
			t.Errorf("the digests of what was decided are %v", digests)
		}
		for _, member := range []string{"scope", "token_type"} {
			if onPage.Text(member) != throughAPI.Text(member) {
				t.Errorf("%s is %q and %q", member, onPage.Text(member), throughAPI.Text(member))
			}
		}
	})
	t.Run("refuses at the one what was decided at the other", func(t *testing.T) {
		id := ask(inAPI)
		message := b.allowed(t, fapitest.Reference(id))
		w.Decide(id, false) // as a page does
		refused(t, b.confirm(fapitest.Reference(id), message), http.StatusConflict, "decided already")
	})
}
