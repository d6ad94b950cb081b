package claimsource_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/claims"
	"countersign/fapi/fapitest"
)

// Covers: KB-28. What is asked is what the contract describes, its examples are what it describes, and what it refuses as an
// answer is no answer.
func TestKB28Contract(t *testing.T) {
	t.Parallel()
	contract := fapitest.ReadContract(t, "claims-source-v1.yaml")
	question, answer := contract.Schema(t, "Question"), contract.Schema(t, "Answer")
	t.Run("accepts every question", func(t *testing.T) {
		w := newWorld(t, nil)
		for _, purpose := range []claims.Purpose{claims.ForTokens, claims.ForRefresh, claims.ForUserInfo} {
			for _, names := range [][]string{nil, {"name"}, claims.Names()} {
				q := alice(slices.Sorted(slices.Values(names))...)
				q.Purpose = purpose
				if _, err := w.Ask(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := w.Accounts(t.Context(), claims.Question{Subject: "sub-alice", ClientID: "client-1", Purpose: claims.ForConsent}, []string{"own_accounts"}); err == nil {
			t.Error("a source that says nothing of accounts is taken for one that offers none")
		}
		for _, asked := range w.bank.Asked() {
			if err := question.Validate(any(asked)); err != nil {
				t.Errorf("%v: %v", asked, err)
			}
		}
	})
	t.Run("accepts its own examples", func(t *testing.T) {
		text, err := json.Marshal(contract["paths"].(map[string]any)["/"].(map[string]any)["post"])
		if err != nil {
			t.Fatal(err)
		}
		type content struct {
			JSON struct {
				Examples map[string]struct{ Value any }
			} `json:"application/json"`
		}
		var operation struct {
			RequestBody struct{ Content content }
			Responses   map[string]struct{ Content content }
		}
		if err := json.Unmarshal(text, &operation); err != nil {
			t.Fatal(err)
		}
		asked, answered := operation.RequestBody.Content.JSON.Examples, operation.Responses["200"].Content.JSON.Examples
		if len(asked) < 2 || len(answered) < 2 {
			t.Fatalf("%d questions, %d answers", len(asked), len(answered))
		}
		for name, example := range asked {
			if err := question.Validate(example.Value); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, example := range answered {
			if err := answer.Validate(example.Value); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("accepts the claims that there are", func(t *testing.T) {
		schemas := contract["components"].(map[string]any)["schemas"].(map[string]any)
		var listed []string
		for _, name := range schemas["ClaimName"].(map[string]any)["enum"].([]any) {
			listed = append(listed, name.(string))
		}
		described := schemas["Answer"].(map[string]any)["properties"].(map[string]any)
		for _, name := range listed {
			if described[name] == nil {
				t.Errorf("%s has no type", name)
			}
		}
		if diff := cmp.Diff(claims.Names(), listed); diff != "" || len(described) != len(listed)+3 { // sub, active and accounts
			t.Errorf("%d are described (-want +got):\n%s", len(described), diff)
		}
	})
	about := func(name string, value any) map[string]any { return map[string]any{"sub": "sub-alice", name: value} }
	asking := func(t *testing.T, given map[string]any) (wellFormed bool, err error) {
		t.Helper()
		w := newWorld(t, nil)
		w.bank.Answers(func(rw http.ResponseWriter, _ *http.Request, _ map[string]any) { fapitest.WriteAnswer(rw, given) })
		_, err = w.Ask(t.Context(), alice(slices.Sorted(slices.Values(claims.Names()))...))
		return answer.Validate(any(given)) == nil, err
	}
	for name, given := range map[string]map[string]any{
		"a name": about("name", "Alice"), "no name": about("name", nil), "an empty name": about("name", ""), "an active user": about("active", true),
		"an address": about("address", map[string]any{"country": "PT"}), "a birthdate": about("birthdate", "0000-12-31"), "no birthdate": about("birthdate", ""),
		"a picture": about("picture", "https://bank.example/a.png"), "a time": about("updated_at", 1700000000.0), "another member": about("shoe_size", 7.0),
	} {
		t.Run("accepts "+name+", as the contract does", func(t *testing.T) {
			if wellFormed, err := asking(t, given); !wellFormed || err != nil {
				t.Errorf("the contract: %v; %v", wellFormed, err)
			}
		})
	}
	for name, given := range map[string]map[string]any{
		"a number as the name": about("name", 7.0), "a text as email_verified": about("email_verified", "true"), "active as a number": about("active", 1.0),
		"no subject": {"name": "Alice"}, "an address of other parts": about("address", map[string]any{"planet": "Mars"}), "a text as a time": about("updated_at", "now"),
		"a birthdate in words": about("birthdate", "yesterday"), "a long name": about("name", strings.Repeat("x", 2049)), "a picture elsewhere": about("picture", "ftp://a.example"),
	} {
		t.Run("refuses "+name+", as the contract does", func(t *testing.T) {
			if wellFormed, err := asking(t, given); wellFormed || err == nil {
				t.Errorf("the contract: %v; %v", wellFormed, err)
			}
		})
	}
}
