package account_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: KX-13. The list of what has ended says by whom, on the page and in the API's words.
func TestKX13EndedByWhom(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	for name, c := range map[string]struct {
		end  func(t *testing.T, issued fapitest.Reply, grant string)
		says string
	}{
		"the application": {func(t *testing.T, issued fapitest.Reply, _ string) {
			b.budget.Revoke(issued.Text("refresh_token"), nil)
		}, "By the application."},
		"the bank": {func(t *testing.T, _ fapitest.Reply, grant string) {
			if err := b.Store.RevokeGrant(t.Context(), grant, store.RevokedByOperator, nil); err != nil {
				t.Fatal(err)
			}
		}, "By us."},
		"itself": {func(*testing.T, fapitest.Reply, string) { b.Clock.Advance(91 * 24 * time.Hour) }, "By itself."},
	} {
		t.Run("accepts what ended by "+name, func(t *testing.T) {
			issued := b.given("alice", b.budget, "")
			grants, err := b.Store.ListGrants(t.Context(), store.Filter{Subject: "sub-alice", Limit: 1})
			if err != nil || len(grants) != 1 {
				t.Fatal(grants, err)
			}
			c.end(t, issued, grants[0].ID)
			b.at(t, "alice").Visit("/account/ended").Has(t, http.StatusOK, "Orchid Budget", "Ended on", c.says)
			b.Clock.Advance(time.Minute)
		})
	}
	t.Run("refuses to tell another user", func(t *testing.T) {
		on := b.at(t, "bob").Visit("/account/ended")
		on.Has(t, http.StatusOK)
		b.as("bob")
		token := b.app.TokensFor(nil).Text("access_token")
		told := list(t, call(b.app, "GET", "/account/v1/access?state=ended", token, nil), "access")
		if len(told) > 0 || strings.Contains(on.Body, "Orchid Budget") {
			t.Errorf("bob is told %v\n%s", told, on.Body)
		}
		fapitest.WantError(t, call(b.app, "GET", "/account/v1/access?state=ended_by_user", token, nil), http.StatusBadRequest, "invalid_request")
	})
}
