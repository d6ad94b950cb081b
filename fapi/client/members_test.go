package client_test

import (
	"encoding/json"
	"testing"

	"countersign/fapi/client"
	"countersign/fapi/profile"
)

// Covers: LR-08. A dynamic registration has the members that the profile demands, and none that it refuses.
func TestLR08Members(t *testing.T) {
	brazil, _ := profile.Lookup("brazil-openfinance")
	plain, _ := profile.Lookup("fapi1-advanced")
	for _, test := range []struct {
		name  string
		of    profile.Profile
		sent  map[string]json.RawMessage
		wrong []string
	}{
		{"accepts keys at an address", brazil, map[string]json.RawMessage{"jwks_uri": json.RawMessage(`"https://keys.example"`)}, nil},
		{"accepts keys by value where no rule refuses them", plain, map[string]json.RawMessage{"jwks": json.RawMessage(`{}`)}, nil},
		{"refuses keys by value", brazil, map[string]json.RawMessage{"jwks": json.RawMessage(`{}`), "jwks_uri": json.RawMessage(`"https://keys.example"`)}, []string{"jwks"}},
		{"refuses one without keys", brazil, map[string]json.RawMessage{}, []string{"jwks_uri"}},
		{"refuses an empty address", brazil, map[string]json.RawMessage{"jwks_uri": json.RawMessage(`""`)}, []string{"jwks_uri"}},
		{"refuses null", brazil, map[string]json.RawMessage{"jwks": json.RawMessage(`null`), "jwks_uri": json.RawMessage(`null`)}, []string{"jwks", "jwks_uri"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			problems := client.CheckMembers(test.sent, test.of)
			if len(problems) != len(test.wrong) {
				t.Fatal(problems)
			}
			for i, problem := range problems {
				if member, ok := problem.(*client.MemberError); !ok || member.Member != test.wrong[i] {
					t.Error(problem)
				}
			}
		})
	}
}
