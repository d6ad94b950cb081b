package display

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"countersign/internal/words"
)

// paymentSchema is a payment with a value of most kinds.
const paymentSchema = `{
"x-display": {"kind": "payment", "times": "once",
 "heading": {"en": "Pay {amount} to {payee}?", "pt-BR": "Pagar {amount} a {payee}?", "ar": "هل تدفع {amount} إلى {payee}؟"},
 "groups": [{"id": "payment", "label": {"en": "The payment", "pt-BR": "O pagamento"}}, {"id": "rest", "label": {"en": "The rest"}}]},
"type": "object", "additionalProperties": false, "required": ["type", "sum", "name", "method"],
"properties": {
 "type": {"const": "p"},
 "sum": {"type": "object", "additionalProperties": false, "required": ["amount", "currency"],
  "x-display": {"role": "amount", "format": "money", "amount": "amount", "currency": "currency"},
  "properties": {"amount": {"type": ["string", "number"]}, "currency": {"type": "string"},
   "charge": {"type": "boolean", "x-display": {"group": "rest", "label": {"en": "With a charge"}}}}},
 "name": {"type": "string", "x-display": {"role": "payee"}},
 "iban": {"type": "string", "x-display": {"role": "payee-account", "format": "iban", "label": {"en": "To account", "ar": "إلى الحساب"}}},
 "method": {"const": "instant"},
 "fee": {"type": "string", "x-display": {"order": 50, "label": {"en": "Fee"}, "format": "money", "currency": "feeCurrency"}},
 "day": {"type": "string", "x-display": {"order": 35, "label": {"en": "When"}, "format": "date", "absent": {"en": "Now"}}},
 "moment": {"type": "string", "x-display": {"group": "rest", "label": {"en": "Asked"}, "format": "date-time"}},
 "length": {"type": "string", "x-display": {"group": "rest", "label": {"en": "For"}, "format": "duration"}},
 "often": {"enum": ["MNTH", "ONCE"], "x-display": {"order": 36, "label": {"en": "How often"}, "values": {"MNTH": {"en": "Each month"}, "ONCE": {"en": "Once"}}}},
 "count": {"type": "integer", "x-display": {"group": "rest", "label": {"en": "How many"}, "format": "count"}},
 "note": {"type": ["string", "null"], "x-display": {"group": "rest", "label": {"en": "Note"}}},
 "site": {"type": "string", "x-display": {"group": "rest", "label": {"en": "Where"}, "format": "host"}},
 "tags": {"type": "array", "items": {"type": "string"}, "x-display": {"group": "rest", "label": {"en": "Tags"}}},
 "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "x-display": {"group": "rest", "label": {"en": "Parts"}, "empty": {"en": "All parts"}}},
 "feeCurrency": {"type": "string"}
},
"$defs": {"part": {"type": "object", "additionalProperties": false, "required": ["text"],
 "properties": {"text": {"type": "string", "x-display": {"group": "rest", "label": {"en": "Part"}}}}}}}`

// withFee makes the fee's currency required, as it has to be.
var withFee = strings.Replace(paymentSchema, `"name", "method"]`, `"name", "method", "feeCurrency"]`, 1)

func speaking(t testing.TB, tags ...string) *Languages {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	languages, err := NewLanguages(tags, berlin, nil)
	if err != nil {
		t.Fatal(err)
	}
	return languages
}

func parsed(t testing.TB, schema string, tags ...string) *Type {
	t.Helper()
	found, err := Parse("p", json.RawMessage(schema), speaking(t, tags...))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func viewed(t testing.TB, of *Type, object, tag string) View {
	t.Helper()
	view, err := of.View(json.RawMessage(object), tag, Asker{Name: "Orchid", Names: map[string]string{"pt-BR": "Orquídea"}})
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// flat is a view as text: the heading, and then each line.
func flat(view View) []string {
	lines := []string{view.Heading.String()}
	for _, group := range view.Groups {
		for _, line := range group.Lines {
			lines = append(lines, strings.TrimSpace(group.ID+"|"+line.Label+"|"+line.Value+" "+line.Hint))
		}
	}
	return lines
}

// Covers: KC-01. A schema is refused at the start, by JSON Pointer and remedy, when something in it could be granted that nobody
// is shown.
func TestKC01NothingIsHidden(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, pointer, remedy string }{
		"a leaf without words":              {`"x-display": {"role": "payee"}`, `"x": 1`, "/properties/name", "annotate it"},
		"a leaf that only has a format":     {`"x-display": {"role": "payee"}`, `"x-display": {"format": "text"}`, "/properties/name", "annotate it"},
		"a role that no heading has":        {`"label": {"en": "To account", "ar": "إلى الحساب"}`, `"order": 1`, "/properties/iban", "no label"},
		"hidden":                            {`"role": "payee"}`, `"role": "payee", "hidden": true}`, "/properties/name/x-display", "hidden"},
		"an enum value without words":       {`, "ONCE": {"en": "Once"}`, ``, "/properties/often/x-display/values", `"ONCE"; add them`},
		"words for a value that is not":     {`"ONCE": {"en"`, `"TWICE": {"en": "Twice"}, "ONCE": {"en"`, "/properties/often/x-display/values/TWICE", "remove it"},
		"an optional const":                 {`"name", "method", `, `"name", `, "/properties/method", "require it"},
		"unknown members below":             {`"$defs": {"part": {"type": "object", "additionalProperties": false`, `"$defs": {"part": {"type": "object"`, "/properties/parts/items", "additionalProperties"},
		"a leaf behind a reference":         {`"text": {"type": "string", "x-display": {"group": "rest", "label": {"en": "Part"}}}`, `"text": {"type": "string"}`, "/properties/parts/items/properties/text", "annotate it"},
		"an empty list":                     {`"x-display": {"group": "rest", "label": {"en": "Parts"}, "empty": {"en": "All parts"}}`, `"maxItems": 2`, "/properties/parts", "may be empty"},
		"a list of plain values":            {`, "x-display": {"group": "rest", "label": {"en": "Tags"}}`, ``, "/properties/tags", "annotate it"},
		"an object that may be empty":       {`"required": ["text"],`, ``, "", ""},
		"anything":                          {`"name": {"type": "string",`, `"name": {`, "/properties/name", "give it a type"},
		"true":                              {`"method": {"const": "instant"}`, `"method": true`, "/properties/method", "give it a type"},
		"a list of anything":                {`"items": {"type": "string"},`, ``, "/properties/tags", "describe its items"},
		"a mix of an object and text":       {`"count": {"type": "integer"`, `"count": {"type": ["integer", "object"]`, "/properties/count/type", "one type"},
		"pattern properties":                {`"$defs"`, `"patternProperties": {"^x": {"type": "string"}}, "$defs"`, "/patternProperties", "use properties"},
		"prefix items":                      {`"items": {"type": "string"},`, `"items": {"type": "string"}, "prefixItems": [{"type": "number"}],`, "/properties/tags/prefixItems", "use properties"},
		"a currency that may be absent":     {`, "feeCurrency"]`, `]`, "/properties/feeCurrency", "require it"},
		"an amount without a currency":      {`, "currency": "feeCurrency"`, ``, "/properties/fee/x-display/currency", "name the member"},
		"a currency that there is not":      {`"currency": "feeCurrency"`, `"currency": "fees"`, "/properties/fee/x-display", "name it"},
		"an amount that is no money":        {`"role": "amount", "format": "money", "amount": "amount", "currency": "currency"`, `"role": "amount"`, "/properties/sum/x-display", "money"},
		"a circle":                          {`"text": {"type": "string", "x-display": {"group": "rest", "label": {"en": "Part"}}}`, `"text": {"$ref": "#/$defs/part"}`, "/text", "write it out"},
		"a reference to an anchor":          {`"#/$defs/part"`, `"#part"`, "/properties/parts/items/$ref", "refer to a place"},
		"no amount":                         {`"role": "amount", `, `"label": {"en": "Amount"}, `, "/x-display/kind", "exactly one value with the role amount"},
		"two payees":                        {`"label": {"en": "Note"}`, `"label": {"en": "Note"}, "role": "payee"`, "/x-display/kind", "exactly one value with the role payee"},
		"a payee that may be absent":        {`"sum", "name"`, `"sum"`, "/x-display/heading/en", "require it"},
		"a heading that does not name both": {`Pagar {amount} a {payee}?`, `Pagar {amount}?`, "/x-display/heading/pt-BR", "{payee}"},
		"a heading with a member":           {`Pay {amount} to {payee}?`, `Pay {amount} to {payee} {name}?`, "/x-display/heading/en", "no role"},
		"a heading with a brace":            {`Pay {amount} to {payee}?`, `Pay {amount} to {payee}? {`, "/x-display/heading/en", "brace"},
		"a label with a value":              {`"en": "Fee"`, `"en": "Fee {amount}"`, "/properties/fee/x-display/label/en", "without braces"},
		"no text in the first language":     {`"label": {"en": "Fee"}`, `"label": {"ar": "رسوم"}`, "/properties/fee/x-display/label", "no text in en"},
		"a text that cannot be seen":        {`"en": "Fee"`, `"en": "Fee\u202e"`, "/properties/fee/x-display/label/en", "cannot be seen"},
		"a language that is none":           {`"en": "Fee"`, `"en": "Fee", "e_!": "x"`, "/properties/fee/x-display/label/e_!", "language tag"},
		"an unknown kind":                   {`"kind": "payment"`, `"kind": "gift"`, "/x-display/kind", "payment, recurring"},
		"an unknown times":                  {`"times": "once"`, `"times": "always"`, "/x-display/times", "once or until"},
		"an unknown role":                   {`"role": "payee-account"`, `"role": "banker"`, "/properties/iban/x-display/role", "use one of"},
		"an unknown format":                 {`"format": "iban"`, `"format": "emoji"`, "/properties/iban/x-display/format", "use one of"},
		"an unknown group":                  {`{"group": "rest", "label": {"en": "Note"}}`, `{"group": "others", "label": {"en": "Note"}}`, "/properties/note/x-display/group", "add it"},
		"no annotation at all":              {`"x-display": {"kind"`, `"x-displays": {"kind"`, "/x-display is missing", "add it"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			schema := strings.Replace(withFee, c.from, c.to, 1)
			if schema == withFee {
				t.Fatal("nothing is changed")
			}
			_, err := Parse("p", json.RawMessage(schema), speaking(t, "en", "pt-BR"))
			if name == "an object that may be empty" { // the list that it is in has a label, and it has none
				c.pointer, c.remedy = "/properties/parts/items", "require a member"
			}
			if err == nil || !strings.Contains(err.Error(), c.pointer) || !strings.Contains(err.Error(), c.remedy) {
				t.Errorf("%v, want %s and %q", err, c.pointer, c.remedy)
			}
		})
	}
	t.Run("accepts it as it is", func(t *testing.T) { parsed(t, withFee, "en", "pt-BR") })
	t.Run("refuses a first language that lacks texts", func(t *testing.T) {
		if _, err := Parse("p", json.RawMessage(withFee), speaking(t, "pt-BR", "en")); err == nil ||
			!strings.Contains(err.Error(), "/properties/iban/x-display/label has no text in pt-BR") {
			t.Error(err)
		}
	})
}

// Covers: KC-02. A payment is read as its amount and its payee, then in the order of the annotations, in the user's language or
// else in the first.
func TestKC02Payment(t *testing.T) {
	t.Parallel()
	of := parsed(t, withFee, "en", "pt-BR", "ar")
	object := `{"type":"p","sum":{"amount":"1234.5","currency":"EUR","charge":true},"name":"Fernhill Cycles","iban":"DE19999999990000123456","method":"instant",
"fee":"0.05","feeCurrency":"USD","moment":"2026-11-29T18:46:45Z","length":"P1M2DT3H","often":"MNTH","count":3,"note":null,"site":"https://shop.example","tags":["a","b"],"parts":[{"text":"x"},{"text":"y"}]}`
	for tag, want := range map[string][]string{
		"en": {
			"Pay €1,234.50 to Fernhill Cycles?", "payment|To account|DE19 9999 9999 0000 1234 56", "payment|When|Now",
			"payment|How often|Each month", "payment|Fee|US$0.05", "rest|How many|3", "rest|For|1 month, 2 days, 3 hours",
			"rest|Asked|29 November 2026 at 19:46:45, Berlin time", "rest|Note|None", "rest|Part (1)|x", "rest|Part (2)|y", "rest|Where|shop.example",
			"rest|With a charge|Yes", "rest|Tags|a, b",
		},
		"pt": {
			"Pagar €\u00a01.234,50 a Fernhill Cycles?", "payment|To account|DE19 9999 9999 0000 1234 56", "payment|When|Now",
			"payment|How often|Each month", "payment|Fee|US$\u00a00,05", "rest|How many|3", "rest|For|1 mês, 2 dias, 3 horas",
			"rest|Asked|29 de novembro de 2026 às 19:46:45, horário de Berlim", "rest|Note|Nenhum", "rest|Part (1)|x", "rest|Part (2)|y", "rest|Where|shop.example",
			"rest|With a charge|Sim", "rest|Tags|a, b",
		},
	} {
		t.Run("accepts in "+tag, func(t *testing.T) {
			if diff := cmp.Diff(want, flat(viewed(t, of, object, tag))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("accepts Arabic, with Latin digits", func(t *testing.T) {
		view := viewed(t, of, object, "ar-AE")
		if view.Language != "ar" || !strings.Contains(view.Heading.String(), "1,234.50") || view.Groups[0].Lines[0].Label != "إلى الحساب" {
			t.Errorf("%+v", view)
		}
	})
	t.Run("accepts the sentences of the server where the type has none", func(t *testing.T) {
		view := viewed(t, of, object, "pt-BR")
		got := []string{view.Line.String(), view.Allow.String(), view.Deny.String()}
		if diff := cmp.Diff([]string{"€\u00a01.234,50 para Fernhill Cycles", "Pagar €\u00a01.234,50", "Não pagar"}, got); diff != "" || !view.Once {
			t.Error(diff)
		}
	})
	t.Run("accepts what is empty by its name", func(t *testing.T) {
		lines := strings.Join(flat(viewed(t, of, `{"type":"p","sum":{"amount":"1","currency":"EUR"},"name":"","method":"instant","feeCurrency":"EUR","tags":[],"parts":[]}`, "en")), "\n")
		for _, want := range []string{"to None?", "Tags|None", "Parts|All parts"} {
			if !strings.Contains(lines, want) {
				t.Errorf("%s lacks %s", lines, want)
			}
		}
	})
	for name, object := range map[string]string{
		"a member that the schema does not know": `{"type":"p","sum":{"amount":"1","currency":"EUR"},"name":"x","method":"instant","secret":1}`,
		"one below":                              `{"type":"p","sum":{"amount":"1","currency":"EUR","more":1},"name":"x","method":"instant"}`,
		"an object for text":                     `{"type":"p","sum":{"amount":"1","currency":"EUR"},"name":{"x":1},"method":"instant"}`,
		"text for a list":                        `{"type":"p","sum":{"amount":"1","currency":"EUR"},"name":"x","method":"instant","tags":"a"}`,
		"text for an object":                     `{"type":"p","sum":"1 EUR","name":"x","method":"instant"}`,
		"an amount without a number":             `{"type":"p","sum":{"currency":"EUR"},"name":"x","method":"instant"}`,
		"no JSON":                                `{`,
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if view, err := of.View(json.RawMessage(object), "en", Asker{}); err == nil {
				t.Errorf("%+v", view)
			}
		})
	}
}

// Covers: KC-05. No value of an object is missing from what is read, in any language.
func TestKC05EveryLeafIsShown(t *testing.T) {
	t.Parallel()
	of := parsed(t, withFee)
	tags := words.Supported()
	rapid.Check(t, func(t *rapid.T) {
		count := 0
		token := func() string { count++; return fmt.Sprintf("value%dz", count) }
		maybe := func(object map[string]any, name string, value func() any) {
			if rapid.Bool().Draw(t, name) {
				object[name] = value()
			}
		}
		text := func() any { return token() }
		object := map[string]any{"type": "p", "sum": map[string]any{"amount": token(), "currency": token()}, "name": token(), "method": "instant"}
		object["fee"], object["feeCurrency"] = token(), token()
		for _, name := range []string{"iban", "day", "moment", "length", "note", "site"} {
			maybe(object, name, text)
		}
		maybe(object, "tags", func() any {
			tags := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "tags") {
				tags = append(tags, token()+rapid.SampledFrom([]string{"", ",", ", x"}).Draw(t, "comma"))
			}
			return tags
		})
		maybe(object, "parts", func() any {
			parts := []any{}
			for range rapid.IntRange(0, 3).Draw(t, "parts") {
				parts = append(parts, map[string]any{"text": token()})
			}
			return parts
		})
		raw, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		view, err := of.View(raw, rapid.SampledFrom(tags).Draw(t, "language"), Asker{})
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(flat(view), "\n")
		for i := range count {
			if n := strings.Count(all, fmt.Sprintf("value%dz", i+1)); n != 1 {
				t.Fatalf("value %d of %s is shown %d times:\n%s", i+1, raw, n, all)
			}
		}
	})
}

// Covers: KC-05. Different objects are read differently: nothing is granted under the words of something else.
func TestKC05DifferentObjectsReadDifferently(t *testing.T) {
	t.Parallel()
	of := parsed(t, withFee)
	base := `{"type":"p","sum":{"amount":"1.00","currency":"EUR"},"name":"A","method":"instant","fee":"1","feeCurrency":"EUR"%s}`
	seen := map[string]string{}
	for _, more := range []string{
		``, `,"tags":[]`, `,"tags":["a, b"]`, `,"tags":["a","b"]`, `,"tags":["a, b","c"]`, `,"tags":["a","b, c"]`, `,"parts":[]`, `,"parts":[{"text":"a"}]`,
		`,"parts":[{"text":"a"},{"text":"b"}]`, `,"note":"x"`, `,"note":"x "`, `,"note":" x"`, `,"iban":"x"`, `,"count":0`, `,"count":1`, `,"often":"ONCE"`,
		`,"site":"https://a.example"`, `,"site":"http://a.example"`, `,"day":"2027-01-01"`, `,"length":"P1M"`, `,"length":"PT1M"`, `,"length":"P1Y"`, `,"length":"P12M"`,
	} {
		t.Run("accepts "+more, func(t *testing.T) {
			read := strings.Join(flat(viewed(t, of, fmt.Sprintf(base, more), "en")), "\n")
			if other, found := seen[read]; found {
				t.Errorf("reads like %s:\n%s", other, read)
			}
			seen[read] = more
		})
	}
}

// Covers: KC-06. Access says what is seen by clusters with their detail, and names the application that asks.
func TestKC06Access(t *testing.T) {
	t.Parallel()
	of := parsed(t, `{"x-display":{"kind":"access","times":"until","heading":{"en":"Share with {client}?"},"allow":{"en":"Share"}},
"type":"object","additionalProperties":false,"required":["type","actions"],"properties":{"actions":{"type":"array","items":{"enum":["b","t"]},
"x-display":{"label":{"en":"What it will see"},"values":{"b":{"label":{"en":"Balances"},"detail":{"en":"At each look"}},"t":{"en":"Payments"}}}}}}`)
	view := viewed(t, of, `{"type":"p","actions":["t","b"]}`, "pt-BR")
	want := []Item{{Label: "Payments", Lang: "en"}, {Label: "Balances", Detail: "At each look", Lang: "en", DetailLang: "en"}}
	t.Run("accepts clusters", func(t *testing.T) {
		if diff := cmp.Diff(want, view.Groups[0].Lines[0].Items); diff != "" || view.Groups[0].Lines[0].Value != "Payments, Balances" {
			t.Errorf("%+v %s", view, diff)
		}
	})
	t.Run("accepts the name of the application in the user's language", func(t *testing.T) {
		if view.Heading.String() != "Share with Orquídea?" || view.Deny.String() != "Não compartilhar" {
			t.Errorf("%q", view.Heading)
		}
	})
	t.Run("refuses a name that moves other text", func(t *testing.T) {
		view, err := of.View(json.RawMessage(`{"type":"p","actions":["t"]}`), "en", Asker{Name: "a\u202eb"})
		if err != nil || view.Heading.String() != `Share with "a\u202eb"?` {
			t.Errorf("%q %v", view.Heading, err)
		}
	})
}

// FuzzParse: whatever the annotations are, they are refused with words or shown without a panic.
func FuzzParse(f *testing.F) {
	f.Add(withFee, `{"type":"p","sum":{"amount":"1","currency":"EUR"},"name":"x","method":"instant"}`)
	f.Add(paymentSchema, `{}`)
	f.Add(`{"x-display":{}}`, `[]`)
	f.Add(`{"x-display":{"kind":"other","times":"until","heading":{"en":"{payee}"}},"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}`, `{}`)
	f.Add(`{"x-display":{"kind":"other","times":"until","heading":{"en":"Do it?"}},"type":"object","additionalProperties":false,"properties":{"a":{"type":"array","items":{"type":"array","items":{"type":"string"},"x-display":{"label":{"en":"A"}}},"x-display":{"label":{"en":"B"}}}}}`, `{"a":[["x"],[]]}`)
	languages := speaking(f)
	f.Fuzz(func(t *testing.T, schema, object string) {
		found, err := Parse("p", json.RawMessage(schema), languages)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("refused without words")
			}
			return
		}
		view, err := found.View(json.RawMessage(object), "en", Asker{})
		if err == nil && view.Heading.String() == "" {
			t.Errorf("%s: no heading", schema)
		}
		if errors.Is(err, nil) {
			for _, line := range flat(view) {
				if strings.ContainsAny(line, "\u202e\n\x00") {
					t.Errorf("%q", line)
				}
			}
		}
	})
}
