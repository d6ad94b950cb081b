package tokens

import (
	"encoding/json"
	"testing"

	"countersign/fapi/claims"
	"countersign/fapi/rar"
	"countersign/store"
)

// Covers: KC-20. Tokens are issued for what was allowed only: a grant that was altered since has another digest.
func TestKC20AlteredGrant(t *testing.T) {
	t.Parallel()
	allowed := Detail{
		Nonce: "n", Claims: &claims.Request{IDToken: map[string]*claims.Claim{"email": nil}},
		Details: rar.Details{json.RawMessage(`{"amount":"1.00","type":"p"}`)}, Resources: []string{"https://api.example"},
	}
	scopes := []string{"openid", "accounts"}
	stored := func(change func(d *Detail, g *store.Grant)) (Detail, store.Grant) {
		raw, err := json.Marshal(allowed.Sealed(scopes))
		if err != nil {
			t.Fatal(err)
		}
		grant := store.Grant{ID: "g", Scopes: scopes, Detail: raw}
		detail, err := ReadDetail(grant)
		if err != nil {
			t.Fatal(err)
		}
		change(&detail, &grant)
		return detail, grant
	}
	for name, change := range map[string]func(d *Detail, g *store.Grant){
		"the grant as it was stored":           func(*Detail, *store.Grant) {},
		"a nonce that is not part of it":       func(d *Detail, _ *store.Grant) { d.Nonce = "x" },
		"a grant of a release without digests": func(d *Detail, _ *store.Grant) { d.Digest, d.Resources = "", nil },
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if detail, grant := stored(change); detail.checkDigest(grant) != nil {
				t.Errorf("%+v", detail)
			}
		})
	}
	for name, change := range map[string]func(d *Detail, g *store.Grant){
		"another amount":       func(d *Detail, _ *store.Grant) { d.Details[0] = json.RawMessage(`{"amount":"9.00","type":"p"}`) },
		"one object more":      func(d *Detail, _ *store.Grant) { d.Details = append(d.Details, d.Details[0]) },
		"no object":            func(d *Detail, _ *store.Grant) { d.Details = nil },
		"one scope more":       func(_ *Detail, g *store.Grant) { g.Scopes = []string{"openid", "accounts", "payments"} },
		"other claims":         func(d *Detail, _ *store.Grant) { d.Claims.IDToken["phone_number"] = nil },
		"another resource":     func(d *Detail, _ *store.Grant) { d.Resources = []string{"https://evil.example"} },
		"an invented digest":   func(d *Detail, _ *store.Grant) { d.Digest = "x" },
		"scopes in one string": func(_ *Detail, g *store.Grant) { g.Scopes = []string{"openid accounts"} },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if detail, grant := stored(change); detail.checkDigest(grant) == nil {
				t.Errorf("%+v", detail)
			}
		})
	}
}
