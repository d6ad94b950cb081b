package claimsource

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/claims"
)

// Covers: KB-15, KB-16. What was asked for is taken, each claim by its type; whatever else there is is left; and what can be
// read in two ways is no answer.
func TestRead(t *testing.T) {
	t.Parallel()
	names := []string{"address", "birthdate", "email", "email_verified", "locale", "name", "updated_at"}
	for name, test := range map[string]struct {
		answer string
		want   map[string]string
	}{
		"nothing but the subject": {`{"sub":"s"}`, nil},
		"an active user":          {`{"sub":"s","active":true,"name":"Alice"}`, map[string]string{"name": `"Alice"`}},
		"every type": {
			`{"sub":"s","email":"a@example.com","email_verified":true,"updated_at":1700000000,"address":{ "country" : "PT" },"birthdate":"1980","locale":"pt-PT"}`,
			map[string]string{
				"email": `"a@example.com"`, "email_verified": "true", "updated_at": "1700000000", "address": `{"country":"PT"}`,
				"birthdate": `"1980"`, "locale": `"pt-PT"`,
			},
		},
		"what was not asked for, without a look at its type": {`{"sub":"s","phone_number":7,"iss":"https://other.example","exp":1,"shoe_size":"x"}`, nil},
		"absent values": {`{"sub":"s","name":null,"email":""}`, nil},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			answer, err := read([]byte(test.answer), "s", names)
			got := map[string]string{}
			for name, value := range answer.Claims {
				got[name] = string(value)
			}
			if test.want == nil {
				test.want = map[string]string{}
			}
			if diff := cmp.Diff(test.want, got); err != nil || answer.Inactive || diff != "" {
				t.Errorf("%v %v (-want +got):\n%s", answer, err, diff)
			}
		})
	}
	t.Run("accepts a user who is disabled, without a claim", func(t *testing.T) {
		if answer, err := read([]byte(`{"sub":"s","active":false,"name":"Alice"}`), "s", names); err != nil || !answer.Inactive || answer.Claims != nil {
			t.Errorf("%v %v", answer, err)
		}
	})
	const canary = "canary-7f3a"
	for name, test := range map[string]struct{ answer, reason string }{
		"nothing":                    {``, "not a JSON object"},
		"an array":                   {`[{"sub":"s"}]`, "not a JSON object"},
		"null":                       {`null`, "not a JSON object"},
		"a member twice":             {`{"sub":"s","name":"A","name":"` + canary + `"}`, "not a JSON object"},
		"the subject twice":          {`{"sub":"s","sub":"s"}`, "not a JSON object"},
		"a member twice, further in": {`{"sub":"s","address":{"country":"PT","country":"ES"}}`, "not a JSON object"},
		"something after it":         {`{"sub":"s"} {}`, "not a JSON object"},
		"text that is no UTF-8":      {"{\"sub\":\"s\",\"name\":\"\xff\"}", "not a JSON object"},
		"too deep":                   {`{"sub":"s","x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "not a JSON object"},
		"no subject":                 {`{"name":"` + canary + `"}`, "by sub whom it is about"},
		"an empty subject":           {`{"sub":""}`, "by sub whom it is about"},
		"a number as the subject":    {`{"sub":7}`, "by sub whom it is about"},
		"active as a text":           {`{"sub":"s","active":"true"}`, "active in its answer"},
		"active as null":             {`{"sub":"s","active":null}`, "active in its answer"},
		"a number as the name":       {`{"sub":"s","name":7}`, "name is not a text"},
		"a text as email_verified":   {`{"sub":"s","email_verified":"yes"}`, "email_verified is not true or false"},
		"no e-mail address":          {`{"sub":"s","email":"` + canary + `"}`, "email is not an e-mail address"},
		"no date":                    {`{"sub":"s","birthdate":"31.12.1980"}`, "birthdate is not a date"},
		"an address of other parts":  {`{"sub":"s","address":{"planet":"Mars"}}`, `address has no member "planet"`},
		"an address that is a text":  {`{"sub":"s","address":"Lisbon"}`, "address is not an object"},
		"a text as updated_at":       {`{"sub":"s","updated_at":"today"}`, "updated_at is not a number"},
		"a long name":                {`{"sub":"s","name":"` + strings.Repeat("x", claims.MaxText+1) + `"}`, "name is longer than"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			answer, err := read([]byte(test.answer), "s", names)
			failure, ok := errors.AsType[*Error](err)
			if !ok || !strings.Contains(failure.Reason, test.reason) || strings.Contains(err.Error(), canary) || answer.Claims != nil {
				t.Errorf("%v %v, want %q", answer, err, test.reason)
			}
		})
	}
	for name, answer := range map[string]string{
		"another subject":                 `{"sub":"t","name":"Bob"}`,
		"the subject in capitals":         `{"sub":"S"}`,
		"the subject with a space":        `{"sub":"s "}`,
		"another subject who is disabled": `{"sub":"t","active":false}`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got, err := read([]byte(answer), "s", names); !errors.Is(err, claims.ErrWrongSubject) || got.Claims != nil || got.Inactive {
				t.Errorf("%v %v", got, err)
			}
		})
	}
}

// FuzzAnswer: nothing is taken but claims that were asked for, of their type and about the user who was asked for.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"sub":"s"}`, `{"sub":"t"}`, `{"sub":"s","active":false}`, `{"sub":"s","name":"Alice","email_verified":true}`, `{"sub":"s","name":null}`,
		`{"sub":"s","address":{"country":"PT"}}`, `{"sub":"s","updated_at":1e400}`, `{"sub":"s","sub":"s"}`, `[]`, `{"sub":"s","name":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	names := []string{"address", "email", "email_verified", "name", "updated_at"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		answer, err := read(raw, "s", names)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok && !errors.Is(err, claims.ErrWrongSubject) || answer.Claims != nil || answer.Inactive {
				t.Errorf("%q: %v %v", raw, answer, err)
			}
			return
		}
		var whole map[string]json.RawMessage // a struct's members would match in any case
		var subject string
		if json.Unmarshal(raw, &whole) != nil || json.Unmarshal(whole["sub"], &subject) != nil || subject != "s" ||
			answer.Inactive && (string(whole["active"]) != "false" || len(answer.Claims) > 0) {
			t.Errorf("%q: taken as %v", raw, answer)
		}
		for _, name := range slices.Collect(maps.Keys(answer.Claims)) {
			if value := answer.Claims[name]; !slices.Contains(names, name) || claims.Check(name, value) != nil || string(value) == "null" {
				t.Errorf("%q: took %s %s", raw, name, value)
			}
		}
		if _, err := json.Marshal(answer.Claims); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
