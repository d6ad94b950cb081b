package display

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// ownAccounts has a list of plain values and one of objects that may be offered.
const ownAccounts = `{"x-display":{"kind":"access","times":"until","heading":{"en":"Share with {client}?"}},
"type":"object","additionalProperties":false,"required":["type"],"properties":{
"accounts":{"type":"array","maxItems":9,"items":{"type":"string"},"x-display":{"label":{"en":"Which accounts"},"role":"account","format":"ending","choose":"some","offer":true,"order":1}},
"access":{"type":"object","additionalProperties":false,"required":["of"],"properties":{
 "of":{"type":"array","maxItems":9,"x-display":{"label":{"en":"Balances of"},"choose":"one","offer":true,"order":2},
  "items":{"type":"object","additionalProperties":false,"required":["iban"],"properties":{"iban":{"type":"string","x-display":{"label":{"en":"IBAN"},"format":"iban","order":2}}}}}}}}}`

func offered(value, name string) Offered {
	return Offered{Type: "p", Value: json.RawMessage(value), Name: name}
}

// Covers: KX-06. A list that a request leaves to be offered is read by the words of its bank, and with the entry itself; nobody's
// words can pass for others, and a schema that cannot hold what is offered is refused.
func TestKX06OfferedEntries(t *testing.T) {
	t.Parallel()
	of := parsed(t, ownAccounts)
	everyday, savings := offered(`"DE02100100109307118603"`, "Everyday"), offered(`{"iban":"GB33BUKB20201555555555"}`, "Savings")
	everyday.Kind, everyday.Number = Words{"en": "Current account", "pt": "Conta corrente"}, "•• 8603"
	everyday.Balance = &Balance{"-12.5", "EUR"}
	t.Run("refuses to choose of what is not offered yet", func(t *testing.T) {
		object := `{"type":"p","accounts":[],"access":{"of":[]}}`
		view := viewed(t, of, object, "en")
		if diff := cmp.Diff([]string{"Share with Orchid?", "|Which accounts|None can be shown at the moment", "|Balances of|None can be shown at the moment"}, flat(view)); diff != "" || !view.HasChoice() {
			t.Error(diff)
		}
		if _, err := of.Chosen(json.RawMessage(object), nil); !errors.Is(err, ErrNotChosen) {
			t.Error(err)
		}
		if open, err := of.Open(json.RawMessage(object)); !open || err != nil {
			t.Error(open, err)
		}
		if of.Within(json.RawMessage(object), json.RawMessage(object)) {
			t.Error("a list left empty is taken for a choice")
		}
	})
	t.Run("accepts entries in the words of the bank, in the reader's language", func(t *testing.T) {
		filled, err := of.Filled(json.RawMessage(`{"type":"p","accounts":[]}`), []json.RawMessage{everyday.Value, json.RawMessage(`"x"`)})
		if err != nil {
			t.Fatal(err)
		}
		for language, want := range map[string]Item{
			"en":    {Label: "Everyday", Detail: "Current account · •• 8603 · ending 8603", Balance: "-€12.50"},
			"pt-BR": {Label: "Everyday", Detail: "Conta corrente · •• 8603 · final 8603", Balance: "-€\u00a012,50"},
		} {
			view := viewed(t, of.Knowing([]Offered{everyday}), string(filled), language)
			if diff := cmp.Diff(want, view.Groups[0].Lines[0].Items[0]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", language, diff)
			}
			if WithoutBalances([]View{view})[0].Groups[0].Lines[0].Items[0].Balance != "" || view.Groups[0].Lines[0].Items[0].Balance == "" {
				t.Error("the balance is in what a decision is bound to, or not in what is read")
			}
		}
	})
	t.Run("accepts what was chosen, by the same words and without the balance", func(t *testing.T) {
		view := viewed(t, of.Knowing([]Offered{everyday, savings}), `{"type":"p","accounts":["DE02100100109307118603"],"access":{"of":[{"iban":"GB33BUKB20201555555555"}]}}`, "en")
		want := []string{"Share with Orchid?", "|Which accounts|Everyday (Current account · •• 8603 · ending 8603)", "|Balances of|Savings", "|IBAN|GB33 BUKB 2020 1555 5555 55"}
		if diff := cmp.Diff(want, flat(view)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts whatever a bank calls an account, and shows the entry itself beside it", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) {
			account := offered(`"`+rapid.StringMatching(`[A-Z0-9]{5,20}`).Draw(r, "value")+`"`, rapid.String().Draw(r, "name"))
			account.Number, account.Kind = rapid.String().Draw(r, "number"), Words{"": rapid.String().Draw(r, "kind")}
			if account.Check() != nil {
				return
			}
			var value string
			if err := json.Unmarshal(account.Value, &value); err != nil {
				r.Fatal(err)
			}
			object, err := of.Filled(json.RawMessage(`{"type":"p","accounts":[]}`), []json.RawMessage{account.Value, json.RawMessage(`"another"`)})
			if err != nil {
				r.Fatal(err)
			}
			view, err := of.Knowing([]Offered{account}).View(object, "en", Asker{Name: "Orchid"})
			if err != nil {
				r.Fatal(err)
			}
			beside := "" // what is written exactly stands by itself: in quotes there may be two blanks in a row
			for _, text := range []string{account.Kind[""], account.Number} {
				if text != "" {
					beside += Exact(text) + " · "
				}
			}
			item := view.Groups[0].Lines[0].Items[0]
			entry, first := strings.CutPrefix(item.Detail, beside)
			if item.Label != Exact(account.Name) || !first || !strings.HasSuffix(entry, value[len(value)-4:]) || Exact(entry) != entry {
				r.Fatalf("%+v", item)
			}
		})
	})
	for name, account := range map[string]Offered{
		"no name": offered(`"x"`, " "), "a long name": offered(`"x"`, strings.Repeat("n", 101)), "no value": offered("", "X"),
		"a long number":                  {Type: "p", Value: json.RawMessage(`1`), Name: "X", Number: strings.Repeat("1", 101)},
		"a balance in words":             {Type: "p", Value: json.RawMessage(`1`), Name: "X", Balance: &Balance{"a lot", "EUR"}},
		"a balance in no currency":       {Type: "p", Value: json.RawMessage(`1`), Name: "X", Balance: &Balance{"1", "eur"}},
		"a kind in twenty-one languages": {Type: "p", Value: json.RawMessage(`1`), Name: "X", Kind: manyWords(21)},
		"a kind of a hundred and one":    {Type: "p", Value: json.RawMessage(`1`), Name: "X", Kind: Words{"": strings.Repeat("k", 101)}},
		"no type":                        {Value: json.RawMessage(`1`), Name: "X"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if account.Check() == nil {
				t.Error("taken")
			}
		})
	}
	for name, c := range map[string]struct{ from, to, pointer, remedy string }{
		"an offer of which nobody chooses": {`"choose":"some","offer"`, `"offer"`, "/properties/accounts/x-display/offer", "add choose"},
		"a list that is never empty":       {`"maxItems":9,"items"`, `"minItems":1,"maxItems":9,"items"`, "/properties/accounts/minItems", "set it to 0"},
		"words for an empty list":          {`"offer":true,"order":1`, `"offer":true,"empty":{"en":"None"},"order":1`, "/properties/accounts/x-display/empty", "remove it"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := Parse("p", json.RawMessage(strings.Replace(ownAccounts, c.from, c.to, 1)), speaking(t))
			if err == nil || !strings.Contains(err.Error(), c.pointer+" ") || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("%v", err)
			}
		})
	}
}

func manyWords(n int) Words {
	all := Words{}
	for i := range n {
		all[strings.Repeat("x", i)] = "k"
	}
	return all
}
