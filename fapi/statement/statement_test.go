package statement

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/oauth"
)

func sign(t testing.TB, key jose.PrivateKey, claims any) string {
	t.Helper()
	signed, err := jose.Sign(context.Background(), key.SigningKey(), "JWT", claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestOneTimes: what makes a statement usable once is its issuer and its jti, for as long as it can be used.
func TestOneTimes(t *testing.T) {
	key, err := jose.NewPrivateKey(jose.PS256)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	rule := profile.RegistrationRule{MaxAge: 5 * time.Minute}
	parse := func(claims map[string]any) *Statement {
		t.Helper()
		s, err := Parse(sign(t, key, claims), []string{jose.PS256})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := parse(map[string]any{"iss": "a", "jti": "b", "iat": now.Unix()}).OneTimes(rule)
	if len(one) != 1 || one[0].Kind != KindStatement || !one[0].Until.Equal(now.Add(6*time.Minute)) {
		t.Errorf("%+v", one)
	}
	other := parse(map[string]any{"iss": "a", "jti": "b", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}).OneTimes(rule)
	if other[0].Key != one[0].Key || !other[0].Until.Equal(now.Add(2*time.Minute)) {
		t.Errorf("%+v", other)
	}
	nameless := map[string]any{"iss": "a", "iat": now.Unix()}
	first, second := parse(nameless).OneTimes(rule), parse(nameless).OneTimes(rule) // signed twice
	nameless["iat"] = now.Unix() + 1
	if third := parse(nameless).OneTimes(rule); first[0].Key != second[0].Key || first[0].Key == third[0].Key {
		t.Error("without a jti, what was signed is not what is used once")
	}
	if moved := parse(map[string]any{"iss": "a b", "jti": "c", "iat": 1}).OneTimes(rule); moved[0].Key == parse(map[string]any{"iss": "a", "jti": "b c", "iat": 1}).OneTimes(rule)[0].Key {
		t.Error("two pairs of issuer and jti are one")
	}
	far := parse(map[string]any{"iss": "a", "jti": "b", "iat": now.Unix(), "exp": now.Add(1000 * time.Hour).Unix()})
	if until := far.OneTimes(profile.RegistrationRule{})[0].Until; until.After(now.Add(25 * time.Hour)) {
		t.Errorf("remembered until %v", until)
	}
	if err := far.Check(profile.RegistrationRule{}, now.Add(25*time.Hour), 0); oauth.AsError(err).Code != oauth.InvalidSoftwareStatement {
		t.Errorf("used when it is forgotten: %v", err)
	}
}

// TestRoles: roles come in three forms; those that are not active do not count.
func TestRoles(t *testing.T) {
	for raw, want := range map[string]string{
		`["AISP","PISP"]`:                   "AISP PISP",
		`"data-recipient-software-product"`: "data-recipient-software-product",
		`[{"role":"DADOS","status":"Active"},{"role":"PAGTO","status":"Inactive"},{"role":"CONTA"}]`: "DADOS",
		`[]`: "", `7`: "", `[{"role":7}]`: "",
	} {
		s := &Statement{Members: map[string]json.RawMessage{"roles": json.RawMessage(raw)}}
		if got := strings.Join(s.Roles(profile.RegistrationRule{RolesMember: "roles"}), " "); got != want {
			t.Errorf("%s has %q", raw, got)
		}
	}
}

// Covers: LD-07. Each way in which a member is bound, where the statement has it and where not.
func TestLD07Fields(t *testing.T) {
	for name, test := range map[string]struct {
		rule, statement, sent string
		want                  string // "!" refuses it; "" is left out
	}{
		"accepts equal values":                     {profile.FieldEqual, `"a"`, `"a"`, `"a"`},
		"accepts equal values, escaped":            {profile.FieldEqual, `"a/b"`, `"a\/b"`, `"a/b"`},
		"accepts the statement's where none is":    {profile.FieldEqual, `"a"`, ``, `"a"`},
		"refuses another value":                    {profile.FieldEqual, `"a"`, `"b"`, "!"},
		"refuses a value of another type":          {profile.FieldEqual, `"a"`, `["a"]`, "!"},
		"refuses a value that is not vouched for":  {profile.FieldEqual, ``, `"a"`, "!"},
		"refuses one where the statement has null": {profile.FieldEqual, `null`, `"a"`, "!"},
		"accepts none of either":                   {profile.FieldEqual, ``, ``, ``},
		"accepts another, and replaces it":         {profile.FieldWins, `"a"`, `"b"`, `"a"`},
		"accepts what the statement has not":       {profile.FieldWins, ``, `"b"`, `"b"`},
		"accepts a part":                           {profile.FieldSubset, `["a","b"]`, `["b"]`, `["b"]`},
		"accepts a part of words":                  {profile.FieldSubset, `"a b"`, `"b"`, `"b"`},
		"refuses no part":                          {profile.FieldSubset, `["a"]`, ``, "!"},
		"refuses more":                             {profile.FieldSubset, `["a"]`, `["a","b"]`, "!"},
		"refuses a part of nothing":                {profile.FieldSubset, ``, `["a"]`, "!"},
		"accepts all where none is":                {profile.FieldSubsetOrAll, `["a","b"]`, ``, `["a","b"]`},
		"refuses more of all":                      {profile.FieldSubsetOrAll, `["a"]`, `["c"]`, "!"},
	} {
		t.Run(name, func(t *testing.T) {
			s, members := &Statement{Members: map[string]json.RawMessage{}}, map[string]json.RawMessage{}
			if test.statement != "" {
				s.Members["vouched"] = json.RawMessage(test.statement)
			}
			if test.sent != "" {
				members["sent"] = json.RawMessage(test.sent)
			}
			problems := s.Bind(profile.RegistrationRule{Fields: []profile.StatementField{{Statement: "vouched", Metadata: "sent", Rule: test.rule}}}, members, nil)
			if (test.want == "!") != (len(problems) > 0) {
				t.Fatalf("%v", problems)
			}
			if got := string(members["sent"]); test.want != "!" && got != test.want {
				t.Errorf("%s", got)
			}
		})
	}
}

// Whatever is sent as a statement or as a request is refused with a code of RFC 7591 §3.2.2, or read as it says.
func FuzzParse(f *testing.F) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	good := map[string]any{"iss": "a", "jti": "b", "iat": now.Unix(), "aud": "c", "exp": now.Add(time.Minute).Unix(), "software_roles": []string{"AISP"}}
	f.Add(sign(f, key, good))
	f.Add(sign(f, key, map[string]any{"iss": "a", "iat": now.Unix(), "software_statement_roles": []any{map[string]any{"role": "DADOS", "status": "Active"}}}))
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIiwiaXNzIjoiYiJ9.AA")
	rule := profile.RegistrationRule{
		RolesMember: "software_roles", RoleScopes: map[string][]string{"AISP": {"accounts"}},
		Fields: []profile.StatementField{
			{Statement: "a", Metadata: "jwks_uri", Rule: profile.FieldEqual}, {Statement: "b", Metadata: "redirect_uris", Rule: profile.FieldSubsetOrAll},
			{Statement: "c", Metadata: "client_name", Rule: profile.FieldWins},
		},
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := Parse(raw, profile.Algorithms())
		if err != nil {
			if code := oauth.AsError(err).Code; code != oauth.InvalidSoftwareStatement {
				t.Fatalf("%s: %v", code, err)
			}
		} else {
			if s.Raw != raw || s.Issuer == "" || s.Issuer != s.Text("iss") {
				t.Fatalf("%+v", s)
			}
			if err := s.Check(rule, now, time.Second); err == nil {
				for _, used := range s.OneTimes(rule) {
					if used.Until.Before(now) {
						t.Fatalf("a statement that can be used is forgotten at %v", used.Until)
					}
				}
			}
			members := map[string]json.RawMessage{}
			for range s.Bind(rule, members, []string{"accounts"}) {
				continue
			}
			for name, value := range members {
				if !json.Valid(value) {
					t.Fatalf("%s is %s", name, value)
				}
			}
		}
		r, err := ParseRequest(raw, profile.Algorithms())
		if err != nil {
			if code := oauth.AsError(err).Code; code != oauth.InvalidClientMetadata {
				t.Fatalf("%s: %v", code, err)
			}
			return
		}
		for _, name := range []string{"iss", "aud", "iat", "exp", "nbf", "jti"} {
			if _, ok := r.Members[name]; ok {
				t.Fatalf("%s is in the metadata", name)
			}
		}
		if err := r.Check("a", []string{"c"}, now, time.Second); err == nil && r.OneTime().Until.Before(now) {
			t.Fatalf("a request that can be used is forgotten at %v", r.OneTime().Until)
		}
	})
}
