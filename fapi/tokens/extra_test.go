package tokens

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/claims"
	"countersign/fapi/profile"
	"countersign/store"
)

// Covers: LR-15, LR-17. Claims of an ecosystem are where their rule has them, and nowhere else.
func TestExtra(t *testing.T) {
	t.Parallel()
	of := profile.FAPI2Security()
	of.Claims = []profile.ClaimRule{
		{Name: "intent", From: profile.FromRequest, In: []string{profile.InIDToken, profile.InAccessToken}},
		{Name: "consent_id", From: profile.FromConsent, In: []string{profile.InTokenResponse, profile.InUserinfo}},
		{Name: "arrangement", From: profile.FromGrant, In: []string{profile.InIntrospection, profile.InUserinfo}, Always: true},
		{Name: "txn", From: profile.FromTransaction, In: []string{profile.InIDToken}},
	}
	wanted, err := claims.Parse(`{"id_token":{"intent":{"value":"i-1"},"txn":null},"userinfo":{"arrangement":null}}`, of)
	if err != nil {
		t.Fatal(err)
	}
	detail := Detail{Claims: wanted, Transaction: "t-1", Consent: &Consent{ID: "c-1"}}
	grant := store.Grant{ID: "g-1", Subject: "alice"}
	for place, want := range map[string]string{
		profile.InIDToken: `{"intent":"i-1","txn":"t-1"}`, profile.InAccessToken: `{"intent":"i-1"}`, profile.InTokenResponse: `{"consent_id":"c-1"}`,
		profile.InIntrospection: `{"arrangement":"g-1"}`, profile.InUserinfo: `{"arrangement":"g-1"}`,
	} {
		t.Run("accepts those in "+place, func(t *testing.T) {
			got, err := json.Marshal(Extra(of, grant, detail, place))
			if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
		t.Run("refuses them in "+place+" where nobody has allowed anything", func(t *testing.T) {
			if got := Extra(of, store.Grant{ID: "g-1"}, detail, place); len(got) > 0 {
				t.Errorf("%v", got)
			}
		})
	}
	t.Run("refuses what has no value", func(t *testing.T) {
		for _, place := range []string{profile.InIDToken, profile.InTokenResponse} {
			if got := Extra(of, grant, Detail{}, place); len(got) > 0 {
				t.Errorf("%v", got)
			}
		}
	})
	t.Run("accepts an answer with them beside its members, and without", func(t *testing.T) {
		for want, members := range map[string]map[string]json.RawMessage{
			`{"a":1,"b":"x"}`: {"b": json.RawMessage(`"x"`)}, `{"a":1}`: nil,
		} {
			answer, err := Beside(map[string]int{"a": 1}, members)
			got, wrong := json.Marshal(answer)
			if string(got) != want || err != nil || wrong != nil {
				t.Errorf("%s, %v, %v", got, err, wrong)
			}
		}
	})
}

// Covers: LR-19. No rule of a preset names a claim that tokens or answers have by themselves: it would be there twice.
func TestReservedClaims(t *testing.T) {
	t.Parallel()
	reserved := map[string]bool{}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "acr", "amr", "auth_time", "azp", "cnf", "at_hash", "c_hash", "s_hash",
		"sid", "client_id", "scope", "active", "token_type", "access_token", "refresh_token", "expires_in", "id_token", "authorization_details"} {
		reserved[name] = true
	}
	seen := 0
	for _, name := range profile.Names() {
		of, _ := profile.Lookup(name)
		for _, rule := range of.Claims {
			seen++
			if reserved[rule.Name] {
				t.Errorf("%s has a rule for %s", name, rule.Name)
			}
		}
	}
	if seen == 0 {
		t.Error("no preset names a claim, so nothing was shown")
	}
}
