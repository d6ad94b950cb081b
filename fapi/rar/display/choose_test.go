package display

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// choosing has a list of objects of which one is chosen, and one of plain values of which some are.
const choosing = `{"x-display":{"kind":"access","times":"until","heading":{"en":"Share with {client}?"}},
"type":"object","additionalProperties":false,"required":["type"],"properties":{
"from":{"type":"array","maxItems":5,"x-display":{"label":{"en":"Pay from"},"choose":"one","order":1},
 "items":{"type":"object","additionalProperties":false,"required":["name","number"],"properties":{
  "name":{"type":"string","x-display":{"label":{"en":"Account"},"order":1}},
  "number":{"type":"string","x-display":{"label":{"en":"Number"},"format":"account","order":2}}}}},
"accounts":{"type":"array","maxItems":9,"items":{"type":"string"},"x-display":{"label":{"en":"Which accounts"},"format":"iban","choose":"some","order":2}},
"parts":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["of"],"properties":{
 "of":{"type":"array","minItems":1,"maxItems":4,"items":{"type":"string"},"x-display":{"label":{"en":"Part of"},"choose":"some","order":3}}}},
 "x-display":{"label":{"en":"Parts"},"order":3}}}}`

const toChoose = `{"type":"p","from":[{"name":"Everyday","number":"4821"},{"name":"Household","number":"7730"}],
"accounts":["DE19999999990000123456","x","x"],"parts":[{"of":["a"]},{"of":["b","c"]}]}`

// Covers: KC-13. A list to choose from is shown with its entries and offered by its place; a schema by which a choice could not be
// made or not be shown is refused.
func TestKC13Offers(t *testing.T) {
	t.Parallel()
	of := parsed(t, choosing)
	t.Run("accepts entries with their further values", func(t *testing.T) {
		view := viewed(t, of, toChoose, "en")
		want := []Line{
			{Label: "Pay from", Value: "Everyday, Household", Choose: One, At: "/from", Items: []Item{
				{Label: "Everyday", Lines: []Line{{Label: "Number", Value: "4821", Format: AccountID}}},
				{Label: "Household", Lines: []Line{{Label: "Number", Value: "7730", Format: AccountID}}},
			}},
			{Label: "Which accounts", Value: "DE19 9999 9999 0000 1234 56, x, x", Format: IBAN, Choose: Some, At: "/accounts", Items: []Item{
				{Label: "DE19 9999 9999 0000 1234 56"}, {Label: "x"}, {Label: "x"},
			}},
			{Label: "Part of (1)", Value: "a", Items: []Item{{Label: "a"}}},
			{Label: "Part of (2)", Value: "b, c", Choose: Some, At: "/parts/1/of", Items: []Item{{Label: "b"}, {Label: "c"}}},
		}
		if diff := cmp.Diff(want, view.Groups[0].Lines); diff != "" || !view.HasChoice() {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("accepts the names of inputs by object, list and entry", func(t *testing.T) {
		offers, err := of.Offers(json.RawMessage(toChoose))
		want := []Offer{{"/accounts", Some, 3}, {"/from", One, 2}, {"/parts/1/of", Some, 2}}
		if diff := cmp.Diff(want, offers); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
		got := []string{offers[0].Input(2, 1), offers[1].Input(0, 0), offers[1].Input(0, 1), offers[2].Input(0, 1)}
		if diff := cmp.Diff([]string{"choose.2./accounts.1", "choose.0./from", "choose.0./from", "choose.0./parts/1/of.1"}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("accepts one entry without asking", func(t *testing.T) {
		view := viewed(t, of, `{"type":"p","accounts":["x"],"from":[{"name":"Everyday","number":"4821"}]}`, "en")
		if diff := cmp.Diff([]string{"Share with Orchid?", "|Account|Everyday", "|Which accounts|x", "|Number|4821"}, flat(view)); diff != "" || view.HasChoice() {
			t.Error(diff)
		}
	})
	for name, c := range map[string]struct{ from, to, pointer, remedy string }{
		"another number":            {`"choose":"one"`, `"choose":"two"`, "/properties/from/x-display/choose", "use one or some"},
		"a choice of a plain value": {`"format":"account"`, `"choose":"one"`, "/properties/from/items/properties/number/x-display/choose", "annotate the list"},
		"no bound":                  {`"maxItems":9,`, ``, "/properties/accounts/maxItems", "set at most 40"},
		"too many":                  {`"maxItems":9`, `"maxItems":41`, "/properties/accounts/maxItems", "set at most 40"},
		"two at least":              {`"maxItems":9`, `"minItems":2,"maxItems":9`, "/properties/accounts/minItems", "lower it"},
		"no label":                  {`"label":{"en":"Pay from"},`, ``, "/properties/from/x-display/label", "say what is chosen"},
		"a choice in a choice":      {`"parts":{"type":"array",`, `"parts":{"type":"array","maxItems":3,`, "/properties/parts/x-display/choose", "keep one"},
		"a list of lists":           {`"items":{"type":"string"},"x-display":{"label":{"en":"Which`, `"items":{"type":"array","maxItems":2,"items":{"type":"string"},"x-display":{"label":{"en":"L"}}},"x-display":{"label":{"en":"Which`, "/properties/accounts/x-display", "plain values or objects"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			schema := strings.Replace(choosing, c.from, c.to, 1)
			if name == "a choice in a choice" {
				schema = strings.Replace(schema, `"label":{"en":"Parts"}`, `"label":{"en":"Parts"},"choose":"one"`, 1)
			}
			_, err := Parse("p", json.RawMessage(schema), speaking(t))
			if schema == choosing || err == nil || !strings.Contains(err.Error(), c.pointer) || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("%v, want %s and %q", err, c.pointer, c.remedy)
			}
		})
	}
}

// Covers: KC-14. What is chosen is the object with those entries alone, in its order; more or other than what was offered is refused.
func TestKC14Chosen(t *testing.T) {
	t.Parallel()
	of := parsed(t, choosing)
	choose := func(form string) (string, error) {
		t.Helper()
		values, err := url.ParseQuery(form)
		if err != nil {
			t.Fatal(err)
		}
		offers, err := of.Offers(json.RawMessage(toChoose))
		if err != nil {
			t.Fatal(err)
		}
		picks, err := Picks([][]Offer{offers}, values)
		if err != nil {
			return "", err
		}
		chosen, err := of.Chosen(json.RawMessage(toChoose), picks[0])
		if err == nil && !of.Within(chosen, json.RawMessage(toChoose)) {
			t.Errorf("%s is not within the object", chosen)
		}
		return string(chosen), err
	}
	t.Run("accepts some and one", func(t *testing.T) {
		got, err := choose("choose.0./accounts.2=2&choose.0./accounts.0=0&choose.0./from=1&choose.0./parts/1/of.0=0&form_token=x")
		want := `{"accounts":["DE19999999990000123456","x"],"from":[{"name":"Household","number":"7730"}],"parts":[{"of":["a"]},{"of":["b"]}],"type":"p"}`
		if err != nil || got != want {
			t.Errorf("%s, %v", got, err)
		}
	})
	for name, c := range map[string]struct {
		form string
		want error
	}{
		"nothing":                      {"", ErrNotChosen},
		"nothing of one list":          {"choose.0./accounts.0=0&choose.0./from=1", ErrNotChosen},
		"an entry that there is not":   {"choose.0./accounts.0=0&choose.0./accounts.3=3&choose.0./from=1&choose.0./parts/1/of.0=0", ErrNoSuchChoice},
		"one that there is not":        {"choose.0./accounts.0=0&choose.0./from=2&choose.0./parts/1/of.0=0", ErrNoSuchChoice},
		"one below all":                {"choose.0./accounts.0=0&choose.0./from=-1&choose.0./parts/1/of.0=0", ErrNoSuchChoice},
		"a value that is no number":    {"choose.0./accounts.0=on&choose.0./from=1&choose.0./parts/1/of.0=0", ErrNoSuchChoice},
		"a value of another entry":     {"choose.0./accounts.0=1&choose.0./from=1&choose.0./parts/1/of.0=0", ErrNoSuchChoice},
		"a list that there is not":     {"choose.0./accounts.0=0&choose.0./from=1&choose.0./parts/1/of.0=0&choose.0./more.0=0", ErrNoSuchChoice},
		"a list with nothing to leave": {"choose.0./accounts.0=0&choose.0./from=1&choose.0./parts/1/of.0=0&choose.0./parts/0/of.0=0", ErrNoSuchChoice},
		"another object":               {"choose.0./accounts.0=0&choose.0./from=1&choose.0./parts/1/of.0=0&choose.1./accounts.0=0", ErrNoSuchChoice},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got, err := choose(c.form); !errors.Is(err, c.want) || got != "" {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	for name, picks := range map[string]map[string][]int{
		"two of one":           {"/accounts": {0}, "/from": {0, 1}, "/parts/1/of": {0}},
		"an entry past all":    {"/accounts": {3}, "/from": {0}, "/parts/1/of": {0}},
		"a list that is not":   {"/accounts": {0}, "/from": {0}, "/parts/1/of": {0}, "/x": {0}},
		"a list of one, twice": {"/accounts": {0}, "/from": {0}, "/parts/1/of": {0}, "/parts/0/of": {0}},
	} {
		t.Run("refuses picks of "+name, func(t *testing.T) {
			if got, err := of.Chosen(json.RawMessage(toChoose), picks); !errors.Is(err, ErrNoSuchChoice) {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	t.Run("accepts only what is within", func(t *testing.T) {
		with := func(accounts, from string) json.RawMessage {
			return json.RawMessage(fmt.Sprintf(`{"type":"p","from":[%s],"accounts":[%s],"parts":[{"of":["a"]},{"of":["c"]}]}`, from, accounts))
		}
		const everyday = `{"name":"Everyday","number":"4821"}`
		for _, c := range []struct {
			object json.RawMessage
			within bool
		}{
			{with(`"x"`, everyday), true},
			{with(`"DE19999999990000123456","x","x"`, everyday), true},
			{with(`"x","DE19999999990000123456"`, everyday), false},
			{with(`"x","x","x"`, everyday), false},
			{with(`"y"`, everyday), false},
			{with(``, everyday), false},
			{with(`"x"`, everyday+`,{"name":"Household","number":"7730"}`), false},
			{with(`"x"`, `{"name":"Everyday","number":"7730"}`), false},
			{json.RawMessage(toChoose), false},
			{json.RawMessage(`{"type":"p","from":[` + everyday + `],"accounts":["x"],"parts":[{"of":["c"]},{"of":["c"]}]}`), false},
			{json.RawMessage(`{"type":"p","from":[` + everyday + `],"accounts":["x"],"parts":[{"of":["a"]},{"of":["c"]}],"more":1}`), false},
			{json.RawMessage(`{"type":"p","from":[` + everyday + `],"parts":[{"of":["a"]},{"of":["c"]}]}`), false},
			{json.RawMessage(`[]`), false},
		} {
			if got := of.Within(c.object, json.RawMessage(toChoose)); got != c.within {
				t.Errorf("%s: %t", c.object, got)
			}
		}
	})
}

// Covers: KC-14. Whatever is chosen, the object has exactly the lines that were chosen, and nothing else has changed.
func TestKC14WhateverIsChosen(t *testing.T) {
	t.Parallel()
	of := parsed(t, choosing)
	rapid.Check(t, func(t *rapid.T) {
		accounts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "b", "c, d", "e"}), 1, 9).Draw(t, "accounts")
		object, err := json.Marshal(map[string]any{"type": "p", "accounts": accounts})
		if err != nil {
			t.Fatal(err)
		}
		offered, err := of.View(object, "en", Asker{Name: "Orchid"})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		picks := map[string][]int{}
		if line := offered.Groups[0].Lines[0]; line.Choose != "" {
			for i, item := range line.Items {
				if rapid.Bool().Draw(t, "pick") || i == len(line.Items)-1 && want == nil {
					want, picks["/accounts"] = append(want, item.Label), append(picks["/accounts"], i)
				}
			}
		} else {
			want = accounts
		}
		chosen, err := of.Chosen(object, picks)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Accounts []string `json:"accounts"`
		}
		if err := json.Unmarshal(chosen, &got); err != nil || !slices.Equal(got.Accounts, want) {
			t.Fatalf("%s of %s, want %q; %v", chosen, object, want, err)
		}
		if !of.Within(chosen, object) || len(accounts) > 1 && of.Within(object, chosen) && len(want) < len(accounts) {
			t.Fatalf("%s within %s", chosen, object)
		}
	})
}
