package shape

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/rar"
	"countersign/store"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// bodies are a request that each API accepts.
var bodies = map[string]string{
	"uk-accounts-3.1":   `{"Data":{"Permissions":["ReadAccountsBasic","ReadTransactionsBasic","ReadTransactionsCredits","ReadAccountsBasic"],"ExpirationDateTime":"2027-05-02T00:00:00+02:00"},"Risk":{}}`,
	"uk-accounts-4.0":   `{"Data":{"Permissions":["ReadAccountsDetail"],"TransactionFromDateTime":"2017-05-03T00:00:00+00:00"},"Risk":{}}`,
	"uk-funds-3.1":      `{"Data":{"DebtorAccount":{"SchemeName":"UK.OBIE.IBAN","Identification":"GB76LOYD30949301273801"}}}`,
	"uk-funds-4.0":      `{"Data":{"DebtorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"Ms Example","SecondaryIdentification":"0002"},"ExpirationDateTime":"2027-05-02T00:00:00+02:00"}}`,
	"uk-payments-4.0":   `{"Data":{"Initiation":{"InstructionIdentification":"ACME412","EndToEndIdentification":"FRESCO.21302.GFX.20","InstructedAmount":{"Amount":"165.88","Currency":"GBP"},"CreditorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"ACME Inc"},"RemittanceInformation":{"Unstructured":["Internal ops code 5120101"]}}},"Risk":{"PaymentContextCode":"EcommerceMerchantInitiatedPayment"}}`,
	"brazil-consents-3": `{"data":{"permissions":["ACCOUNTS_READ","ACCOUNTS_BALANCES_READ","RESOURCES_READ"],` + user + `,"expirationDateTime":"2027-02-01T23:59:59Z"}}`,
	"brazil-payments-4": `{"data":{` + user + `,"creditor":{"personType":"PESSOA_NATURAL","cpfCnpj":"58764789000","name":"Marco Antonio de Brito"},` +
		`"payment":{"type":"PIX","date":"2026-11-30","currency":"BRL","amount":"100.12","ibgeTownCode":"5300108","details":{"localInstrument":"DICT","proxy":"12345678901",` +
		`"creditorAccount":{"ispb":"12345678","issuer":"1774","number":"1234567890","accountType":"CACC"}}},"debtorAccount":{"ispb":"12345678","number":"7","accountType":"SVGS"}}}`,
	"openinsurance-consents-3": `{"data":{"permissions":["CUSTOMERS_PERSONAL_IDENTIFICATIONS_READ","RESOURCES_READ"],` + user + `,"expirationDateTime":"2027-02-01T23:59:59Z"}}`,
	"ksa-accounts": `{"Data":{"Permissions":["ReadAccountsBasic"],"ConsentPurpose":["E-Statement"],"NationalIdentificationNumber":"1111111111","ExpirationDateTime":"2027-01-28T15:27:13+03:00",` +
		`"AuthorizationExpirationTimeWindow":"001:30:00","IsPSUReadAllAccounts":true},"Risk":{"PSUIndicators":{"PSUName":{"en":"M"}},"DeviceIndicators":{},"RequestIndicators":{}},` +
		`"Subscription":{"Webhook":{"Url":"https://api.tpp.example/hook","IsActive":true}}}`,
	"ksa-accounts-json": `{"Data":{"Permissions":["ReadAccountsBasic"]}}`,
}

const user = `"loggedUser":{"document":{"identification":"11111111111","rel":"CPF"}}`

func shapeNamed(t testing.TB, name string) *Shape {
	t.Helper()
	for _, s := range All() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}

// Covers: LC-53. An ecosystem is a row: each is read, is in no other's way, and has its sources; what its users are shown fits the
// type by which its kind is shown.
func TestLC53Rows(t *testing.T) {
	t.Parallel()
	var names []string
	paths := map[string]string{}
	for _, s := range All() {
		names = append(names, s.Name)
		if paths[s.Path] != "" {
			t.Errorf("%s and %s are at one address", s.Name, paths[s.Path])
		}
		paths[s.Path] = s.Name
	}
	slices.Sort(names)
	want := slices.Sorted(maps.Keys(bodies))
	if diff := cmp.Diff(append([]string{"brazil-consents-3", "brazil-payments-4", "cdr-arrangements"}, want[2:]...), names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"brazil", "cdr", "ksa", "ksa-json", "openinsurance", "uk"}, APIs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	kinds, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	types, err := rar.NewTypes(kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range bodies {
		t.Run("accepts "+name, func(t *testing.T) {
			c, err := shapeNamed(t, name).Lodged([]byte(body), now)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := types.Read("["+string(c.Shown)+"]", types.Names()); err != nil {
				t.Errorf("%s: %v", c.Shown, err)
			}
		})
	}
	for name, row := range map[string]string{
		"a member that there is not":  `colour = "blue"`,
		"a source that there is not":  "[answer]\n\"Data.X\" = \"colour\"",
		"a state that there is not":   "[answer]\n\"Data.X\" = \"id@asleep\"",
		"a constant that is no JSON":  "[answer]\n\"Data.X\" = \"={\"",
		"a problem that there is not": "[errors.problems]\nasleep = { status = 400, code = \"X\" }",
		"no path":                     `path = ""`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			raw, err := files.ReadFile("rows/uk-accounts-4.0.toml")
			if err != nil {
				t.Fatal(err)
			}
			text := string(raw)
			key, _, _ := strings.Cut(row, "\n")
			if strings.HasPrefix(key, "[") { // into the table that is there
				_, member, _ := strings.Cut(row, "\n")
				text = strings.Replace(text, key+"\n", key+"\n"+member+"\n", 1)
			} else if name, _, _ := strings.Cut(row, " = "); strings.Contains(text, "\n"+name+" = ") {
				begin := strings.Index(text, "\n"+name+" = ") + 1
				text = text[:begin] + row + text[begin+strings.IndexByte(text[begin:], '\n'):]
			} else {
				text = row + "\n" + text
			}
			if _, err := parse("uk-accounts-4.0", []byte(text)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// What becomes of a request.
func TestLodged(t *testing.T) {
	t.Parallel()
	lodged := func(t *testing.T, name string) store.LodgedConsent {
		t.Helper()
		c, err := shapeNamed(t, name).Lodged([]byte(bodies[name]), now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	uk := lodged(t, "uk-accounts-3.1")
	if want := []string{"ReadAccountsBasic", "ReadTransactionsBasic", "ReadTransactionsCredits"}; !slices.Equal(uk.Permissions, want) ||
		!uk.ExpiresAt.Equal(now.Add(24*time.Hour)) || !uk.EndsAt.Equal(time.Date(2027, 5, 1, 22, 0, 0, 0, time.UTC)) || uk.Hints != nil || uk.Once {
		t.Errorf("%+v", uk)
	}
	if open := lodged(t, "uk-accounts-4.0"); !open.EndsAt.IsZero() {
		t.Errorf("ends at %v", open.EndsAt)
	}
	ksa := lodged(t, "ksa-accounts")
	if !ksa.ExpiresAt.Equal(now.Add(90*time.Minute)) || ksa.Hints["national_id"] != "1111111111" || strings.Contains(string(ksa.Shown), "1111111111") {
		t.Errorf("%+v", ksa)
	}
	payment := lodged(t, "brazil-payments-4")
	if !payment.Once || payment.Lasts != time.Hour || !payment.ExpiresAt.Equal(now.Add(5*time.Minute)) || payment.Hints["cpf"] != "11111111111" {
		t.Errorf("%+v", payment)
	}
}

// wantProblem checks what a body is refused with.
func wantProblem(t *testing.T, name, body string, kind Kind, path string) {
	t.Helper()
	s := shapeNamed(t, name)
	_, err := s.Lodged([]byte(body), now)
	problem, ok := errors.AsType[*Problem](err)
	if !ok || problem.Kind != kind || problem.Path != path {
		t.Errorf("%v, want %s of %q", err, kind, path)
		return
	}
	if status, _ := s.Refusal(problem, now, "id"); status < 400 || status >= 500 {
		t.Errorf("status %d", status)
	}
}

// Covers: LC-52. Permissions that an ecosystem does not let go together, or knows not, are refused with its own words; those that are
// not served are left out; members and dates are held to the ecosystem's schema.
func TestLC52Requests(t *testing.T) {
	t.Parallel()
	uk := func(permissions string) string { return `{"Data":{"Permissions":[` + permissions + `]},"Risk":{}}` }
	brazil := func(permissions, more string) string {
		return `{"data":{"permissions":[` + permissions + `],` + user + more + `}}`
	}
	insurance := func(permissions string) string {
		return brazil(permissions, `,"expirationDateTime":"2027-02-01T23:59:59Z"`)
	}
	firm := `,"businessEntity":{"document":{"identification":"11111111111111","rel":"CNPJ"}}`
	for name, one := range map[string]struct {
		shape, body string
		kind        Kind
		path        string
	}{
		"no body":                               {"uk-accounts-4.0", ``, Format, ""},
		"a list":                                {"uk-accounts-4.0", `[]`, Format, ""},
		"a member twice":                        {"uk-accounts-4.0", `{"Data":{},"Data":{},"Risk":{}}`, Format, ""},
		"half a body":                           {"uk-accounts-4.0", `{"Data":`, Format, ""},
		"no Risk":                               {"uk-accounts-4.0", `{"Data":{"Permissions":["ReadBalances"]}}`, Missing, "Risk"},
		"no permissions":                        {"uk-accounts-4.0", `{"Data":{},"Risk":{}}`, Missing, "Data.Permissions"},
		"an empty list of permissions":          {"uk-accounts-3.1", uk(``), Invalid, "Data.Permissions"},
		"a permission that there is not":        {"uk-accounts-3.1", uk(`"ReadMinds"`), Invalid, "Data.Permissions.0"},
		"another member":                        {"uk-accounts-4.0", `{"Data":{"Permissions":["ReadAccountsBasic"],"Colour":1},"Risk":{}}`, Unexpected, "Data.Colour"},
		"permissions without accounts":          {"uk-accounts-4.0", uk(`"ReadBalances"`), Combination, "Data.Permissions"},
		"transactions that neither come nor go": {"uk-accounts-3.1", uk(`"ReadAccountsBasic","ReadTransactionsDetail"`), Combination, "Data.Permissions"},
		"credits of no transactions":            {"uk-accounts-3.1", uk(`"ReadAccountsBasic","ReadTransactionsCredits"`), Combination, "Data.Permissions"},
		"a date that is none":                   {"uk-accounts-4.0", `{"Data":{"Permissions":["ReadAccountsBasic"],"ExpirationDateTime":"tomorrow"},"Risk":{}}`, BadDate, "Data.ExpirationDateTime"},
		"an end that is over":                   {"uk-accounts-4.0", `{"Data":{"Permissions":["ReadAccountsBasic"],"ExpirationDateTime":"2026-11-30T12:00:00Z"},"Risk":{}}`, BadDate, "Data.ExpirationDateTime"},
		"a group that is not whole":             {"brazil-consents-3", brazil(`"ACCOUNTS_READ","RESOURCES_READ"`, ""), Combination, "data.permissions"},
		"resources of nothing":                  {"brazil-consents-3", brazil(`"RESOURCES_READ"`, ""), Combination, "data.permissions"},
		"some credits alone":                    {"brazil-consents-3", brazil(`"LOANS_READ","LOANS_PAYMENTS_READ","RESOURCES_READ"`, ""), Combination, "data.permissions"},
		"a person and a firm":                   {"brazil-consents-3", brazil(`"CUSTOMERS_PERSONAL_IDENTIFICATIONS_READ","CUSTOMERS_BUSINESS_IDENTIFICATIONS_READ","RESOURCES_READ"`, firm), Mixed, "data.permissions"},
		"a firm that is not named":              {"brazil-consents-3", brazil(`"CUSTOMERS_BUSINESS_IDENTIFICATIONS_READ","RESOURCES_READ"`, ""), NoFirm, "data.permissions"},
		"a person's data for a firm":            {"brazil-consents-3", brazil(`"CUSTOMERS_PERSONAL_IDENTIFICATIONS_READ","RESOURCES_READ"`, firm), NotFirm, "data.permissions"},
		"more than a year":                      {"brazil-consents-3", brazil(`"EXCHANGES_READ","RESOURCES_READ"`, `,"expirationDateTime":"2027-12-30T00:00:00Z"`), BadDate, "data.expirationDateTime"},
		"another zone":                          {"brazil-consents-3", brazil(`"EXCHANGES_READ","RESOURCES_READ"`, `,"expirationDateTime":"2027-02-01T23:59:59+01:00"`), Invalid, "data.expirationDateTime"},
		"a short CPF":                           {"brazil-consents-3", strings.Replace(brazil(`"EXCHANGES_READ","RESOURCES_READ"`, ""), "11111111111", "1", 1), Invalid, "data.loggedUser.document.identification"},
		"phases together":                       {"openinsurance-consents-3", insurance(`"RESOURCES_READ","QUOTE_AUTO_READ"`), Mixed, "data.permissions"},
		"data without resources":                {"openinsurance-consents-3", insurance(`"PENSION_PLAN_READ"`), Combination, "data.permissions"},
		"resources without data":                {"openinsurance-consents-3", insurance(`"RESOURCES_READ"`), Combination, "data.permissions"},
		"what is not served":                    {"openinsurance-consents-3", insurance(`"QUOTE_AUTO_READ","CONTRACT_LIFE_PENSION_READ"`), NoneLeft, "data.permissions"},
		"an amount without cents":               {"brazil-payments-4", strings.Replace(bodies["brazil-payments-4"], "100.12", "100", 1), Invalid, "data.payment.amount"},
		"no creditor":                           {"brazil-payments-4", `{"data":{` + user + `,"payment":{}}}`, Missing, "data.creditor"},
		"a payment planned for later":           {"brazil-payments-4", strings.Replace(bodies["brazil-payments-4"], `"type":"PIX",`, `"type":"PIX","schedule":{},`, 1), Unexpected, "data.payment.schedule"},
		"no time to decide":                     {"ksa-accounts", strings.Replace(bodies["ksa-accounts"], "001:30:00", "000:00:00", 1), Invalid, "Data.AuthorizationExpirationTimeWindow"},
		"more than 720 hours":                   {"ksa-accounts", strings.Replace(bodies["ksa-accounts"], "001:30:00", "721:00:00", 1), Invalid, "Data.AuthorizationExpirationTimeWindow"},
		"no purpose":                            {"ksa-accounts", strings.Replace(bodies["ksa-accounts"], `"ConsentPurpose":["E-Statement"],`, "", 1), Missing, "Data.ConsentPurpose"},
		"a webhook that is not https":           {"ksa-accounts", strings.Replace(bodies["ksa-accounts"], "https://api", "http://api", 1), Invalid, "Subscription.Webhook.Url"},
	} {
		t.Run("refuses "+name, func(t *testing.T) { wantProblem(t, one.shape, one.body, one.kind, one.path) })
	}
	all, err := files.ReadFile("rows/brazil-consents-3.json")
	if err != nil {
		t.Fatal(err)
	}
	var known struct {
		Properties struct {
			Data struct {
				Properties struct {
					Permissions struct{ Items struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal(all, &known); err != nil {
		t.Fatal(err)
	}
	everything := slices.DeleteFunc(known.Properties.Data.Properties.Permissions.Items.Enum, func(one string) bool { return strings.HasPrefix(one, "CUSTOMERS_PERSONAL") })
	for name, body := range map[string]string{
		"everything of a firm": brazil(`"`+strings.Join(everything, `","`)+`"`, firm), "one without an end": brazil(`"EXCHANGES_READ","RESOURCES_READ"`, ""),
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if c, err := shapeNamed(t, "brazil-consents-3").Lodged([]byte(body), now); err != nil || len(c.Permissions) < 2 {
				t.Error(err)
			}
		})
	}
}

// Each state is written as the ecosystem calls it.
func TestRender(t *testing.T) {
	t.Parallel()
	states := []struct {
		name   string
		change func(*store.LodgedConsent)
	}{
		{"awaiting", func(*store.LodgedConsent) {}},
		{"authorised", func(c *store.LodgedConsent) { c.Status, c.GrantID = store.ConsentAuthorised, "g" }},
		{"rejected by the user", func(c *store.LodgedConsent) { c.Status, c.EndedBy = store.ConsentRejected, store.RevokedByUser }},
		{"revoked by the bank", func(c *store.LodgedConsent) {
			c.Status, c.GrantID, c.EndedBy = store.ConsentRevoked, "g", store.EndedByBank
		}},
		{"revoked by the client", func(c *store.LodgedConsent) {
			c.Status, c.GrantID, c.EndedBy = store.ConsentRevoked, "g", store.EndedByClient
		}},
		{"not decided in time", func(c *store.LodgedConsent) { c.ExpiresAt = now }},
		{"at its end", func(c *store.LodgedConsent) { c.Status, c.GrantID, c.EndsAt = store.ConsentAuthorised, "g", now }},
		{"consumed", func(c *store.LodgedConsent) { c.Status, c.GrantID = store.ConsentConsumed, "g" }},
	}
	want := map[string][]string{
		"uk-accounts-3.1": {"AwaitingAuthorisation", "Authorised", "Rejected", "Revoked", "Revoked", "Rejected", "Authorised", "Authorised"},
		"uk-accounts-4.0": {"AWAU", "AUTH", "RJCT", "CANC TKSP", "CANC TKSP", "EXPD TKXP", "EXPD TKXP", "AUTH"},
		"brazil-consents-3": {
			"AWAITING_AUTHORISATION", "AUTHORISED", "REJECTED USER CUSTOMER_MANUALLY_REJECTED", "REJECTED ASPSP INTERNAL_SECURITY_REASON",
			"REJECTED USER CUSTOMER_MANUALLY_REVOKED", "REJECTED ASPSP CONSENT_EXPIRED", "REJECTED ASPSP CONSENT_MAX_DATE_REACHED", "AUTHORISED",
		},
		"brazil-payments-4": {
			"AWAITING_AUTHORISATION", "AUTHORISED", "REJECTED REJEITADO_USUARIO", "REJECTED NAO_INFORMADO", "REJECTED REJEITADO_USUARIO",
			"REJECTED TEMPO_EXPIRADO_AUTORIZACAO", "REJECTED TEMPO_EXPIRADO_CONSUMO", "CONSUMED",
		},
		"ksa-accounts": {
			"AwaitingAuthorization", "Authorized", "Rejected", "Finished KSAOB.PASP", "Finished KSAOB.TPP", "Rejected", "Finished", "Finished",
		},
	}
	for name, states_ := range want {
		s := shapeNamed(t, name)
		for i, state := range states {
			t.Run("accepts "+name+", "+state.name, func(t *testing.T) {
				c, err := s.Lodged([]byte(bodies[name]), now)
				if err != nil {
					t.Fatal(err)
				}
				c.ID, c.Status, c.ChangedAt = "id", store.ConsentAwaiting, c.CreatedAt
				state.change(&c)
				body, err := s.Render(c, "https://as.example/x/id", now, false)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, path := range []string{
					"Data.Status", "Data.ConsentStatus", "data.status", "data.rejection.rejectedBy", "data.rejection.reason.code", "data.rejectionReason.code", "Data.RevokedBy",
				} {
					if value, ok := find(body, path); ok {
						got = append(got, value.(string))
					}
				}
				if reasons, ok := find(body, "Data.StatusReason"); ok {
					got = append(got, reasons.([]any)[0].(map[string]any)["StatusReasonCode"].(string))
				}
				if strings.Join(got, " ") != states_[i] {
					t.Errorf("%q, want %q", got, states_[i])
				}
			})
		}
	}
	s := shapeNamed(t, "ksa-accounts")
	c, err := s.Lodged([]byte(bodies["ksa-accounts"]), now)
	if err != nil {
		t.Fatal(err)
	}
	c.Status = store.ConsentAwaiting
	first, err := s.Render(c, "x", now, true)
	if err != nil {
		t.Fatal(err)
	}
	later, err := s.Render(c, "x", now, false)
	if err != nil {
		t.Fatal(err)
	}
	active, _ := find(first, "Subscription.Webhook.IsActive")
	if first["Risk"] == nil || later["Risk"] != nil || active != false {
		t.Errorf("%v\n%v", first, later)
	}
	if text := fmt.Sprint(first); strings.Contains(text, "1111111111") {
		t.Errorf("says whose it is: %s", text)
	}
}

// Covers: LC-54. Nothing that is sent makes more of a problem than the ecosystem has a word for.
func FuzzLodged(f *testing.F) {
	for name, body := range bodies {
		f.Add(name, []byte(body))
	}
	f.Add("uk-accounts-4.0", []byte(`{"Data":{"Permissions":[1,null,{}],"ExpirationDateTime":"9999-12-31T23:59:60Z"},"Risk":[]}`))
	f.Add("ksa-accounts", []byte(`{"Data":{"AuthorizationExpirationTimeWindow":"000:00:0\u0000"}}`))
	kinds, err := Types()
	if err != nil {
		f.Fatal(err)
	}
	types, err := rar.NewTypes(kinds, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		i := slices.IndexFunc(All(), func(s *Shape) bool { return s.Name == name && s.Serves(Create) })
		if i < 0 {
			return
		}
		s := All()[i]
		c, err := s.Lodged(body, now)
		if err != nil {
			problem, ok := errors.AsType[*Problem](err)
			if !ok {
				t.Fatalf("%q: %v", body, err)
			}
			status, refusal := s.Refusal(problem, now, "id")
			if status < 400 || status >= 500 {
				t.Errorf("%q: status %d", body, status)
			}
			if _, err := json.Marshal(refusal); err != nil {
				t.Error(err)
			}
			return
		}
		if _, err := types.Read("["+string(c.Shown)+"]", types.Names()); err != nil && len(c.Shown) < 16<<10 {
			t.Errorf("%q: what is shown, %s: %v", body, c.Shown, err)
		}
		if !SameContent(c.Content, body) || !c.ExpiresAt.After(now) {
			t.Errorf("%q: kept as %s until %v", body, c.Content, c.ExpiresAt)
		}
		c.ID, c.Status, c.ChangedAt = "id", store.ConsentAwaiting, c.CreatedAt
		answer, err := s.Render(c, "https://as.example/id", now, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(answer); err != nil {
			t.Error(err)
		}
	})
}
