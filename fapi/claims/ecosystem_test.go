package claims_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// Covers: LR-22. Verified claims are released as they are asked for, in the ID token or from UserInfo, and are shown to the user.
func TestLR22VerifiedClaims(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t, fapitest.Offering("au-connectid", "fapi2-message-signing"))
	w.AddUser("sub-alice", "alice", `{"name":"Alice","verified_claims":{"verification":{"trust_framework":"au_connectid","time":"2026-01-01"},`+
		`"claims":{"over18":true,"over21":false,"beneficiary_account_au":{"account_number":"1"},"salary":1}}}`)
	c, base := w.Register("client-1", fapitest.OfEcosystem("au-connectid")), w.Register("client-2", fapitest.OfEcosystem("fapi2-message-signing"))
	purpose := fapitest.Set("purpose", "To see that you are 18")
	for name, test := range map[string]struct {
		client         *fapitest.Client
		claims         string
		shown          []string
		idToken, infos any
	}{
		"accepts them in the ID token": {c,
			`{"id_token":{"verified_claims":{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over18":{"essential":true},"over21":null}}}}`,
			[]string{"over18", "over21"},
			map[string]any{"verification": map[string]any{"trust_framework": "au_connectid"}, "claims": map[string]any{"over18": true, "over21": false}}, nil},
		"accepts them from UserInfo": {c,
			`{"userinfo":{"verified_claims":{"verification":{"trust_framework":null,"time":null},"claims":{"beneficiary_account_au":null}}}}`,
			[]string{"beneficiary_account_au"},
			nil, map[string]any{"verification": map[string]any{"trust_framework": "au_connectid", "time": "2026-01-01"}, "claims": map[string]any{"beneficiary_account_au": map[string]any{"account_number": "1"}}}},
		"refuses those of another trust framework": {c,
			`{"id_token":{"verified_claims":{"verification":{"trust_framework":{"value":"eidas"}},"claims":{"over18":null}}}}`, nil, nil, nil},
		"refuses claims that are not verified here": {c,
			`{"id_token":{"verified_claims":{"verification":{"trust_framework":null},"claims":{"salary":null}}}}`, nil, nil, nil},
		"refuses them where the profile has none": {base,
			`{"id_token":{"verified_claims":{"verification":{"trust_framework":null},"claims":{"over18":null}}}}`, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			issued := test.client.TokensFor(test.client.Signed(purpose, fapitest.Asking(test.claims)))
			id := fapitest.UnverifiedClaims(t, issued.Text("id_token"))
			info := test.client.Get("/userinfo", issued.Text("access_token"), fapitest.InteractionID)
			if diff := cmp.Diff([]any{test.idToken, test.infos}, []any{id["verified_claims"], info.Body["verified_claims"]}); diff != "" {
				t.Errorf("ID token, UserInfo (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.shown, p.Sees().Claims); diff != "" {
				t.Errorf("shown (-want +got):\n%s", diff)
			}
		})
	}
	fapitest.TryAll(t, c.Push,
		fapitest.Bad("a request without claims in it", c.Signed(purpose, fapitest.Asking(`{"id_token":{"verified_claims":{"verification":{"trust_framework":null},"claims":{}}}}`)), 400, "invalid_request"),
		fapitest.Bad("a purpose of a claim that is too short", c.Signed(purpose, fapitest.Asking(`{"id_token":{"verified_claims":{"verification":{"trust_framework":null},"claims":{"over18":{"purpose":"x"}}}}}`)), 400, "invalid_request"),
	)
	t.Run("refuses to say it without a page, if it was not allowed before", func(t *testing.T) {
		b := w.Browser()
		c.AuthorizeIn(b, c.Signed(purpose))
		q := c.AuthorizeIn(b, c.Signed(purpose, fapitest.Set("prompt", "none"), fapitest.Asking(`{"id_token":{"verified_claims":{"verification":{"trust_framework":null},"claims":{"over18":null}}}}`)))
		if q.Get("error") != "consent_required" {
			t.Errorf("sent back with %v", q)
		}
	})
}
