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

// Covers: LR-23. Of the claims about users that an ecosystem names, the document lists those that the source may give.
func TestLR23ClaimsOfEcosystems(t *testing.T) {
	t.Parallel()
	bank := fapitest.NewBank(t)
	offering := fapitest.Offering("au-connectid", "brazil-openfinance")
	document := func(names ...string) map[string]any {
		if len(names) == 0 {
			return fapitest.NewWorld(t, offering).Document()
		}
		return fapitest.NewWorld(t, offering, fapitest.ClaimsFrom(t, bank, func(c *claimsource.Config) { c.Claims = names })).Document()
	}
	for name, test := range map[string]struct {
		document map[string]any
		listed   []string
		missing  []string
		verified any
	}{
		"accepts all of the directory":      {document(), []string{"txn", "cpf", "cnpj", "given_name"}, nil, true},
		"accepts those of the source":       {document("cpf", "verified_claims"), []string{"txn", "cpf"}, []string{"cnpj", "given_name"}, true},
		"refuses what the source never has": {document("given_name"), []string{"txn", "given_name"}, []string{"cpf", "cnpj"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			listed := func(name string) bool { return slices.Contains(test.document["claims_supported"].([]any), any(name)) }
			for _, claim := range test.listed {
				if !listed(claim) {
					t.Errorf("%s is not listed", claim)
				}
			}
			for _, claim := range test.missing {
				if listed(claim) {
					t.Errorf("%s is listed", claim)
				}
			}
			if test.document["verified_claims_supported"] != test.verified {
				t.Errorf("verified_claims_supported %v", test.document["verified_claims_supported"])
			}
		})
	}
}
