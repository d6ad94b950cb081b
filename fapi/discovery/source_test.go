package discovery_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/claims"
	"countersign/fapi/fapitest"
	"countersign/internal/claimsource"
)

// Covers: KB-24. The discovery document lists the claims that the source may give, and no other about users.
func TestKB24ClaimsSupported(t *testing.T) {
	t.Parallel()
	about := func(w *fapitest.World) []string {
		var names []string
		for _, name := range w.Document()["claims_supported"].([]any) {
			if slices.Contains(claims.Names(), name.(string)) {
				names = append(names, name.(string))
			}
		}
		return names
	}
	t.Run("accepts all claims of the directory", func(t *testing.T) {
		if diff := cmp.Diff(claims.Names(), about(fapitest.NewWorld(t))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	bank := fapitest.NewBank(t)
	bank.Knows("sub-alice", map[string]any{"name": "Alice of the Bank", "email": "alice@bank.example"})
	w := fapitest.NewWorld(t, fapitest.ClaimsFrom(t, bank, func(c *claimsource.Config) { c.Claims = []string{"email", "name"} }))
	t.Run("accepts those that the source may give", func(t *testing.T) {
		if diff := cmp.Diff([]string{"name", "email"}, about(w)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("refuses one that is not listed, also where the source has it", func(t *testing.T) {
		bank.Knows("sub-alice", map[string]any{"name": "Alice of the Bank", "locale": "pt"})
		c := w.Register("client-1", nil)
		if r := c.Get("/userinfo", c.Tokens().Text("access_token"), nil); r.Body["name"] != "Alice of the Bank" || r.Body["locale"] != nil {
			t.Errorf("told %s", r.Raw)
		}
	})
}
