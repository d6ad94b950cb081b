package ready_test

import (
	"encoding/json"
	"strings"
	"testing"

	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/rar/ready"
	"countersign/internal/words"
)

// examples are an object of each ready type, and what an English and a Brazilian reader see first.
var examples = map[string]struct{ object, english, brazilian string }{
	"uk-payment": {
		`{"type":"t","InstructedAmount":{"Amount":"165.88","Currency":"GBP"},"CreditorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"ACME Inc"},"RemittanceInformation":{"Reference":"FRESCO-101"}}`,
		"Pay £165.88 to ACME Inc?", "Pagar £\u00a0165,88 a ACME Inc?",
	},
	"uk-accounts": {
		`{"type":"t","Permissions":["ReadAccountsDetail","ReadBalances"],"ExpirationDateTime":"2027-02-27T00:00:00Z"}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
	"berlin-group-payment": {
		`{"type":"t","instructedAmount":{"amount":"1234.5","currency":"EUR"},"creditorName":"Fernhill Cycles","creditorAccount":{"iban":"DE19999999990000123456"}}`,
		"Pay €1,234.50 to Fernhill Cycles?", "Pagar €\u00a01.234,50 a Fernhill Cycles?",
	},
	"berlin-group-accounts": {
		`{"type":"t","access":{"balances":[{"iban":"DE19999999990000123456"}],"transactions":[]},"recurringIndicator":true,"frequencyPerDay":4,"validUntil":"2027-02-27"}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
	"brazil-payment": {
		`{"type":"t","creditor":{"personType":"PESSOA_JURIDICA","cpfCnpj":"58764789000137","name":"Padaria Sol"},"payment":{"type":"PIX","amount":"100.12","currency":"BRL","details":{"localInstrument":"MANU","creditorAccount":{"ispb":"12345678","issuer":"1774","number":"1234567890","accountType":"CACC"}}}}`,
		"Pay R$100.12 to Padaria Sol?", "Pagar R$\u00a0100,12 a Padaria Sol?",
	},
	"brazil-accounts": {
		`{"type":"t","permissions":["ACCOUNTS_READ","RESOURCES_READ"],"expirationDateTime":"2027-02-27T00:00:00Z"}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
	"uae-payment": {
		`{"type":"t","Amount":{"Amount":"1234.50","Currency":"AED"},"Creditor":{"Name":"Palm Books","IBAN":"AE070331234567890123456"},"PaymentPurposeCode":"ACM"}`,
		"Pay AED\u00a01,234.50 to Palm Books?", "Pagar AED\u00a01.234,50 a Palm Books?",
	},
	"uae-accounts": {
		`{"type":"t","Permissions":["ReadBalances","ReadProduct"]}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
}

// Covers: KC-09. Each ready type is accepted as it is, whichever language comes first, reads objects of its ecosystem, and has
// every text in every language.
func TestKC09ReadyTypes(t *testing.T) {
	t.Parallel()
	asker := display.Asker{Name: "Orchid"}
	for _, name := range ready.Names() {
		t.Run("accepts "+name, func(t *testing.T) {
			example, found := examples[name]
			if !found {
				t.Fatal("there is no example")
			}
			schema, err := ready.Schema(name, "t")
			if err != nil {
				t.Fatal(err)
			}
			for _, first := range words.Supported() {
				// With one language alone, a text that it lacks refuses the type.
				languages, err := display.NewLanguages([]string{first}, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				types, err := rar.NewTypes([]rar.Type{{Type: "t", Schema: schema}}, languages)
				if err != nil {
					t.Fatalf("%s: %v", first, err)
				}
				read, err := types.Read("["+example.object+"]", []string{"t"})
				if err != nil {
					t.Fatal(err)
				}
				views, err := read.View(types, first, asker)
				if err != nil {
					t.Fatal(err)
				}
				heading := views[0].Heading.String()
				if want := map[string]string{"en": example.english, "pt-BR": example.brazilian}[first]; want != "" && heading != want {
					t.Errorf("%s: %q, want %q", first, heading, want)
				}
				if first == "ar" && !strings.ContainsRune(heading, '؟') {
					t.Errorf("%q is not Arabic", heading)
				}
			}
		})
	}
	t.Run("refuses a name that there is not", func(t *testing.T) {
		if _, err := ready.Schema("../types/uk-payment", "t"); err == nil || !strings.Contains(err.Error(), "uk-payment") {
			t.Error(err)
		}
	})
	t.Run("accepts a name of the type with quotes", func(t *testing.T) {
		raw, err := ready.Schema("uk-payment", `a"b`)
		var schema struct {
			Properties struct {
				Type struct {
					Const string `json:"const"`
				} `json:"type"`
			} `json:"properties"`
		}
		if err != nil || json.Unmarshal(raw, &schema) != nil || schema.Properties.Type.Const != `a"b` {
			t.Errorf("%s, %v", raw, err)
		}
	})
}
