package claims

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/profile"
	"countersign/internal/oauth"
)

// intents is a profile whose requests name an intent, and that has a transaction.
func intents() profile.Profile {
	p := profile.FAPI2Security()
	p.Claims = []profile.ClaimRule{
		{Name: "intent", From: profile.FromRequest, In: []string{profile.InIDToken, profile.InUserinfo}, Essential: true, Pattern: `[a-z0-9-]{1,10}`},
		{Name: "txn", From: profile.FromTransaction, In: []string{profile.InIDToken}},
		{Name: "tax", From: profile.FromUser, In: []string{profile.InIDToken}, Always: true},
	}
	return p
}

// Covers: LR-15. A claim that the request gives is taken by value, once, if it is of its form.
func TestLR15ClaimFromRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ claims, want string }{
		"accepts it in id_token":           {`{"id_token":{"intent":{"value":"a-1","essential":true}}}`, `"a-1"`},
		"accepts it in userinfo":           {`{"userinfo":{"intent":{"value":"a-1"}}}`, `"a-1"`},
		"accepts it in both, the same":     {`{"userinfo":{"intent":{"value":"a-1"}},"id_token":{"intent":{"value":"\u0061-1"}}}`, `"\u0061-1"`},
		"accepts it as the only of values": {`{"id_token":{"intent":{"values":["a-1"]}}}`, `"a-1"`},
		"accepts it beside claims":         {`{"intent":"a-1"}`, `"a-1"`},
		"accepts a number":                 {`{"intent":17}`, `17`},
		"refuses two":                      {`{"userinfo":{"intent":{"value":"a-1"}},"id_token":{"intent":{"value":"a-2"}}}`, ``},
		"refuses two, of three":            {`{"intent":"a-1","userinfo":{"intent":null},"id_token":{"intent":{"value":"a-2"}}}`, ``},
		"refuses two, around null":         {`{"intent":"a-1","id_token":{"intent":null},"userinfo":{"intent":{"value":"a-2"}}}`, ``},
		"refuses one of another form":      {`{"id_token":{"intent":{"value":"A 1"}}}`, ``},
		"refuses one with a line end":      {`{"id_token":{"intent":{"value":"a-1\n"}}}`, ``},
		"refuses one that is too long":     {`{"id_token":{"intent":{"value":"` + strings.Repeat("a", 2000) + `"}}}`, ``},
		"refuses an object":                {`{"id_token":{"intent":{"value":{"a":1}}}}`, ``},
		"refuses true":                     {`{"id_token":{"intent":{"value":true}}}`, ``},
		"refuses none":                     {`{"id_token":{"acr":null}}`, ``},
		"refuses one without a value":      {`{"id_token":{"intent":{"essential":true}}}`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := Parse(test.claims, intents())
			if err == nil {
				err = read.Need(intents())
			}
			if refused, ok := errors.AsType[*oauth.Error](err); test.want == "" && (!ok || refused.Code != oauth.InvalidRequest) {
				t.Fatalf("%v", err)
			}
			if test.want != "" && (err != nil || string(read.Value("intent")) != test.want) {
				t.Errorf("%v, %s", err, read.Value("intent"))
			}
		})
	}
	t.Run("refuses a request without the claims parameter", func(t *testing.T) {
		if (*Request)(nil).Need(intents()) == nil {
			t.Error("accepted")
		}
	})
	t.Run("accepts it after it was stored, and shows the user only what is about the user", func(t *testing.T) {
		read, err := Parse(`{"id_token":{"intent":{"value":"a-1"},"txn":null}}`, intents())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(read.AddAlways(intents()))
		var back *Request
		if err != nil || json.Unmarshal(raw, &back) != nil {
			t.Fatal(err)
		}
		if string(back.Value("intent")) != `"a-1"` || !back.Asks("txn", profile.InIDToken) || back.Asks("txn", profile.InUserinfo) {
			t.Errorf("%s", raw)
		}
		if diff := cmp.Diff([]string{"tax"}, back.Within(nil, intents()).Names()); diff != "" {
			t.Error(diff)
		}
		if names := back.Within(nil, profile.FAPI2Security()).Names(); len(names) != 0 {
			t.Errorf("a profile without the rule releases %v", names)
		}
	})
}

// Covers: LR-38. What a directory has of a claim that an ecosystem names is of its form.
func TestLR38KnownClaims(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ claim, value string }{
		"accepts a cpf":                                     {"cpf", `"11111111111"`},
		"accepts several cnpj":                              {"cnpj", `["11111111111111","22222222222222"]`},
		"accepts verified claims":                           {"verified_claims", `{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}`},
		"accepts nothing":                                   {"cpf", `null`},
		"refuses a cpf of 10 digits":                        {"cpf", `"1111111111"`},
		"refuses a cpf with letters":                        {"cpf", `"1111111111x"`},
		"refuses an object as cpf":                          {"cpf", `{"a":1}`},
		"refuses a cnpj among others":                       {"cnpj", `["11111111111111","2"]`},
		"refuses verified claims without a trust framework": {"verified_claims", `{"verification":{},"claims":{"over18":true}}`},
		"refuses a claim that nobody names":                 {"shoe_size", `"42"`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Check(test.claim, json.RawMessage(test.value)); (err != nil) != strings.HasPrefix(name, "refuses") {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzEcosystemClaims: what is kept of the claims parameter of an ecosystem is of the form of its rules, and can be stored.
func FuzzEcosystemClaims(f *testing.F) {
	for _, seed := range []string{
		`{"intent":"a-1"}`, `{"id_token":{"intent":{"values":["a"]},"tax":{"value":[1]}}}`, `{"extra":[{"name":"intent","value":"A"}]}`,
		`{"id_token":{"verified_claims":[]},"id_token_verified":[{}]}`, `{"userinfo":{"intent":7},"intent":null}`, `[`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		of := intents()
		of.VerifiedClaims = profile.VerifiedClaimsRule{TrustFrameworks: []string{"x"}, Claims: []string{"over18"}}
		read, err := Parse(raw, of)
		if err != nil {
			if oauth.AsError(err).Code != oauth.InvalidRequest {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		if value := read.Value("intent"); value != nil && !Matches(of.Claims[0].Pattern, value) {
			t.Errorf("%q: %s", raw, value)
		}
		for _, name := range read.Within(nil, of).Names() {
			if name != "tax" && name != "over18" {
				t.Errorf("%q: the claim %q stays", raw, name)
			}
		}
		stored, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		var back Request
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Errorf("%q: what is stored cannot be read: %v", raw, err)
		}
	})
}
