package ready_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/rar/ready"
	"countersign/internal/words"
)

// examples are an object of each ready type, and what an English and a Brazilian reader see first.
var examples = map[string]struct{ object, english, brazilian string }{
	"uk-payment": {
		`{"type":"t","InstructionIdentification":"ACME412","EndToEndIdentification":"FRESCO.21302.GFX.20","InstructedAmount":{"Amount":"165.88","Currency":"GBP"},"CreditorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"ACME Inc"},"RemittanceInformation":{"Structured":[{"CreditorReferenceInformation":{"Reference":"FRESCO-101"}}],"Unstructured":["Internal ops code 5120101"]}}`,
		"Pay £165.88 to ACME Inc?", "Pagar £\u00a0165,88 a ACME Inc?",
	},
	"connectid-card-payment": {
		`{"type":"t","instructed_amount":{"amount":10.5,"currency":"AUD"},"source_account":"4111111111111111","beneficiary_name":"Test Merchant","payment_desc":"Two tickets"}`,
		"Pay A$10.50 to Test Merchant?", "Pagar AU$\u00a010,50 a Test Merchant?",
	},
	"uk-accounts": {
		`{"type":"t","Permissions":["ReadAccountsDetail","ReadBalances"],"ExpirationDateTime":"2027-02-27T00:00:00Z"}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
	"uk-funds": {
		`{"type":"t","DebtorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"Ms Example"}}`,
		"Let Orchid ask whether there is enough money in your account?", "Permitir que Orchid pergunte se há saldo suficiente na sua conta?",
	},
	"berlin-group-payment": {
		`{"type":"t","instructedAmount":{"amount":"1234.5","currency":"EUR"},"creditorName":"Fernhill Cycles","creditorAccount":{"iban":"DE19999999990000123456"}}`,
		"Pay €1,234.50 to Fernhill Cycles?", "Pagar €\u00a01.234,50 a Fernhill Cycles?",
	},
	"berlin-group-accounts": {
		`{"type":"t","access":{"balances":[{"iban":"DE19999999990000123456"}],"transactions":[{"iban":"DE19999999990000123456","currency":"EUR"},{"iban":"DE02100100109307118603"}]},"recurringIndicator":true,"frequencyPerDay":4,"validUntil":"2027-02-27"}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
	"brazil-payment": {
		`{"type":"t","creditor":{"personType":"PESSOA_JURIDICA","cpfCnpj":"58764789000137","name":"Padaria Sol"},"payment":{"type":"PIX","amount":"100.12","currency":"BRL","ibgeTownCode":"5300108","details":{"localInstrument":"MANU","creditorAccount":{"ispb":"12345678","issuer":"1774","number":"1234567890","accountType":"CACC"}}}}`,
		"Pay R$100.12 to Padaria Sol?", "Pagar R$\u00a0100,12 a Padaria Sol?",
	},
	"brazil-accounts": {
		`{"type":"t","permissions":["ACCOUNTS_READ","RESOURCES_READ"],"expirationDateTime":"2027-02-27T00:00:00Z"}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
	"brazil-data": {
		`{"type":"t","permissions":["CUSTOMERS_BUSINESS_IDENTIFICATIONS_READ","LOANS_PAYMENTS_READ","RESOURCES_READ"],"expirationDateTime":"2027-02-27T00:00:00Z"}`,
		"Share your data with Orchid?", "Compartilhar seus dados com Orchid?",
	},
	"openinsurance-data": {
		`{"type":"t","permissions":["DAMAGES_AND_PEOPLE_AUTO_CLAIM_READ","RESOURCES_READ"],"expirationDateTime":"2027-02-27T00:00:00Z"}`,
		"Share your data with Orchid?", "Compartilhar seus dados com Orchid?",
	},
	"ksa-accounts": {
		`{"type":"t","Permissions":["ReadAccountsBasic","ReadPartyPSUIdentity"],"ConsentPurpose":["E-Statement"],"AccountType":["KSAOB.Retail"],"AccountSubType":["CurrentAccount"],"FourthParty":{"TradingName":"Palm Books"},"SponsoredTPP":{"TradingName":"Khalid"},"IsPSUReadAllAccounts":true,"ExpirationDateTime":"2027-02-27T00:00:00Z"}`,
		"Share account information with Orchid?", "Compartilhar dados da conta com Orchid?",
	},
	"uae-payment": {
		`{"type":"t","Amount":{"Amount":"1234.50","Currency":"AED"},"Creditor":{"Name":"Palm Books","IBAN":"AE070331234567890123456"},"PaymentPurposeCode":"ACM"}`,
		"Pay AED\u00a01,234.50 to Palm Books?", "Pagar AED\u00a01.234,50 a Palm Books?",
	},
	"uae-accounts": {
		`{"type":"t","consent":{"ConsentId":"cf2d4e4e","Permissions":["ReadBalances","ReadProduct"],"ExpirationDateTime":"2027-02-27T00:00:00Z","OpenFinanceBilling":{"UserType":"Retail","Purpose":"AccountAggregation"}}}`,
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

// Covers: KC-27, LX-02. What is read of ready types is complete, in the order of a decision, and accounts are chosen where they are listed.
func TestKC27Lines(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"uk-payment": {
			"To account: 08080021325698", "Kind of account number: Sort code and account number", "Reference: FRESCO-101", "Reference: Internal ops code 5120101",
			"Reference for the payee: FRESCO.21302.GFX.20", "Number of the payment at the application: ACME412",
		},
		"uk-funds":               {"Account: ending 5698", "Kind of account number: Sort code and account number", "Holder: Ms Example", "Until: Until you end it"},
		"connectid-card-payment": {"What for: Two tickets", "From card: ending 1111"},
		"berlin-group-accounts": {
			"Balances of: DE19 9999 9999 0000 1234 56", "Payments of: [DE19 9999 9999 0000 1234 56 (Currency EUR) | DE02 1001 0010 9307 1186 03]",
			"How often: Again and again, until it ends", "Until: 27 February 2027", "Looks a day, at most, while you are away: 4",
		},
		"uae-accounts": {
			"Why: To show your accounts in one place", "What it will see: Balances, Fees and interest of your accounts", "Until: 27 February 2027 at 00:00, Greenwich time",
			"Kind of customer: A person", "Number of the access at the application: cf2d4e4e",
		},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			schema, err := ready.Schema(name, "t")
			if err != nil {
				t.Fatal(err)
			}
			types, err := rar.NewTypes([]rar.Type{{Type: "t", Schema: schema}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			read, err := types.Read("["+examples[name].object+"]", []string{"t"})
			if err != nil {
				t.Fatal(err)
			}
			views, err := read.View(types, "en", display.Asker{Name: "Orchid"})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, group := range views[0].Groups {
				for _, line := range group.Lines {
					value := line.Value
					if line.Choose != "" {
						var options []string
						for _, item := range line.Items {
							option := item.Label
							for _, more := range item.Lines {
								option += " (" + more.Label + " " + more.Value + ")"
							}
							options = append(options, option)
						}
						value = "[" + strings.Join(options, " | ") + "]"
					}
					got = append(got, line.Label+": "+value)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Covers: KX-09. Ready types say how long what they allow lasts, with the source of that: what is allowed once does not last as long as
// access does.
func TestKX09Lives(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	want := map[string]time.Duration{
		"brazil-payment": time.Hour, "uk-payment": 24 * time.Hour, "berlin-group-payment": 24 * time.Hour, "uae-payment": 24 * time.Hour,
		"berlin-group-accounts": 180 * 24 * time.Hour,
	}
	for _, name := range ready.Names() {
		t.Run("accepts "+name, func(t *testing.T) {
			schema, err := ready.Schema(name, "t")
			if err != nil {
				t.Fatal(err)
			}
			var head struct {
				Comment string `json:"$comment"`
				Display struct {
					Times string `json:"times"`
				} `json:"x-display"`
			}
			if err := json.Unmarshal(schema, &head); err != nil {
				t.Fatal(err)
			}
			types, err := rar.NewTypes([]rar.Type{{Type: "t", Schema: schema}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			lasts, named := want[name]
			if !named && head.Display.Times == "once" {
				lasts = 24 * time.Hour
			}
			life, err := rar.Details{json.RawMessage(examples[name].object)}.Life(types)
			if err != nil || life.For != lasts || (life.For > 0) != strings.HasPrefix(head.Comment, "life: ") {
				t.Errorf("lasts %v by %q, want %v; %v", life.For, head.Comment, lasts, err)
			}
			if head.Display.Times == "once" && life.End(now).Sub(now) > 24*time.Hour {
				t.Errorf("what is allowed once lasts until %v", life.End(now))
			}
		})
	}
	for name := range want {
		t.Run("refuses "+name+" with a life in months, which are not equally long", func(t *testing.T) {
			schema, err := ready.Schema(name, "t")
			if err != nil {
				t.Fatal(err)
			}
			schema = regexp.MustCompile(`"life": "[^"]*"`).ReplaceAll(schema, []byte(`"life": "P6M"`))
			if _, err := rar.NewTypes([]rar.Type{{Type: "t", Schema: schema}}, nil); err == nil || !strings.Contains(err.Error(), `life is "P6M"`) {
				t.Errorf("%v", err)
			}
		})
	}
}
