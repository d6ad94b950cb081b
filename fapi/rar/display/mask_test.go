package display

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const masked = `{"x-display":{"kind":"access","times":"until","heading":{"en":"Share?"}},
"type":"object","additionalProperties":false,"required":["type"],"properties":{
"a":{"type":"string","x-display":{"role":"account","format":"ending","label":{"en":"From account"}}},
"list":{"type":"array","maxItems":9,"items":{"type":"string"},"x-display":{"role":"account","format":"ending","choose":"some","label":{"en":"Which"}}},
"tax":{"type":"string","x-display":{"format":"cpf-cnpj","label":{"en":"Tax number"}}},
"where":{"type":"array","items":{"type":"string"},"x-display":{"format":"resource","label":{"en":"Where"}}}}}`

// Covers: KC-24. The user's own account is read by its end, in the user's language, whole where two would read the same; a CPF without
// its ends, a CNPJ whole; and nothing that pays somebody is abridged.
func TestKC24Masks(t *testing.T) {
	t.Parallel()
	of := parsed(t, masked)
	for name, c := range map[string]struct{ object, tag, want string }{
		"an IBAN by its end":             {`"a":"DE19999999990000123456"`, "en", "|From account|ending 3456"},
		"it in Portuguese":               {`"a":"DE19999999990000123456"`, "pt-BR", "|From account|final 3456"},
		"it in Arabic":                   {`"a":"DE19999999990000123456"`, "ar", "|From account|ينتهي بالرقم 3456"},
		"a number with blanks":           {`"a":"20-20-15 55555555"`, "en", "|From account|ending 5555"},
		"a short number, whole":          {`"a":"1234567"`, "en", "|From account|1234567"},
		"what is no number, whole":       {`"a":"alice@bank.example"`, "en", "|From account|alice@bank.example"},
		"accounts to choose":             {`"list":["DE19999999990000123456","DE02100100109307118603"]`, "en", "|Which|ending 3456, ending 8603"},
		"accounts that end alike, whole": {`"list":["DE19999999990000123456","GB33BUKB20201555553456"]`, "en", "|Which|DE19999999990000123456, GB33BUKB20201555553456"},
		"a CPF":                          {`"tax":"12345678909"`, "pt-BR", "|Tax number|•••.456.789-••"},
		"a CNPJ":                         {`"tax":"58764789000137"`, "pt-BR", "|Tax number|58.764.789/0001-37"},
		"a CNPJ of letters":              {`"tax":"12ABC34501DE35"`, "pt-BR", "|Tax number|12.ABC.345/01DE-35"},
		"what is neither, whole":         {`"tax":"123"`, "pt-BR", "|Tax number|123"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			got := flat(viewed(t, of, `{"type":"p",`+c.object+`}`, c.tag))
			if diff := cmp.Diff([]string{"Share?", c.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, c := range map[string]struct{ from, to string }{
		"a payee's account by its end": {`"role":"account","format":"ending","label":{"en":"From account"}`, `"role":"payee-account","format":"ending","label":{"en":"To"}`},
		"any number by its end":        {`"role":"account","format":"ending","label":{"en":"From account"}`, `"format":"ending","label":{"en":"Note"}`},
		"an account without its ends":  {`"format":"cpf-cnpj"`, `"format":"cpf-cnpj","role":"payee-account"`},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if _, err := Parse("p", json.RawMessage(strings.Replace(masked, c.from, c.to, 1)), speaking(t)); err == nil || !strings.Contains(err.Error(), "/x-display/format leaves out a part") {
				t.Error(err)
			}
		})
	}
}

// Covers: KC-25. A resource server is read by its name, or by its host; what is neither stays as it is.
func TestKC25ResourceServers(t *testing.T) {
	t.Parallel()
	languages := speaking(t).WithResources(map[string]string{"https://api.bank.example/v3": "Bank accounts", "urn:pay": "", "https://evil.example": "x\u202ey"})
	of, err := Parse("p", json.RawMessage(masked), languages)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts names and hosts", func(t *testing.T) {
		view := viewed(t, of, `{"type":"p","where":["https://api.bank.example/v3","https://api.other.example","https://api.other.example/x","urn:pay","https://evil.example"]}`, "en")
		want := `Bank accounts, api.other.example, https://api.other.example/x, urn:pay, "x\u202ey"`
		if got := view.Groups[0].Lines[0].Value; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}
